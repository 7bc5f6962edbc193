//go:build linux || darwin

package mmapfile

import (
	"os"

	"golang.org/x/sys/unix"
)

// Locks of ranges belong to the open handle (open file description), unlike those of F_SETLK,
// which any close of the file in the process would drop.

func tryLockRange(h *os.File, owner any, lo, hi int64, exclusive bool) (bool, error) {
	return trySetLock(h, ofdSetLock, lo, hi, exclusive)
}

func unlockRange(h *os.File, owner any, lo, hi int64) error {
	return setLock(h, ofdSetLock, unix.F_UNLCK, lo, hi)
}

func closeHandle(f *os.File) error { return f.Close() }
