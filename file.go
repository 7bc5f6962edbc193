package folio

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/foliokv/folio/internal/backing"
	"github.com/foliokv/folio/mmapfile"
)

// The two files a store can lie in: one of the operating system, and memory.

// A diskFile is a backing.File of the operating system.
type diskFile struct{ f *os.File }

func (d diskFile) Name() string { return d.f.Name() }

func (d diskFile) Size() (int64, error) {
	info, err := d.f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (d diskFile) ReadAt(p []byte, off int64) (int, error)   { return d.f.ReadAt(p, off) }
func (d diskFile) ReadPage(p []byte, off int64) (int, error) { return mmapfile.ReadAt(d.f, p, off) }
func (d diskFile) ReadDevice(p []byte, off int64) (int, error) {
	return mmapfile.ReadDevice(d.f, p, off)
}
func (d diskFile) WriteAt(p []byte, off int64) (int, error) { return d.f.WriteAt(p, off) }
func (d diskFile) WriteVec(bufs [][]byte, off int64) (int, error) {
	return mmapfile.WriteVec(d.f, bufs, off)
}
func (d diskFile) SyncData() error              { return mmapfile.SyncData(d.f) }
func (d diskFile) SyncFull() error              { return mmapfile.SyncFull(d.f) }
func (d diskFile) DropCache(off, n int64) error { return mmapfile.DropCache(d.f, off, n) }

// Close gives the lock back first: not everywhere it ends with the handle.
func (d diskFile) Close() error {
	return errors.Join(mmapfile.UnlockHandle(d.f), d.f.Close())
}

// Truncate says itself what not every system does: there is no negative length.
func (d diskFile) Truncate(size int64) error {
	if size < 0 {
		return &fs.PathError{Op: "truncate", Path: d.Name(), Err: fs.ErrInvalid}
	}
	return d.f.Truncate(size)
}

func (d diskFile) Map(size int64) (backing.Map, error) {
	r, err := mmapfile.Reserve(d.f, size)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// A memoryFile is a backing.File in memory. Growth past its buffer's capacity copies it, so a
// map shows what was written before it was made, which is all that its readers ask for.
type memoryFile struct {
	mu     sync.RWMutex
	buf    []byte
	closed bool
}

// check returns why an operation at off cannot be done.
func (m *memoryFile) check(off int64) error {
	switch {
	case m.closed:
		return fs.ErrClosed
	case off < 0:
		return fs.ErrInvalid
	}
	return nil
}

func (m *memoryFile) Name() string { return "" }

func (m *memoryFile) Size() (int64, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return int64(len(m.buf)), nil
}

func (m *memoryFile) ReadAt(p []byte, off int64) (int, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if err := m.check(off); err != nil {
		return 0, err
	}
	if off >= int64(len(m.buf)) {
		return 0, io.EOF
	}
	n := copy(p, m.buf[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (m *memoryFile) WriteAt(p []byte, off int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.check(off); err != nil || len(p) == 0 {
		return 0, err
	}
	m.extend(off + int64(len(p)))
	return copy(m.buf[off:], p), nil
}

func (m *memoryFile) WriteVec(bufs [][]byte, off int64) (int, error) {
	n := 0
	for _, b := range bufs {
		k, err := m.WriteAt(b, off+int64(n))
		if n += k; err != nil {
			return n, err
		}
	}
	return n, nil
}

func (m *memoryFile) extend(size int64) {
	if size <= int64(len(m.buf)) {
		return
	}
	if size <= int64(cap(m.buf)) {
		m.buf = m.buf[:size]
		return
	}
	next := make([]byte, size, max(2*size, 1<<20))
	copy(next, m.buf)
	m.buf = next
}

func (m *memoryFile) Truncate(size int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.check(size); err != nil {
		return err
	}
	if size < int64(len(m.buf)) {
		clear(m.buf[size:])
		m.buf = m.buf[:size]
	}
	m.extend(size)
	return nil
}

func (m *memoryFile) SyncData() error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.check(0)
}

func (m *memoryFile) SyncFull() error              { return m.SyncData() }
func (m *memoryFile) DropCache(off, n int64) error { return nil }

func (m *memoryFile) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}

func (m *memoryFile) Map(int64) (backing.Map, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if err := m.check(0); err != nil {
		return nil, err
	}
	return memoryMap(m.buf[:cap(m.buf)]), nil
}

type memoryMap []byte

func (m memoryMap) Bytes() []byte              { return m }
func (m memoryMap) Refresh(off, n int64) error { return nil }
func (m memoryMap) Cached(off, n int64) bool   { return true }
func (m memoryMap) Close() error               { return nil }
