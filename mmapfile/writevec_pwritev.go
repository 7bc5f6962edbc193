//go:build linux || darwin || openbsd

package mmapfile

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

const (
	maxVecs     = 1024    // IOV_MAX on all these platforms
	maxVecBytes = 1 << 30 // macOS refuses more than an int32 can say
)

func writeVec(f *os.File, bufs [][]byte, off int64) (total int, err error) {
	bufs, skip := advance(bufs, 0) // skip: bytes of bufs[0] already written
	for len(bufs) > 0 {
		batch := whole(bufs)
		if skip > 0 || len(batch) == 0 {
			batch = nextBatch(nil, bufs, skip)
		}
		n, err := pwritev(f, batch, off+int64(total))
		if err != nil {
			return total, err
		}
		if n == 0 {
			return total, io.ErrShortWrite
		}
		total += n
		bufs, skip = advance(bufs, skip+n)
	}
	return total, nil
}

// whole returns the first of bufs that one system call takes as they are.
func whole(bufs [][]byte) [][]byte {
	size := 0
	for i, b := range bufs {
		if i == maxVecs || len(b) > maxVecBytes-size {
			return bufs[:i]
		}
		size += len(b)
	}
	return bufs
}

// nextBatch appends to batch what one system call takes of bufs without the first skip bytes.
func nextBatch(batch, bufs [][]byte, skip int) [][]byte {
	size := 0
	for _, b := range bufs {
		b = b[skip:]
		skip = 0
		if len(batch) == maxVecs || size == maxVecBytes {
			break
		}
		if len(b) == 0 {
			continue
		}
		b = b[:min(len(b), maxVecBytes-size)]
		batch = append(batch, b)
		size += len(b)
	}
	return batch
}

// advance drops the buffers that n bytes cover and returns the rest of n, which lies in the
// first that remains.
func advance(bufs [][]byte, n int) ([][]byte, int) {
	for len(bufs) > 0 && n >= len(bufs[0]) {
		n -= len(bufs[0])
		bufs = bufs[1:]
	}
	return bufs, n
}

func pwritev(f *os.File, bufs [][]byte, off int64) (n int, err error) {
	err = control(f, func(fd uintptr) error {
		return ignoringEINTR(func() (err error) {
			n, err = unix.Pwritev(int(fd), bufs, off)
			return err
		})
	})
	return n, err
}
