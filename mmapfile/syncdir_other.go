//go:build !linux && !darwin && !freebsd && !openbsd && !netbsd && !dragonfly

package mmapfile

// syncDir does nothing: directories cannot be flushed here.
func syncDir(path string) error { return nil }
