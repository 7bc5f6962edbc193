package folio

import (
	"fmt"
	"io"
	"math/bits"

	"github.com/foliokv/folio/internal/backing"
	"github.com/foliokv/folio/mmapfile"
)

// This file is where the file grows and shrinks, and where the pages of large values are
// written.

const (
	// Zero-filled room ahead of need, in bytes: a flush into blocks that exist already is
	// faster. It grows with the file up to this.
	maxAhead = 4 << 20

	// maxAheadDurable is that where the commit that grows the file is waited for.
	maxAheadDurable = 1 << 20

	// smallPiece is how many of these bytes are written at once where small commits with a flush
	// will write to them; see extendAhead. Pieces of less than splitPiece bytes stay as they are.
	smallPiece = 64 << 10
	splitPiece = 256 << 10

	// straightPages is the number of pages from which on a write leaves the room ahead to
	// small ones and goes straight to the end of the file.
	straightPages = 64

	// reservePages are kept for transactions that only delete, so that they succeed on a full
	// disk and at Options.MaxSize.
	reservePages = 64

	minReserved = 16 << 20 // bytes that a mapping reserves at least
)

var zeros [64 << 10]byte

// reserve is the number of pages kept for deletes: reservePages, less in a very small store.
func (db *DB) reserve() uint64 { return uint64(min(reservePages, db.alloc.maxPages/8)) }

// A placing says how pages that are allocated together should lie.
type placing int

const (
	anywhere   placing = iota
	adjacent           // as one run
	together           // a flush follows: as one run where the file may grow for it
	shortLived         // together, and apart from others
)

// allocate gives out n pages. What grows the store leaves the reserve untouched: room for it
// is there already, or is made first. It is called with mu.
func (db *DB) allocate(n uint32, grows bool, how placing) ([]run, error) {
	if grows {
		if err := db.ensureRoom(n, n >= straightPages); err != nil {
			return nil, err
		}
	}
	return db.place(n, grows, how)
}

// place is allocate where room was made before.
func (db *DB) place(n uint32, grows bool, how placing) ([]run, error) {
	a, keep := db.alloc, uint64(0)
	if grows {
		keep = db.reserve()
	}
	if db.full && how == adjacent {
		a.giveUpNursery() // on a full disk all there is counts
	}
	switch how {
	case adjacent:
		return a.contiguous(n, keep)
	case together:
		if r, ok := db.allocateTogether(n, keep); ok {
			return []run{r}, nil
		}
		if n <= onePiece {
			return a.firstFit(n, keep)
		}
		if a.sparse() && !a.clearing {
			break
		}
		return a.gather(n, keep) // in the order of the sweep, for which room was made (relocate.go)
	case shortLived:
		return db.allocateShortLived(n, keep)
	}
	return a.scattered(n, keep)
}

// ensureRoom sees to it that n pages can be had, and the reserve is left. With straight set the
// file may grow by writing the pages behind its end, else room is made for them there first.
func (db *DB) ensureRoom(n uint32, straight bool) error {
	a, keep := db.alloc, db.reserve()
	if a.free.pages < uint64(n)+keep {
		a.release(db.needed(nil)) // readers may have ended, or a flush, since the last seal
	}
	if a.unusedPages() < uint64(n)+keep {
		return ErrMaxSizeReached
	}
	return db.makeRoom(n, keep, straight)
}

// allocateTogether allocates n adjacent pages, as long as the file may well grow for them.
func (db *DB) allocateTogether(n uint32, keep uint64) (run, bool) {
	a := db.alloc
	if !a.worthGrowing(n) {
		return run{}, false
	}
	if r, ok := a.fitting(n, keep); ok {
		if n <= onePiece {
			a.sweep = r.end() // the next one need not look at all that has none once more
		}
		return r, true
	}
	return db.growTogether(n, keep, true)
}

// allocateSmall allocates the leaves and the other pages of a small group as one run, as long as
// the file may grow for that: what leaves take of the nursery must be made good.
func (db *DB) allocateSmall(leaves, others uint32) (l, o run, ok bool) {
	a, keep, n := db.alloc, db.reserve(), leaves+others
	if a.free.pages < uint64(n)+keep || !a.worthGrowing(nurseryStep+uint32(a.used()/16)) {
		return run{}, run{}, false
	}
	if l, o, ok = a.slide(leaves, others); ok || a.nurserySize()+nurseryStep > a.hwm/8 {
		return l, o, ok
	}
	r, ok := db.growTogether(nurseryStep, keep, false)
	if !ok {
		return run{}, run{}, false
	}
	a.free.add(r)
	a.addToNursery(r)
	return a.slide(leaves, others)
}

// growTogether allocates n adjacent pages at the end of the file. Unless they are written at once
// they are there already when it returns, so that no later write finds the disk full.
func (db *DB) growTogether(n uint32, keep uint64, atOnce bool) (run, bool) {
	a := db.alloc
	if !db.onDisk || db.full {
		return run{}, false
	}
	exists := uint32(min(db.size>>db.shift, int64(a.maxPages)))
	if straight := atOnce && n >= straightPages; !straight && exists < a.hwm+n {
		if db.extendAhead(max(exists, a.hwm), uint64(n)) != nil {
			return run{}, false
		}
	}
	r, err := a.grow(n, keep)
	return r, err == nil
}

// enlargeNursery adds step pages to the nursery, for allocations of n pages. Where so many free
// ones do not lie together the file grows for a small nursery. A larger one may be the emptiest part of
// the file, which groups then clear.
func (db *DB) enlargeNursery(n, step uint32, keep uint64) {
	a := db.alloc
	r, ok := a.fitting(step, keep)
	if !ok && (a.worthGrowing(step) || !a.sparse() && a.nurserySize()+step <= a.hwm/64) {
		r, ok = db.growTogether(step, keep, false)
	}
	for less := step / 2; !ok && less >= max(2*n, shortNursery); less /= 2 {
		r, ok = a.fitting(less, keep)
	}
	if ok {
		a.free.add(r)
	} else if a.clearing && a.nurseryFree() < 2*n {
		r, ok = a.emptiest(step)
	}
	if ok {
		a.addToNursery(r)
	}
}

// roomForBranches tells whether a small group of n pages should place the branches just above its leaves
// in the nursery: they live longer than the others there.
func (db *DB) roomForBranches(n uint32) bool {
	a, keep := db.alloc, db.reserve()
	if a.free.pages < uint64(n)+keep {
		return false
	}
	if step := a.wantsNursery(n); step > 0 {
		db.enlargeNursery(n, step, keep)
	}
	return a.roomy(n)
}

// allocateShortLived allocates n pages in the nursery as far as it has them.
func (db *DB) allocateShortLived(n uint32, keep uint64) ([]run, error) {
	a := db.alloc
	if a.free.pages < uint64(n)+keep {
		return a.scattered(n, keep)
	}
	if step := a.wantsNursery(n); step > 0 {
		db.enlargeNursery(n, step, keep)
	}
	got := a.fromNursery(n)
	for _, r := range got {
		n -= r.n
	}
	if n > 0 {
		sweep := a.sweep
		more, err := a.scattered(n, keep)
		if a.clearing {
			a.sweep = sweep // it is where leaves go, and leaves were moved out of its way
		}
		if err != nil {
			a.giveBack(got)
			return nil, err
		}
		got = append(got, more...)
	}
	return got, nil
}

// relieve flushes when n pages cannot be had now, but pages wait only for states that a flush
// would end the need of. It is called with mu, by the open transaction, and may give mu up
// meanwhile.
func (db *DB) relieve(n int) {
	a := db.alloc
	room := a.unusedPages()
	if db.full {
		_, room = db.there()
	}
	if room >= uint64(n)+db.reserve() || a.waiting == 0 || db.head.txid == db.durable.txid {
		return
	}
	txid := db.head.txid
	// An error is told by what cannot be had for it.
	db.unlocked(func() error { return db.waitMeta(txid) })
	a.release(db.needed(nil))
}

// prepare makes room, if it takes a flush, for an extent of n bytes and for key if that is a
// long one. The pages below the transaction may move meanwhile.
func (tx *Tx) prepare(key []byte, n int64) error {
	size := tx.db.pageSize
	pages := extent{length: uint32(n)}.pages(size)
	if len(key) > maxInlineKey(size) {
		pages += 3 * extent{length: uint32(len(key))}.pages(size) // and for separators as long
	}
	if pages > 0 {
		tx.db.relieve(int(pages))
	}
	if failed := tx.failed.Load(); failed != nil {
		return *failed
	}
	return nil
}

// there returns where the file ends, and how many free pages it has blocks for.
func (db *DB) there() (end uint32, free uint64) {
	a := db.alloc
	end, free = uint32(min(db.size>>db.shift, int64(a.maxPages))), a.free.pages
	if end > a.hwm {
		free += uint64(end - a.hwm)
	}
	return end, free
}

// makeRoom sees to it that n pages can be had and keep pages are left that the file already
// has blocks for.
func (db *DB) makeRoom(n uint32, keep uint64, straight bool) error {
	a := db.alloc
	exists, room := db.there()
	if !db.onDisk || db.volatile || room >= uint64(n)+keep {
		return nil
	}
	if straight && room >= keep {
		a.skip(exists)
		return nil
	}
	return db.extendAhead(max(exists, a.hwm), uint64(n)+keep-room)
}

// extendAhead writes zeros from page end on: at least n pages, more as the file grows.
//
// Steps of more than was asked for are powers of two and end at multiples of themselves: a system that caches files in larger
// pieces than pages (Linux since 6.16 on ext4) makes them as large as one write allows, in their natural
// place. Reading a mapping of large pieces misses the TLB less often. But to write and flush one page of a piece
// takes time for each page of the piece (ext4 goes through its list of blocks): a third more for a small commit into 2 MiB. So the
// pieces are small where such commits are to be expected.
func (db *DB) extendAhead(end uint32, n uint64) error {
	most, atOnce := int64(maxAhead), int64(maxAhead)
	if db.opts.Durability == Durable {
		most, atOnce = maxAheadDurable, smallPiece
	}
	step := max(n, reservePages, uint64(min(db.size/8, most))>>db.shift)
	if n <= step/2 {
		align := uint64(1) << (bits.Len64(step) - 1)
		if step = (uint64(end)+step)&^(align-1) - uint64(end); step < n {
			step += align
		}
	}
	step = min(step, uint64(max(db.alloc.maxPages, end)-end))
	left := int64(step) << db.shift
	off := int64(end) << db.shift
	for left > 0 {
		var bufs [][]byte
		var size int64
		piece := min(left, atOnce-off%atOnce)
		for size < piece {
			b := zeros[:min(int64(len(zeros)), piece-size)]
			bufs = append(bufs, b)
			size += int64(len(b))
		}
		k, err := db.file.WriteVec(bufs, off)
		db.extended(off, int64(k))
		if err != nil {
			db.noSpace(err)
			return fmt.Errorf("growing the file: %w", err)
		}
		db.full = false
		if atOnce == smallPiece {
			db.split.mark(run{uint32(off / splitPiece), 1})
		}
		db.written.Ahead += size >> db.shift
		off += size
		left -= size
	}
	return db.remap()
}

// splitPieces sees to it that the system keeps in small pieces what the pages of r, about to be written by
// a small group with a flush, are a part of: see extendAhead. What was split once stays so until it leaves
// memory. Larger groups are written faster into large pieces.
func (db *DB) splitPieces(r run) {
	m, ok := db.m.m.(backing.Splitter)
	if !ok || db.opts.Durability != Durable {
		return
	}
	end := int64(r.end()) << db.shift
	for off := int64(r.start) << db.shift; off < end; off = off/splitPiece*splitPiece + splitPiece {
		if one := (run{uint32(off / splitPiece), 1}); !db.split.holds(one) {
			db.split.mark(one)
			m.Split(off)
		}
	}
}

// remap makes a larger mapping when the file has outgrown the newest.
func (db *DB) remap() error {
	if db.m != nil && db.size <= int64(len(db.m.data)) {
		return nil
	}
	bm, err := db.file.Map(mapSize(db.size))
	if err != nil {
		return fmt.Errorf("mapping the file: %w", err)
	}
	m := newMapping(bm, db.shift)
	if int64(len(m.data)) < db.size {
		bm.Close()
		return fmt.Errorf("mapping the file: %d bytes of %d mapped", len(m.data), db.size)
	}
	if db.m != nil {
		m.inherit(db.m)
		db.retired = append(db.retired, retiredMapping{db.m, db.head.txid})
		db.tidy.Store(true)
	}
	db.m = m
	if db.active != nil {
		db.active.m = m
	}
	return nil
}

// mapSize is how much to map for a file of this size: on 64-bit platforms plenty, for address
// space is free.
func mapSize(size int64) int64 {
	const large = ^uint(0)>>63 == 1
	if large {
		n := int64(1 << 30)
		for n < 2*size {
			n *= 2
		}
		return n
	}
	return (size + size/4 + minReserved - 1) / minReserved * minReserved
}

// cutTail gives back to the file system what is far behind the last page in use. It is called
// with mu, when the durable state is the newest written.
func (db *DB) cutTail() {
	if !mmapfile.CanReserve && db.onDisk {
		return // a mapped file cannot be cut there
	}
	keep := int64(max(db.durable.hwm, db.alloc.hwm)) << db.shift
	keep += int64(db.reserve())<<db.shift + min(keep/16, maxAhead)
	if db.size-keep < max(keep/4, 2*maxAhead) {
		return
	}
	if err := db.file.Truncate(keep); err != nil {
		db.opts.Logger.Warn("folio: cutting the file", "path", db.name, "err", err)
		return
	}
	db.events.add(EventShrunk{db.size, keep})
	for at := keep / splitPiece; at*splitPiece < db.size; at++ {
		db.split.remove(run{uint32(at), 1}) // what grows there again may be in large pieces
	}
	db.size, db.grew = keep, true
}

// unlocked runs fn, which writes the pages of e, without the mutex, so that a flush can start
// meanwhile.
func (tx *Tx) unlocked(e extent, fn func() error) error {
	db := tx.db
	r := run{e.pgno, e.pages(db.pageSize)}
	if end := int64(r.end()) << db.shift; !db.onDisk && end > db.size {
		// A file in memory moves when it grows, and what the flush writes must be in its map.
		if err := db.file.Truncate(end); err != nil {
			return err
		}
		db.extended(0, end)
		if err := db.remap(); err != nil {
			return err
		}
	}
	tx.w.writing = r
	defer func() { tx.w.writing = run{} }()
	return db.unlocked(fn)
}

// unlocked runs fn without the mutex. A flush may start meanwhile: the pages below the open
// transaction move, so a caller must hold none of them.
func (db *DB) unlocked(fn func() error) error {
	db.mu.Unlock()
	defer func() {
		db.mu.Lock()
		db.active.follow()
	}()
	return fn()
}

// longWrite is the size in bytes from which on an extent is written without the mutex.
const longWrite = 1 << 20

// writeExtent writes b to pages of its own.
func (tx *Tx) writeExtent(b []byte) (extent, error) {
	db := tx.db
	e, err := tx.allocExtent(int64(len(b)))
	if err != nil {
		return extent{}, err
	}
	pad := zeros[:int64(e.pages(db.pageSize))<<db.shift-int64(len(b))]
	write := func() error {
		d := newDigest(db.seed, e.pgno, e.birth)
		d.Write(b)
		d.Write(pad)
		e.sum = d.Sum64()
		bufs := [][]byte{b, pad}
		if len(pad) == 0 {
			bufs = bufs[:1]
		}
		_, err := db.file.WriteVec(bufs, int64(e.pgno)<<db.shift)
		return err
	}
	if len(b) >= longWrite {
		err = tx.unlocked(e, write)
	} else {
		err = write()
	}
	return e, tx.wroteExtent(e, err)
}

// allocExtent allocates the pages of an extent of n bytes to the innermost scope.
func (tx *Tx) allocExtent(n int64) (extent, error) {
	e := extent{length: uint32(n), birth: tx.w.id}
	rs, err := tx.db.allocate(e.pages(tx.db.pageSize), true, adjacent)
	if err != nil {
		return extent{}, fmt.Errorf("writing a value of %d bytes: %w", n, err)
	}
	e.pgno = rs[0].start
	tx.w.scope().allocs.add(rs[0])
	tx.w.change()
	return e, nil
}

// wroteExtent takes notice of an extent that was written, or gives it back if that failed.
func (tx *Tx) wroteExtent(e extent, err error) error {
	db := tx.db
	size := int64(e.pages(db.pageSize)) << db.shift
	off := int64(e.pgno) << db.shift
	if failed := tx.failed.Load(); failed != nil && err == nil {
		err = *failed // the group before it could not be written, see abandon
	}
	if err == nil {
		db.extended(off, size)
		db.unflushed += size
		db.written.Extent += size >> db.shift
		if err = db.remap(); err == nil {
			err = db.m.m.Refresh(off, size)
		}
	}
	tx.follow()
	if err != nil {
		tx.freeExtent(e)
		return fmt.Errorf("writing a value of %d bytes: %w", e.length, err)
	}
	db.m.setVerified(e.pgno)
	return nil
}

// PutReader stores size bytes read from r as the value of key, without holding them in
// memory. When r ends early it returns io.ErrUnexpectedEOF and changes nothing; what r gives
// past size bytes is not read. Its other errors are those of Put and of r. r must not use the
// transaction.
func (b *Bucket) PutReader(key []byte, r io.Reader, size int64) (err error) {
	if err := b.writeCheck(); err != nil {
		return err
	}
	if err := checkKey(key); err != nil {
		return err
	}
	if size < 0 || size > MaxValueSize {
		return ErrValueTooLarge
	}
	if size <= int64(maxCell(b.tx.db.pageSize)) {
		value := make([]byte, size)
		if _, err := io.ReadFull(r, value); err != nil {
			return shortRead(err)
		}
		return b.Put(key, value)
	}
	defer b.tx.leave(b.tx.enter(), &err)
	b.tx.w.deletes = false
	if err := b.tx.prepare(key, size); err != nil {
		return err
	}
	e, err := b.tx.readExtent(r, size)
	if err != nil {
		return err
	}
	return b.putExtent(key, e)
}

func shortRead(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// readExtent writes size bytes from r to pages of their own. It leaves the mutex while it
// reads and writes.
func (tx *Tx) readExtent(r io.Reader, size int64) (extent, error) {
	db := tx.db
	e, err := tx.allocExtent(size)
	if err != nil {
		return extent{}, err
	}
	panicked := true
	defer func() {
		if panicked {
			tx.freeExtent(e)
		}
	}()
	tx.foreign = true
	err = tx.unlocked(e, func() error {
		d := newDigest(db.seed, e.pgno, e.birth)
		off := int64(e.pgno) << db.shift
		buf := make([]byte, verifyChunk)
		for left := size; left > 0; {
			n := int(min(left, verifyChunk))
			if _, err := io.ReadFull(r, buf[:n]); err != nil {
				return shortRead(err)
			}
			left -= int64(n)
			if left == 0 {
				padded := (n + db.pageSize - 1) >> db.shift << db.shift
				clear(buf[n:padded])
				n = padded
			}
			d.Write(buf[:n])
			if err := writeFull(db.file, buf[:n], off); err != nil {
				return err
			}
			off += int64(n)
		}
		e.sum = d.Sum64()
		return nil
	})
	panicked, tx.foreign = false, false
	return e, tx.wroteExtent(e, err)
}

// backingSize returns the length of the file.
func backingSize(f backing.File) (int64, error) {
	n, err := f.Size()
	if err != nil {
		return 0, fmt.Errorf("size of the file: %w", err)
	}
	return n, nil
}
