//go:build linux || darwin || freebsd || openbsd || netbsd || dragonfly

package mmapfile

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// trySetLock locks bytes lo to hi of a file, unless another holds them.
func trySetLock(f *os.File, cmd int, lo, hi int64, exclusive bool) (bool, error) {
	kind := int16(unix.F_RDLCK)
	if exclusive {
		kind = unix.F_WRLCK
	}
	err := setLock(f, cmd, kind, lo, hi)
	switch err {
	case unix.EAGAIN, unix.EACCES:
		return false, nil
	case unix.EBADF: // the handle could not be opened for writing
		return false, unix.EACCES
	}
	return err == nil, err
}

// setLock sets or clears a lock on bytes lo to hi of a file.
func setLock(f *os.File, cmd int, kind int16, lo, hi int64) error {
	lock := unix.Flock_t{Type: kind, Whence: io.SeekStart, Start: lo, Len: hi - lo}
	if hi == maxLock {
		lock.Len = 0 // without end
	}
	return control(f, func(fd uintptr) error {
		return ignoringEINTR(func() error { return unix.FcntlFlock(fd, cmd, &lock) })
	})
}
