package mmapfile

import (
	"errors"
	"io"
	"os"
)

// deviceBlock is the length in bytes that reads past the page cache are multiples of.
const deviceBlock = 4096

// ReadDevice reads as [os.File.ReadAt] does, but what the device holds and not what the system
// keeps of it in memory, which after a failed flush says more than the device (Rebello and
// others, "Can Applications Recover from fsync Failures?", USENIX ATC 2020). [DropCache] is to make
// the next read one of the device, too, but is a hint that a system may pass over: Linux does
// where it keeps files in pieces that are larger than the range.
//
// off must be a multiple of 4,096. On Linux the handle is in direct mode (O_DIRECT) while this reads, so nobody may
// read or write with it otherwise meanwhile; a flush may be under way. Where a system or a file system cannot read
// like that the error is errors.ErrUnsupported. Some file systems say that they can and read what is in
// memory all the same, and Linux before 6.1 does not tell: so drop it first where that matters.
func ReadDevice(f *os.File, p []byte, off int64) (int, error) {
	switch {
	case off < 0:
		return 0, wrap("read", f.Name(), ErrOutOfRange)
	case off%deviceBlock != 0:
		return 0, wrap("read", f.Name(), errors.ErrUnsupported)
	}
	n, err := readDevice(f, p, off)
	if err == nil && n < len(p) {
		return n, io.EOF
	}
	return n, wrap("read", f.Name(), err)
}
