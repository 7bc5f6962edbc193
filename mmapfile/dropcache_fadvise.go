//go:build linux || freebsd || netbsd

package mmapfile

import (
	"os"

	"golang.org/x/sys/unix"
)

func dropCache(f *os.File, off, n int64) error {
	return control(f, func(fd uintptr) error {
		return ignoringEINTR(func() error { return unix.Fadvise(int(fd), off, n, unix.FADV_DONTNEED) })
	})
}
