//go:build !linux && !freebsd && !netbsd && !darwin

package mmapfile

import "os"

func syncData(f *os.File) error { return f.Sync() }

func syncFile(f *os.File) error { return f.Sync() }
