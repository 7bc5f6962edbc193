package folio

import (
	"encoding/binary"
	"fmt"
	"io"
)

// This file is the redo log: small Durable commits write down what they did, instead of the pages
// that they did it to. What must hold:
//
//   - The log is a run of pages that the durable meta names. A record says on which state it
//     builds: the first on that of the meta, each other on what the one before it led to. So
//     nothing that stands there from another time is ever taken for a part of it.
//   - A group is told in a record only if every change since the durable meta was told. All else
//     ends with a flush of pages and a meta, after which the log begins anew.
//   - A record is written when the flush of the one before it has ended, and begins with a block
//     of its own: no write touches what was acknowledged.
//   - Until then the pages that told transactions changed are kept in memory (kept.go), and pages
//     of the file that the durable meta reaches are not written: the log is applied to them.
//   - What is told can be done again: a change that the log has no words for makes its
//     transaction one that is not told (writeTx.change).
//
// A lone commit writes one block so, in place of a leaf, its branches, the free log and a meta. (Logical logging between
// checkpoints: Haerder and Reuter, Principles of transaction-oriented database recovery, 1983.)

const (
	redoBlock = 4 << 10 // bytes; records begin at multiples

	// The log is about an eighth of the file long, but at least and at most this, in bytes. It takes
	// this much room while the store is open, and after a crash up to as much is read and done again.
	redoLeast = 256 << 10
	redoMost  = 1 << 20

	// redoLongest is up to how many bytes the changes of one transaction are told; larger ones
	// write pages.
	redoLongest = 64 << 10

	// redoGroup and redoDirty are up to how many transactions that changed how many pages are told.
	redoGroup = 4
	redoDirty = 32

	// redoKept is how many bytes of pages are kept for the sake of the log.
	redoKept = 4 << 20

	// redoAfter is how many small flushes a store sees after Open before it has a log: what writes
	// now and then needs none.
	redoAfter = 64

	redoHeader = 40
)

// A redoLog is the log of the durable meta, and how far it goes.
type redoLog struct {
	at      run    // where it is; n 0: there is none
	base    uint64 // txid of the meta that it follows; 0: none that is known to be durable or on its way
	through uint64 // the state up to which all is in the log, or in groups that wait to be written there
	used    int64  // bytes that are written
	waiting int64  // bytes that groups sealed ahead will take
	stop    bool   // nothing more is told before the next meta
	metas   int    // how many more metas come before something is told
	small   int    // flushes of few pages since there was none
	buf     []byte // the record being written
}

// Words of the log. A transaction's first one says in which bucket the others are.
const (
	redoBucket   = 1 + iota // number of names, names: outermost first
	redoPut                 // key, value
	redoDelete              // key
	redoSequence            // number
)

// runOf returns the pages of a redo log.
func runOf(p redoPlace) run { return run{p.pgno, p.pages} }

// place returns where the log is.
func (l *redoLog) place() redoPlace { return redoPlace{l.at.start, l.at.n} }

// begin lets the log follow the meta of a state, which is about to be written.
func (l *redoLog) begin(s *snapshot) {
	l.base, l.through, l.used, l.waiting, l.stop = s.txid, s.txid, 0, 0, false
	l.metas = max(l.metas-1, 0)
}

// change notes that the transaction changed something. What is not told in the redo log it cannot
// repeat.
func (w *writeTx) change() {
	w.changed = true
	if !w.telling {
		w.untold = true
	}
}

// tells tells whether the log takes what the transaction does next.
func (tx *Tx) tells() bool {
	w := tx.w
	if w.untold || w.durability != Durable || tx.db.redo.at.n == 0 {
		return false
	}
	w.telling = true
	return true
}

// told notes one change for the redo log, or that it failed: then nobody knows how far it got.
func (b *Bucket) told(err error, word byte, key, value []byte) error {
	w := b.tx.w
	w.telling = false
	if err != nil || len(w.ops)+len(key)+len(value) > redoLongest {
		w.untold, w.ops = true, w.ops[:0]
		return err
	}
	if w.toldOf != b {
		w.toldOf = b
		w.ops = b.appendPath(append(w.ops, redoBucket), 0)
	}
	w.ops = append(w.ops, word)
	switch word {
	case redoPut:
		w.ops = appendBytes(appendBytes(w.ops, key), value)
	case redoDelete:
		w.ops = appendBytes(w.ops, key)
	case redoSequence:
		w.ops = binary.AppendUvarint(w.ops, b.sequence)
	}
	return nil
}

// appendPath appends the names of the buckets that lead to b, after their number, which counts those
// below already.
func (b *Bucket) appendPath(ops []byte, below uint64) []byte {
	if b.parent == nil {
		return binary.AppendUvarint(ops, below)
	}
	return appendBytes(b.parent.appendPath(ops, below+1), b.name)
}

func appendBytes(b, s []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// redoSize is how many bytes of the log a record of n bytes of changes takes.
func redoSize(n int) int64 { return (redoHeader + int64(n) + redoBlock - 1) &^ (redoBlock - 1) }

// tellsGroup tells whether the open group can be told in the redo log, behind those sealed ahead.
func (db *DB) tellsGroup() bool {
	l, g := &db.redo, db.group
	if l.at.n == 0 || g.untold || l.stop || l.metas > 0 || l.through != db.head.txid || db.closing || db.full || db.wantsCut() {
		return false
	}
	if g.last == 0 {
		return l.waiting > 0
	}
	if !db.roomToTell(len(g.ops), g.size) {
		return false
	}
	// Where room is short it is had by a meta, which ends the need of what the last one reaches.
	return db.plenty(uint64(4 * db.dirty.live))
}

// freed notes how many pages a group freed. If they are many the next flushes are of pages: each frees
// what the one before it needed, until the file can be cut.
func (l *redoLog) freed(pages uint64, hwm uint32) {
	const untilCut = 6
	if pages > uint64(hwm/8) {
		l.metas = untilCut
	}
}

// wantsCut tells whether a meta lets the file be cut, or moves the log out of the way of that.
func (db *DB) wantsCut() bool {
	return db.redo.at.end() > db.alloc.bound() || int64(db.durable.hwm)-int64(db.alloc.hwm) > max(int64(db.alloc.hwm)/4, 2*maxAhead>>db.shift)
}

// plenty tells whether n pages can be had easily.
func (db *DB) plenty(n uint64) bool {
	if _, room := db.there(); room >= n+db.reserve() {
		return true
	}
	return !db.full && db.alloc.unusedPages() >= 2*n+db.reserve() && db.ensureRoom(uint32(n), false) == nil
}

// roomToTell tells whether the log is for a group of this many transactions that changed what is dirty
// now, told in n bytes. Larger ones write less if they write their pages, in few pieces, than if these
// are kept and written later with those of others.
func (db *DB) roomToTell(n, size int) bool {
	l := &db.redo
	return size <= redoGroup && db.dirty.live <= redoDirty &&
		l.used+l.waiting+redoSize(n) <= int64(l.at.n)<<db.shift &&
		int64(db.kept.all.pages+uint64(db.dirty.live))<<db.shift <= redoKept
}

// takeUp makes the kept pages that the redo log tells of part of a transaction that it will not tell
// of. So they are placed together, like those of one large group, and written once; their places
// were only lent.
func (tx *Tx) takeUp() error {
	db, w := tx.db, tx.w
	k := &db.kept
	if !w.changed || w.durability != Durable || db.redo.at.n == 0 || k.all.pages <= k.old.pages+k.flying.pages {
		return nil
	}
	if !w.untold && !db.group.untold && db.roomToTell(len(db.group.ops)+len(w.ops), db.group.size+1) {
		return nil
	}
	if w.untold = true; !db.plenty(2 * (k.all.pages + uint64(db.dirty.live))) {
		return nil // they have places
	}
	root, _, err := tx.takeUpPages(tx.root.root, -1)
	tx.root.root = root
	return err
}

// takeUpPages takes up the page of r and what is below it, also in buckets. It tells whether any of that
// was to be taken up.
func (tx *Tx) takeUpPages(r ref, level int) (_ ref, any bool, err error) {
	db := tx.db
	switch {
	case r.pgno == 0 || !r.dirty() && r.birth <= db.durable.txid:
		return r, false, nil // what is below is older still
	case r.dirty() && db.dirty.at(r.pgno).leaf && !db.dirty.at(r.pgno).buckets:
		return r, false, nil
	}
	p, err := tx.load(r, level)
	if err != nil {
		return r, false, err
	}
	take := func() {
		if !any && err == nil {
			any = true
			r, p, err = tx.writablePage(r, level)
		}
	}
	if one := (run{r.pgno, 1}); !r.dirty() && db.kept.all.holds(one) && !db.kept.flying.holds(one) {
		take()
	}
	leaf := p.level() == 0
	for i := 0; err == nil && i < p.count(); i++ {
		off := p.cellOff(i)
		if leaf {
			if p[off] != cellBucket {
				continue
			}
			off += leafKeyOff + keySpace(int(p.slotWord(i)>>48))
		}
		to, below, e := tx.takeUpPages(getRef(p[off:]), p.level()-1)
		if e != nil {
			return r, any, e
		}
		if !below {
			continue
		}
		if take(); err == nil {
			to.put(p[off:])
			db.dirty.at(r.pgno).buckets = leaf
		}
	}
	return r, any, err
}

// record makes the record of the groups, which lead from one state to another.
func (db *DB) record(groups []*group, from, to uint64) []byte {
	l := &db.redo
	b := append(l.buf[:0], make([]byte, redoHeader)...)
	for _, g := range groups {
		b = append(b, g.ops...)
	}
	le.PutUint64(b[8:], l.base)
	le.PutUint64(b[16:], from)
	le.PutUint64(b[24:], to)
	le.PutUint32(b[32:], uint32(len(b)-redoHeader))
	le.PutUint64(b, db.recordSum(b, l.at, l.used, l.base))
	for len(b)%redoBlock != 0 {
		b = append(b, zeros[:min(redoBlock-len(b)%redoBlock, len(zeros))]...)
	}
	l.buf = b
	return b
}

// recordSum is the checksum of a record at a place in the log.
func (db *DB) recordSum(b []byte, log run, at int64, base uint64) uint64 {
	return checksum(db.seed, log.start+uint32(at/redoBlock), base, b[8:])
}

// writeRecord writes the record of a flush and makes it durable.
func (db *DB) writeRecord(f *flush) error {
	if err := writeFull(db.file, f.record, f.at); err != nil {
		return fmt.Errorf("writing the redo log: %w", err)
	}
	if err := db.file.SyncData(); err != nil {
		return fmt.Errorf("flushing: %w", err)
	}
	return nil
}

// startsLog tells whether the next flush of pages is to make a redo log.
func (db *DB) startsLog(pages int) bool {
	l := &db.redo
	if l.at.n > 0 || !db.onDisk || db.closing || db.full || db.opts.Durability != Durable || pages > redoDirty {
		return false
	}
	l.small++
	return l.small > db.redoAfter
}

// openRedo allocates the redo log. That there is no room for it is no error.
func (s *sealer) openRedo() {
	db := s.db
	n := db.redoPages()
	db.redo.small = 0 // should there be no room, it is tried again later
	r, ok := db.alloc.fitting(n, db.reserve())
	if !ok {
		r, ok = db.growTogether(n, db.reserve(), false)
	}
	if ok {
		s.runs = append(s.runs, r)
		s.redo = r
	}
}

// moveRedo gives the redo log another place if it is shorter than it should be, or lies behind what groups
// leave of the file in time: where it would keep the file as long as it is, better none than that.
func (s *sealer) moveRedo() {
	db, a := s.db, s.db.alloc
	far := s.redo.end() > a.bound()
	least := s.redo.n + 1
	if far {
		least = uint32(db.redoLeast >> db.shift)
	}
	for n := db.redoPages(); n >= least; n /= 2 {
		if r, ok := a.fitting(n, db.reserve()); ok {
			s.dropRedo()
			s.runs = append(s.runs, r)
			s.redo = r
			return
		}
	}
	if far {
		db.redo.small = 0
		s.dropRedo()
	}
}

// redoPages is how many pages the redo log should have.
func (db *DB) redoPages() uint32 {
	n := db.redoLeast
	for n < redoMost && n < db.size/8 {
		n *= 2
	}
	return uint32(n >> db.shift)
}

// clearRedo writes zeros where the redo log was allocated: what stood there may look like pages.
func (s *sealer) clearRedo() error {
	db := s.db
	if s.redo == db.redo.at {
		return nil
	}
	for r := s.redo; r.n > 0; {
		n := min(r.n, uint32(len(zeros)>>db.shift))
		if err := db.writePages(r.start, [][]byte{zeros[:int(n)<<db.shift]}); err != nil {
			return err
		}
		r.start, r.n = r.start+n, r.n-n
	}
	db.splitPieces(s.redo)
	return nil
}

// dropRedo frees the redo log: the state being sealed has none.
func (s *sealer) dropRedo() {
	s.old = append(s.old, freedRun{s.redo, 0})
	s.redo = run{}
}

// redoRecords reads the records of a log that lead on from the state of its meta. What follows the
// last whole one was never acknowledged, unless the log is damaged: then it returns an error, too.
func (db *DB) redoRecords(f io.ReaderAt, m meta) (records [][]byte, last uint64, err error) {
	at, size := runOf(m.redo), int64(m.redo.pages)*int64(m.pageSize)
	if size > redoMost {
		return nil, 0, corruptf(at.start, "redo log of %d bytes", size)
	}
	b := make([]byte, size)
	if err := readFull(f, b, int64(at.start)*int64(m.pageSize)); err != nil {
		return nil, 0, unreadable(at.start, "the redo log cannot be read", err)
	}
	last = m.txid
	off := int64(0)
	for off < size {
		r := db.recordAt(b, m, off)
		if r == nil || le.Uint64(r[16:]) != last {
			break
		}
		last = le.Uint64(r[24:])
		records = append(records, r[redoHeader:])
		off += redoSize(len(r) - redoHeader)
	}
	// The record that begins here may be a torn one. Another is written only when its flush has ended.
	for off += redoBlock; off < size; off += redoBlock {
		if r := db.recordAt(b, m, off); r != nil && le.Uint64(r[16:]) > last {
			return records, last, corruptf(at.start+uint32(off/int64(m.pageSize)), "redo log: what comes before the record of txid %d is damaged", le.Uint64(r[24:]))
		}
	}
	return records, last, nil
}

// wasDurable tells whether there is a record that builds on a meta: it was written when the meta and its
// pages were durable.
func (db *DB) wasDurable(m meta, size int64) bool {
	if m.redo.pages == 0 || size < m.length() {
		return false
	}
	records, _, err := db.redoRecords(db.trustedFile(), m)
	return err != nil || len(records) > 0
}

// recordAt returns the record at a place in the log of m, nil if there is none.
func (db *DB) recordAt(b []byte, m meta, at int64) []byte {
	r := b[at:]
	n := int64(le.Uint32(r[32:]))
	if n > int64(len(r))-redoHeader {
		return nil
	}
	r = r[:redoHeader+n]
	if le.Uint64(r[8:]) != m.txid || le.Uint64(r[24:]) <= le.Uint64(r[16:]) || le.Uint64(r) != db.recordSum(r, runOf(m.redo), at, m.txid) {
		return nil
	}
	return r
}

// repeat does what the redo log of m tells of, and makes it durable. Whoever only reads has it in
// memory.
func (db *DB) repeat(m meta) error {
	records, last, err := db.redoRecords(db.trustedFile(), m)
	if err != nil || len(records) == 0 {
		return err
	}
	next := max(db.next, last+1)
	db.next = last // it makes the state that it had, and what it met of a newer one is overwritten
	defer func() { db.next, db.ended = next, next-1 }()
	defer func(most uint32) { db.alloc.maxPages = most }(db.alloc.maxPages)
	db.alloc.maxPages = maxPgno // it was within the bounds when it was done first
	if db.readOnly {
		db.volatile, db.readOnly = true, false
		db.alloc.maxPages = max(db.m.pages, db.alloc.hwm)
		defer func() { db.readOnly = true }()
	}
	limit := db.opts.DirtyLimit
	db.opts.DirtyLimit = 1 << 40
	defer func() { db.opts.DirtyLimit = limit }()
	tx, err := db.beginWrite(nil)
	if err != nil {
		return err
	}
	if db.volatile {
		tx.w.durability = Deferred
	} else {
		tx.w.durability = Durable
	}
	for _, r := range records {
		if err := tx.repeat(r, false); err != nil {
			_, _ = tx.rollback()
			return fmt.Errorf("redo log: %w", err)
		}
	}
	tx.w.deletes = true // the reserve is for it, too
	if err := tx.commit(); err != nil {
		return fmt.Errorf("redo log: %w", err)
	}
	return nil
}

// repeat does what a record tells of. Where the state may be damaged it creates buckets that are not
// there, and passes over what cannot be done.
func (tx *Tx) repeat(r []byte, damaged bool) error {
	var b *Bucket
	in := wordReader{r, nil}
	for len(in.b) > 0 && in.err == nil {
		word := in.b[0]
		in.b = in.b[1:]
		if b == nil && word != redoBucket {
			return in.damaged()
		}
		var err error
		switch word {
		case redoBucket:
			b = &tx.root
			for n := in.number(); n > 0 && b != nil && in.err == nil; n-- {
				name := in.bytes()
				if damaged && b.Bucket(name) == nil {
					b, err = b.CreateBucket(name)
				} else {
					b = b.Bucket(name)
				}
			}
			if err == nil && (b == nil || b == &tx.root) {
				err = in.damaged()
			}
		case redoPut:
			key := in.bytes()
			if value := in.bytes(); in.err == nil {
				err = b.Put(key, value)
			}
		case redoDelete:
			if key := in.bytes(); in.err == nil {
				err = b.Delete(key)
			}
		case redoSequence:
			if n := in.number(); in.err == nil {
				err = b.SetSequence(n)
			}
		default:
			err = in.damaged()
		}
		if err != nil && (!damaged || tx.Err() != nil) {
			return err
		}
	}
	if in.err != nil && !damaged {
		return in.err
	}
	return tx.Err()
}

// A wordReader reads what appendBytes and told have written.
type wordReader struct {
	b   []byte
	err error
}

func (r *wordReader) damaged() error { return corruptf(0, "a record cannot be understood") }

func (r *wordReader) number() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.b, r.err = nil, r.damaged()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *wordReader) bytes() []byte {
	n := r.number()
	if n > uint64(len(r.b)) {
		r.b, r.err = nil, r.damaged()
		return nil
	}
	s := r.b[:n]
	r.b = r.b[n:]
	return s
}
