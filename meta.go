package folio

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/cespare/xxhash/v2"
)

// Pages 0 and 1 are the two meta slots. A meta takes the first 512 bytes of its page, so that
// a device that writes sectors whole leaves the old one or the new one; the rest of the page
// is zero.
//
//	 0  magic u64             "folio" 0d 0a 1a
//	 8  format version u32    1
//	12  page size u32
//	16  required features u32 unknown bit: refuse to open
//	20  optional features u32 unknown bit: open read-only
//	24  checksum seed u64     random at creation
//	32  txid u64
//	40  base txid u64         durable when this was written
//	48  root ref              24 bytes, of the bucket tree
//	72  free log ref          24 bytes, its newest page
//	96  high-water mark u32   in pages
//	100 flags u32             metaClean, metaFlushed
//	104 creation time u64     Unix nanoseconds
//	112 redo log u32, u32     its first page and number of pages; with featureRedo
//	120 zero
//	504 checksum u64          xxhash64 of all before it
type meta struct {
	pageSize int
	required uint32
	optional uint32
	seed     uint64
	txid     uint64
	base     uint64
	root     ref
	log      ref
	hwm      uint32
	flags    uint32
	created  uint64
	redo     redoPlace
}

// A redoPlace is where a redo log is: its first page and number of pages, 0 if there is none.
type redoPlace struct{ pgno, pages uint32 }

const (
	metaSize    = 512
	metaSumOff  = metaSize - 8
	metaVersion = 1

	metaClean   = 1 // written by Close, after all else was durable
	metaFlushed = 2 // its pages were durable before it was written

	// featureRedo: the state is that of the meta and what its redo log tells of.
	featureRedo = 1

	metaPages = 2

	minPageSize = 4 << 10
	maxPageSize = 64 << 10

	maxPgno = dirtyBit - 1

	// creationTxid is the txid of the metas a new file is born with.
	creationTxid = 1
)

var metaMagic = [8]byte{'f', 'o', 'l', 'i', 'o', '\r', '\n', 0x1a}

var (
	errNoMagic     = errors.New("no folio magic")
	errMetaVersion = errors.New("format version")
)

// requires returns the features that whoever opens the file must know.
func (m meta) requires() uint32 {
	if m.redo.pages > 0 {
		return m.required | featureRedo
	}
	return m.required
}

func (m meta) encode() []byte { return m.encodeTo(make([]byte, m.pageSize)) }

// encodeTo writes the meta to a page that holds nothing, or a meta.
func (m meta) encodeTo(b []byte) []byte {
	copy(b, metaMagic[:])
	le.PutUint32(b[8:], metaVersion)
	le.PutUint32(b[12:], uint32(m.pageSize))
	le.PutUint32(b[16:], m.requires())
	le.PutUint32(b[20:], m.optional)
	le.PutUint64(b[24:], m.seed)
	le.PutUint64(b[32:], m.txid)
	le.PutUint64(b[40:], m.base)
	m.root.put(b[48:])
	m.log.put(b[72:])
	le.PutUint32(b[96:], m.hwm)
	le.PutUint32(b[100:], m.flags)
	le.PutUint64(b[104:], m.created)
	le.PutUint32(b[112:], m.redo.pgno)
	le.PutUint32(b[116:], m.redo.pages)
	le.PutUint64(b[metaSumOff:], xxhash.Sum64(b[:metaSumOff]))
	return b
}

// decodeMeta reads a meta from the first metaSize bytes of a slot.
func decodeMeta(b []byte) (meta, error) {
	switch {
	case !bytes.HasPrefix(metaMagic[:], b[:min(len(b), 8)]):
		return meta{}, errNoMagic
	case len(b) < metaSize:
		return meta{}, io.ErrUnexpectedEOF
	case le.Uint64(b[metaSumOff:]) != xxhash.Sum64(b[:metaSumOff]):
		if v := le.Uint32(b[8:]); v != metaVersion {
			return meta{}, fmt.Errorf("%w %d", errMetaVersion, v)
		}
		return meta{}, errors.New("checksum of the meta does not match")
	case le.Uint32(b[8:]) != metaVersion:
		return meta{}, fmt.Errorf("%w %d", errMetaVersion, le.Uint32(b[8:]))
	}
	m := meta{
		pageSize: int(le.Uint32(b[12:])),
		required: le.Uint32(b[16:]),
		optional: le.Uint32(b[20:]),
		seed:     le.Uint64(b[24:]),
		txid:     le.Uint64(b[32:]),
		base:     le.Uint64(b[40:]),
		root:     getRef(b[48:]),
		log:      getRef(b[72:]),
		hwm:      le.Uint32(b[96:]),
		flags:    le.Uint32(b[100:]),
		created:  le.Uint64(b[104:]),
	}
	if m.required&featureRedo != 0 {
		m.required &^= featureRedo
		m.redo = redoPlace{le.Uint32(b[112:]), le.Uint32(b[116:])}
		if r := m.redo; r.pgno < metaPages || uint64(r.pgno)+uint64(r.pages) > uint64(m.hwm) || r.pages == 0 {
			return m, fmt.Errorf("meta: redo log of %d pages at %d", r.pages, r.pgno)
		}
	}
	return m, m.validate()
}

func (m meta) validate() error {
	switch {
	case !validPageSize(m.pageSize):
		return fmt.Errorf("meta: page size %d", m.pageSize)
	case m.hwm < metaPages || m.hwm > maxPgno:
		return fmt.Errorf("meta: high-water mark %d", m.hwm)
	case m.txid == 0 || m.txid > mask48 || m.base > m.txid:
		return fmt.Errorf("meta: txid %d, base %d", m.txid, m.base)
	case m.root.pgno == 1 || m.root.pgno >= m.hwm || m.log.pgno == 1 || m.log.pgno >= m.hwm:
		return fmt.Errorf("meta: root %d, free log %d of %d pages", m.root.pgno, m.log.pgno, m.hwm)
	}
	return nil
}

func validPageSize(n int) bool {
	return n >= minPageSize && n <= maxPageSize && n&(n-1) == 0
}

// newerThan orders metas: by txid; of one txid the clean one is newer.
func (m meta) newerThan(o meta) bool {
	return m.txid > o.txid || m.txid == o.txid && m.flags&metaClean > o.flags&metaClean
}

// length is the shortest file that can hold the state, in bytes.
func (m meta) length() int64 { return int64(m.hwm) * int64(m.pageSize) }

// A slot is what was found in one meta slot.
type slot struct {
	meta  meta
	err   error // nil: the meta is valid
	blank bool  // all zero, or past the end of the file
}

// unsure tells whether there is no meta, or its pages may not all be on the disk.
func (s slot) unsure() bool { return s.err != nil || s.meta.flags&(metaClean|metaFlushed) == 0 }

// readSlots reads both meta slots and finds the page size. It errs only where reading does.
func readSlots(f io.ReaderAt) (slots [2]slot, err error) {
	// Both at once with the smallest pages: past the page cache, each read is one of the device.
	var both [minPageSize + metaSize]byte
	n, err := f.ReadAt(both[:], 0)
	if err != nil && err != io.EOF {
		return slots, err
	}
	slots[0] = slotOf(both[:min(n, metaSize)])
	sizes := []int{slots[0].meta.pageSize}
	if slots[0].err != nil {
		sizes = []int{4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10}
	}
	for _, size := range sizes {
		s := slotOf(both[min(n, minPageSize):n])
		if size > minPageSize {
			if s, err = readSlot(f, int64(size)); err != nil {
				return slots, err
			}
		}
		if s.err == nil && s.meta.pageSize != size {
			s.err = fmt.Errorf("meta: page size %d in the slot for %d", s.meta.pageSize, size)
		}
		if size == sizes[0] || s.err == nil || slots[1].blank {
			slots[1] = s
		}
		if s.err == nil {
			break
		}
	}
	return slots, nil
}

func slotOf(b []byte) slot {
	s := slot{blank: len(bytes.Trim(b, "\x00")) == 0}
	s.meta, s.err = decodeMeta(b)
	return s
}

func readSlot(f io.ReaderAt, off int64) (slot, error) {
	b := make([]byte, metaSize)
	n, err := f.ReadAt(b, off)
	if err != nil && err != io.EOF {
		return slot{}, err
	}
	return slotOf(b[:n]), nil
}
