package mmapfile

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
)

// A File is a file, a part of one, or anonymous memory, mapped into memory. It can be used as
// bytes (Bytes), as a file with a position of its own (Read, Write, Seek), or as a string to
// search in (Find, ReadRune). It must be closed, and must not be copied.
//
// All methods may be called by several goroutines at once and beside Close, except that the
// caller has to keep writes apart from other uses of the same bytes, and that those who share
// the position share it. What Bytes returned does not know of Close and Resize: see there.
//
// A fault within a method (the file was cut short under the map, the disk could not be read) is
// returned as a *FaultError; code that works on Bytes can have the same by Guard.
type File struct {
	name    string
	access  Access
	whole   bool // made to map the file from beginning to end
	created bool // by Create: the directory entry wants flushing too

	mu     sync.RWMutex // held for reading while the memory or the file is in use
	closed bool
	file   *os.File // nil for anonymous memory
	offset int64    // where data begins in the file
	mapped []byte   // what the platform mapped: from data's page on; nil if data is empty
	data   []byte

	unflushed atomic.Bool // the file's size changed since it was last made durable

	posMu sync.Mutex // taken before mu
	pos   int        // 0 to len(data)

	locks lockHandle
}

// Open maps the whole file at path. ReadWrite needs the right to write it, the others to read
// it. An empty file gives a map of length 0. What is not a regular file is an error.
func Open(path string, access Access) (*File, error) {
	fail := func(err error) (*File, error) { return nil, wrap("open", path, err) }
	flag := os.O_RDONLY
	if access == ReadWrite {
		flag = os.O_RDWR
	}
	info, err := os.Stat(path) // before opening: that of a pipe would wait for its other end
	if err != nil {
		return fail(err)
	}
	if err := checkKind(info, access); err != nil {
		return fail(err)
	}
	file, err := os.OpenFile(path, flag, 0)
	if err != nil {
		return fail(err)
	}
	f, err := newFile(file, path, 0, 0, access)
	if err != nil {
		closeHandle(file)
		return fail(err)
	}
	return f, nil
}

// Create makes a new file of size bytes, all zero, and maps it ReadWrite. The space is not
// allocated before it is written to: a full disk shows as a fault then. If path exists already
// the error is fs.ErrExist; after any other failure there is no file at path. The file's mode is
// 0o666 before umask.
func Create(path string, size int64) (*File, error) {
	fail := func(err error) (*File, error) { return nil, wrap("create", path, err) }
	if size < 0 || size > maxMap {
		return fail(ErrOutOfRange)
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return fail(err)
	}
	var f *File
	if err = extend(file, size); err == nil {
		f, err = newFile(file, path, 0, 0, ReadWrite)
	}
	if err != nil {
		file.Close()
		os.Remove(path)
		return fail(err)
	}
	f.created = true
	f.unflushed.Store(true)
	return f, nil
}

// Map maps length bytes of f from offset on, any offset; a length of 0 means to the end of the
// file. Where offset+length lies past the end, ReadWrite extends the file, and the other modes
// fail with ErrOutOfRange.
//
// f must be a regular file, open for reading, and for writing too if access is ReadWrite. It
// may be closed at once: the File has a handle of its own. The position of f is neither used
// nor moved.
func Map(f *os.File, offset int64, length int, access Access) (*File, error) {
	fail := func(err error) (*File, error) { return nil, wrap("map", f.Name(), err) }
	own, err := duplicate(f, access)
	if err != nil {
		return fail(err)
	}
	m, err := newFile(own, f.Name(), offset, length, access)
	if err != nil {
		closeHandle(own)
		return fail(err)
	}
	return m, nil
}

// Anonymous returns length bytes of zeroed memory outside of Go's heap that belong to no file.
// Its Access is ReadWrite, its Name empty. It serves this process only.
func Anonymous(length int) (*File, error) {
	mapped, data, err := mapAnonymousRange(length)
	if err != nil {
		return nil, wrap("map", "anonymous memory", err)
	}
	return &File{access: ReadWrite, mapped: mapped, data: data}, nil
}

// Bytes is the memory of the map, Len bytes long, with no capacity beyond. Storing into it
// changes the file (ReadWrite), this map only (Copy), or is a fault (ReadOnly). The slice and
// all slices of it are valid until Close or Resize; to touch them later is a fault, or worse,
// reaches what was mapped in their place. Bytes is nil after Close, and not nil before.
func (f *File) Bytes() []byte {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.data
}

// Len is the length of the map in bytes; 0 after Close.
func (f *File) Len() int { return len(f.Bytes()) }

// Access is the mode the map was made with.
func (f *File) Access() Access { return f.access }

// Name is the path of the file as it was opened; empty for anonymous memory.
func (f *File) Name() string { return f.name }

// Size is the present length of the underlying file in bytes, which others may have changed
// since it was mapped; of anonymous memory it is Len.
func (f *File) Size() (size int64, err error) {
	err = f.hold("stat", func() error {
		size, err = f.fileSize()
		return err
	})
	return size, err
}

// Closed tells whether Close was called.
func (f *File) Closed() bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.closed
}

// Close unmaps the memory and releases all locks, after waiting for methods under way. Changes
// of a ReadWrite map reach the file, but only Flush makes them durable. The handle that was
// given to Map stays open. A second Close returns nil.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	errs := []error{f.release(), f.locks.close(f)}
	if f.file != nil {
		errs = append(errs, closeHandle(f.file))
	}
	f.closed, f.mapped, f.data = true, nil, nil
	for _, err := range errs {
		if err != nil {
			return f.wrap("close", err)
		}
	}
	return nil
}

// newFile makes a File that owns file, unless it fails.
func newFile(file *os.File, name string, offset int64, length int, access Access) (*File, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if err := checkKind(info, access); err != nil {
		return nil, err
	}
	size := info.Size()
	whole := offset == 0 && length == 0
	if length, err = extent(size, offset, length, access); err != nil {
		return nil, err
	}
	if err := checkRights(file, length, access); err != nil {
		return nil, err
	}
	end := offset + int64(length)
	if end > size {
		if err := file.Truncate(end); err != nil {
			return nil, err
		}
	}
	mapped, data, err := mapRange(file, offset, length, access)
	if err != nil {
		if end > size {
			file.Truncate(size)
		}
		return nil, err
	}
	f := &File{name: name, access: access, whole: whole, file: file, offset: offset, mapped: mapped, data: data}
	f.unflushed.Store(end > size)
	return f, nil
}

// checkKind refuses unknown modes and all but regular files.
func checkKind(info os.FileInfo, access Access) error {
	switch {
	case access < ReadOnly || access > Copy:
		return fmt.Errorf("unknown access mode %d", int(access))
	case info.IsDir():
		return syscall.EISDIR
	case !info.Mode().IsRegular():
		return fmt.Errorf("not a regular file: %w", errors.ErrUnsupported)
	}
	return nil
}

// extent returns the length of a map of a file of the given size; 0 means to its end.
func extent(size, offset int64, length int, access Access) (int, error) {
	switch {
	case offset < 0 || length < 0 || offset > math.MaxInt64-int64(length):
		return 0, ErrOutOfRange
	case length > maxMap:
		return 0, ErrOutOfRange
	case length > 0 && (access == ReadWrite || offset+int64(length) <= size):
		return length, nil
	case length > 0 || offset > size || size-offset > maxMap:
		return 0, ErrOutOfRange
	}
	return int(size - offset), nil
}

// checkRights finds out what mapping would not: whether a handle may be written before the file
// is extended, and read where there is nothing to map.
func checkRights(file *os.File, length int, access Access) error {
	if access == ReadWrite {
		if _, err := file.Write(nil); err != nil {
			return syscall.EACCES
		}
	}
	if length == 0 {
		if _, err := file.ReadAt(make([]byte, 1), 0); err != nil && err != io.EOF {
			return syscall.EACCES
		}
	}
	return nil
}

// extend brings an empty file to size by writing its last byte.
func extend(file *os.File, size int64) error {
	if size == 0 {
		return nil
	}
	if _, err := file.Seek(size-1, io.SeekStart); err != nil {
		return err
	}
	_, err := file.Write([]byte{0})
	return err
}

// mapRange maps a range of a file at any offset. mapped is what the platform made, to be
// unmapped, data the range itself.
func mapRange(file *os.File, offset int64, length int, access Access) (mapped, data []byte, err error) {
	if length == 0 {
		return nil, []byte{}, nil
	}
	shift := int(offset % int64(granularity()))
	if length > math.MaxInt-shift {
		return nil, nil, ErrOutOfRange
	}
	mapped, err = mapFile(file, offset-int64(shift), shift+length, access)
	if err != nil {
		return nil, nil, err
	}
	return mapped, mapped[shift : shift+length : shift+length], nil
}

func mapAnonymousRange(length int) (mapped, data []byte, err error) {
	if length < 0 || length > maxMap {
		return nil, nil, ErrOutOfRange
	}
	if length == 0 {
		return nil, []byte{}, nil
	}
	mapped, err = mapAnonymous(length)
	return mapped, mapped[:len(mapped):len(mapped)], err
}

// hold calls fn while the map cannot be closed or resized, and wraps its error.
func (f *File) hold(op string, fn func() error) error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.closed {
		return f.wrap(op, ErrClosed)
	}
	return f.wrap(op, fn())
}

// use calls fn with the memory, which stays mapped until fn returns. A fault in fn is returned
// as a *FaultError, other errors as they are.
func (f *File) use(op string, fn func(data []byte) error) error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.closed {
		return f.wrap(op, ErrClosed)
	}
	err := Guard(func() error { return fn(f.data) })
	if fault, ok := err.(*FaultError); ok && fault.Op == "" {
		fault.Op, fault.Path = op, f.label()
	}
	return err
}

// change is use for what writes.
func (f *File) change(op string, fn func(data []byte) error) error {
	return f.use(op, func(data []byte) error {
		if f.access == ReadOnly {
			return f.wrap(op, ErrReadOnly)
		}
		return fn(data)
	})
}

// release gives the memory back, having written it to the file where the platform does not do
// that by itself.
func (f *File) release() error {
	if len(f.mapped) == 0 {
		return nil
	}
	if writesBack && f.reachesFile() {
		if err := f.flushMemory(0, len(f.data)); err != nil {
			return err
		}
	}
	return unmap(f.mapped)
}

// reachesFile tells whether changes of the memory are changes of a file.
func (f *File) reachesFile() bool { return f.access == ReadWrite && f.file != nil }

// fileSize is Size for callers that hold mu.
func (f *File) fileSize() (int64, error) {
	if f.file == nil {
		return int64(len(f.data)), nil
	}
	info, err := f.file.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f *File) wrap(op string, err error) error { return wrap(op, f.label(), err) }

// label is what errors call the file.
func (f *File) label() string {
	if f.name == "" {
		return "anonymous memory"
	}
	return f.name
}
