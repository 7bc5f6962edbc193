//go:build !linux && !darwin && !freebsd && !openbsd && !netbsd && !dragonfly && !windows

package mmapfile

import (
	"io"
	"math"
	"os"
)

// CanReserve tells whether Reserve can map past the end of a file.
const CanReserve = false

// maxMap is the longest map in bytes: not more than can be expected to be had as memory.
const maxMap = math.MaxInt32

// mapFile reads n > 0 bytes of f from off on, all within the file: there are no maps on this
// platform.
func mapFile(f *os.File, off int64, n int, access Access) ([]byte, error) {
	b := make([]byte, n)
	return b, readFull(f, b, off)
}

// mapAnonymous returns n > 0 bytes of zeroed memory that belong to no file.
func mapAnonymous(n int) ([]byte, error) { return make([]byte, n), nil }

func unmap(b []byte) error { return nil }

// granularity is what offsets of maps must be multiples of.
func granularity() int { return 1 }

// refresh reads bytes lo to hi of the file again; b begins where the file does.
func refresh(f *os.File, b []byte, lo, hi int64) error {
	return readFull(f, b[lo:hi], lo)
}

func readFull(f *os.File, b []byte, off int64) error {
	n, err := f.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}
