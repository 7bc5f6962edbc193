//go:build linux || darwin || freebsd || netbsd || dragonfly || windows

package mmapfile

import "os"

// refresh does nothing: maps and writes share one cache here.
func refresh(f *os.File, b []byte, lo, hi int64) error { return nil }
