package mmapfile

import "os"

// WriteVec writes bufs one behind the other to f from off on, as one WriteAt of their
// concatenation would, in as few system calls as the platform allows: pwritev on Linux, macOS
// and OpenBSD, elsewhere through a buffer of up to 1 MiB. Short writes are continued. It returns
// the number of bytes written, and an error if that is not all of them. bufs and their contents
// are not changed, and not kept.
//
// f must not be opened with os.O_APPEND.
func WriteVec(f *os.File, bufs [][]byte, off int64) (int, error) {
	if off < 0 {
		return 0, wrap("write", f.Name(), ErrOutOfRange)
	}
	n, err := writeVec(f, bufs, off)
	return n, wrap("write", f.Name(), err)
}
