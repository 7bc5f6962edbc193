//go:build freebsd || openbsd || netbsd || dragonfly

package mmapfile

import (
	"os"

	"golang.org/x/sys/unix"
)

// rangeLocks tells apart the Files of this process, to which the system gives locks as a whole.
var rangeLocks lockTable

func tryLockRange(h *os.File, owner any, lo, hi int64, exclusive bool) (bool, error) {
	want := byteLock{owner: owner, off: lo, end: hi, exclusive: exclusive}
	return rangeLocks.tryLock(h, want, func() (bool, error) {
		return trySetLock(h, unix.F_SETLK, lo, hi, exclusive)
	})
}

func unlockRange(h *os.File, owner any, lo, hi int64) error {
	return rangeLocks.unlock(h, owner, lo, hi, func(lo, hi int64) error {
		return setLock(h, unix.F_SETLK, unix.F_UNLCK, lo, hi)
	})
}

// closeHandle closes f, but not while a File of this process has locks on the same file: any
// close would drop them.
func closeHandle(f *os.File) error { return rangeLocks.closeUnlocked(f) }
