//go:build !linux && !darwin && !freebsd && !openbsd && !netbsd && !dragonfly && !windows

package mmapfile

import (
	"errors"
	"math"
	"os"
	"slices"
)

// There are no file locks here: locks work within the process.
var handleLocks, rangeLocks lockTable

func tryLockHandle(f *os.File, exclusive bool) (bool, error) {
	handleLocks.drop(closedHandle)
	want := byteLock{owner: f, end: math.MaxInt64, exclusive: exclusive}
	return handleLocks.tryLock(f, want, func() (bool, error) { return true, nil })
}

// drop ends the locks that ended says have ended.
func (t *lockTable) drop(ended func(byteLock) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.files = slices.DeleteFunc(t.files, func(f *lockedFile) bool {
		f.locks = slices.DeleteFunc(f.locks, ended)
		return len(f.locks) == 0
	})
}

// closedHandle tells whether a lock's handle has been closed, which ends the lock. Nobody hears of
// the closing: whoever tries to lock looks.
func closedHandle(l byteLock) bool {
	_, err := l.owner.(*os.File).Stat()
	return errors.Is(err, os.ErrClosed)
}

func tryLockHandleAt(f *os.File, off uint64, exclusive bool) (bool, error) {
	return tryLockHandle(f, exclusive)
}

func unlockHandle(f *os.File) error {
	return handleLocks.unlock(f, f, 0, math.MaxInt64, func(off, end int64) error { return nil })
}

func tryLockRange(h *os.File, owner any, lo, hi int64, exclusive bool) (bool, error) {
	want := byteLock{owner: owner, off: lo, end: hi, exclusive: exclusive}
	return rangeLocks.tryLock(h, want, func() (bool, error) { return true, nil })
}

func unlockRange(h *os.File, owner any, lo, hi int64) error {
	return rangeLocks.unlock(h, owner, lo, hi, func(lo, hi int64) error { return nil })
}

func closeHandle(f *os.File) error { return f.Close() }
