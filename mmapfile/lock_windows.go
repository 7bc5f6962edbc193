package mmapfile

import (
	"os"

	"golang.org/x/sys/windows"
)

// Locks on Windows forbid others to read and write the bytes they cover. Those taken here lie
// beyond any data, so that they are advisory as everywhere else: the whole-file lock is one
// byte, the locks of ranges are shifted by rangeShift.
const (
	handleLockOffset = 1<<63 - 2
	rangeShift       = 1 << 62
	maxRange         = handleLockOffset - rangeShift
)

func tryLockHandle(f *os.File, exclusive bool) (bool, error) {
	return tryLockBytes(f, handleLockOffset, 1, exclusive)
}

func tryLockHandleAt(f *os.File, off uint64, exclusive bool) (bool, error) {
	return tryLockBytes(f, off, 1, exclusive)
}

func unlockHandle(f *os.File) error { return unlockBytes(f, handleLockOffset, 1) }

func tryLockRange(h *os.File, owner any, lo, hi int64, exclusive bool) (bool, error) {
	off, n := shifted(lo, hi)
	return tryLockBytes(h, off, n, exclusive)
}

func unlockRange(h *os.File, owner any, lo, hi int64) error {
	off, n := shifted(lo, hi)
	return unlockBytes(h, off, n)
}

func closeHandle(f *os.File) error { return f.Close() }

// shifted moves a range to where locks are advisory; what lies too far out is cut off.
func shifted(lo, hi int64) (off, n uint64) {
	lo = min(lo, maxRange-1)
	return rangeShift + uint64(lo), uint64(min(hi, maxRange) - lo)
}

// tryLockBytes locks a range of the file; one that this handle holds already changes its mode.
func tryLockBytes(f *os.File, off, n uint64, exclusive bool) (ok bool, err error) {
	if err := unlockBytes(f, off, n); err != nil {
		return false, err
	}
	flags := uint32(windows.LOCKFILE_FAIL_IMMEDIATELY)
	if exclusive {
		flags |= windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	err = control(f, func(fd uintptr) error {
		return windows.LockFileEx(windows.Handle(fd), flags, 0, uint32(n), uint32(n>>32), at(off))
	})
	if err == windows.ERROR_LOCK_VIOLATION || err == windows.ERROR_IO_PENDING {
		return false, nil
	}
	return err == nil, err
}

func unlockBytes(f *os.File, off, n uint64) error {
	err := control(f, func(fd uintptr) error {
		return windows.UnlockFileEx(windows.Handle(fd), 0, uint32(n), uint32(n>>32), at(off))
	})
	switch err {
	case windows.ERROR_NOT_LOCKED, windows.ERROR_LOCK_VIOLATION: // the second is Wine's
		return nil
	}
	return err
}

func at(off uint64) *windows.Overlapped {
	return &windows.Overlapped{Offset: uint32(off), OffsetHigh: uint32(off >> 32)}
}
