//go:build !linux

package mmapfile

import "os"

// pathsOf returns where the file of a handle may be found.
func pathsOf(f *os.File) []string { return []string{f.Name()} }
