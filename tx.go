package folio

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"sync/atomic"
)

// This file is the life of a transaction and the one copy-on-write point. What must hold:
//
//   - A read transaction touches only its snapshot, through the mapping of its snapshot.
//   - A write transaction's calls hold DB.mu, so that a flush that starts in the middle of it
//     can seal the transactions before it (see commit.go). Nothing calls the user's code
//     while holding it.
//   - Every page that changes went through writablePage first.

// A Tx is a transaction: a read transaction sees the state that was the newest when it began,
// a write transaction sees its own changes on top of all before it. A Tx must be used by one
// goroutine at a time, and slices it returns are valid until it ends.
type Tx struct {
	db       *DB
	snap     *snapshot // what a read transaction reads
	m        *mapping  // what pages are read through
	hwm      uint32    // pages from here on are none of this transaction's
	known    uint32    // of the pages below, those marked as verified need no look any more
	slot     *readerSlot
	failed   atomic.Pointer[error]
	w        *writeTx // what only a write transaction has
	root     Bucket   // the bucket tree
	opened   Bucket   // the first bucket that was opened, to spare an allocation
	hasOpen  atomic.Bool
	ended    atomic.Bool
	left     atomic.Int32 // pages to ask for; more while db.cold
	writable bool
	managed  bool // inside View or Update: Commit and Rollback panic
	within   bool // a call of a read transaction runs that leaves panics to View
	foreign  bool // the code that runs is the user's
	looking  bool // pages are asked for before they are touched, see cold.go
}

// A writeTx is the part of a transaction that writes.
type writeTx struct {
	id         uint64
	base       uint64   // the sealed state that it began on
	scopes     []*scope // outermost first
	first      [1]*scope
	savepoints []*Savepoint
	durability Durability
	handlers   []func()
	exposed    map[uint32]uint32 // extents and pages this transaction wrote to the file, by first page, of which slices were handed out; their page counts
	spillAt    int64             // bytes of dirty pages below which writing early is not tried
	deletes    bool              // so far the transaction only deleted
	changed    bool
	read       bool // any call was made on it
	abandoned  bool // failed because the group below it did
	writing    run  // the extent that is being written without the mutex
	tail       tail
	ops        []byte      // what the transaction did, for the redo log
	toldOf     *Bucket     // the bucket that the last of it is about
	telling    bool        // the change under way is told there
	untold     bool        // there were others
	root       writeBucket // of Tx.root
	opened     writeBucket // of Tx.opened
}

func (w *writeTx) scope() *scope { return w.scopes[len(w.scopes)-1] }

// ID returns the transaction's id: of a read transaction, that of the last transaction it
// sees. Ids of write transactions rise; while the store is open none is used again, also if it
// was rolled back.
func (tx *Tx) ID() int {
	if tx.w != nil {
		return int(tx.w.id)
	}
	return int(tx.snap.txid)
}

// DB returns the store, or nil after the transaction ended.
func (tx *Tx) DB() *DB {
	if tx.ended.Load() {
		return nil
	}
	return tx.db
}

// Writable tells whether the transaction can write.
func (tx *Tx) Writable() bool { return tx.writable }

// Size returns the size in bytes of the state the transaction sees, as WriteTo writes it.
func (tx *Tx) Size() int64 {
	if tx.writable {
		tx.db.mu.Lock()
		defer tx.db.mu.Unlock()
		return int64(tx.db.alloc.hwm) << tx.db.shift
	}
	return int64(tx.hwm) << tx.db.shift
}

// Err returns the first error that a call without an error result met, such as damage found
// by Get or by a cursor. A write transaction with an error cannot commit.
func (tx *Tx) Err() error {
	if e := tx.failed.Load(); e != nil {
		return *e
	}
	if l := tx.db.latched.Load(); l != nil && !tx.ended.Load() && l.stops(tx) {
		return l.err
	}
	return nil
}

// fail makes err the transaction's error, if it has none.
func (tx *Tx) fail(err error) error {
	tx.failed.CompareAndSwap(nil, &err)
	return err
}

// SetDurability chooses when this write transaction is acknowledged; the default is
// Options.Durability. A Deferred transaction that comes while Durable ones wait for their
// flush waits with them.
func (tx *Tx) SetDurability(d Durability) {
	if tx.w != nil {
		tx.w.durability = d
	}
}

// OnCommit adds a function to be called after the transaction committed: once it is durable,
// or with Deferred once it is published. Functions run before the call that commits returns,
// in commit order, one transaction's after the other's; one added inside a savepoint that was
// rolled back does not run.
//
// A function may start transactions, and those may have functions of their own, which run at
// once. But it must not wait for a transaction with functions that another goroutine commits:
// these have their turn when it has returned, so both would wait for ever (see
// EventHandlerWait). To go on in another goroutine without waiting for it is fine.
func (tx *Tx) OnCommit(fn func()) {
	if tx.w != nil && !tx.ended.Load() {
		tx.w.handlers = append(tx.w.handlers, fn)
	}
}

// usable tells whether calls on the transaction make sense.
func (tx *Tx) usable() bool {
	if tx.ended.Load() || tx.failed.Load() != nil {
		return false
	}
	if l := tx.db.latched.Load(); l != nil && l.stops(tx) {
		tx.fail(l.err)
		return false
	}
	return true
}

// check returns the error that a write call must give before anything else.
func (tx *Tx) check() error {
	switch {
	case tx.ended.Load():
		return ErrTxClosed
	case !tx.writable:
		return ErrTxNotWritable
	case !tx.usable():
		return *tx.failed.Load()
	}
	return nil
}

// begins tells whether a call of a read transaction may do without enter and leave: View
// guards this goroutine against faults, and looks at within when there is a panic. The caller
// sets within to false when it is done.
func (tx *Tx) begins() bool {
	if !tx.managed || tx.writable {
		return false
	}
	if !debug.SetPanicOnFault(true) {
		debug.SetPanicOnFault(false) // not View's goroutine
		return false
	}
	tx.within = true
	return true
}

// enter begins a call: it arms the guard against faults in the mapping, and for a write
// transaction takes the writer's mutex. Use as: defer tx.leave(tx.enter(), &err)
func (tx *Tx) enter() (guarded bool) {
	if tx.writable {
		tx.db.mu.Lock()
		tx.follow()
		tx.foreign, tx.w.read = false, true
	}
	return debug.SetPanicOnFault(true)
}

// follow lets a write transaction see the pages that the file has now: those below it may have
// moved to new ones while it was without the mutex.
func (tx *Tx) follow() { tx.m, tx.hwm = tx.db.m, tx.db.alloc.hwm }

// leave ends a call. A panic of the runtime becomes the transaction's error: a fault, when
// the file was cut short or the disk failed under the mapping, or an index out of range, when
// a page changed after it was verified. errp, if not nil, is the call's own error.
func (tx *Tx) leave(guarded bool, errp *error) {
	debug.SetPanicOnFault(guarded)
	if r := recover(); r != nil {
		err, ok := tx.fault(r)
		if _, runs := r.(runtime.Error); runs && tx.writable && !tx.foreign && tx.failed.Load() != nil {
			err, ok = *tx.failed.Load(), true // abandoned while the call waited for the mutex
		}
		if !ok {
			if tx.writable {
				tx.db.mu.Unlock()
			}
			panic(r)
		}
		tx.fail(err)
		if errp != nil {
			*errp = err
		}
	}
	if tx.writable {
		if tx.w.abandoned && errp != nil {
			*errp = *tx.failed.Load() // whatever the call found: what it refers to is not there any more
		}
		tx.db.mu.Unlock()
	}
}

// fault turns a panic of the runtime into an error of the page it concerns.
func (tx *Tx) fault(r any) (error, bool) {
	e, ok := r.(runtime.Error)
	if !ok {
		return nil, false
	}
	if err, ok := tx.mappingFault(e); ok {
		return err, true
	}
	if invariants || tx.foreign {
		return nil, false
	}
	return corruptf(0, "inconsistent page: %v", e), true
}

// mappingFault tells whether e is a fault in the transaction's mapping.
func (tx *Tx) mappingFault(e runtime.Error) (error, bool) {
	var a interface{ Addr() uintptr }
	if !errors.As(e, &a) {
		return nil, false
	}
	pgno, ok := tx.m.pageOf(a.Addr())
	if !ok {
		return nil, false
	}
	return corruptf(pgno, "cannot be read: the file was cut short or the device failed (%v)", e), true
}

// load returns the page that r refers to; level is the one it must have, -1 for any.
func (tx *Tx) load(r ref, level int) (page, error) {
	if r.dirty() {
		return tx.db.dirty.at(r.pgno).buf, nil
	}
	if r.pgno < metaPages || r.pgno >= tx.hwm || !tx.m.holds(r.pgno, 1) {
		return nil, corruptf(r.pgno, "referred to, outside the %d pages of the state", tx.hwm)
	}
	p := tx.m.page(r.pgno)
	verified := tx.m.isVerified(r.pgno)
	if verified && tx.looking {
		tx.fetch(r.pgno)
	}
	if !verified || tx.db.opts.Verify == VerifyAlways {
		if kept := tx.m.keptPage(r); kept != nil {
			p = kept
		} else if err := tx.verify(r, p); err != nil {
			return nil, err
		}
	}
	if level >= 0 && p.level() != level {
		return nil, corruptf(r.pgno, "level %d below a page of level %d", p.level(), level+1)
	}
	return p, nil
}

// child returns the page in slot i of branch p.
func (tx *Tx) child(p page, i int) (page, error) {
	pgno := p.refPgno(i)
	if pgno < tx.hwm && pgno < tx.m.pages && tx.m.isVerified(pgno) && tx.db.opts.Verify != VerifyAlways && !tx.looking {
		if c := tx.m.page(pgno); c.level() == p.level()-1 {
			return c, nil
		}
	}
	return tx.load(p.ref(i), p.level()-1)
}

// verify compares a page with its ref and checks its structure. The first touch reads the
// page by a system call: a page fault would hold a scheduler thread while the device works.
func (tx *Tx) verify(r ref, mapped page) error {
	p := mapped
	if !tx.m.isVerified(r.pgno) {
		buf := tx.db.readBuffer()
		defer tx.db.putReadBuffer(buf)
		p = (*buf)[:len(mapped)]
		if err := tx.db.readPage(p, r.pgno); err != nil {
			return unreadable(r.pgno, "cannot be read", err)
		}
	}
	if tx.db.opts.Verify != VerifyNever {
		if err := verifyPage(tx.db.seed, r, p); err != nil {
			return err
		}
	}
	if err := p.validate(); err != nil {
		return corruptf(r.pgno, "%v", err)
	}
	if tx.m.keptAt(r.pgno) == nil { // else the file is damaged: two places refer to the page
		tx.m.setVerified(r.pgno)
	}
	return nil
}

// verifyPage compares a page with what its parent says of it.
func verifyPage(seed uint64, r ref, p page) error {
	switch {
	case checksum(seed, r.pgno, r.birth, p) != r.sum:
		return corruptf(r.pgno, "checksum does not match")
	case p.pgno() != r.pgno || p.birth() != r.birth:
		return corruptf(r.pgno, "says it is page %d of txid %d, not of %d", p.pgno(), p.birth(), r.birth)
	}
	return nil
}

func readFull(f io.ReaderAt, b []byte, off int64) error {
	n, err := f.ReadAt(b, off)
	return fullRead(n, b, err)
}

// fullRead returns the error of a read of b that gave n bytes.
func fullRead(n int, b []byte, err error) error {
	if n == len(b) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// bytesOf returns the contents of an extent.
func (tx *Tx) bytesOf(e extent) ([]byte, error) {
	n := e.pages(tx.db.pageSize)
	if e.pgno < metaPages || uint64(e.pgno)+uint64(n) > uint64(tx.hwm) || !tx.m.holds(e.pgno, n) {
		return nil, corruptf(e.pgno, "extent of %d pages outside the %d pages of the state", n, tx.hwm)
	}
	if !tx.m.isVerified(e.pgno) || tx.db.opts.Verify == VerifyAlways {
		if tx.db.opts.Verify != VerifyNever {
			if err := tx.db.verifyExtent(tx.db.file, e, nil); err != nil {
				return nil, err
			}
		}
		tx.m.setVerified(e.pgno)
	}
	if tx.w != nil && e.birth >= tx.w.id {
		tx.expose(e.pgno, n)
	}
	return tx.m.bytes(e.pgno, int(e.length)), nil
}

// loadKey implements keyLoader.
func (tx *Tx) loadKey(e extent) ([]byte, error) { return tx.bytesOf(e) }

const verifyChunk = 256 << 10

// verifyExtent compares an extent with its checksum, reading it by system calls. visit, if not
// nil, sees its pages, before it is known whether they are as they were written, and can end
// it with an error.
func (db *DB) verifyExtent(f io.ReaderAt, e extent, visit func(pgno uint32, b []byte) error) error {
	d := newDigest(db.seed, e.pgno, e.birth)
	left := int64(e.pages(db.pageSize)) << db.shift
	off := int64(e.pgno) << db.shift
	buf := make([]byte, min(left, verifyChunk))
	for left > 0 {
		b := buf[:min(left, int64(len(buf)))]
		if err := readFull(f, b, off); err != nil {
			return unreadable(e.pgno, "extent cannot be read", err)
		}
		d.Write(b)
		if visit != nil {
			if err := visit(uint32(off>>db.shift), b); err != nil {
				return err
			}
		}
		left -= int64(len(b))
		off += int64(len(b))
	}
	if d.Sum64() != e.sum {
		return corruptf(e.pgno, "checksum of the extent does not match")
	}
	return nil
}

// expose remembers that a slice of n pages was handed out that must stay intact until the
// transaction ends though the transaction may free them.
func (tx *Tx) expose(pgno, n uint32) {
	if tx.w.exposed == nil {
		tx.w.exposed = map[uint32]uint32{}
	}
	tx.w.exposed[pgno] = n
}

// exposeRef remembers that a slice of the page of r was handed out, where that matters.
func (tx *Tx) exposeRef(r ref) {
	switch {
	case tx.w == nil:
	case r.dirty():
		tx.db.dirty.at(r.pgno).exposed = true
	case r.birth >= tx.w.id:
		tx.expose(r.pgno, 1)
	}
}

// writablePage is the only copy-on-write point: it returns the page of r as one that the
// innermost scope may change, and its ref. The caller puts that ref where r was.
func (tx *Tx) writablePage(r ref, level int) (ref, page, error) {
	s := tx.w.scope()
	tx.w.change()
	if r.dirty() {
		return r, tx.db.dirty.own(r.pgno, s), nil
	}
	p, err := tx.load(r, level)
	if err != nil {
		return ref{}, nil, err
	}
	buf := tx.db.dirty.newBuffer()
	copy(buf, p)
	tx.freePages(r.pgno, 1, r.birth)
	return ref{pgno: tx.db.dirty.add(buf, s), count: r.count}, buf, nil
}

// newPage adds a page with these cells.
func (tx *Tx) newPage(level int, cells []cell) uint32 {
	buf := tx.db.dirty.newBuffer()
	buf.fill(level, cells)
	return tx.addPage(buf, cells)
}

// addPage adds a page whose buffer was filled with cells.
func (tx *Tx) addPage(buf page, cells []cell) uint32 {
	tx.w.change()
	idx := tx.db.dirty.add(buf, tx.w.scope())
	tx.db.dirty.at(idx).buckets = buf.level() == 0 && holdBuckets(cells)
	return idx
}

func holdBuckets(cells []cell) bool {
	return slices.ContainsFunc(cells, func(c cell) bool { return c.body[0] == cellBucket })
}

// rebuild gives a page that the innermost scope owns these cells.
func (tx *Tx) rebuild(pgno uint32, level int, cells []cell) {
	buf := tx.db.dirty.newBuffer()
	buf.fill(level, cells)
	tx.refill(pgno, buf, cells)
}

// refill gives a page that the innermost scope owns a buffer that was filled with cells.
func (tx *Tx) refill(pgno uint32, buf page, cells []cell) {
	tx.db.dirty.swap(pgno, buf)
	tx.db.dirty.at(pgno).buckets = buf.level() == 0 && holdBuckets(cells)
}

// dropPage takes the page of r, but nothing below it, out of the tree.
func (tx *Tx) dropPage(r ref) {
	tx.w.change()
	if r.dirty() {
		tx.db.dirty.drop(r.pgno, tx.w.scope())
		return
	}
	tx.freePages(r.pgno, 1, r.birth)
}

// freePages takes pages of the file out of the tree. What the innermost scope allocated
// itself is free at once, unless a slice of it was handed out.
func (tx *Tx) freePages(pgno, n uint32, birth uint64) {
	s := tx.w.scope()
	r := run{pgno, n}
	if hwm := tx.db.alloc.hwm; pgno < metaPages || uint64(pgno)+uint64(n) > uint64(hwm) {
		tx.fail(corruptf(pgno, "%d pages referred to, outside the %d pages of the state", n, hwm))
		return
	}
	if birth > tx.w.id {
		tx.fail(corruptf(pgno, "birth %d is above the transaction's id, %d", birth, tx.w.id))
		return
	}
	if birth == tx.w.id {
		_, exposed := tx.w.exposed[pgno]
		if !exposed && s.allocs.remove(r) {
			tx.db.alloc.add(r)
			return
		}
	}
	s.freed = append(s.freed, freedRun{r, birth})
}

func (tx *Tx) freeExtent(e extent) { tx.freePages(e.pgno, e.pages(tx.db.pageSize), e.birth) }

// Begin starts a transaction. Write transactions wait for each other, read transactions for
// nobody. Each must end with Commit or Rollback, best in a defer; an open read transaction
// keeps the pages it sees from being used again. It returns ErrDatabaseNotOpen,
// ErrDatabaseReadOnly, and for a write transaction the error that latched the store.
func (db *DB) Begin(writable bool) (*Tx, error) {
	if writable {
		return db.beginWrite(nil)
	}
	return db.beginRead()
}

func (db *DB) beginRead() (*Tx, error) {
	s := db.published.Load()
	if s == nil {
		return nil, ErrDatabaseNotOpen
	}
	slot := db.readers.enter(s.txid)
	for {
		again := db.published.Load()
		if again == s {
			break
		}
		if again == nil {
			db.leaveReader(slot)
			return nil, ErrDatabaseNotOpen
		}
		s = again
		slot.txid.Store(s.txid)
	}
	begun := slot.begun.Add(1)
	if db.traces != nil {
		db.traces.add(slot)
	}
	tx := &Tx{db: db, snap: s, m: s.m, hwm: s.hwm, slot: slot}
	if db.opts.Verify != VerifyAlways {
		tx.known = min(s.hwm, s.m.pages)
	}
	if begun%coldBegin == 0 || db.cold.Load() > 0 {
		tx.look()
	}
	tx.root = Bucket{tx: tx, root: s.root}
	return tx, nil
}

func (db *DB) leaveReader(slot *readerSlot) {
	if db.traces != nil {
		db.traces.remove(slot)
	}
	slot.leave()
	if db.tidy.Load() {
		db.sweep()
	}
}

// Commit ends a write transaction and makes its changes visible and, unless it is Deferred,
// durable. When it returns an error the changes are not made; the exception is a failed
// flush, after which it is known only when the store is opened again. It returns ErrTxClosed,
// ErrTxNotWritable, the error of Tx.Err, ErrMaxSizeReached, and those of writing and flushing.
// In the closure of Update or View it panics, as Rollback does.
func (tx *Tx) Commit() error {
	if tx.managed {
		panic("managed tx commit not allowed")
	}
	return tx.commit()
}

// Rollback ends the transaction and drops its changes. Of a write transaction that has read
// something it waits until that is durable, or published if it is Deferred, and returns the
// error if it never will be: then what the transaction read is not in the store. It returns
// ErrTxClosed if the transaction has ended.
func (tx *Tx) Rollback() error {
	if tx.managed {
		panic("managed tx rollback not allowed")
	}
	fate, err := tx.rollback()
	if err != nil {
		return err
	}
	return fate()
}

func (tx *Tx) commit() error {
	if tx.ended.Load() {
		return ErrTxClosed
	}
	if !tx.writable {
		return ErrTxNotWritable
	}
	return tx.db.commit(tx)
}

// rollback drops the transaction's changes; the function that it returns is that of fateOfSeen.
func (tx *Tx) rollback() (fate func() error, err error) {
	if !tx.ended.CompareAndSwap(false, true) {
		return nothingSeen, ErrTxClosed
	}
	if !tx.writable {
		tx.db.leaveReader(tx.slot)
		return nothingSeen, nil
	}
	return tx.db.abort(tx), nil
}

// endWith rolls back and returns err, once what the transaction read is safe.
func (tx *Tx) endWith(err error) error {
	fate, _ := tx.rollback()
	if lost := fate(); lost != nil {
		return errors.Join(err, fmt.Errorf("what the transaction read is lost: %w", lost))
	}
	return err
}

// View runs fn in a read transaction and returns its error, or the transaction's (see
// Tx.Err). A fault in the mapping inside fn, on the same goroutine, becomes an error too.
func (db *DB) View(fn func(*Tx) error) (err error) {
	tx, err := db.beginRead()
	if err != nil {
		return err
	}
	done := false
	defer func(guarded bool) {
		debug.SetPanicOnFault(guarded)
		fault := tx.recovered(recover(), &done)
		tx.managed = false
		sticky := tx.Err()
		_, _ = tx.rollback()
		if fault != nil {
			err = fault
		} else if err == nil && done {
			err = sticky
		}
	}(debug.SetPanicOnFault(true))
	tx.managed = true
	err = fn(tx)
	done = true
	return err
}

// recovered looks at what recover gave in a View or Update: a fault in the mapping is
// returned, other panics roll back and go on.
func (tx *Tx) recovered(r any, done *bool) error {
	if r == nil {
		return nil
	}
	if e, ok := r.(runtime.Error); ok {
		err, ok := tx.mappingFault(e)
		if !ok && tx.within {
			err, ok = tx.fault(r)
		}
		if ok {
			*done = true
			return tx.fail(err)
		}
	}
	tx.managed = false
	_, _ = tx.rollback()
	panic(r)
}

// Update runs fn in a write transaction and commits it; when fn returns an error or panics,
// its changes are dropped. The error is returned once what fn has read of others' transactions
// is durable (see Tx.Rollback). fn runs exactly once. Concurrent calls run one after the other and
// share one flush; a nested call waits for itself, for ever.
func (db *DB) Update(fn func(*Tx) error) error { return db.update(nil, fn) }

func (db *DB) update(cancel <-chan struct{}, fn func(*Tx) error) (err error) {
	tx, err := db.beginWrite(cancel)
	if err != nil {
		return err
	}
	if err := tx.run(fn); err != nil {
		return err
	}
	return tx.commit()
}

// run runs fn, and ends the transaction if it fails.
func (tx *Tx) run(fn func(*Tx) error) (err error) {
	done := false
	defer func(guarded bool) {
		debug.SetPanicOnFault(guarded)
		fault := tx.recovered(recover(), &done)
		tx.managed = false
		if fault != nil {
			err = fault
		}
		if err == nil && done {
			err = tx.Err()
		}
		if !done {
			_, _ = tx.rollback()
		} else if err != nil {
			err = tx.endWith(err)
		}
	}(debug.SetPanicOnFault(true))
	tx.managed = true
	err = fn(tx)
	done = true
	return err
}

// A Savepoint is a point in a write transaction to which it can return.
type Savepoint struct {
	tx    *Tx
	depth int // of its scope
	ended bool
}

// Savepoint opens a scope: what follows can be undone by Rollback without ending the
// transaction. Savepoints nest to any depth; one still open at Commit is released. It costs
// a copy of each page changed after it. On an ended or read transaction, or one with an
// error, it returns nil.
func (tx *Tx) Savepoint() *Savepoint {
	if tx.check() != nil {
		return nil
	}
	defer tx.leave(tx.enter(), nil)
	tx.w.telling = true // headers, which follow from what was told
	err := tx.root.writeBack()
	tx.w.telling = false
	if err != nil {
		tx.fail(err)
		return nil
	}
	tx.openScope()
	sp := &Savepoint{tx: tx, depth: len(tx.w.scopes) - 1}
	tx.w.savepoints = append(tx.w.savepoints, sp)
	return sp
}

func (tx *Tx) openScope() {
	tx.db.scopes++
	if len(tx.w.scopes) == 0 {
		tx.w.scopes = append(tx.w.first[:0], tx.db.spareScope.again(tx.db.scopes, tx.root.root))
		tx.db.spareScope = nil
		return
	}
	tx.w.scopes = append(tx.w.scopes, newScope(tx.db.scopes, tx.root.root, len(tx.w.handlers)))
	tx.w.scope().ops = len(tx.w.ops)
}

// Rollback undoes all changes since the savepoint and ends it and those inside it. Buckets
// and cursors opened since are not to be used any more; those opened before show the old
// state. It returns ErrSavepointClosed if the savepoint has ended, and ErrTxClosed.
func (sp *Savepoint) Rollback() (err error) {
	return sp.end(func(tx *Tx) error {
		for len(tx.w.scopes) > sp.depth {
			tx.undoScope()
		}
		return tx.root.reload()
	})
}

// Release ends the savepoint and those inside it and keeps their changes. It returns
// ErrSavepointClosed if the savepoint has ended, and ErrTxClosed.
func (sp *Savepoint) Release() error {
	return sp.end(func(tx *Tx) error {
		for len(tx.w.scopes) > sp.depth {
			tx.releaseScope()
		}
		return nil
	})
}

func (sp *Savepoint) end(fn func(*Tx) error) (err error) {
	switch {
	case sp == nil:
		return ErrSavepointClosed
	case sp.tx.ended.Load():
		return ErrTxClosed
	case sp.ended:
		return ErrSavepointClosed
	}
	tx := sp.tx
	if err := tx.check(); err != nil {
		return err
	}
	defer tx.leave(tx.enter(), &err)
	keep := tx.w.savepoints[:0]
	for _, o := range tx.w.savepoints {
		if o.ended = o.depth >= sp.depth; !o.ended {
			keep = append(keep, o)
		}
	}
	tx.w.savepoints = keep
	if err := fn(tx); err != nil {
		return tx.fail(fmt.Errorf("ending a savepoint: %w", err))
	}
	return nil
}

// undoScope rolls back the innermost scope.
func (tx *Tx) undoScope() {
	s := tx.w.scope()
	tx.db.dirty.rollBack(s)
	tx.w.scopes = tx.w.scopes[:len(tx.w.scopes)-1]
	if len(tx.w.scopes) > 0 {
		tx.keepExposed(s, tx.w.scope())
	}
	tx.db.alloc.giveBack(s.allocs.runs())
	for _, b := range slices.Backward(s.buried) {
		b.revive()
	}
	tx.root.root = s.root
	tx.w.handlers = tx.w.handlers[:s.handlers]
	tx.w.ops, tx.w.toldOf = tx.w.ops[:min(s.ops, len(tx.w.ops))], nil
}

// keepExposed keeps what scope s allocated from being used again before the transaction ends
// where slices of it were handed out.
func (tx *Tx) keepExposed(s, parent *scope) {
	for pgno, n := range tx.w.exposed {
		if r := (run{pgno, n}); s.allocs.remove(r) {
			parent.allocs.add(r)
			parent.freed = append(parent.freed, freedRun{r, tx.w.id})
		}
	}
}

// releaseScope makes the innermost scope part of the one around it.
func (tx *Tx) releaseScope() {
	s := tx.w.scope()
	tx.w.scopes = tx.w.scopes[:len(tx.w.scopes)-1]
	tx.db.dirty.release(s, tx.w.scope())
}
