//go:build linux || darwin || freebsd || openbsd || netbsd || dragonfly

package mmapfile

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

const (
	writesBack     = false // the system writes changed pages by itself
	unmapsToResize = false
)

// flushIsDurable tells whether flushRange leaves nothing in volatile caches. Linux' msync is an
// fdatasync of the range; elsewhere the file has to be synced too.
const flushIsDurable = runtime.GOOS == "linux"

// flushRange writes bytes lo to hi of mapped, which begins at offset off of f.
func flushRange(f *os.File, mapped []byte, off int64, lo, hi int) error {
	lo -= lo % os.Getpagesize()
	return ignoringEINTR(func() error { return unix.Msync(mapped[lo:hi], unix.MS_SYNC) })
}
