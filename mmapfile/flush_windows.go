package mmapfile

import (
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

const (
	writesBack     = false // the system writes changed pages by itself
	unmapsToResize = true
	flushIsDurable = false
)

// flushRange writes bytes lo to hi of mapped, which begins at offset off of f.
func flushRange(f *os.File, mapped []byte, off int64, lo, hi int) error {
	return windows.FlushViewOfFile(uintptr(unsafe.Pointer(&mapped[lo])), uintptr(hi-lo))
}
