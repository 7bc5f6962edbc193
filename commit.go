package folio

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/foliokv/folio/internal/backing"
)

// This file is a commit: seal, flush, publish. docs/durability.md argues why each crash in it
// is survived. What must hold:
//
//   - A meta reaches the file only after every page it refers to was written.
//   - A meta goes to the slot that does not hold the last durable one.
//   - Between the write of a meta, or the begin of a flush before it, and the end of its flush,
//     its state is needed like the published and the durable one (flight).
//   - A failed write of pages undoes the group. A failed flush or meta write latches the store.
//
// Group commit: transactions that finish while a flush is under way gather in the open group,
// in one set of dirty pages. When the flush ends one of them, the leader, seals the group
// and flushes once for all. A transaction that runs at that moment does not hold it up: what it
// changed so far is set aside, because the first change of each page in its scope left an
// image of the page as the group had it (see sealer and rebase).
//
// A group that seems complete while the flush is still under way is sealed ahead, by the member
// that came last: then the leader has only the meta to write. So is half of many writers. Who comes later
// is sealed as a group of its own, and goes with the same flush if it came before the one under way
// ended; a few beside a large group go with the next (see takesAlong).

// A group is the transactions that will be sealed as one.
type group struct {
	size    int    // transactions in it
	members int    // those of them that wait for durability
	last    uint64 // id of the last transaction in it; 0: none
	grows   bool   // a transaction in it did not only delete
	freed   []freedRun
	allocs  []run
	ops     []byte        // what they did, for the redo log
	untold  bool          // it does not say all
	told    bool          // the group was sealed without being written: the redo log will tell of it
	lead    chan *flush   // gets a flush that one of the members is to finish; nil: to make, too. Closed like done; see joined
	done    chan struct{} // closed when the group is durable or has failed; see awaited
	err     error         // set before they are closed
}

// joined makes the channel that members wait for, which a group without any does without. It is called
// with mu.
func (g *group) joined() {
	if g.lead == nil {
		g.lead = make(chan *flush, 1)
	}
}

// awaited makes the channel that others wait for. It is called with mu.
func (g *group) awaited() {
	if g.done == nil {
		g.done = make(chan struct{})
	}
}

// end lets the members go. It is called with mu.
func (g *group) end(err error) {
	g.err = err
	if g.lead != nil {
		close(g.lead)
	}
	if g.done != nil {
		close(g.done)
	}
}

// newGroup returns an empty group: one that nobody knows any more, if there is such.
func (db *DB) newGroup() *group {
	g := db.spareGroup
	if db.spareGroup = nil; g == nil {
		g = new(group)
	}
	g.freed, db.spareFreed = db.spareFreed, nil
	g.ops, db.spareGroupOps = db.spareGroupOps[:0], nil
	return g
}

// spare takes back the list of a group that was sealed, and the group if nobody knows it.
func (db *DB) spare(g *group, known bool) {
	const most = 4096 // longer lists are left to the garbage collector
	if cap(g.freed) <= most && g.freed != nil {
		db.spareFreed = g.freed[:0]
	}
	g.freed, g.allocs = nil, nil
	if !g.told {
		db.spareOpsOf(g)
	}
	if !known {
		*g = group{}
		db.spareGroup = g
	}
}

// spareOpsOf takes back the memory for what a group told.
func (db *DB) spareOpsOf(g *group) {
	if cap(g.ops) <= 4*redoLongest {
		db.spareGroupOps = g.ops[:0]
	}
	g.ops = nil
}

// A latch is a store that can write no more.
type latch struct {
	err     error
	durable uint64 // the last durable txid
}

// stops tells whether the transaction may see pages that the latch made doubtful.
func (l *latch) stops(tx *Tx) bool { return tx.writable || tx.snap.txid > l.durable }

const (
	// flushFirst is the size in bytes of the writes since the last flush from which on the
	// pages are flushed before the meta, so that verification at open stays bounded.
	flushFirst = 16 << 20
)

// commit ends a write transaction.
func (db *DB) commit(tx *Tx) error {
	if err := tx.complete(); err != nil {
		return tx.endWith(err)
	}
	db.mu.Lock()
	tx.ended.Store(true)
	db.active = nil
	db.ended = tx.w.id
	if err := tx.failure(); err != nil {
		db.drop(tx)
		db.wakeWaiters()
		db.mu.Unlock()
		db.order.unlock()
		return err
	}
	if !tx.w.changed {
		return db.commitNothing(tx)
	}
	g, err := db.join(tx)
	if err != nil {
		db.wakeWaiters()
		db.mu.Unlock()
		db.order.unlock()
		return err
	}
	db.handlers.queue(tx)
	if tx.w.durability == Deferred && g.members == 0 && db.published.Load().txid == db.head.txid {
		err = db.commitDeferred()
	} else {
		err = db.commitDurable(g)
	}
	if err != nil {
		db.handlers.cancel(tx)
		return err
	}
	tx.runHandlers()
	return nil
}

// commitNothing ends a transaction without changes. It waits until what the transaction has
// read is durable where that is not yet published. It is called with mu, and by the holder of
// the writer's turn; it gives up both.
func (db *DB) commitNothing(tx *Tx) error {
	db.dirty.finish(tx.w.scopes[0])
	db.commits++
	fate := db.fateOfSeen()
	db.wakeWaiters()
	db.mu.Unlock()
	db.order.unlock()
	if err := fate(); err != nil {
		return err
	}
	tx.runHandlers()
	return nil
}

// fateOfSeen returns a function that waits until what a transaction sees that ends now is
// published, and returns an error if it never will be: who acts on what he has read must not
// find after a crash, or a full disk, that it was never there. It is called with mu, the
// function without.
func (db *DB) fateOfSeen() func() error {
	published := db.published.Load()
	switch g, head := db.group, db.head.txid; {
	case g.last != 0:
		g.awaited()
		return func() error { <-g.done; return g.err } // its members see to the flush
	case published != nil && published.txid < head:
		return func() error { return db.waitDurable(context.Background(), head) }
	}
	return nothingSeen
}

func nothingSeen() error { return nil }

// complete brings the transaction's pages into the form they are sealed in.
func (tx *Tx) complete() (err error) {
	defer tx.leave(tx.enter(), &err)
	if err := tx.Err(); err != nil {
		return err
	}
	for _, sp := range tx.w.savepoints {
		sp.ended = true
	}
	for len(tx.w.scopes) > 1 {
		tx.releaseScope()
	}
	tx.w.telling = true // what follows is no change of the contents
	if err := tx.root.finish(); err != nil {
		return err
	}
	if err := tx.takeUp(); err != nil {
		return err
	}
	tx.db.relieve(tx.db.dirty.live + 1)
	return tx.Err()
}

// failure returns why the transaction cannot commit though it is complete: the store latched,
// or the group it was built upon failed, meanwhile.
func (tx *Tx) failure() error {
	if l := tx.db.latched.Load(); l != nil {
		return l.err
	}
	if e := tx.failed.Load(); e != nil {
		return *e
	}
	return nil
}

// join makes the finished transaction a member of the open group.
func (db *DB) join(tx *Tx) (g *group, err error) {
	defer db.latchPanic(&err)
	s := tx.w.scopes[0]
	g = db.group
	db.dirty.finish(s)
	db.root = tx.root.root
	g.size++
	g.last = tx.w.id
	g.grows = g.grows || !tx.w.deletes
	g.freed = append(g.freed, s.freed...)
	g.allocs = append(g.allocs, s.allocs.runs()...)
	if g.untold = g.untold || tx.w.untold || tx.w.durability == Deferred; !g.untold {
		g.ops = append(g.ops, tx.w.ops...)
	}
	db.spareScope, db.spareOps = s, tx.w.ops[:0]
	return g, nil
}

// abort ends a write transaction and drops its changes. The function that it returns is that of
// fateOfSeen.
func (db *DB) abort(tx *Tx) (fate func() error) {
	db.mu.Lock()
	db.active = nil
	db.ended = tx.w.id
	fate = nothingSeen
	if tx.w.read && tx.failure() == nil {
		fate = db.fateOfSeen()
	}
	db.drop(tx)
	db.wakeWaiters()
	db.mu.Unlock()
	db.order.unlock()
	return fate
}

// drop undoes all scopes of a transaction.
func (db *DB) drop(tx *Tx) {
	var err error // the store is latched, and says so
	defer db.latchPanic(&err)
	db.rollbacks++
	for _, sp := range tx.w.savepoints {
		sp.ended = true
	}
	clear(tx.w.exposed)
	for len(tx.w.scopes) > 0 {
		tx.undoScope()
	}
}

// commitDeferred seals and publishes the open group. It is called with mu, and by the holder
// of the writer's turn; it gives up both.
func (db *DB) commitDeferred() error {
	g := db.group
	err := db.seal(sealToKeep)
	if g != db.group {
		db.spare(g, g.lead != nil || g.done != nil)
	}
	if err == nil {
		db.publish(db.head)
	}
	db.wakeWaiters()
	over := db.scheduleFlush()
	db.mu.Unlock()
	db.order.unlock()
	if over && err == nil {
		db.awaitFlush()
	}
	return err
}

// commitDurable waits for the group's flush, or does it. It is called with mu, and by the
// holder of the writer's turn; it gives up both.
func (db *DB) commitDurable(g *group) error {
	g.members++
	db.expected--
	if !db.flushing {
		f := db.startFlush()
		db.mu.Unlock()
		db.order.unlock()
		db.finishFlush(&f)
		return g.err
	}
	g.joined()
	if db.sealsAhead() {
		err := db.seal(db.howToSeal())
		if db.spare(g, true); err != nil {
			g.end(err)
		} else {
			db.ahead = append(db.ahead, g)
		}
	}
	db.mu.Unlock()
	db.order.unlock()
	for f := range g.lead {
		if f == nil {
			db.mu.Lock()
			made := db.startFlush()
			db.mu.Unlock()
			db.finishFlush(&made)
			continue
		}
		db.finishFlush(f) // g is among those flushed
	}
	return g.err
}

// A flush is a meta on its way to the disk, and the groups that wait for it.
type flush struct {
	groups []*group
	state  *snapshot
	meta   meta
	slot   int
	kept   []pageWrite // to be written before the meta
	record []byte      // to be written instead of kept pages and meta
	at     int64       // where in the file
	bytes  int64       // written before it began
	full   bool        // the file's size changed
	large  bool        // flush the pages before the meta
	took   time.Duration
	err    error
}

// startFlush seals the open group, writes the free log unless the redo log tells of all there is, and
// fixes what finishFlush will make durable. It is called with mu.
func (db *DB) startFlush() flush {
	db.flushing, db.handed = true, false
	if l := db.latched.Load(); l != nil {
		return flush{err: l.err}
	}
	how := db.howToSeal()
	if g := db.group; g.last != 0 || how == sealToFile && (!db.logged || db.closing && db.redo.at.n > 0) {
		err := db.seal(how)
		if db.spare(g, true); err == nil {
			db.ahead = append(db.ahead, g)
		} else if g.end(err); len(db.ahead) == 0 {
			return flush{err: err}
		} else if how == sealToFile && !db.logged { // a meta would not know what is free
			if how = sealToLog; !db.aheadIsTold() {
				db.latch(err)
				return flush{err: err}
			}
		}
	}
	return db.flushOfAhead(how == sealToLog)
}

// fewestAhead is how many members a group must have to be sealed ahead.
const fewestAhead = 4

// many is how many times as many make a large group.
const many = 4

// sealsAhead tells whether the open group is to be sealed while a flush is under way. That pays if
// nobody else is likely to join: once as many have as the last flush let go, and nobody stands in
// line. And it pays for half of many writers, whoever stands in line: one half runs and is sealed while the
// other is flushed. It must fail no group that the end of the flush would give room to, so there has to be
// plenty as it is, also for the free log; and the members of the flush that ends meanwhile must not
// wait for long.
func (db *DB) sealsAhead() bool {
	const most = 4 << 20 // bytes
	n := db.group.members
	complete := db.expected <= 0 && n >= db.fewestAhead && !db.order.waited()
	half := n >= many*db.fewestAhead && n >= db.flying+max(db.expected, 0)
	if !complete && !half || db.handed || len(db.ahead) > 0 || db.latched.Load() != nil {
		return false
	}
	pages := db.dirty.live
	_, room := db.there()
	return int64(pages)<<db.shift <= most && room > 4*uint64(pages)+db.reserve() && !db.snapshotDue()
}

// takesAlong tells whether those who joined after a group was sealed ahead are to be sealed
// for its flush, which has to wait for that. Where they are few beside a large group they go with the next one.
func (db *DB) takesAlong() bool {
	n, ahead := db.group.members, db.ahead[0].members
	return n > 0 && (ahead < many*db.fewestAhead || n > ahead/2)
}

// aheadIsTold tells whether a record of the redo log can make durable all that is sealed.
func (db *DB) aheadIsTold() bool {
	l := &db.redo
	return l.waiting > 0 && l.through == db.head.txid && l.base == db.durable.txid
}

// flushOfAhead returns a flush of all that is sealed, by a record of the redo log or by a meta.
func (db *DB) flushOfAhead(told bool) flush {
	f := flush{groups: db.ahead, slot: 1 - db.slot}
	db.ahead, db.flying = nil, 0
	for _, g := range f.groups {
		db.flying += g.members
	}
	if told {
		f.err = db.takeTold(&f)
	} else {
		f.err = db.take(&f)
	}
	return f
}

// take notes in f what there is to flush.
func (db *DB) take(f *flush) (err error) {
	defer db.latchPanic(&err)
	f.state = db.head
	f.full, db.grew = db.grew, false
	f.bytes, db.unflushed = db.unflushed, 0
	f.kept = db.newKept()
	for _, w := range f.kept {
		db.kept.flying.mark(run{w.pgno, 1})
	}
	f.large = f.bytes+int64(len(f.kept))<<db.shift > flushFirst
	db.flight = f.state.txid
	f.meta = db.metaOf(f.state, db.durable.txid)
	if f.large {
		f.meta.flags |= metaFlushed
	}
	db.redo.begin(f.state)
	return nil
}

// takeTold notes in f what the redo log is to tell.
func (db *DB) takeTold(f *flush) (err error) {
	defer db.latchPanic(&err)
	l := &db.redo
	f.state = db.head
	db.flight = f.state.txid
	f.at = int64(l.at.start)<<db.shift + l.used
	f.record = db.record(f.groups, db.safe.txid, f.state.txid)
	l.waiting = 0
	for _, g := range f.groups {
		db.spareOpsOf(g)
	}
	return nil
}

func (db *DB) metaOf(s *snapshot, base uint64) meta {
	return meta{
		pageSize: db.pageSize, seed: db.seed, txid: s.txid, base: base,
		root: s.root, log: db.log.head, hwm: s.hwm, created: db.created, redo: s.redo,
	}
}

// finishFlush makes the state durable, publishes it, and passes the lead on.
func (db *DB) finishFlush(f *flush) {
	if l := db.latched.Load(); l != nil && f.err == nil {
		f.err = l.err // by a panic, after f was made
	}
	sealed, doubt := f.err == nil, false
	if sealed {
		doubt, f.err = db.bring(f)
	}
	db.mu.Lock()
	switch {
	case !sealed: // and the group is undone
	case f.err == nil:
		f.err = db.conclude(f)
	case !doubt:
		db.putBack(f)
	default:
		db.latch(f.err)
	}
	db.kept.flying = pageSet{}
	db.expected = 0
	for _, g := range f.groups {
		db.expected += g.members
		if f.err != nil {
			db.commits -= g.size
			db.rollbacks += g.size
		}
		g.end(f.err)
	}
	switch {
	case len(db.ahead) > 0 && !db.takesAlong() && (db.logged || db.aheadIsTold()):
		g := db.ahead[0]
		next := db.flushOfAhead(db.aheadIsTold())
		g.lead <- &next
	case len(db.ahead) > 0:
		db.handed = true
		db.ahead[0].lead <- nil
	case db.group.members > 0 && db.latched.Load() == nil:
		db.handed = true
		db.group.lead <- nil
	default:
		db.flushing = false
		if f.err == nil {
			db.scheduleFlush() // of what was sealed meanwhile
		} else {
			db.armFlush() // not at once: what failed may fail again
		}
	}
	db.wakeWaiters()
	db.mu.Unlock()
	if db.tidy.Load() {
		db.sweep()
	}
}

// bring brings to the disk what was kept, and the meta. doubt tells whether an error leaves open
// what is durable, or fails transactions that others were built upon: writing has to end then.
func (db *DB) bring(f *flush) (doubt bool, err error) {
	doubt = true
	defer func() {
		if r := recover(); r != nil {
			err = db.internalError(r)
		}
	}()
	if f.record != nil {
		begun := time.Now()
		err = db.writeRecord(f)
		f.took = time.Since(begun)
		return true, err
	}
	if err := db.writeKept(f.kept); err != nil {
		return slices.ContainsFunc(f.groups, func(g *group) bool { return g.size > 0 }), err
	}
	begun := time.Now()
	err = db.writeMeta(f)
	f.took = time.Since(begun)
	return true, err
}

// conclude makes what was flushed the durable state, and publishes it.
func (db *DB) conclude(f *flush) (err error) {
	defer db.latchPanic(&err)
	db.safe, db.flight = f.state, 0
	db.countFlush(f)
	if f.record != nil {
		db.redo.used += int64(len(f.record))
	} else {
		db.keptWritten(f.kept)
		db.durable, db.slot = f.state, f.slot
		db.cleanSlots = false
	}
	if f.state.txid > db.published.Load().txid {
		db.publish(f.state)
	}
	if f.record == nil {
		db.cutTail()
	}
	return nil
}

// putBack takes back a flush that could not write what was kept. Nothing is doubtful by that: the
// pages are in memory, nobody was promised more, and the next flush tries again.
func (db *DB) putBack(f *flush) {
	db.flight = 0
	db.grew = db.grew || f.full
	db.unflushed += f.bytes
	db.redo.through = 0
	for _, w := range f.kept {
		if one := (run{w.pgno, 1}); !db.inUse.holds(one) {
			db.kept.old.mark(one) // it was replaced meanwhile
		}
	}
}

// countFlush notes a flush for those who watch.
func (db *DB) countFlush(f *flush) {
	db.flushes++
	if f.record != nil {
		db.redone += int64(len(f.record))
	} else {
		db.written.Meta++
	}
	db.flushTimes.add(f.took.Microseconds())
	if f.took >= db.opts.SlowFlush {
		db.events.add(EventSlowFlush{Took: f.took, Txid: int(f.state.txid)})
	}
}

// writeMeta writes the meta of a flush and makes it durable with all before it.
func (db *DB) writeMeta(f *flush) error {
	if f.large {
		if err := syncFile(db.file, f.full); err != nil {
			return fmt.Errorf("flushing pages: %w", err)
		}
		f.full = false
	}
	if db.meta == nil {
		db.meta = make([]byte, db.pageSize)
	}
	if err := writeFull(db.file, f.meta.encodeTo(db.meta), int64(f.slot)<<db.shift); err != nil {
		return fmt.Errorf("writing meta: %w", err)
	}
	if err := syncFile(db.file, f.full); err != nil {
		return fmt.Errorf("flushing: %w", err)
	}
	return nil
}

func syncFile(f backing.File, full bool) error {
	if full {
		return f.SyncFull()
	}
	return f.SyncData()
}

func writeFull(f backing.File, b []byte, off int64) error {
	n, err := f.WriteAt(b, off)
	if err == nil && n < len(b) {
		err = fmt.Errorf("wrote %d bytes of %d", n, len(b))
	}
	return err
}

// latch ends all writing after a failed flush or meta write: the kernel may have dropped
// pages it could not write, so only the last durable state can be trusted.
func (db *DB) latch(err error) {
	db.latched.CompareAndSwap(nil, &latch{err: err, durable: db.safe.txid})
	db.opts.Logger.Error("folio: writing has ended until the store is opened again", "path", db.name, "err", err)
	db.events.add(EventLatched{Err: err, DurableTxid: int(db.safe.txid)})
	for _, g := range append([]*group{db.group}, db.ahead...) {
		select {
		case <-g.lead: // nobody has taken it, and nobody will
			db.flushing, db.handed = false, false
		default:
		}
	}
	db.rollbacks += db.group.size
	for _, g := range db.ahead {
		db.commits -= g.size
		db.rollbacks += g.size
		g.end(err)
	}
	db.ahead = nil
	db.publish(db.safe)
	db.m.forget()
	for _, r := range db.retired {
		r.forget()
	}
	db.group.end(err)
	db.group = db.newGroup()
}

// latchPanic makes a panic an error that latches the store: what is in memory may be half
// changed, and whoever called must let go of the mutex and of the writer's turn all the same.
// Use as: defer db.latchPanic(&err), with mu.
func (db *DB) latchPanic(errp *error) {
	if invariants {
		return
	}
	if r := recover(); r != nil {
		*errp = db.internalError(r)
		db.latch(*errp)
	}
}

func (db *DB) internalError(r any) error {
	db.opts.Logger.Error("folio: internal error", "path", db.name, "panic", r, "stack", string(debug.Stack()))
	return fmt.Errorf("internal error: %v", r)
}

// publish makes s what new readers see. It is read through the newest mapping.
func (db *DB) publish(s *snapshot) {
	old := db.published.Load()
	if old == nil {
		return // closing
	}
	if old.txid != s.txid {
		db.past = append(db.past, pastState{txid: old.txid, replaced: time.Now()})
	}
	if s.m != db.m {
		s = &snapshot{txid: s.txid, root: s.root, log: s.log, hwm: s.hwm, redo: s.redo, m: db.m}
		if db.head.txid == s.txid {
			db.head = s
		}
		if db.durable.txid == s.txid {
			db.durable = s
		}
		if db.safe.txid == s.txid {
			db.safe = s
		}
	}
	db.published.Store(s)
}

// A pageWrite is a page on its way to the file.
type pageWrite struct {
	pgno uint32
	buf  page
}

// A sealing says what follows a seal, and so how its pages lie and whether they are written.
type sealing int

const (
	sealToKeep sealing = iota // no flush: they stay in memory
	sealToLog                 // a flush of the redo log: they stay in memory until one of pages comes
	sealToFile                // a flush of pages and a meta: they are written, and the free log
)

// howToSeal returns how to seal what a flush is to make durable.
func (db *DB) howToSeal() sealing {
	if db.tellsGroup() {
		return sealToLog
	}
	return sealToFile
}

// seal turns the open group's dirty pages into pages of the file and makes them the newest
// state, though neither published nor durable. When it fails the group is undone. It is called
// with mu.
func (db *DB) seal(how sealing) (err error) {
	defer db.latchPanic(&err)
	g := db.group
	withLog := how == sealToFile
	if g.last == 0 && !withLog {
		return nil
	}
	db.group = db.newGroup()
	needed := db.needed(db.states)
	db.states = needed
	db.alloc.release(needed)
	db.watchReaders(needed)
	db.alloc.trim()
	if withLog {
		db.delta.tidy()
	}
	s := newSealer(db, g)
	s.how, s.logs, s.redo = how, withLog, db.redo.at
	defer s.end()
	if err := s.run(); err != nil {
		s.undo()
		return fmt.Errorf("commit: %w", err)
	}
	s.settle(needed)
	return nil
}

// needed returns the states that must stay readable, in the memory of a list. It is called with mu.
func (db *DB) needed(list []uint64) []uint64 {
	published := uint64(0)
	if p := db.published.Load(); p != nil {
		published = p.txid
	}
	base := uint64(0)
	if db.active != nil {
		base = db.active.w.base
	}
	return db.readers.appendNeeded(list[:0], published, db.durable.txid, db.safe.txid, db.flight, base)
}

// A sealer is one seal under way.
type sealer struct {
	db    *DB
	group *group
	root  ref
	how   sealing
	redo  run              // the redo log of the state being sealed
	some  bool             // its pages are so few that others may be moved
	small bool             // so few that branches just above leaves live long, too, and lie with them
	keeps bool             // the pages stay in memory
	even  bool             // all pages are placed alike, by leaf
	refs  []ref            // what they became, by index; pgno 0 for what was not sealed
	image map[uint32]*undo // pages as the group had them, which the open transaction changed
	leaf  numbering        // gives out pages for leaves
	other numbering        // and for branches and the log
	mark  deltaMark        // the delta before
	logs  bool             // it is written: log is the new one
	log   freeLog
	sealLists
}

// sealLists are lists of a sealer, whose memory the next one uses again.
type sealLists struct {
	order []sealedPage // dirty pages, children before parents
	at    []uint32     // where in them dirty refs stand
	runs  []run        // allocated for the pages and the log
	old   []freedRun   // pages of the old log that go
	out   []pageWrite
	uses  []useChange // to be undone if the group fails
	moves []move      // pages that only change their place

	children   []uint32 // the pages that changed branches refer to
	branches   []int    // for choosing the moves, as are candidates and moving
	candidates []candidate
	moving     pageSet // empty but while they are chosen
	spare      []uint64
	places     byPlace
}

// emptied returns the lists without contents.
func (l sealLists) emptied() sealLists {
	const most = 16384 // longer ones are left to the garbage collector
	if max(cap(l.out), cap(l.order), cap(l.uses), cap(l.at), cap(l.children)/64) > most {
		return sealLists{}
	}
	clear(l.out)
	clear(l.moves)
	l.order, l.at, l.runs, l.old, l.out, l.uses = l.order[:0], l.at[:0], l.runs[:0], l.old[:0], l.out[:0], l.uses[:0]
	l.moves, l.children = l.moves[:0], l.children[:0]
	return l
}

// A sealedPage is a dirty page that is being sealed.
type sealedPage struct {
	pgno     uint32
	root     bool // of a bucket
	from, to int  // in sealer.at: its dirty refs
	refs     int  // where in sealer.children its refs begin; sealer.some
}

// newSealer begins a seal.
func newSealer(db *DB, g *group) *sealer {
	s := &db.sealer
	*s = sealer{db: db, group: g, root: db.root, mark: db.delta.mark(), sealLists: s.sealLists}
	if g.last == 0 {
		s.root = db.head.root
		return s
	}
	s.refs = db.refs[:0]
	if n := len(db.dirty.pages); cap(s.refs) < n {
		s.refs = make([]ref, n, 2*n)
	} else {
		s.refs = s.refs[:n]
		clear(s.refs)
	}
	db.refs = s.refs
	if tx := db.active; tx != nil {
		s.image = map[uint32]*undo{}
		for _, sc := range tx.w.scopes {
			for i := range sc.undo {
				if u := &sc.undo[i]; s.image[u.index] == nil && u.page.scope == 0 {
					s.image[u.index] = u
				}
			}
		}
	}
	return s
}

// end lets go of all but the memory of lists.
func (s *sealer) end() { *s = sealer{sealLists: s.emptied()} }

// page returns a dirty page as the group had it.
func (s *sealer) page(pgno uint32) *dirtyPage {
	if u := s.image[pgno&^dirtyBit]; u != nil {
		return &u.page
	}
	return s.db.dirty.at(pgno)
}

func (s *sealer) run() error {
	s.some = s.logs
	s.collect(s.root, true)
	if s.keeps = !s.logs && s.db.keeps(len(s.order)); s.keeps {
		if err := s.db.roomToKeep(len(s.order)); err != nil {
			return err
		}
	}
	if err := s.allocate(); err != nil {
		return err
	}
	switch {
	case !s.logs:
	case s.db.closing && s.redo.n > 0:
		s.dropRedo()
	case s.redo.n > 0:
		s.moveRedo()
	case s.db.startsLog(len(s.order)):
		s.openRedo()
	}
	s.number()
	s.changeDelta()
	if err := s.changeInUse(); err != nil {
		return err
	}
	if s.logs {
		if err := s.writeLog(); err != nil {
			return err
		}
	}
	if s.keeps {
		return s.keep()
	}
	if err := s.clearRedo(); err != nil {
		return err
	}
	return s.write()
}

// collect lists the dirty pages below r, which may be the root of a bucket.
func (s *sealer) collect(r ref, root bool) {
	if !r.dirty() {
		return
	}
	d := s.page(r.pgno)
	if d.leaf && !d.buckets { // most pages: a look at them here would be a miss of the processor's caches each
		s.order = append(s.order, sealedPage{pgno: r.pgno, root: root})
		return
	}
	p := sealedPage{pgno: r.pgno, root: root, from: len(s.at), refs: len(s.children)}
	if s.some = s.some && len(s.order) < fewPages; s.some && !d.leaf {
		s.children = d.buf.appendRefPgnos(s.children)
		for i, pgno := range s.children[p.refs:] {
			if pgno&dirtyBit != 0 {
				s.at = append(s.at, uint32(d.buf.cellOff(i)))
			}
		}
	} else {
		s.at = appendDirtyRefs(s.at, d)
	}
	p.to = len(s.at)
	for i := p.from; i < p.to; i++ {
		s.collect(getRef(d.buf[s.at[i]:]), d.leaf)
	}
	s.order = append(s.order, p)
}

// appendDirtyRefs appends the offsets of the dirty refs in a page.
func appendDirtyRefs(at []uint32, d *dirtyPage) []uint32 {
	if d.leaf && !d.buckets {
		return at
	}
	p := d.buf
	for i := range p.count() {
		off := p.cellOff(i)
		if d.leaf {
			if p[off] != cellBucket {
				continue
			}
			off += leafKeyOff + keySpace(int(p.slotWord(i)>>48))
		}
		if le.Uint32(p[off:])&dirtyBit != 0 {
			at = append(at, uint32(off))
		}
	}
	return at
}

// fewPages is up to how many pages a group is placed so that its flush has few pieces. Larger
// ones fill holes, so that a load leaves a dense file.
const fewPages = 512

// onePiece is up to how many changed pages all of a group lies together.
const onePiece = 16

// allocate gives every page its place.
func (s *sealer) allocate() error {
	s.db.alloc.clearing = false
	n := uint32(len(s.order))
	if s.logs {
		n++ // for the free log
	}
	if s.group.grows && n > 0 {
		if err := s.db.ensureRoom(n, !s.keeps && (!s.logs || n >= straightPages)); err != nil {
			return err
		}
	}
	if !s.logs || n > fewPages {
		s.even = true
		return s.allocateFor(n, anywhere, &s.leaf)
	}
	small := n <= onePiece && s.group.grows
	if small && s.allocateSmall() {
		return nil
	}
	s.small = small && !s.db.roomForBranches(n)
	leaves, others := s.count()
	s.relocate(leaves)
	if !small {
		defer s.db.alloc.keepPace(s.db.alloc.sweep)
	}
	if err := s.allocateFor(others, shortLived, &s.other); err != nil {
		return err
	}
	return s.allocateFor(leaves+uint32(len(s.moves)), together, &s.leaf)
}

// allocateSmall gives a small group one run for all its pages, if it can.
func (s *sealer) allocateSmall() bool {
	s.small = true
	leaves, others := s.count()
	l, o, ok := s.db.allocateSmall(leaves, others)
	if s.small = ok; ok {
		s.runs = append(s.runs, l, o)
		s.leaf, s.other = numbering{runs: []run{l}}, numbering{runs: []run{o}}
	}
	return ok
}

// count returns how many pages are long-lived, and how many are not, the free log's first page
// among them.
func (s *sealer) count() (leaves, others uint32) {
	for _, p := range s.order {
		if !s.shortLived(p) {
			leaves++
		}
	}
	return leaves, uint32(len(s.order)) + 1 - leaves
}

func (s *sealer) allocateFor(n uint32, how placing, next *numbering) error {
	if n == 0 {
		return nil
	}
	runs, err := s.db.place(n, s.group.grows, how)
	if err != nil {
		return err
	}
	s.runs = append(s.runs, runs...)
	*next = numbering{runs: runs}
	return nil
}

// shortLived tells whether the page is likely to change again with one of the next groups:
// branches are, and leaves that hold buckets. Small groups have each its own branches just
// above the leaves.
func (s *sealer) shortLived(p sealedPage) bool {
	d := s.page(p.pgno)
	switch {
	case d.leaf:
		return d.buckets
	case s.small:
		return d.buf.level() > 1 || p.root
	}
	return true
}

// number gives the pages their place in the file and their checksums, bottom up.
func (s *sealer) number() {
	birth := s.group.last
	s.placeMoves()
	for _, p := range s.order {
		d := s.page(p.pgno)
		for _, off := range s.at[p.from:p.to] {
			b := d.buf[off : off+refSize]
			r := s.refs[le.Uint32(b)&^dirtyBit]
			r.count = getRef(b).count
			r.put(b)
		}
		next := &s.leaf
		if !s.even && s.shortLived(p) {
			next = &s.other
		}
		s.refs[p.pgno&^dirtyBit] = s.finish(d.buf, next.next(), birth)
	}
	if s.root.dirty() {
		count := s.root.count
		s.root = s.refs[s.root.pgno&^dirtyBit]
		s.root.count = count
	}
}

// finish stamps a page and returns the ref to it, without the count.
func (s *sealer) finish(p page, pgno uint32, birth uint64) ref {
	le.PutUint32(p[16:], pgno)
	le.PutUint64(p[24:], birth)
	s.out = append(s.out, pageWrite{pgno, p})
	return ref{pgno: pgno, birth: birth, sum: checksum(s.db.seed, pgno, birth, p)}
}

// A numbering gives out the pages of runs one by one.
type numbering struct {
	runs  []run
	given uint32 // of the first
}

func (n *numbering) next() uint32 {
	if n.given == n.runs[0].n {
		n.runs, n.given = n.runs[1:], 0
	}
	n.given++
	return n.runs[0].start + n.given - 1
}

// changeDelta tells the delta what the group frees and allocates.
func (s *sealer) changeDelta() {
	d := &s.db.delta
	for _, r := range s.group.freed {
		d.free(r.run)
	}
	for _, r := range s.group.allocs {
		d.alloc(r)
	}
	for _, r := range s.runs {
		d.alloc(r)
	}
}

// changeInUse tells inUse what the group allocates and frees, the free log excepted. A page
// that is freed and not in use is one that two places of a damaged file refer to: to free it
// twice would make a free log that cannot be read.
func (s *sealer) changeInUse() error {
	for _, r := range s.group.allocs {
		if err := s.use(r, true); err != nil {
			return err
		}
	}
	for _, w := range s.out {
		if err := s.use(run{w.pgno, 1}, true); err != nil {
			return err
		}
	}
	for _, r := range s.group.freed {
		if err := s.use(r.run, false); err != nil {
			return err
		}
	}
	return nil
}

func (s *sealer) use(r run, in bool) error {
	if !s.db.inUse.has(r, !in) {
		return corruptf(r.start, "two places refer to it, or it is both free and in use")
	}
	s.db.inUse.set(r, in)
	s.uses = append(s.uses, useChange{r, in})
	return nil
}

// A useChange is a run that inUse was told of.
type useChange struct {
	run
	in bool
}

// writeLog makes the free log say what is free in the state being sealed. One page is allocated
// for it; more are as needed.
func (s *sealer) writeLog() error {
	db := s.db
	first := &s.other
	if s.even {
		first = &s.leaf
	}
	own := []run{{first.next(), 1}}
	changes := len(db.delta.freed) + len(db.delta.allocated)
	changes += 2 + changes/64 // for the pages of the log itself
	snapshot := db.snapshotDue()
	replace := !snapshot && db.log.fitsTail(db.pageSize, changes)
	space := logSpace(db.pageSize, changes)
	switch {
	case snapshot:
		for _, r := range db.log.chain {
			s.old = append(s.old, freedRun{run{r.pgno, 1}, r.birth})
		}
		space = snapshotSpace(db.pageSize, db.alloc.hwm, db.alloc.unused(s.unusedOnDisk()))
	case replace:
		t := db.log.head
		s.old = append(s.old, freedRun{run{t.pgno, 1}, t.birth})
	}
	for _, r := range s.old {
		db.delta.free(r.run)
	}
	if n := space - 1; !replace && n > 0 {
		more, err := db.allocate(uint32(n), s.group.grows, shortLived)
		if err != nil {
			return err
		}
		own = append(own, more...)
		for _, r := range more {
			db.delta.alloc(r)
		}
		s.runs = append(s.runs, more...)
	}
	return s.encodeLog(snapshot, replace, own)
}

// snapshotDue tells whether the next free log is to be a fresh snapshot.
func (db *DB) snapshotDue() bool {
	return db.log.outgrown(db.pageSize) || db.log.obstructs(db.alloc, db.pageSize, db.redo.at.n > 0)
}

func (s *sealer) encodeLog(snapshot, replace bool, own []run) error {
	db := s.db
	l := db.log
	var w logWriter
	var pages []page
	if snapshot {
		w, pages = encodeLogSnapshot(db.pageSize, db.alloc.hwm, db.alloc.unused(s.unusedOnDisk()))
		l.snapshot, l.records = w.written, 0
	} else {
		freed, allocated := db.delta.net()
		w, pages = l.encode(db.pageSize, replace, db.alloc.hwm, freed, allocated)
	}
	n := 0
	for _, r := range own {
		n += int(r.n)
	}
	if len(pages) > n {
		return fmt.Errorf("the free log takes %d pages, %d are there", len(pages), n) // never, by the bounds
	}
	for len(pages) < n {
		pages = append(pages, newLogPage(db.pageSize))
	}
	prev, rest := l.head, l.chain
	switch {
	case snapshot:
		prev, rest = ref{}, nil
	case replace:
		prev, rest = getRef(l.tail[headerSize:]), rest[:len(rest)-1]
	}
	l.chain = append(l.spare.chain[:0], rest...)
	next := numbering{runs: own}
	birth := max(s.group.last, db.head.txid)
	for _, p := range pages {
		prev.put(p[headerSize:])
		prev = s.finish(p, next.next(), birth)
		l.chain = append(l.chain, prev)
		l.tail = p
	}
	l.head, l.hwm = prev, db.alloc.hwm
	l.records += w.written
	clear(pages)
	l.spare = logSpare{db.log.tail, db.log.chain, pages} // nobody's once this log has taken that one's place
	s.log = l
	return nil
}

// unusedOnDisk returns the pages that the state being sealed does not reach though the
// allocator does not count them as free or pending.
func (s *sealer) unusedOnDisk() []run {
	var rs []run
	for _, f := range s.group.freed {
		rs = append(rs, f.run)
	}
	for _, f := range s.old {
		rs = append(rs, f.run)
	}
	if tx := s.db.active; tx != nil {
		for _, sc := range tx.w.scopes {
			rs = append(rs, sc.allocs.runs()...)
		}
	}
	return rs
}

// write writes the pages, adjacent ones together.
func (s *sealer) write() error {
	db := s.db
	write := db.writePages
	if !s.even && len(s.out) <= onePiece { // a flush of little follows
		db.splitPieces(run{0, metaPages})
		write = func(pgno uint32, bufs [][]byte) error {
			db.splitPieces(run{pgno, uint32(len(bufs))})
			return db.writePages(pgno, bufs)
		}
	}
	if err := s.places.eachRun(s.out, write); err != nil {
		return err
	}
	return db.fitFile()
}

// writePages writes buffers to adjacent pages.
func (db *DB) writePages(pgno uint32, bufs [][]byte) error {
	off := int64(pgno) << db.shift
	n, err := db.file.WriteVec(bufs, off)
	db.unflushed += int64(n)
	db.extended(off, int64(n))
	if err != nil {
		if off+int64(n) >= db.size {
			db.noSpace(err)
		}
		return fmt.Errorf("writing pages from %d: %w", pgno, err)
	}
	for _, b := range bufs {
		db.written.add(b)
	}
	if err := db.m.m.Refresh(off, int64(n)); err != nil {
		return fmt.Errorf("refreshing pages from %d: %w", pgno, err)
	}
	return nil
}

// extended notes that n bytes were written at off. Where none were, as the write failed, the
// file may end before off.
func (db *DB) extended(off, n int64) {
	if n > 0 && off+n > db.size {
		db.events.add(EventGrown{db.size, off + n})
		db.size, db.grew = off+n, true
	}
}

// noSpace notes that the file could not be made longer.
func (db *DB) noSpace(err error) {
	if !db.full {
		db.events.add(EventNoSpace{err})
	}
	db.full = true
}

// fitFile makes the file and the mapping reach to the high-water mark.
func (db *DB) fitFile() error {
	if want := int64(db.alloc.hwm) << db.shift; db.size < want && !db.volatile {
		if err := db.file.Truncate(want); err != nil {
			return fmt.Errorf("growing the file: %w", err)
		}
		db.extended(0, want)
	}
	return db.remap()
}

// settle makes what was sealed the newest state.
func (s *sealer) settle(needed []uint64) {
	db, g := s.db, s.group
	db.seals++
	if g.size > 0 {
		db.commits += g.size
		db.groups.add(int64(g.size))
	}
	for _, w := range s.out {
		if !s.keeps {
			db.m.setVerified(w.pgno)
		}
	}
	txid := max(g.last, db.head.txid)
	pages := uint64(0)
	for _, r := range g.freed {
		pages += uint64(r.n)
	}
	db.redo.freed(pages, db.alloc.hwm)
	db.alloc.retire(g.freed, g.last, needed)
	if s.logs {
		db.alloc.retire(s.old, txid, needed)
		db.log = s.log
		db.delta.reset(deltaMark{})
		db.redo.at = s.redo
	}
	if g.told = s.how == sealToLog; g.told {
		db.redo.through = txid
		db.redo.waiting += redoSize(len(g.ops))
	}
	db.logged = s.logs
	if db.delta.grown() {
		db.delta.tidy()
	}
	db.moved += len(s.moves)
	s.endMoves()
	db.head = &snapshot{txid: txid, root: s.root, log: db.log.head, hwm: db.alloc.hwm, redo: db.redo.place(), m: db.m}
	db.root = s.root
	if g.last == 0 {
		return
	}
	if db.active == nil {
		db.dirty.reset()
		return
	}
	s.rebase(db.active)
}

// undo makes it as if the group had never been. What a running transaction built upon it
// fails too.
func (s *sealer) undo() {
	db := s.db
	db.delta.reset(s.mark)
	for _, u := range slices.Backward(s.uses) {
		db.inUse.set(u.run, !u.in)
	}
	db.alloc.giveBack(s.runs)
	s.endMoves()
	if s.group.last == 0 {
		return
	}
	db.rollbacks += s.group.size
	db.alloc.giveBack(s.group.allocs)
	db.root = db.head.root
	if tx := db.active; tx != nil {
		tx.fail(fmt.Errorf("a transaction before this one, of its group, could not be written"))
		tx.abandon()
	}
	db.dirty.reset()
}

// abandon drops the pages of a transaction that cannot commit any more, in the middle of it.
// All else is left for its own goroutine to drop. An extent that it is writing at this moment
// stays its own. Its open buckets become empty: what they refer to is not there any more, and a new dirty page
// might take the number of an old one.
func (tx *Tx) abandon() {
	a := tx.db.alloc
	tx.w.abandoned = true
	for _, sc := range tx.w.scopes {
		a.giveBack(sc.allocs.runs())
	}
	s := newScope(0, tx.db.root, 0)
	if w := tx.w.writing; w.n > 0 && a.free.remove(w) {
		s.allocs.add(w)
	}
	clear(tx.w.exposed)
	tx.w.scopes = []*scope{s}
	tx.root.eachOpen(func(b *Bucket) {
		b.root, b.inline = ref{}, nil
		b.changed, b.listed, b.stale = false, false, nil
		b.changes++
	})
	tx.root.root = tx.db.root
}

// rebase makes the open transaction stand on the sealed group instead of on its dirty pages.
// What a page of the group meant to the transaction depends on when: before the scope that
// first changed it, what is sealed now; after it, the transaction's own version.
func (s *sealer) rebase(tx *Tx) {
	db := s.db
	since := map[uint32]int{} // the scope that first changed a page of the group
	for k, sc := range tx.w.scopes {
		for _, u := range sc.undo {
			if u.page.scope == 0 {
				since[u.index|dirtyBit] = k
			}
		}
	}
	patch := func(d *dirtyPage, k int) {
		if d.buf == nil {
			return
		}
		for _, off := range appendDirtyRefs(nil, d) {
			s.resolve(d.buf[off:off+refSize], since, k)
		}
	}
	depth := map[uint64]int{}
	for k, sc := range tx.w.scopes {
		depth[sc.serial] = k
	}
	for i := range db.dirty.pages {
		// The header of a nested bucket that an inner scope changed stands in a page of an outer one
		// as it was before, until it is written back.
		if d := &db.dirty.pages[i]; d.scope != 0 {
			patch(d, depth[d.scope]+1)
		}
	}
	for k, sc := range tx.w.scopes {
		for i := range sc.undo {
			if u := &sc.undo[i]; u.page.scope != 0 {
				patch(&u.page, k)
			}
		}
		sc.root = s.resolved(sc.root, since, k)
	}
	s.rebaseBucket(&tx.root, since, len(tx.w.scopes))
	s.handOver(tx, since)
}

// resolved returns what ref r, seen before scope k, refers to now.
func (s *sealer) resolved(r ref, since map[uint32]int, k int) ref {
	if !r.dirty() {
		return r
	}
	to := ref{}
	if i := int(r.pgno &^ dirtyBit); i < len(s.refs) {
		to = s.refs[i]
	}
	if first, changed := since[r.pgno]; to.pgno == 0 || changed && first < k {
		return r
	}
	to.count = r.count
	return to
}

func (s *sealer) resolve(b []byte, since map[uint32]int, k int) {
	s.resolved(getRef(b), since, k).put(b)
}

func (s *sealer) rebaseBucket(b *Bucket, since map[uint32]int, k int) {
	b.root = s.resolved(b.root, since, k)
	b.changes++
	b.moved++
	for _, c := range b.children.inOrder(nil) {
		s.rebaseBucket(c, since, k)
	}
}

// handOver gives up the group's dirty pages. One that the transaction changed becomes its
// own, and the sealed page one that the transaction freed.
func (s *sealer) handOver(tx *Tx, since map[uint32]int) {
	t := &s.db.dirty
	for _, p := range s.order {
		if _, changed := since[p.pgno]; !changed {
			d := t.at(p.pgno)
			t.recycle(*d)
			*d = dirtyPage{}
			t.live--
			t.spare = append(t.spare, p.pgno&^dirtyBit)
		}
	}
	for _, sc := range tx.w.scopes {
		keep := sc.undo[:0]
		for _, u := range sc.undo {
			if u.page.scope != 0 {
				keep = append(keep, u)
				continue
			}
			if r := s.refs[u.index]; r.pgno != 0 {
				sc.freed = append(sc.freed, freedRun{run{r.pgno, 1}, r.birth})
			}
			t.recycle(u.page)
			t.disown(u.index, sc, tx.w.scopes)
		}
		sc.undo = keep
	}
}
