//go:build !linux && !darwin && !freebsd && !openbsd && !netbsd && !dragonfly && !windows

package mmapfile

import (
	"bytes"
	"io"
	"os"
)

const (
	writesBack     = true
	unmapsToResize = true
	flushIsDurable = false
)

// flushRange writes those blocks of mapped[lo:hi] that differ from the file's; mapped begins at
// offset off of f.
func flushRange(f *os.File, mapped []byte, off int64, lo, hi int) error {
	const block = 64 << 10
	old := make([]byte, block)
	for ; lo < hi; lo += block {
		b := mapped[lo:min(lo+block, hi)]
		n, err := f.ReadAt(old[:len(b)], off+int64(lo))
		if err != nil && err != io.EOF {
			return err
		}
		if bytes.Equal(old[:n], b) {
			continue
		}
		if _, err := f.WriteAt(b, off+int64(lo)); err != nil {
			return err
		}
	}
	return nil
}
