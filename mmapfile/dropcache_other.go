//go:build !linux && !freebsd && !netbsd

package mmapfile

import "os"

func dropCache(f *os.File, off, n int64) error { return nil }
