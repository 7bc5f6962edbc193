//go:build !linux && !darwin && !freebsd && !openbsd && !netbsd && !dragonfly && !windows

package mmapfile

import (
	"errors"
	"os"
)

// advise does nothing: the memory is an ordinary slice here.
func advise(b []byte, a Advice) error { return nil }

func lockMemory(b []byte) error { return errors.ErrUnsupported }

func unlockMemory(b []byte) error { return nil }

// resident counts all: the file was read as a whole.
func resident(b []byte) (pages, total int, err error) {
	n := (len(b) + os.Getpagesize() - 1) / os.Getpagesize()
	return n, n, nil
}
