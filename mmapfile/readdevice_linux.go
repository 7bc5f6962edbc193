package mmapfile

import (
	"errors"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// inDirectMode is held while a handle is: another one that changed it might not change it back.
var inDirectMode sync.Mutex

func readDevice(f *os.File, p []byte, off int64) (n int, err error) {
	b := alignedBuffer((len(p) + deviceBlock - 1) / deviceBlock * deviceBlock)
	err = control(f, func(fd uintptr) error {
		if !readsDirectly(int(fd)) {
			return errors.ErrUnsupported
		}
		inDirectMode.Lock()
		defer inDirectMode.Unlock()
		flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0)
		if err != nil {
			return err
		}
		if _, err := unix.FcntlInt(fd, unix.F_SETFL, flags|unix.O_DIRECT); err != nil {
			return errors.Join(errors.ErrUnsupported, err)
		}
		n, err = readBlocks(int(fd), b, off)
		if _, e := unix.FcntlInt(fd, unix.F_SETFL, flags); err == nil {
			err = e
		}
		return err
	})
	return copy(p, b[:n]), err
}

// readsDirectly asks whether direct mode is more than a name for the file, as far as the system can
// tell (Linux since 6.1). ext4 with data=journal, for one, takes it and reads what is in memory.
func readsDirectly(fd int) bool {
	var s unix.Statx_t
	if unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_DIOALIGN, &s) != nil || s.Mask&unix.STATX_DIOALIGN == 0 {
		return true
	}
	return s.Dio_offset_align > 0 && s.Dio_offset_align <= deviceBlock
}

// readBlocks fills b as far as the file has bytes for it.
func readBlocks(fd int, b []byte, off int64) (n int, err error) {
	for n < len(b) {
		var k int
		err := ignoringEINTR(func() (err error) {
			k, err = unix.Pread(fd, b[n:], off+int64(n))
			return err
		})
		if err == unix.EINVAL {
			return n, errors.Join(errors.ErrUnsupported, err) // not with blocks of this length
		}
		if n += max(k, 0); err != nil {
			return n, err
		}
		if k%deviceBlock != 0 || k == 0 {
			return n, atEnd(fd, off+int64(n))
		}
	}
	return n, nil
}

// atEnd returns an error if the file goes on at off, where a read has ended.
func atEnd(fd int, off int64) error {
	var s unix.Stat_t
	if err := unix.Fstat(fd, &s); err != nil || off >= s.Size {
		return err
	}
	return unix.EIO
}

// alignedBuffer returns n bytes that begin at a multiple of deviceBlock in memory.
func alignedBuffer(n int) []byte {
	b := make([]byte, n+deviceBlock)
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) & (deviceBlock - 1)
	return b[skip : skip+n]
}
