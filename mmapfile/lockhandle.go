package mmapfile

import (
	"os"
	"time"
)

// LockHandle locks the file that f is open on, shared or exclusive, and returns ErrTimeout if
// that takes longer than timeout: 0 tries once, a negative one waits for ever.
//
// The lock belongs to the open handle: every other handle on the file contends with it, also in
// the same process, and opening and closing others does not release it. It is advisory: it keeps
// nobody from reading or writing the file, only from locking it. It ends with UnlockHandle, when
// f is closed or when the process ends, however it ends. Locking a handle that holds the lock
// changes its mode, which is not atomic: another may get in between, and if the change fails the
// old lock may be lost.
//
// On platforms without file locks (plan9, js) it works among the handles of this process.
func LockHandle(f *os.File, exclusive bool, timeout time.Duration) error {
	err := poll(timeout, func() (bool, error) { return tryLockHandle(f, exclusive) })
	return wrap("lock", f.Name(), err)
}

// LockHandleAt is LockHandle for files of programs that have a lock of their own on Windows, where
// a lock covers bytes: there it locks the byte at off, which may lie past any end, and contends
// with all that lock that byte. Elsewhere off makes no difference. The lock ends when f is closed.
func LockHandleAt(f *os.File, off uint64, exclusive bool, timeout time.Duration) error {
	err := poll(timeout, func() (bool, error) { return tryLockHandleAt(f, off, exclusive) })
	return wrap("lock", f.Name(), err)
}

// UnlockHandle releases the lock that LockHandle gave f; without one it does nothing.
func UnlockHandle(f *os.File) error {
	return wrap("unlock", f.Name(), unlockHandle(f))
}

// poll calls try until it succeeds, fails or the time is over. It waits a little longer after
// each try, 25 ms at most.
func poll(timeout time.Duration, try func() (bool, error)) error {
	const shortest, longest = 50 * time.Microsecond, 25 * time.Millisecond
	start := time.Now()
	for pause := shortest; ; pause = min(2*pause, longest) {
		if ok, err := try(); ok || err != nil {
			return err
		}
		if timeout >= 0 {
			left := timeout - time.Since(start)
			if left <= 0 {
				return ErrTimeout
			}
			pause = min(pause, left)
		}
		time.Sleep(pause)
	}
}
