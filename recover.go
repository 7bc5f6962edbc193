package folio

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/foliokv/folio/internal/backing"
)

// This file is opening: creation, and recovery after a crash. What must hold:
//
//   - A writable open flushes before it looks for what a crash left, before it writes, and before
//     it returns: what a killed process left may be in the page cache only, and the next commit
//     overwrites the one slot that is durable.
//   - It reads what it trusts past the page cache, as far as a system can do that: after a failed
//     flush the cache may say more than the device.
//   - A meta is trusted if it is marked clean, or flushed before it was written, or all pages
//     with a birth above its base verify.
//   - A newer meta that is not trusted is overwritten before anything else is written.
//   - Beside that, recovery writes nothing but the metas of a file that never got beyond its
//     creation.
//   - A damaged free log forbids writing, for nobody knows where; reading needs none.

// recover opens the file that db is on.
func (db *DB) recover() error {
	size, err := backingSize(db.file)
	if err != nil {
		return err
	}
	flushed := db.flushFound(size)
	slots, err := db.firstSlots(size, flushed)
	if err == nil {
		err = db.recoverFrom(slots, size, flushed)
	}
	if e := flushed(); e != nil {
		return e
	}
	return err
}

// recoverFrom opens the file that has these metas. It waits until what was found is durable before
// it looks for what a crash left, and before it writes; else its caller does.
func (db *DB) recoverFrom(slots [2]slot, size int64, flushed func() error) error {
	if slots[0].unsure() || slots[1].unsure() {
		if err := flushed(); err != nil {
			return err
		}
	}
	if fresh, err := db.unborn(slots, size); err != nil {
		return err
	} else if fresh {
		if err := flushed(); err != nil {
			return err
		}
		return db.create()
	}
	for _, s := range slots {
		// Before any is judged: this version may not know how to.
		if err := db.checkFeatures(s); err != nil {
			return err
		}
	}
	at, err := db.choose(slots, size)
	if db.opts.Previous {
		at, err = db.previous(slots, size)
	}
	if err != nil {
		return err
	}
	m := slots[at].meta
	other := slots[1-at]
	db.cleanSlots = m.flags&metaClean != 0 && other.err == nil && other.meta.txid == m.txid
	next := m.txid
	if other.err == nil {
		next = max(next, other.meta.txid)
	}
	if err := db.start(m, at, next+1, size); err != nil {
		return err
	}
	if other.err == nil && other.meta.newerThan(m) && !db.readOnly {
		if err := flushed(); err != nil {
			return err
		}
		if err := db.overrule(m, 1-at); err != nil {
			return err
		}
	}
	if m.redo.pages == 0 || db.opts.Previous {
		return nil
	}
	if err := flushed(); err != nil {
		return err
	}
	return db.repeat(m)
}

// flushFound begins to flush what an earlier process left, in a writable open, and returns a
// function that waits for the end of that. The entry of the file in its directory is left to the
// first flush of a commit: without one nothing was acknowledged.
func (db *DB) flushFound(size int64) func() error {
	if db.readOnly || size == 0 {
		return func() error { return nil }
	}
	db.grew = true
	done := make(chan error, 1)
	flush := func() {
		err := db.file.SyncData()
		if err != nil {
			err = fmt.Errorf("flushing what an earlier process left: %w", err)
		} else if err = db.file.DropCache(0, 2*maxPageSize); err != nil {
			err = fmt.Errorf("dropping cached metas: %w", err)
		}
		done <- err
	}
	if _, ok := db.file.(backing.DeviceReader); ok {
		go flush()
	} else {
		flush()
	}
	return sync.OnceValue(func() error { return <-done })
}

// firstSlots reads the metas: in a writable open what the device has.
func (db *DB) firstSlots(size int64, flushed func() error) (slots [2]slot, err error) {
	if d, ok := db.file.(backing.DeviceReader); ok && !db.readOnly && size > 0 {
		if err := db.file.DropCache(0, 2*maxPageSize); err != nil { // should it read there after all
			return slots, fmt.Errorf("dropping cached metas: %w", err)
		}
		// It writes first what is dirty where it reads, so it need not wait for the flush.
		slots, err = readSlots(deviceReader(d.ReadDevice))
		if !errors.Is(err, errors.ErrUnsupported) {
			return slots, readingMetas(err)
		}
	}
	if err := flushed(); err != nil {
		return slots, err
	}
	slots, err = readSlots(db.file)
	return slots, readingMetas(err)
}

func readingMetas(err error) error {
	if err != nil {
		return fmt.Errorf("reading metas: %w", err)
	}
	return nil
}

// A deviceReader is the ReadAt of a file past what the system has of it in memory.
type deviceReader func(p []byte, off int64) (int, error)

func (r deviceReader) ReadAt(p []byte, off int64) (int, error) { return r(p, off) }

// unborn tells whether the file is to be created, and errs if it is not a store. A creation
// that was cut short leaves zeros, or a meta of creation in one slot and zeros in the other.
func (db *DB) unborn(slots [2]slot, size int64) (bool, error) {
	half := func(s slot) bool { return s.blank || s.err == nil && s.meta.txid == creationTxid }
	switch {
	case slots[0].err == nil && slots[1].err == nil && size >= slots[0].meta.length():
		return false, nil
	case size == 0 && db.readOnly:
		return false, fmt.Errorf("%w: the file is empty", ErrInvalid)
	case half(slots[0]) && half(slots[1]) && db.allZeroBesideMetas(slots, size):
		if db.readOnly {
			return false, fmt.Errorf("%w: the file's creation was cut short; open it writable once", ErrInvalid)
		}
		return true, nil
	case slots[0].err == nil || slots[1].err == nil:
		return false, nil
	}
	return false, notAStore(slots, size)
}

// allZeroBesideMetas tells whether a file holds nothing that creation did not write.
func (db *DB) allZeroBesideMetas(slots [2]slot, size int64) bool {
	if size > 2*maxPageSize || size%metaSize != 0 {
		return false
	}
	b := make([]byte, size)
	if readFull(db.trustedFile(), b, 0) != nil {
		return false
	}
	for i, s := range slots {
		if s.err == nil {
			clear(b[i*s.meta.pageSize:][:metaSize])
		}
	}
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// notAStore says why neither slot has a meta.
func notAStore(slots [2]slot, size int64) error {
	for _, s := range slots {
		if errors.Is(s.err, errMetaVersion) {
			return fmt.Errorf("%w: %v", ErrVersionMismatch, s.err)
		}
	}
	for i, s := range slots {
		if !s.blank && !errors.Is(s.err, errNoMagic) && s.err != nil {
			return &CorruptError{Pgno: uint32(i), Reason: fmt.Sprintf("no meta is whole (%v; file of %d bytes)", s.err, size)}
		}
	}
	if size < metaSize {
		return fmt.Errorf("%w: %w", ErrInvalid, &CorruptError{Reason: fmt.Sprintf("a file of %d bytes is too short", size)})
	}
	return ErrInvalid
}

// create writes the two metas of an empty store.
func (db *DB) create() error {
	db.setPageSize(db.opts.PageSize)
	m := meta{
		pageSize: db.pageSize, seed: rand.Uint64(), txid: creationTxid, base: creationTxid,
		hwm: metaPages, flags: metaClean | metaFlushed, created: uint64(time.Now().UnixNano()),
	}
	if db.maxPages() < metaPages {
		return ErrMaxSizeReached
	}
	if err := db.file.Truncate(0); err != nil {
		return fmt.Errorf("creating: %w", err)
	}
	b := m.encode()
	if err := writeFull(db.file, append(b, b...), 0); err != nil {
		return fmt.Errorf("creating: %w", err)
	}
	if err := db.file.SyncFull(); err != nil {
		return fmt.Errorf("creating: %w", err)
	}
	db.cleanSlots, db.grew = true, false
	return db.start(m, 0, m.txid+1, metaPages<<db.shift)
}

// choose returns the slot to open: the newest meta that can be trusted.
func (db *DB) choose(slots [2]slot, size int64) (int, error) {
	first := 0
	if slots[0].err != nil || slots[1].err == nil && slots[1].meta.newerThan(slots[0].meta) {
		first = 1
	}
	var errs [2]error
	for _, at := range []int{first, 1 - first} {
		s := slots[at]
		if errs[at] = s.err; s.err == nil {
			db.setPageSize(s.meta.pageSize)
			db.seed = s.meta.seed
			errs[at] = db.trust(s.meta, size)
			var unread *readError
			if errors.As(errs[at], &unread) {
				// It may be whole, and acknowledged: taking an older one would lose it.
				return 0, errs[at]
			}
			if errs[at] != nil && at == first && db.wasDurable(s.meta, size) {
				return 0, fmt.Errorf("the newest state was durable, and is damaged: %w", errs[at])
			}
			if errs[at] == nil {
				if at != first || slots[1-at].err != nil && !slots[1-at].blank {
					db.opts.Logger.Info("folio: opened an older state", "path", db.name, "txid", s.meta.txid, "newer", cmp.Or(errs[1-at], slots[1-at].err))
				}
				return at, nil
			}
		}
	}
	err := fmt.Errorf("no whole state: slot 0: %v; slot 1: %v", errs[0], errs[1])
	var corrupt *CorruptError
	if errors.As(errs[first], &corrupt) {
		return 0, &CorruptError{Pgno: corrupt.Pgno, Reason: err.Error()}
	}
	return 0, &CorruptError{Pgno: uint32(first), Reason: err.Error()}
}

// previous returns the slot of the older meta, whatever has become of its pages.
func (db *DB) previous(slots [2]slot, size int64) (int, error) {
	if !db.readOnly {
		return 0, fmt.Errorf("the previous state opens with ReadOnly only")
	}
	at := 1 - newerSlot(slots)
	switch s := slots[at]; {
	case s.err != nil:
		return 0, corruptf(uint32(at), "there is no previous state: %v", s.err)
	case size < s.meta.length():
		return 0, corruptf(uint32(size/int64(s.meta.pageSize)), "the file ends here, %d pages belong to the previous state", s.meta.hwm)
	}
	return at, nil
}

// trust returns why a valid meta's state is not to be used, nil if it is.
func (db *DB) trust(m meta, size int64) error {
	if size < m.length() {
		return corruptf(uint32(size/int64(m.pageSize)), "the file ends here, %d pages belong to the state of txid %d", m.hwm, m.txid)
	}
	if m.flags&(metaClean|metaFlushed) != 0 {
		return nil
	}
	v := &verifier{db: db, file: db.trustedFile(), m: m}
	if err := v.buckets(); err != nil {
		return err
	}
	return v.freeLog(m.log)
}

func (db *DB) checkFeatures(s slot) error {
	m := s.meta
	if s.err != nil {
		return nil
	}
	if m.required != 0 {
		return fmt.Errorf("%w: it needs features %#x", ErrVersionMismatch, m.required)
	}
	if m.optional != 0 && !db.readOnly {
		db.opts.Logger.Warn("folio: opened read-only: the file has features unknown here", "path", db.name, "features", m.optional)
		db.readOnly = true
	}
	return nil
}

// overrule writes the meta that is trusted over a newer one that is not. Else a later crash
// could leave that one whole: extents bear no txid, so a transaction that is made again may
// write the very bytes that it misses.
func (db *DB) overrule(m meta, slot int) error {
	if err := writeFull(db.file, m.encode(), int64(slot)<<db.shift); err != nil {
		return fmt.Errorf("overwriting the meta of a lost transaction: %w", err)
	}
	if err := db.file.SyncData(); err != nil {
		return fmt.Errorf("overwriting the meta of a lost transaction: %w", err)
	}
	return nil
}

// A verifier compares the pages that a flush covered with their refs.
type verifier struct {
	db    *DB
	file  io.ReaderAt
	m     meta
	roots []ref  // of buckets still to be visited; a damaged file may nest them without end
	seen  uint64 // pages met; more than the file has is a cycle
}

// fresh tells whether a page may be one that the last flush did not bring to the disk. What is
// below an older page is older.
func (v *verifier) fresh(birth uint64) bool { return birth > v.m.base }

// read reads and verifies a page: in a writable open past the page cache.
func (v *verifier) read(r ref) (page, error) {
	db := v.db
	if r.pgno < metaPages || r.pgno >= v.m.hwm {
		return nil, corruptf(r.pgno, "referred to, outside the %d pages of the state", v.m.hwm)
	}
	p := make(page, db.pageSize)
	if err := readFull(v.file, p, int64(r.pgno)<<db.shift); err != nil {
		return nil, unreadable(r.pgno, "cannot be read", err)
	}
	return p, verifyPage(db.seed, r, p)
}

// trustedFile returns the file to read what is to be trusted from. In a read-only open the system's
// copies are what there is.
func (db *DB) trustedFile() io.ReaderAt {
	if !db.readOnly {
		device, _ := db.file.(backing.DeviceReader)
		return &deviceFile{File: db.file, device: device}
	}
	return db.file
}

// A deviceFile reads what the device has of a file, as far as the system can do that: after a failed
// flush its copies look clean. Pages that were written together lie together, so it reads a block
// at a time and remembers the last one.
//
// It drops the system's copies first in any case: a file system may take a direct read and serve it from
// them all the same.
type deviceFile struct {
	backing.File
	device backing.DeviceReader // nil: there is none
	block  [64 << 10]byte
	at     int64 // of block in the file
	n      int   // bytes of block that were read
}

func (f *deviceFile) ReadAt(p []byte, off int64) (int, error) {
	if f.device != nil && len(p) <= len(f.block) && !f.holds(off, len(p)) {
		f.at = off &^ int64(len(f.block)-1)
		n, err := f.readDevice(f.block[:], f.at)
		if f.n = n; err != nil && err != io.EOF {
			f.n = 0 // the page alone may do better
		}
	}
	if f.holds(off, len(p)) {
		return copy(p, f.block[off-f.at:]), nil
	}
	if f.device != nil {
		if n, err := f.readDevice(p, off); f.device != nil {
			return n, err
		}
	}
	if err := f.drop(off, len(p)); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f *deviceFile) readDevice(p []byte, off int64) (int, error) {
	if err := f.drop(off, len(p)); err != nil {
		return 0, err
	}
	n, err := f.device.ReadDevice(p, off)
	if errors.Is(err, errors.ErrUnsupported) {
		f.device = nil
	}
	return n, err
}

func (f *deviceFile) drop(off int64, n int) error {
	if err := f.DropCache(off, int64(n)); err != nil {
		return fmt.Errorf("dropping what is cached: %w", err)
	}
	return nil
}

// holds tells whether n bytes at off are in the block.
func (f *deviceFile) holds(off int64, n int) bool {
	return f.at <= off && off+int64(n) <= f.at+int64(f.n)
}

// meet tells whether the page of r is to be visited.
func (v *verifier) meet(r ref) (bool, error) {
	if r.pgno == 0 || !v.fresh(r.birth) {
		return false, nil
	}
	return true, v.count(r.pgno, 1)
}

func (v *verifier) count(pgno, n uint32) error {
	if v.seen += uint64(n); v.seen > uint64(v.m.hwm) {
		return corruptf(pgno, "more pages than the file has")
	}
	return nil
}

// buckets verifies the trees of all buckets. It holds one page of each level, and the roots
// still to be visited.
func (v *verifier) buckets() error {
	err := v.bucket(v.m.root)
	for err == nil && len(v.roots) > 0 {
		last := len(v.roots) - 1
		r := v.roots[last]
		v.roots = v.roots[:last]
		err = v.tree(r, -1)
	}
	return err
}

func (v *verifier) bucket(root ref) error {
	visit, err := v.meet(root)
	if visit {
		v.roots = append(v.roots, root)
	}
	return err
}

// tree verifies the page of r, which was met, and what is below it in its bucket.
func (v *verifier) tree(r ref, level int) error {
	p, err := v.read(r)
	if err != nil {
		return err
	}
	if err := p.validate(); err != nil {
		return corruptf(r.pgno, "%v", err)
	}
	if level >= 0 && p.level() != level {
		return corruptf(r.pgno, "level %d below a page of level %d", p.level(), level+1)
	}
	for i := range p.count() {
		if p.isLong(i) {
			_, e := p.longKey(i)
			err = v.extent(e)
		}
		if err == nil && p.level() > 0 {
			err = v.child(p.ref(i), p.level()-1)
		} else if err == nil {
			err = v.payload(p, i)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) child(r ref, level int) error {
	visit, err := v.meet(r)
	if !visit || err != nil {
		return err
	}
	return v.tree(r, level)
}

func (v *verifier) payload(p page, i int) error {
	switch flags, b := p.payload(i); flags {
	case cellExtent:
		return v.extent(getExtent(b))
	case cellBucket:
		return v.bucket(getRef(b))
	}
	return nil
}

func (v *verifier) extent(e extent) error {
	if !v.fresh(e.birth) {
		return nil
	}
	n := e.pages(v.db.pageSize)
	if err := v.count(e.pgno, n); err != nil {
		return err
	}
	if uint64(e.pgno)+uint64(n) > uint64(v.m.hwm) {
		return corruptf(e.pgno, "extent of %d pages outside the %d pages of the state", n, v.m.hwm)
	}
	return v.db.verifyExtent(v.file, e, nil)
}

func (v *verifier) freeLog(r ref) error {
	for {
		visit, err := v.meet(r)
		if !visit || err != nil {
			return err
		}
		p, err := v.read(r)
		if err != nil {
			return err
		}
		if p.kind() != kindFreeLog {
			return corruptf(r.pgno, "kind %d in the free log", p.kind())
		}
		r = getRef(p[headerSize:])
	}
}

// start makes db work on the state of m.
func (db *DB) start(m meta, at int, next uint64, size int64) error {
	db.setPageSize(m.pageSize)
	db.seed, db.created, db.slot, db.next, db.ended = m.seed, m.created, at, next, next-1
	db.size = size
	free, log, err := db.replayLog(m)
	if err != nil && !db.readOnly {
		return err
	}
	if err != nil {
		// Whoever only reads need not know what is free.
		db.opts.Logger.Warn("folio: opened without the free log", "path", db.name, "err", err)
		free, db.noBooks = pageSet{}, true
	}
	if err := db.remap(); err != nil {
		return err
	}
	db.alloc = newAllocator(m.hwm, db.maxPages())
	db.alloc.retained, db.alloc.released = db.keptIsOld, db.dropKept
	if db.inUse, err = pagesInUse(m, &free, log.chain); err != nil {
		return err
	}
	db.alloc.free = free
	db.log = log
	s := &snapshot{txid: m.txid, root: m.root, log: m.log, hwm: m.hwm, redo: m.redo, m: db.m}
	db.root, db.head, db.durable, db.safe = m.root, s, s, s
	db.redo = redoLog{at: runOf(m.redo)}
	db.published.Store(s)
	return nil
}

// pagesInUse returns the pages that are neither free nor of the free log.
func pagesInUse(m meta, free *pageSet, log []ref) (pageSet, error) {
	used := free.others(run{metaPages, m.hwm - metaPages})
	for _, r := range log {
		if !used.has(run{r.pgno, 1}, true) {
			return used, corruptf(r.pgno, "of the free log, and free")
		}
		used.set(run{r.pgno, 1}, false)
	}
	if redo := runOf(m.redo); redo.n > 0 {
		if !used.has(redo, true) {
			return used, corruptf(redo.start, "of the redo log, and free or of the free log")
		}
		used.set(redo, false)
	}
	if m.root.pgno != 0 && !used.has(run{m.root.pgno, 1}, true) {
		return used, corruptf(m.root.pgno, "the root, and free or of the free log")
	}
	return used, nil
}

func (db *DB) maxPages() uint32 {
	if db.opts.MaxSize > 0 {
		return uint32(min(db.opts.MaxSize>>db.shift, maxPgno))
	}
	return maxPgno
}

// replayLog reads the chain of the free log and what it says is free.
func (db *DB) replayLog(m meta) (pageSet, freeLog, error) {
	l := freeLog{head: m.log, hwm: m.hwm}
	pages, err := db.readLog(m)
	if err != nil {
		return pageSet{}, l, err
	}
	free, hwm, err := replayPages(pages, m.hwm)
	if err != nil {
		return pageSet{}, l, err
	}
	if len(pages) == 0 {
		hwm = m.hwm // without a log nothing is free
	}
	if hwm != m.hwm {
		return pageSet{}, l, corruptf(m.log.pgno, "free log: high-water mark %d, the meta's is %d", hwm, m.hwm)
	}
	for _, c := range pages {
		l.chain = append(l.chain, c.r)
		l.records += int(le.Uint32(c.p[8:])) - logRecords
		l.tail = c.p // the log's own from now on: commits write to it
	}
	l.snapshot = min(l.records, 4*free.countRuns()) // about what a fresh one takes
	return free, l, nil
}

// replayPages replays a chain and returns what is free, and the high-water mark. It
// does so on a bitmap: a store that was filled at random has thousands of free runs, and a set
// ordered by position took most of the time of an open. Where the chain tells of a time when
// the file was many times as long, the bitmap could take more memory than the file says.
func replayPages(pages []logPage, hwm uint32) (free pageSet, top uint32, err error) {
	bitmap := &freeBitmap{}
	replay := newLogReplay(bitmap)
	replay.limit = uint64(hwm)*4 + 1<<20
	err = replayInto(pages, replay)
	if !replay.wide {
		bitmap.forgetLongest()
		return bitmap.pageSet, replay.hwm, err
	}
	replay = newLogReplay(newRunSet())
	err = replayInto(pages, replay)
	for _, r := range replay.free.runs() {
		free.mark(r)
		free.longest, free.longestNear = max(free.longest, r.n), max(free.longestNear, r.n)
	}
	return free, replay.hwm, err
}

func replayInto(pages []logPage, v logVisitor) error {
	for _, c := range pages {
		if err := readRecords(c.p, v); err != nil {
			return corruptf(c.r.pgno, "%v", err)
		}
	}
	return nil
}

// A logPage is a page of the free log and its ref.
type logPage struct {
	r ref
	p page
}

// readLog returns the chain of the free log, oldest page first.
func (db *DB) readLog(m meta) ([]logPage, error) {
	var pages []logPage
	met := map[uint32]bool{}
	for r := m.log; r.pgno != 0; {
		if r.pgno < metaPages || r.pgno >= m.hwm || met[r.pgno] {
			return nil, corruptf(r.pgno, "free log leads outside the file, or in a circle")
		}
		met[r.pgno] = true
		p := make(page, db.pageSize)
		if err := readFull(db.file, p, int64(r.pgno)<<db.shift); err != nil {
			return nil, unreadable(r.pgno, "free log cannot be read", err)
		}
		if err := verifyPage(db.seed, r, p); err != nil {
			return nil, err
		}
		if p.kind() != kindFreeLog {
			return nil, corruptf(r.pgno, "kind %d in the free log", p.kind())
		}
		pages = append(pages, logPage{r, p})
		next := getRef(p[headerSize:])
		if next.pgno != 0 && next.birth > r.birth {
			return nil, corruptf(r.pgno, "free log: a page is older than the one before it")
		}
		r = next
	}
	for i, j := 0, len(pages)-1; i < j; i, j = i+1, j-1 {
		pages[i], pages[j] = pages[j], pages[i]
	}
	return pages, nil
}
