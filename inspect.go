package folio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/foliokv/folio/internal/backing"
)

// This file looks at the pages of a file one by one, whether a store can be opened on it or
// not. Nothing here trusts what it reads: a page that is not what it says is described as far
// as it goes.

// An Inspector looks at the pages of a store's file, whole or damaged, and never writes to it.
// It holds the file's shared lock until Close. Its methods must not be called by several
// goroutines at once.
type Inspector struct {
	f        backing.File
	size     int64
	slots    [2]slot
	pageSize int
	at       int     // slot of the state that is looked at, -1: no meta is valid
	books    *runSet // what is free, nil as long as nobody asked or if it is not known
	asked    bool
}

// Inspect opens the file called path for looking at its pages. Of options it takes Timeout,
// OpenFile, and Previous, which makes the older of two valid metas the state that is looked
// at. Errors: those of opening and locking the file, ErrTimeout, and ErrInvalid if nothing in
// the file is folio's.
func Inspect(path string, options *Options) (*Inspector, error) {
	opts := options.withDefaults()
	opts.ReadOnly = true
	f, err := openFile(path, 0, opts)
	if err != nil {
		return nil, err
	}
	in, err := inspect(f, opts)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("inspect %s: %w", path, err)
	}
	return in, nil
}

// inspect looks at a file that is locked.
func inspect(f backing.File, opts Options) (*Inspector, error) {
	size, err := backingSize(f)
	if err != nil {
		return nil, err
	}
	slots, err := readSlots(f)
	if err != nil {
		return nil, fmt.Errorf("reading metas: %w", err)
	}
	in := &Inspector{f: f, size: size, slots: slots, at: -1}
	if in.at = in.state(opts); in.at >= 0 {
		in.pageSize = slots[in.at].meta.pageSize
		return in, nil
	}
	if in.pageSize, err = guessPageSize(f, size); err != nil {
		return nil, err
	}
	if in.pageSize == 0 {
		return nil, notAStore(slots, size)
	}
	return in, nil
}

// state chooses the slot as Open does, but takes the newer one where Open takes neither.
func (in *Inspector) state(opts Options) int {
	first := newerSlot(in.slots)
	other := 1 - first
	if in.slots[first].err != nil {
		return -1
	}
	db := &DB{opts: opts, file: in.f, readOnly: true}
	if in.slots[other].err == nil {
		if at, err := db.choose(in.slots, in.size); err == nil {
			first, other = at, 1-at
		}
		if opts.Previous {
			return other
		}
	}
	return first
}

// newerSlot returns the slot with the newer meta of those that are valid, 0 if none is.
func newerSlot(slots [2]slot) int {
	if slots[1].err == nil && (slots[0].err != nil || slots[1].meta.newerThan(slots[0].meta)) {
		return 1
	}
	return 0
}

// guessPageSize finds the page size of a file without a valid meta: the one by which most
// pages have the number that they say they have. It returns 0 if there is none.
func guessPageSize(f backing.File, size int64) (int, error) {
	best, most := 0, 0
	for n := minPageSize; n <= maxPageSize; n *= 2 {
		found := 0
		h := make([]byte, headerSize)
		for pgno := int64(metaPages); (pgno+1)*int64(n) <= size && found < 4096; pgno++ {
			if err := readFull(f, h, pgno*int64(n)); err != nil {
				return 0, err
			}
			if k := h[0]; k >= kindLeaf && k <= kindFreeLog && int64(page(h).pgno()) == pgno && page(h).birth() != 0 {
				found++
			}
		}
		if found > most {
			best, most = n, found
		}
	}
	return best, nil
}

// Close gives the file back.
func (in *Inspector) Close() error { return in.f.Close() }

// PageSize returns the size of a page in bytes.
func (in *Inspector) PageSize() int { return in.pageSize }

// Pages returns the number of pages, of the state that is looked at or, without one, of the file.
func (in *Inspector) Pages() int {
	if in.at >= 0 {
		return int(in.slots[in.at].meta.hwm)
	}
	return int(min(in.size/int64(in.pageSize), maxPgno))
}

// State returns the slot of the meta whose state is looked at, -1 if neither meta is valid.
func (in *Inspector) State() int { return in.at }

// A PageRef is what a page or a meta says of a page below it.
type PageRef struct {
	Pgno     uint32 // 0: there is none
	Birth    uint64 // txid under which the page was written
	Count    uint64 // entries below
	Checksum uint64 // of the page
}

func pageRef(r ref) PageRef { return PageRef{r.pgno, r.birth, r.count, r.sum} }

// An ExtentRef is what a page says of a large value or a long key.
type ExtentRef struct {
	Pgno     uint32 // the first page
	Pages    int
	Length   int // bytes
	Birth    uint64
	Checksum uint64
}

func (in *Inspector) extentRef(e extent) *ExtentRef {
	return &ExtentRef{e.pgno, int(e.pages(in.pageSize)), int(e.length), e.birth, e.sum}
}

// A MetaInfo is what is in a meta slot.
type MetaInfo struct {
	Slot     int
	Err      error // why the meta is not valid; the fields below are zero then
	Version  int   // of the format
	PageSize int
	Required uint32 // features
	Optional uint32
	Seed     uint64 // of the checksums
	Txid     uint64
	Base     uint64 // txid that was durable before the meta was written
	Root     PageRef
	FreeLog  PageRef
	Redo     PageRun // where the redo log is; no pages: there is none, as after a proper close
	Pages    int     // the high-water mark
	Clean    bool    // written by a proper close
	Flushed  bool    // its pages were durable before it was written
	Created  time.Time
	Short    bool // the file is too short for the state
}

// Metas returns what is in the two meta slots.
func (in *Inspector) Metas() [2]MetaInfo {
	var infos [2]MetaInfo
	for i, s := range in.slots {
		m := s.meta
		infos[i] = MetaInfo{Slot: i, Err: s.err}
		if s.err != nil {
			if s.blank {
				infos[i].Err = errors.New("nothing is written there")
			}
			continue
		}
		infos[i] = MetaInfo{
			Slot: i, Version: metaVersion, PageSize: m.pageSize, Required: m.requires(), Optional: m.optional, Seed: m.seed,
			Txid: m.txid, Base: m.base, Root: pageRef(m.root), FreeLog: pageRef(m.log), Redo: PageRun{m.redo.pgno, int(m.redo.pages)}, Pages: int(m.hwm),
			Clean: m.flags&metaClean != 0, Flushed: m.flags&metaFlushed != 0,
			Created: time.Unix(0, int64(m.created)), Short: in.size < m.length(),
		}
	}
	return infos
}

// A PageKind says what a page holds.
type PageKind uint8

// The kinds of pages. ExtentPage, FreePage, RedoLogPage and DamagedPage cannot be told from the page alone,
// only from what refers to it.
const (
	UnknownPage PageKind = iota // neither reached nor known to be free
	MetaPage
	BranchPage
	LeafPage
	ExtentPage  // of a large value or a long key
	FreeLogPage // of the list of free pages
	FreePage
	DamagedPage // something refers to it, but it is not what was written
	RedoLogPage // of the log of what small commits did since the meta; known from the meta
)

var pageKindNames = [...]string{"unknown", "meta", "branch", "leaf", "extent", "free log", "free", "damaged", "redo log"}

// String returns the kind's name.
func (k PageKind) String() string {
	if int(k) < len(pageKindNames) {
		return pageKindNames[k]
	}
	return fmt.Sprintf("kind %d", int(k))
}

// A PageInfo describes a page by what stands in it.
type PageInfo struct {
	Kind   PageKind // UnknownPage: its header is not one of a page that stands here
	Pgno   uint32   // where it is
	Own    uint32   // the number in its header
	Birth  uint64   // txid under which it was written
	Level  int      // 0 in a leaf
	Prefix []byte   // what all keys begin with
	Room   int      // bytes between slots and cells
	// Garbage is the number of bytes of cells that are no longer in use.
	Garbage int
	// Err tells what about the page is not sound; there are no entries then.
	Err error
	// Free tells whether the free log says that the page is free, so that what stands in it is
	// old; FreeKnown is false where the free log cannot be read.
	Free, FreeKnown bool

	Entries []PageEntry  // of a leaf or branch
	Before  PageRef      // of a free log page: the page before it
	Records []FreeRecord // of a free log page
}

// A PageEntry is an entry of a leaf or branch. Of Child, Extent and Bucket at most one is set;
// without any it is a pair with its value in the page.
type PageEntry struct {
	Key       []byte     // of a long key its beginning; empty in the first entry of a branch
	LongKey   *ExtentRef // where all of a long key stands
	Value     []byte
	Extent    *ExtentRef // where a large value stands
	Child     *PageRef   // in a branch
	Bucket    *PageRef   // root of a nested bucket
	Inline    *PageInfo  // the page of a bucket that stands in its entry
	Sequence  uint64     // of a bucket
	CellStart int        // where the entry stands in the page
	CellSize  int
}

// A FreeRecord is a record of the free log: "reset" and "mark" set the high-water mark, "free"
// and "alloc" list runs of pages.
type FreeRecord struct {
	Kind string
	Mark uint64
	Runs []PageRun
}

// A PageRun is a row of adjacent pages.
type PageRun struct {
	Pgno uint32
	N    int
}

// ReadPage returns the bytes of a page of the file.
func (in *Inspector) ReadPage(pgno uint32) ([]byte, error) {
	b := make([]byte, in.pageSize)
	if err := readFull(in.f, b, int64(pgno)*int64(in.pageSize)); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = fmt.Errorf("the file has %d pages", in.size/int64(in.pageSize))
		}
		return nil, fmt.Errorf("page %d: %w", pgno, err)
	}
	return b, nil
}

// Page describes a page of the file. It errs only if the page cannot be read.
func (in *Inspector) Page(pgno uint32) (*PageInfo, error) {
	b, err := in.ReadPage(pgno)
	if err != nil {
		return nil, err
	}
	info := in.describe(b, pgno)
	if free := in.freePages(); free != nil && pgno >= metaPages && int(pgno) < in.Pages() {
		info.FreeKnown, info.Free = true, free.overlaps(run{pgno, 1})
	}
	return info, nil
}

// Free returns the runs of free pages of the state in order, and whether they are known: not so
// if the free log is damaged or no meta is valid.
func (in *Inspector) Free() (runs []PageRun, known bool) {
	free := in.freePages()
	if free == nil {
		return nil, false
	}
	for _, r := range free.runs() {
		runs = append(runs, PageRun{r.start, int(r.n)})
	}
	return runs, true
}

// freePages returns what the free log of the state says is free, nil if that is not known.
func (in *Inspector) freePages() *runSet {
	if !in.asked && in.at >= 0 && in.size >= in.slots[in.at].meta.length() {
		m := in.slots[in.at].meta
		db := &DB{file: in.f, readOnly: true, seed: m.seed}
		db.setPageSize(m.pageSize)
		if free, _, err := db.replayLog(m); err == nil {
			in.books = newRunSet()
			for _, r := range free.runs() {
				in.books.put(r)
			}
		}
	}
	in.asked = true
	return in.books
}

func (in *Inspector) describe(p page, pgno uint32) *PageInfo {
	info := &PageInfo{Pgno: pgno, Own: p.pgno(), Birth: p.birth(), Level: p.level()}
	switch {
	case pgno < metaPages:
		info.Kind, info.Own, info.Birth, info.Level = MetaPage, pgno, 0, 0
		info.Err = in.slots[pgno].err
	case p.pgno() != pgno || p.kind() < kindLeaf || p.kind() > kindFreeLog:
		info.Err = errors.New("its header is not that of a page of a tree or of the free log: part of a value or key, never written, or damaged")
	case p.kind() == kindFreeLog:
		info.Kind = FreeLogPage
		info.Before = pageRef(getRef(p[headerSize:]))
		info.Records, info.Err = decodeLog(p)
	default:
		if info.Err = p.validate(); info.Err == nil {
			in.describeTree(info, p)
		}
		info.Kind = kindOf(p)
	}
	return info
}

// kindOf returns the kind of a page of a tree.
func kindOf(p page) PageKind {
	if p.kind() == kindBranch {
		return BranchPage
	}
	return LeafPage
}

// describeTree describes a page that is valid.
func (in *Inspector) describeTree(info *PageInfo, p page) {
	info.Prefix = p[headerSize : headerSize+p.prefixLen()]
	info.Room, info.Garbage = p.room(), p.garbage()
	for i := range p.count() {
		e := PageEntry{Key: p.storedKey(i), CellStart: p.cellOff(i), CellSize: p.cellSize(i)}
		if p.isLong(i) {
			_, long := p.longKey(i)
			e.LongKey = in.extentRef(long)
		}
		if p.level() > 0 {
			r := pageRef(p.ref(i))
			e.Child = &r
		} else {
			in.describePayload(info, &e, p, i)
		}
		info.Entries = append(info.Entries, e)
	}
}

func (in *Inspector) describePayload(info *PageInfo, e *PageEntry, p page, i int) {
	switch flags, v := p.payload(i); flags {
	case cellInline:
		e.Value = v
	case cellExtent:
		e.Extent = in.extentRef(getExtent(v))
	case cellBucket:
		var b Bucket
		if err := b.setHeader(v); err != nil {
			info.Err = fmt.Errorf("slot %d: %w", i, err)
			return
		}
		root := pageRef(b.root)
		e.Bucket, e.Sequence = &root, b.sequence
		if b.inline != nil {
			e.Inline = &PageInfo{Kind: LeafPage, Pgno: info.Pgno}
			in.describeTree(e.Inline, b.inline)
		}
	}
}

// decodeLog lists the records of a page of the free log.
func decodeLog(p page) ([]FreeRecord, error) {
	var list recordList
	err := readRecords(p, &list)
	return list, err
}

// A recordList is a logVisitor that keeps what it is given.
type recordList []FreeRecord

var recordNames = [...]string{logReset: "reset", logHwm: "mark", logFree: "free", logAlloc: "alloc"}

func (l *recordList) mark(tag byte, hwm uint64) error {
	*l = append(*l, FreeRecord{Kind: recordNames[tag], Mark: hwm})
	return nil
}

func (l *recordList) run(tag byte, r run) error {
	if k := len(*l) - 1; k < 0 || (*l)[k].Kind != recordNames[tag] {
		*l = append(*l, FreeRecord{Kind: recordNames[tag]})
	}
	last := &(*l)[len(*l)-1]
	last.Runs = append(last.Runs, PageRun{r.start, int(r.n)})
	return nil
}

// MapOptions are the options of Inspector.Map.
type MapOptions struct {
	// Progress, if not nil, is called now and then with the pages visited and their number.
	Progress func(done, total int64)
}

// A PageMap says what each page holds and to which bucket it belongs.
type PageMap struct {
	Kinds   []PageKind // by page
	Bucket  []int      // by page: index in Buckets; 0 for pages of no bucket
	Buckets [][][]byte // paths; the first, empty one is the bucket tree
	Damage  []error    // what is wrong with damaged pages, each a *CorruptError
}

// Map walks the state that is looked at, verifies all of it, and says of every page what it is
// for. Below a damaged page nothing is known: pages there are unknown.
func (in *Inspector) Map(ctx context.Context, opts MapOptions) (*PageMap, error) {
	s := in.newSurvey(ctx)
	if opts.Progress != nil {
		total := int64(len(s.kinds))
		s.progress = func(done int64) { opts.Progress(min(done, total), total) }
	}
	if err := s.run(); err != nil {
		return nil, err
	}
	m := &PageMap{Kinds: s.kinds, Bucket: make([]int, len(s.kinds))}
	for i, b := range s.owners {
		m.Bucket[i] = int(b)
		if m.Kinds[i] == UnknownPage && s.books != nil && s.books.overlaps(run{uint32(i), 1}) {
			m.Kinds[i] = FreePage
		}
	}
	for _, b := range s.buckets {
		m.Buckets = append(m.Buckets, b.path())
		for _, l := range b.losses {
			m.Damage = append(m.Damage, &CorruptError{Pgno: l.r.pgno, Reason: l.reason.Error()})
		}
	}
	return m, nil
}
