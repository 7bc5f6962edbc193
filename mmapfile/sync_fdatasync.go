//go:build linux || freebsd || netbsd

package mmapfile

import "os"

func syncData(f *os.File) error {
	return control(f, func(fd uintptr) error {
		return ignoringEINTR(func() error { return fdatasync(int(fd)) })
	})
}

func syncFile(f *os.File) error { return f.Sync() }
