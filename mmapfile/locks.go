package mmapfile

import (
	"errors"
	"math"
	"os"
	"sync"
	"time"
)

// LockFile locks the file, shared or exclusive, and returns ErrTimeout if that takes longer than
// timeout: 0 tries once, a negative one waits for ever. LockFile on a File that holds the lock
// changes its mode, which is not atomic: another may get in between, and if the change fails the
// old lock may be lost.
//
// The lock belongs to this File: all other Files and processes contend with it. It ends with
// UnlockFile, Close, or the process, however that ends. Other handles on the file opened and
// closed in the process do not affect it, and child processes do not inherit it. It is advisory:
// it keeps nobody from using the file, only from locking it. LockFile and LockHandle see each
// other; LockFile and LockRange do not, except on macOS and the BSDs, where the two exclude each
// other even on one File.
//
// On platforms without file locks (plan9, js) it works within this process.
func (f *File) LockFile(exclusive bool, timeout time.Duration) error {
	return f.lockBy(timeout, func(h *os.File) (bool, error) { return tryLockHandle(h, exclusive) })
}

// UnlockFile releases what LockFile locked; without a lock it does nothing.
func (f *File) UnlockFile() error {
	return f.unlockBy(unlockHandle)
}

// LockRange is LockFile for n bytes from off on, counted from the start of the map; they may
// lie past its end. n of 0 means without end. A negative off or n is ErrOutOfRange.
//
// Ranges that overlap contend, others do not. Locking bytes again changes their mode. A range
// must be unlocked as it was locked, and the ranges that one File holds must not overlap unless
// they are the same: Windows knows no parts of a lock. An exclusive lock needs the right to
// write the file.
//
// On the BSDs, where such locks belong to the process, they end when the program itself, not
// this package, closes some other handle on the file.
func (f *File) LockRange(off, n int64, exclusive bool, timeout time.Duration) error {
	lo, hi, err := f.lockRange(off, n)
	if err != nil {
		return f.wrap("lock", err)
	}
	return f.lockBy(timeout, func(h *os.File) (bool, error) { return tryLockRange(h, f, lo, hi, exclusive) })
}

// UnlockRange releases what LockRange locked; bytes without a lock are no error.
func (f *File) UnlockRange(off, n int64) error {
	lo, hi, err := f.lockRange(off, n)
	if err != nil {
		return f.wrap("unlock", err)
	}
	return f.unlockBy(func(h *os.File) error { return unlockRange(h, f, lo, hi) })
}

// lockRange turns a range of the map into one of the file; hi of maxLock means without end.
func (f *File) lockRange(off, n int64) (lo, hi int64, err error) {
	if off < 0 || n < 0 || off >= maxLock-f.offset || n > maxLock-f.offset-off {
		return 0, 0, ErrOutOfRange
	}
	lo, hi = f.offset+off, f.offset+off+n
	if n == 0 {
		hi = maxLock
	}
	return lo, hi, nil
}

// maxLock ends the ranges that can be locked.
const maxLock = math.MaxInt64

// lockBy polls try, letting Close in between.
func (f *File) lockBy(timeout time.Duration, try func(h *os.File) (bool, error)) error {
	err := poll(timeout, func() (ok bool, err error) {
		err = f.hold("lock", func() error {
			h, err := f.locks.open(f.file)
			if err == nil {
				ok, err = try(h)
			}
			return err
		})
		return ok, err
	})
	return f.wrap("lock", err)
}

func (f *File) unlockBy(unlock func(h *os.File) error) error {
	return f.hold("unlock", func() error {
		if h := f.locks.opened(); h != nil {
			return unlock(h)
		}
		return nil
	})
}

// A lockHandle is the handle that a File's locks belong to. It is opened anew, with the first
// lock, because the one that maps may be shared: a handle given to Map shares its locks with all
// its duplicates.
type lockHandle struct {
	mu sync.Mutex
	h  *os.File
}

// open returns the handle, opening it at need.
func (l *lockHandle) open(file *os.File) (*os.File, error) {
	if file == nil {
		return nil, errors.ErrUnsupported
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.h == nil {
		l.h = reopen(file)
	}
	return l.h, nil
}

func (l *lockHandle) opened() *os.File {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.h
}

// close releases all locks of f.
func (l *lockHandle) close(f *File) error {
	h := l.opened()
	if h == nil {
		return nil
	}
	err := errors.Join(unlockHandle(h), unlockRange(h, f, 0, maxLock))
	if h != f.file {
		err = errors.Join(err, closeHandle(h))
	}
	return err
}

// reopen opens the file of a handle anew, writable if possible, since exclusive locks may need
// that. Where it can no longer be found it returns the handle itself.
func reopen(file *os.File) *os.File {
	info, err := file.Stat()
	if err != nil {
		return file
	}
	for _, path := range pathsOf(file) {
		// What is no regular file now may wait for ever in OpenFile.
		if found, err := os.Stat(path); err != nil || !found.Mode().IsRegular() {
			continue
		}
		for _, flag := range []int{os.O_RDWR, os.O_RDONLY} {
			if h, err := openSame(path, flag, info); err == nil {
				return h
			}
		}
	}
	return file
}

// openSame opens path if it is the file that info is of.
func openSame(path string, flag int, info os.FileInfo) (*os.File, error) {
	h, err := os.OpenFile(path, flag, 0)
	if err != nil {
		return nil, err
	}
	found, err := h.Stat()
	if err == nil && !os.SameFile(info, found) {
		err = os.ErrNotExist
	}
	if err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}
