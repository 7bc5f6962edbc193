package folio

import (
	"reflect"
	"sync/atomic"

	"github.com/foliokv/folio/internal/backing"
	"github.com/foliokv/folio/mmapfile"
)

// A mapping is the file as readers see it. It reserves more address space than the file has
// where the platform can, so that growth seldom needs a new one. When it does, the new one is
// made beside it and comes with the next snapshot; the old one is closed when the last
// snapshot that is read through it has ended.
//
// A bit for each page says whether this process has verified it since it was last written.
// Bits are only hints: a lost one costs a second verification.
type mapping struct {
	m        backing.Map
	data     []byte
	shift    uint // log2 of the page size
	pages    uint32
	verified []atomic.Uint64
	kept     []atomic.Pointer[keptChunk] // pages that are not in the file yet, see kept.go
}

func newMapping(m backing.Map, shift uint) *mapping {
	data := m.Bytes()
	pages := min(len(data)>>shift, maxPgno)
	return &mapping{
		m: m, data: data, shift: shift, pages: uint32(pages),
		verified: make([]atomic.Uint64, (pages+63)/64),
		kept:     make([]atomic.Pointer[keptChunk], (pages+keptChunkPages-1)/keptChunkPages),
	}
}

// inherit copies what o knows to be verified, and finds what o keeps.
func (m *mapping) inherit(o *mapping) {
	for i := range min(len(m.verified), len(o.verified)) {
		m.verified[i].Store(o.verified[i].Load())
	}
	for i := range min(len(m.kept), len(o.kept)) {
		m.kept[i].Store(o.kept[i].Load())
	}
}

func (m *mapping) isVerified(pgno uint32) bool {
	return m.verified[pgno>>6].Load()>>(pgno&63)&1 != 0
}

func (m *mapping) setVerified(pgno uint32) { m.verified[pgno>>6].Or(1 << (pgno & 63)) }

func (m *mapping) clearVerified(pgno uint32) { m.verified[pgno>>6].And(^(1 << (pgno & 63))) }

func (m *mapping) forget() {
	for i := range m.verified {
		m.verified[i].Store(0)
	}
}

func (m *mapping) page(pgno uint32) page {
	off := int(pgno) << (m.shift & 63)
	end := off + 1<<(m.shift&63)
	return page(m.data[off:end:end])
}

// cached tells whether n pages from pgno on are in memory, so that to read them does not wait for a device.
func (m *mapping) cached(pgno, n uint32) bool {
	return m.m.Cached(int64(pgno)<<m.shift, int64(n)<<m.shift)
}

// bytes returns n bytes from the start of page pgno on.
func (m *mapping) bytes(pgno uint32, n int) []byte {
	off := int(pgno) << m.shift
	return m.data[off : off+n : off+n]
}

// holds tells whether n pages from pgno on are in the mapping.
func (m *mapping) holds(pgno, n uint32) bool {
	return uint64(pgno)+uint64(n) <= uint64(m.pages)
}

// pageOf returns the page that an address lies in.
func (m *mapping) pageOf(addr uintptr) (uint32, bool) {
	if len(m.data) == 0 {
		return 0, false
	}
	base := reflect.ValueOf(m.data).Pointer()
	if addr < base || addr-base >= uintptr(len(m.data)) {
		return 0, false
	}
	return uint32((addr - base) >> m.shift), true
}

const keptChunkPages = 512

// A keptChunk is where adjacent pages are found that are kept. Mappings share it.
type keptChunk [keptChunkPages]atomic.Pointer[page]

// keptAt returns what is kept of a page, nil if nothing is.
func (m *mapping) keptAt(pgno uint32) *page {
	if c := m.kept[pgno/keptChunkPages].Load(); c != nil {
		return c[pgno%keptChunkPages].Load()
	}
	return nil
}

// keptPage returns the page of r if it is kept.
func (m *mapping) keptPage(r ref) page {
	if p := m.keptAt(r.pgno); p != nil {
		mmapfile.Prefetch((*p)[:askSlots])
		if p.birth() == r.birth {
			return *p
		}
	}
	return nil
}

// keep makes *p what is read as a page. Readers may look at it until no state needs the page.
func (m *mapping) keep(pgno uint32, p *page) {
	c := m.kept[pgno/keptChunkPages].Load()
	if c == nil {
		c = new(keptChunk)
		m.kept[pgno/keptChunkPages].Store(c)
	}
	m.clearVerified(pgno)
	c[pgno%keptChunkPages].Store(p)
}

// forgetKept makes a kept page one that is read from the file.
func (m *mapping) forgetKept(pgno uint32) {
	m.kept[pgno/keptChunkPages].Load()[pgno%keptChunkPages].Store(nil)
}

// A snapshot is an immutable committed state.
type snapshot struct {
	txid  uint64
	root  ref
	log   ref // newest page of the free log; of an older state if sealed without a meta
	hwm   uint32
	redo  redoPlace // of its meta
	m     *mapping
	found [4]atomic.Pointer[foundBucket] // top-level buckets that readers looked up
}

// A foundBucket is what readers of a snapshot need not look up again.
type foundBucket struct {
	name     string
	root     ref
	sequence uint64
}

// place is where the bucket called name is remembered.
func (s *snapshot) place(name []byte) *atomic.Pointer[foundBucket] {
	n := len(name)
	if n > 0 {
		n += int(name[n-1])
	}
	return &s.found[n%len(s.found)]
}

// find returns what is known of the bucket called name.
func (s *snapshot) find(name []byte) *foundBucket {
	if f := s.place(name).Load(); f != nil && f.name == string(name) {
		return f
	}
	return nil
}

// note remembers a bucket, unless another one has its place.
func (s *snapshot) note(name []byte, root ref, sequence uint64) {
	if at := s.place(name); at.Load() == nil {
		at.CompareAndSwap(nil, &foundBucket{string(name), root, sequence})
	}
}
