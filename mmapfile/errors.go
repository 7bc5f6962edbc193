package mmapfile

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// The conditions a caller may want to tell apart. They come wrapped with the operation and the
// path, so compare with errors.Is. Failures of the system come wrapped in the same way:
// errors.Is(err, fs.ErrNotExist) or errors.Is(err, syscall.ENOSPC) work.
var (
	// ErrClosed is returned by every method of a closed File or Region that can fail.
	ErrClosed = errors.New("map is closed")

	// ErrReadOnly is returned where a map opened ReadOnly would be written, and where a
	// ReadOnly or Copy map would be resized.
	ErrReadOnly = errors.New("map is read-only")

	// ErrOutOfRange is returned for offsets, lengths and positions outside of a map or file.
	ErrOutOfRange = errors.New("out of range")

	// ErrTimeout is returned when a lock could not be had in time.
	ErrTimeout = errors.New("timeout")
)

// wrap puts the operation and the path around an error, once: what os already wrapped is
// wrapped anew with our operation. A nil error stays nil.
func wrap(op, path string, err error) error {
	if err == nil {
		return nil
	}
	var inner *fs.PathError
	if errors.As(err, &inner) {
		err = inner.Err
	}
	return &fs.PathError{Op: op, Path: path, Err: err}
}

// ignoringEINTR calls fn until it is not interrupted by a signal.
func ignoringEINTR(fn func() error) error {
	for {
		if err := fn(); err != syscall.EINTR {
			return err
		}
	}
}

// control calls fn with f's descriptor or handle, which stays valid until fn returns even if f
// is closed meanwhile.
func control(f *os.File, fn func(fd uintptr) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if conn.Control(func(fd uintptr) { inner = fn(fd) }) != nil {
		return fs.ErrClosed // the only thing that keeps Control from its work
	}
	return inner
}
