//go:build linux || darwin || freebsd || openbsd || netbsd || dragonfly

package mmapfile

import (
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// CanReserve tells whether Reserve can map past the end of a file.
const CanReserve = true

// maxMap is the longest map in bytes.
const maxMap = math.MaxInt

// mapFile maps n > 0 bytes of f from off on, a multiple of granularity. The result goes to
// unmap, whole.
func mapFile(f *os.File, off int64, n int, access Access) (b []byte, err error) {
	prot, flags := unix.PROT_READ, unix.MAP_SHARED
	switch access {
	case ReadWrite:
		prot |= unix.PROT_WRITE
	case Copy:
		prot, flags = prot|unix.PROT_WRITE, unix.MAP_PRIVATE
	}
	err = control(f, func(fd uintptr) (err error) {
		b, err = unix.Mmap(int(fd), off, n, prot, flags)
		return err
	})
	return b, err
}

// mapAnonymous returns n > 0 bytes of zeroed memory that belong to no file.
func mapAnonymous(n int) ([]byte, error) {
	return unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
}

func unmap(b []byte) error { return unix.Munmap(b) }

// granularity is what offsets of maps must be multiples of.
func granularity() int { return os.Getpagesize() }
