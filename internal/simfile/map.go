package simfile

import (
	"io/fs"
	"math/bits"
	"sync"

	"github.com/foliokv/folio/internal/backing"
)

// A buffer is memory that shows the beginning of the file. Past the file's end it holds
// BeyondByte.
type buffer struct {
	mem  []byte
	maps int // open maps
}

// mapping implements backing.Map.
type mapping struct {
	file *File
	buf  *buffer
	mem  []byte
	once sync.Once
}

// Map returns the first bytes of the file, as many as asked but at most MapAhead past its end.
func (f *File) Map(size int64) (backing.Map, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.maps++
	if fault := f.take(Op{Kind: Map}, f.maps-1); fault != nil {
		return nil, f.wrap("mmap", fault.Err)
	}
	if f.closed {
		return nil, f.wrap("mmap", fs.ErrClosed)
	}
	n := max(0, min(size, f.size+f.opts.MapAhead))
	f.grow(n)
	b := f.cache
	if f.opts.PrivateMaps {
		b = newBuffer(n, f.cache.mem[:min(f.size, n)])
	}
	if b.maps == 0 {
		f.mapped = append(f.mapped, b)
	}
	b.maps++
	return &mapping{file: f, buf: b, mem: b.mem[:n:n]}, nil
}

// Bytes returns the memory; nil after Close.
func (m *mapping) Bytes() []byte { return m.mem }

// Refresh does nothing: maps are coherent.
func (m *mapping) Refresh(off, n int64) error { return nil }

// Cached is true: all of the file is in memory.
func (m *mapping) Cached(off, n int64) bool { return true }

// Close ends the map; a second call does nothing.
func (m *mapping) Close() error {
	m.once.Do(func() { m.file.unmap(m) })
	return nil
}

func (f *File) unmap(m *mapping) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m.mem = nil
	m.buf.maps--
	if m.buf.maps > 0 {
		return
	}
	for i, b := range f.mapped {
		if b == m.buf {
			f.mapped = append(f.mapped[:i], f.mapped[i+1:]...)
			break
		}
	}
	if f.opts.PrivateMaps {
		fill(m.buf.mem, ClosedByte)
	}
}

// each calls fn with the memory of the cache and of every map that is not part of it.
func (f *File) each(fn func(mem []byte)) {
	fn(f.cache.mem)
	for _, b := range f.mapped {
		if b != f.cache {
			fn(b.mem)
		}
	}
}

// store puts p at off into all buffers, as far as they reach.
func (f *File) store(off int64, p []byte) {
	f.each(func(mem []byte) {
		if off < int64(len(mem)) {
			copy(mem[off:], p)
		}
	})
}

// resize sets the length: what is added reads as zeros, what is cut off is beyond the end.
func (f *File) resize(size int64) {
	was := f.size
	f.grow(size)
	f.size = size
	f.each(func(mem []byte) {
		n := int64(len(mem))
		if size > was {
			clear(mem[min(was, n):min(size, n)])
		} else {
			fill(mem[min(size, n):min(was, n)], BeyondByte)
		}
	})
}

// grow makes the cache's memory at least n bytes long. Open maps keep the memory they have.
func (f *File) grow(n int64) {
	if f.cache != nil && n <= int64(len(f.cache.mem)) {
		return
	}
	var content []byte
	if f.cache != nil {
		content = f.cache.mem[:f.size]
	}
	f.cache = newBuffer(n+f.opts.MapAhead, content)
}

// newBuffer returns n bytes that begin with content.
func newBuffer(n int64, content []byte) *buffer {
	b := &buffer{mem: getMemory(int(n))}
	copy(b.mem, content)
	fill(b.mem[len(content):], BeyondByte)
	return b
}

func fill(b []byte, v byte) {
	if len(b) == 0 {
		return
	}
	b[0] = v
	for n := 1; n < len(b); n *= 2 {
		copy(b[n:], b[:n])
	}
}

// memory is reused, by powers of two of its size.
var memory [40]sync.Pool

// getMemory returns n bytes of any content.
func getMemory(n int) []byte {
	class := bits.Len(uint(max(n, 1) - 1))
	if m, ok := memory[class].Get().(*[]byte); ok {
		return (*m)[:n]
	}
	return make([]byte, n, 1<<class)
}

func putMemory(b []byte) {
	if class := bits.Len(uint(cap(b))) - 1; class >= 0 {
		b = b[:0]
		memory[class].Put(&b)
	}
}
