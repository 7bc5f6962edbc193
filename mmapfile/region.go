package mmapfile

import (
	"os"
	"sync/atomic"
)

// A Region is a read-only map of a file's beginning that may be larger than the file, so that
// the file can grow under it: what is appended shows up in Bytes without mapping anew.
//
// The methods may be called by several goroutines, except that Close must come after all use
// of Bytes.
type Region struct {
	file   *os.File
	bytes  []byte
	splits bool
}

// Reserve maps the first size bytes of f, shared and read-only. Where CanReserve is true the
// map has size bytes even if the file is shorter; touching whole pages past the file's end is
// then a fault (see Guard) until the file has grown that far. Elsewhere the map has as many
// bytes as the file has, size at most. A size of 0, or an empty file, gives an empty region.
//
// Where the system can be told, a fault reads the page that is touched and not what lies around it:
// who goes through the file in order should read it by system calls first.
//
// f must be open for reading. It is used by Refresh, and otherwise may be closed before the Region is.
// On platforms without maps the region is a copy of the file, brought up to date by Refresh.
func Reserve(f *os.File, size int64) (*Region, error) {
	fail := func(err error) (*Region, error) { return nil, wrap("reserve", f.Name(), err) }
	if size < 0 {
		return fail(ErrOutOfRange)
	}
	if !CanReserve {
		info, err := f.Stat()
		if err != nil {
			return fail(err)
		}
		size = min(size, info.Size())
	}
	if size > maxMap {
		return fail(ErrOutOfRange)
	}
	r := &Region{file: f, bytes: []byte{}}
	if size > 0 {
		b, err := mapFile(f, 0, int(size), ReadOnly)
		if err != nil {
			return fail(err)
		}
		r.bytes = b
		_ = advise(b, Random) // a hint; without it each fault reads what lies around, too
		r.splits = splitPays(f)
	}
	return r, nil
}

// Bytes is the memory of the map: valid until Close, never to be written to. It is nil after
// Close.
func (r *Region) Bytes() []byte { return r.bytes }

// Refresh makes what was written to n bytes of the file from off on visible in Bytes, where
// maps do not show writes by themselves: on OpenBSD, and on platforms without maps. Elsewhere it
// does nothing. Parts of the range outside the region are ignored. After Close the error is
// ErrClosed.
func (r *Region) Refresh(off, n int64) error {
	if r.bytes == nil {
		return wrap("refresh", r.file.Name(), ErrClosed)
	}
	size := int64(len(r.bytes))
	if off < 0 || n <= 0 || off >= size {
		return nil
	}
	return wrap("refresh", r.file.Name(), refresh(r.file, r.bytes, off, off+min(n, size-off)))
}

// Cached tells whether n bytes of the file from off on are in memory, so that reading them does
// not wait for a device. It is a hint, good for the moment; it is true where regions are copies
// in memory, false where the platform cannot tell (Windows, OpenBSD), outside the region and
// after Close.
func (r *Region) Cached(off, n int64) bool {
	size := int64(len(r.bytes))
	if off < 0 || n <= 0 || off >= size || n > size-off {
		return false
	}
	page := int64(os.Getpagesize())
	start := off &^ (page - 1)
	in, total, err := resident(r.bytes[start : off+n])
	return err == nil && in == total
}

// Split asks the system to keep the bytes around off in memory as single pages, if it has them as a part of
// a larger piece and changing one page would take longer for that (Linux since 6.16, ext4). Reading
// a map of large pieces is faster, so this is for what is written in small parts. It is a hint: nothing
// else changes, and nothing is read from a device. A piece is taken apart as a whole, 2 MiB in some 0.2 ms.
func (r *Region) Split(off int64) {
	if !r.splits || !r.Cached(off, 1) {
		return
	}
	page := int64(os.Getpagesize())
	off &^= page - 1
	b := r.bytes[off:min(off+page, int64(len(r.bytes)))]
	_ = Guard(func() error { // only what is mapped can be split
		touched.Store(uint32(b[0]))
		return nil
	})
	split(b)
}

// touched makes a read of memory one that the compiler keeps.
var touched atomic.Uint32

// Close unmaps the region; slices of Bytes must not be touched from then on. The second and
// later calls return nil.
func (r *Region) Close() error {
	b := r.bytes
	r.bytes = nil
	if len(b) == 0 {
		return nil
	}
	return wrap("unmap", r.file.Name(), unmap(b))
}
