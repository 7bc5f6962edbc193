package mmapfile

import (
	"errors"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// readReady reads what is in memory, and returns how much that is. If that is not all of p, the
// system has begun to read the rest, and other goroutines have run.
func readReady(f *os.File, p []byte, off int64) (n int) {
	var err error
	if control(f, func(fd uintptr) error {
		n, err = unix.Preadv2(int(fd), [][]byte{p}, off, unix.RWF_NOWAIT)
		return nil
	}) != nil {
		return 0
	}
	if n < len(p) && (err == nil || errors.Is(err, unix.EAGAIN)) {
		runtime.Gosched()
	}
	return max(n, 0)
}
