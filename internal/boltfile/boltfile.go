// Package boltfile reads and writes the files of bbolt, in version 2 of its format.
//
// All numbers are in the byte order of the machine that wrote the file; this package knows
// little-endian ones. A file consists of pages of one size. Pages 0 and 1 are metas, written in
// turns; the valid one with the higher txid counts. The others are branches and leaves of trees,
// one tree a bucket, and a list of free pages. A page that is too small for what it holds goes on
// in the pages behind it, its overflow.
//
//	page      number 8  flags 2  count 2  overflow 4 | elements | keys and values
//	meta      (behind the 16 bytes of a page's header)
//	          magic 4  version 4  page size 4  flags 4  root 8  sequence 8
//	          free list 8  pages 8  txid 8  checksum 8 (FNV-1a, 64 bits, of all before it)
//	branch    an element a child:  position 4  key size 4  page 8
//	leaf      an element a pair:   flags 4  position 4  key size 4  value size 4
//	bucket    the value of a pair whose flag says so:  root 8  sequence 8, and
//	          where root is 0 the bucket's only page, a leaf, behind it
//
// A position counts from the element itself to its key; a value comes right behind its key. Keys
// rise. The key of a branch's element is at most the first key below it.
//
// A file has no checksums but those of its metas. What it says is therefore checked wherever it
// leads: nothing in a file makes this package panic, read a page twice in one walk, or use more
// memory than a bit for each page and what one path through a tree takes.
package boltfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"os"
	"time"

	"github.com/foliokv/folio/mmapfile"
)

const (
	magic   = 0xED0CDAED
	version = 2

	headerSize = 16 // of a page
	metaSize   = 64
	checked    = 56 // bytes of a meta that its checksum covers

	branchFlag   = 0x01
	leafFlag     = 0x02
	metaFlag     = 0x04
	freelistFlag = 0x10

	bucketFlag = 0x01 // of a leaf's element

	elementSize      = 16 // of branches and leaves alike
	bucketHeaderSize = 16

	metaPages = 2

	// MinPageSize and MaxPageSize bound the size of a page in bytes; between them it is a power of two.
	MinPageSize = 1 << 10
	MaxPageSize = 16 << 20

	// MaxNesting is how deep buckets may lie inside each other here. bbolt has no limit, but
	// walks through them by recursion.
	MaxNesting = 4096

	// lockByte is what bbolt locks on Windows; elsewhere it locks the file as a whole.
	lockByte = math.MaxUint64
)

var (
	// ErrInvalid says that a file is not one of bbolt's.
	ErrInvalid = errors.New("not a bbolt file")

	// ErrVersion says that a file has a version of bbolt's format that is not known here.
	ErrVersion = errors.New("a bbolt file of another format version")

	// ErrByteOrder says that a big-endian machine wrote the file.
	ErrByteOrder = errors.New("a bbolt file written on a big-endian machine, which cannot be read here")

	// ErrLocked says that another process has the file open for writing.
	ErrLocked = errors.New("the file is in use by another process")
)

// A DamageError says what is wrong in a file.
type DamageError struct {
	Page   uint64 // the number of the page
	Reason string
}

func (e *DamageError) Error() string { return fmt.Sprintf("page %d: %s", e.Page, e.Reason) }

func damagef(page uint64, format string, args ...any) error {
	return &DamageError{page, fmt.Sprintf(format, args...)}
}

// A File is a bbolt file, open for reading. Its methods, and those of what they return, read
// memory that a file cut short takes away: they are called inside Guard, except for Close.
type File struct {
	file     *os.File // nil if the bytes came from memory
	mapped   *mmapfile.File
	data     []byte
	meta     meta
	metas    int // valid ones
	pageSize uint64
}

// Open opens the file for reading, which leaves it as it is, and takes bbolt's lock, shared with
// other readers: a process that has it open for writing must close it first. Where one keeps the
// lock longer than timeout the error is ErrLocked; 0 waits for ever. (Android, Solaris and AIX
// are different: bbolt's lock is not seen there.) The file is mapped whole, so on 32 bits
// one above 2 GiB cannot be read.
func Open(path string, timeout time.Duration) (*File, error) {
	info, err := os.Stat(path) // opening a pipe would wait for its other end
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file: %w", path, ErrInvalid)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	f := &File{file: file}
	if err := f.open(timeout); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (f *File) open(timeout time.Duration) (err error) {
	if timeout == 0 {
		timeout = -1
	}
	err = mmapfile.LockHandleAt(f.file, lockByte, false, timeout)
	if errors.Is(err, mmapfile.ErrTimeout) {
		return ErrLocked
	}
	if err != nil {
		return err
	}
	if f.mapped, err = mmapfile.Map(f.file, 0, 0, mmapfile.ReadOnly); err != nil {
		return err
	}
	f.data = f.mapped.Bytes()
	return f.Guard(f.readMetas)
}

// New reads a file from memory.
func New(data []byte) (*File, error) {
	f := &File{data: data}
	if err := f.readMetas(); err != nil {
		return nil, err
	}
	return f, nil
}

// Close releases the lock and the memory: no key or value of the file may be used from then on.
func (f *File) Close() error {
	f.data = nil
	var err error
	if f.mapped != nil {
		err = f.mapped.Close()
	}
	if f.file != nil {
		err = errors.Join(err, f.file.Close())
	}
	return err
}

// Guard calls fn. If the file turns out to be cut short meanwhile, or the disk cannot be read,
// that ends fn and is the error.
func (f *File) Guard(fn func() error) error {
	err := mmapfile.Guard(fn)
	if fault := (*mmapfile.FaultError)(nil); errors.As(err, &fault) {
		return fmt.Errorf("the file was cut short while it was read, or the disk cannot be read: %w", err)
	}
	return err
}

// PageSize is the size of a page in bytes.
func (f *File) PageSize() int { return int(f.pageSize) }

// Txid is the transaction whose state is read.
func (f *File) Txid() uint64 { return f.meta.txid }

// ValidMetas is how many of the two meta pages are valid. With 1 the state may be that before the
// last transaction: a crash may have damaged the other while it was written, or something else later.
func (f *File) ValidMetas() int { return f.metas }

// Size is the number of bytes that pages take up, free ones among them.
func (f *File) Size() int64 { return int64(min(f.meta.pages*f.pageSize, uint64(len(f.data)))) }

// Root is the bucket that holds the others. It has no pairs itself.
func (f *File) Root() Bucket { return Bucket{root: f.meta.root} }

// A meta is what a meta page says.
type meta struct {
	version  uint32
	pageSize uint32
	root     uint64
	sequence uint64 // of the root: not used
	freelist uint64
	pages    uint64 // in use or free: numbers from here on are not given out
	txid     uint64
}

// readMetas finds the newest valid meta. The second one is where the page size puts it; with the
// first damaged that is not known, so it is looked for in every place.
func (f *File) readMetas() error {
	first, err := f.metaAt(0)
	if err == nil {
		f.use(first)
		second, err := f.metaAt(uint64(first.pageSize))
		if err == nil && second.pageSize == first.pageSize {
			f.metas = metaPages
			if second.txid > first.txid {
				f.use(second)
			}
		}
		return nil
	}
	for size := uint64(MinPageSize); size <= MaxPageSize; size *= 2 {
		if second, err := f.metaAt(size); err == nil && uint64(second.pageSize) == size {
			f.use(second)
			return nil
		}
	}
	return err
}

func (f *File) use(m meta) {
	f.meta, f.pageSize, f.metas = m, uint64(m.pageSize), max(f.metas, 1)
}

// metaAt reads the meta of the page that begins at an offset. An error says what kept a meta from being there.
func (f *File) metaAt(off uint64) (m meta, err error) {
	if uint64(len(f.data)) < off+headerSize+metaSize {
		return m, ErrInvalid
	}
	b := f.data[off+headerSize:][:metaSize]
	le := binary.LittleEndian
	switch {
	case binary.BigEndian.Uint32(b) == magic:
		return m, ErrByteOrder
	case le.Uint32(b) != magic:
		return m, ErrInvalid
	case le.Uint32(b[4:]) != version:
		return m, fmt.Errorf("%w: %d, not %d", ErrVersion, le.Uint32(b[4:]), version)
	case le.Uint64(b[checked:]) != checksum(b):
		return m, damagef(0, "neither meta page has a valid checksum")
	}
	m = meta{
		version: le.Uint32(b[4:]), pageSize: le.Uint32(b[8:]),
		root: le.Uint64(b[16:]), sequence: le.Uint64(b[24:]),
		freelist: le.Uint64(b[32:]), pages: le.Uint64(b[40:]), txid: le.Uint64(b[48:]),
	}
	if m.pageSize < MinPageSize || m.pageSize > MaxPageSize || m.pageSize&(m.pageSize-1) != 0 {
		return m, damagef(0, "a page size of %d bytes", m.pageSize)
	}
	// Else products of page numbers and sizes might overflow. No file is that long.
	if m.pages > math.MaxInt64/MaxPageSize {
		return m, damagef(0, "%d pages", m.pages)
	}
	return m, nil
}

// append adds the bytes of a meta to b.
func (m *meta) append(b []byte) []byte {
	le := binary.LittleEndian
	start := len(b)
	b = le.AppendUint32(b, magic)
	b = le.AppendUint32(b, m.version)
	b = le.AppendUint32(b, m.pageSize)
	b = le.AppendUint32(b, 0)
	for _, n := range []uint64{m.root, m.sequence, m.freelist, m.pages, m.txid} {
		b = le.AppendUint64(b, n)
	}
	return le.AppendUint64(b, checksum(b[start:]))
}

// checksum is that of a meta.
func checksum(b []byte) uint64 {
	h := fnv.New64a()
	h.Write(b[:checked])
	return h.Sum64()
}
