#!/bin/sh
# Runs this package's tests on every platform that this machine can run or emulate, one line
# each: whether they passed, failed, or could not be run and why. Exits 1 if any failed.
#
#	apt-get install qemu-user-static nodejs wine64 gcc-mingw-w64-x86-64
#
# Arguments go to the test programs, e.g. ./crosstest.sh -test.v -test.short.
cd "$(dirname "$0")" || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0

# run NAME GOOS GOARCH WRAPPER...: builds the tests and runs them by the wrapper.
run() {
	name=$1 os=$2 arch=$3
	shift 3
	if ! GOOS=$os GOARCH=$arch go test -c -o "$work/$name.test.exe" . ||
		! (timeout 600 "$@" >"$work/out" 2>&1); then
		tail -n 40 "$work/out"
		echo "mmapfile on $name: FAILED"
		failed=1
		return
	fi
	echo "mmapfile on $name: passed"
}

skip() { echo "mmapfile on $1: not run, $2"; }

# wine_prefix makes a prefix in which Go programs start.
wine_prefix() {
	export WINEPREFIX="$work/wine" WINEDEBUG=-all WINEDLLOVERRIDES="bcryptprimitives=n"
	timeout 300 wine wineboot --init >"$work/out" 2>&1 &&
		x86_64-w64-mingw32-gcc -shared -O2 -o "$WINEPREFIX/drive_c/windows/system32/bcryptprimitives.dll" \
			testdata/bcryptprimitives.c -ladvapi32
}

run linux-amd64 linux amd64 "$work/linux-amd64.test.exe" "$@"
run linux-386 linux 386 "$work/linux-386.test.exe" "$@"
for pair in arm64:aarch64 s390x:s390x; do
	arch=${pair%:*} qemu=qemu-${pair#*:}-static
	if command -v "$qemu" >/dev/null; then
		MMAPFILE_EMULATOR=$(command -v "$qemu")
		export MMAPFILE_EMULATOR
		run "linux-$arch" linux "$arch" "$qemu" "$work/linux-$arch.test.exe" "$@"
		unset MMAPFILE_EMULATOR
	else
		skip "linux-$arch" "no $qemu"
	fi
done
if command -v node >/dev/null; then
	run js-wasm js wasm "$(go env GOROOT)/lib/wasm/go_js_wasm_exec" "$work/js-wasm.test.exe" "$@"
else
	skip js-wasm "no node"
fi
if ! command -v wine >/dev/null || ! command -v x86_64-w64-mingw32-gcc >/dev/null; then
	skip windows-amd64 "no wine or no mingw"
elif ! wine_prefix; then
	skip windows-amd64 "no wine prefix could be made"
else
	run windows-amd64 windows amd64 wine "$work/windows-amd64.test.exe" "$@"
	wineserver -k 2>/dev/null
fi
exit $failed
