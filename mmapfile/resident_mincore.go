//go:build linux || darwin || freebsd || netbsd || dragonfly

package mmapfile

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// resident asks in steps, so that the answer for a large map needs little memory.
func resident(b []byte) (pages, total int, err error) {
	const step = 1 << 8
	size := os.Getpagesize()
	var vec [step]byte
	for len(b) > 0 {
		part := b[:min(len(b), step*size)]
		n := (len(part) + size - 1) / size
		if err := mincore(part, &vec[0]); err != nil {
			return 0, 0, err
		}
		for _, v := range vec[:n] {
			pages += int(v & 1)
		}
		total += n
		b = b[len(part):]
	}
	return pages, total, nil
}

func mincore(b []byte, vec *byte) error {
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), uintptr(unsafe.Pointer(vec)))
	if errno != 0 {
		return errno
	}
	return nil
}
