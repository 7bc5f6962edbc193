package mmapfile

import (
	"math"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

// CanReserve tells whether Reserve can map past the end of a file.
const CanReserve = false

// maxMap is the longest map in bytes.
const maxMap = math.MaxInt

// mapFile maps n > 0 bytes of f from off on, a multiple of granularity, all within the file.
// The result goes to unmap, whole.
func mapFile(f *os.File, off int64, n int, access Access) (b []byte, err error) {
	prot, view := uint32(windows.PAGE_READONLY), uint32(windows.FILE_MAP_READ)
	switch access {
	case ReadWrite:
		prot, view = windows.PAGE_READWRITE, windows.FILE_MAP_WRITE
	case Copy:
		prot, view = windows.PAGE_WRITECOPY, windows.FILE_MAP_COPY
	}
	err = control(f, func(fd uintptr) (err error) {
		b, err = mapView(windows.Handle(fd), off, n, prot, view)
		return err
	})
	return b, err
}

// mapAnonymous returns n > 0 bytes of zeroed memory that belong to no file.
func mapAnonymous(n int) ([]byte, error) {
	return mapView(windows.InvalidHandle, 0, n, windows.PAGE_READWRITE, windows.FILE_MAP_WRITE)
}

func unmap(b []byte) error {
	return windows.UnmapViewOfFile(uintptr(unsafe.Pointer(&b[0])))
}

// granularity is what offsets of maps must be multiples of: Windows' allocation granularity,
// 64 KiB on every version there is.
func granularity() int { return 64 << 10 }

// mapView makes a mapping object and one view of it. The view keeps the object alive, so its
// handle is closed at once.
func mapView(fd windows.Handle, off int64, n int, prot, access uint32) ([]byte, error) {
	end := off + int64(n)
	h, err := windows.CreateFileMapping(fd, nil, prot, uint32(end>>32), uint32(end), nil)
	if err != nil {
		return nil, err
	}
	defer windows.CloseHandle(h)
	addr, err := windows.MapViewOfFile(h, access, uint32(off>>32), uint32(off), uintptr(n))
	if err != nil {
		return nil, err
	}
	return unsafe.Slice(memoryAt(addr), n), nil
}

// memoryAt turns an address outside of Go's heap, which no garbage collection moves, into a
// pointer, in the form that go vet accepts.
func memoryAt(addr uintptr) *byte {
	return *(**byte)(unsafe.Pointer(&addr))
}
