//go:build linux || darwin || freebsd || openbsd || netbsd || dragonfly

package mmapfile

import (
	"os"

	"golang.org/x/sys/unix"
)

func tryLockHandle(f *os.File, exclusive bool) (bool, error) {
	how := unix.LOCK_SH | unix.LOCK_NB
	if exclusive {
		how = unix.LOCK_EX | unix.LOCK_NB
	}
	err := flock(f, how)
	if err == unix.EWOULDBLOCK {
		return false, nil
	}
	return err == nil, err
}

// A lock of flock(2) has no place in the file.
func tryLockHandleAt(f *os.File, off uint64, exclusive bool) (bool, error) {
	return tryLockHandle(f, exclusive)
}

func unlockHandle(f *os.File) error { return flock(f, unix.LOCK_UN) }

func flock(f *os.File, how int) error {
	return control(f, func(fd uintptr) error {
		return ignoringEINTR(func() error { return unix.Flock(int(fd), how) })
	})
}
