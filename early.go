package folio

import (
	"cmp"
	"fmt"
	"slices"
)

// This file writes pages before the transaction commits: when it has outgrown
// Options.DirtyLimit, and when it loads in bulk. Such pages bear the transaction's id and are
// allocated to its innermost scope; they are pages of the file like any others.

// spilled is the end of every write call: it writes pages early when the transaction has
// outgrown Options.DirtyLimit.
func (tx *Tx) spilled(err error) error {
	if err != nil || int64(tx.db.dirty.live)<<tx.db.shift <= max(tx.db.opts.DirtyLimit, tx.w.spillAt) {
		return err
	}
	err = tx.root.fold()
	if err == nil {
		err = tx.root.rebalanceOpen()
	}
	if err == nil {
		err = tx.spill()
	}
	if err != nil {
		return tx.fail(fmt.Errorf("writing pages of a large transaction early: %w", err))
	}
	// What cannot be written yet, such as the roots of many open buckets, must not be looked
	// at again with every call.
	left := int64(tx.db.dirty.live) << tx.db.shift
	tx.w.spillAt = left + left/4
	return nil
}

// fold takes small open buckets into their parents.
func (b *Bucket) fold() error {
	for _, c := range b.children.inOrder(nil) {
		if err := c.fold(); err != nil {
			return err
		}
		if c.takeInline(); c.inline != nil && c.changed {
			if err := b.putHeader(c); err != nil {
				return err
			}
		}
	}
	return nil
}

// rebalanceOpen merges underfull pages of the bucket and all open ones below it: what is
// written early is not looked at again at the end.
func (b *Bucket) rebalanceOpen() error {
	for _, c := range b.children.inOrder(nil) {
		if err := c.rebalanceOpen(); err != nil {
			return err
		}
	}
	return b.rebalance()
}

// A spillable is a dirty page that can be written early, and where its ref stands.
type spillable struct {
	parent  uint32
	slot    int
	pgno    uint32
	touched uint32
}

// spill writes early most of the innermost scope's leaves, those that were not touched lately.
// Branches stay as long as leaves make up half of what is dirty: with keys in no order a leaf
// is changed once before it goes, a branch many times. Level by level, so that a branch follows
// when all its children are in the file.
func (tx *Tx) spill() error {
	leaves := tx.spillable(0)
	few := 2*len(leaves) < tx.db.dirty.live
	err := tx.writeEarly(coldest(leaves, 3, 4))
	for level := 1; err == nil && few && level <= maxLevel; level++ {
		pages := tx.spillable(level)
		if len(pages) == 0 {
			break
		}
		err = tx.writeEarly(coldest(pages, 1, 2))
	}
	tx.root.eachOpen(func(b *Bucket) { b.changes++ }) // cursors hold pages that are gone
	return err
}

// coldest returns n of m of the pages, rounded up: those that were touched first.
func coldest(pages []spillable, n, m int) []spillable {
	slices.SortFunc(pages, func(a, b spillable) int { return cmp.Compare(a.touched, b.touched) })
	return pages[:(len(pages)*n+m-1)/m]
}

// eachOpen calls fn for the bucket and all open ones below it.
func (b *Bucket) eachOpen(fn func(*Bucket)) {
	fn(b)
	for _, c := range b.children.inOrder(nil) {
		c.eachOpen(fn)
	}
}

// spillable lists the pages of a level that the innermost scope owns, except roots, leaves
// that may refer to dirty buckets, and branches with dirty children.
func (tx *Tx) spillable(level int) []spillable {
	var pages []spillable
	tx.root.eachOpen(func(b *Bucket) {
		if b.owns(b.root.pgno) {
			pages = b.appendSpillable(pages, b.root.pgno, level)
		}
	})
	return pages
}

func (b *Bucket) appendSpillable(pages []spillable, parent uint32, level int) []spillable {
	p := b.tx.db.dirty.at(parent).buf
	below := p.level() - 1
	if below < level {
		return pages
	}
	for i := range p.count() {
		c := p.refPgno(i)
		if !b.owns(c) {
			continue
		}
		if below > level {
			pages = b.appendSpillable(pages, c, level)
			continue
		}
		if d := b.tx.db.dirty.at(c); !d.buckets && (level == 0 || !hasDirtyChild(d.buf)) {
			pages = append(pages, spillable{parent, i, c, d.touched})
		}
	}
	return pages
}

// hasDirtyChild tells whether any child of a branch is dirty.
func hasDirtyChild(p page) bool {
	for i := range p.count() {
		if p.refPgno(i)&dirtyBit != 0 {
			return true
		}
	}
	return false
}

// writeEarly writes dirty pages to the file and puts their new refs into their parents.
func (tx *Tx) writeEarly(pages []spillable) error {
	w := tx.newEarlyWriter(uint32(len(pages)))
	slices.SortFunc(pages, func(a, b spillable) int {
		return cmp.Or(cmp.Compare(a.parent, b.parent), cmp.Compare(a.slot, b.slot))
	})
	refs := make([]ref, len(pages))
	var err error
	for i, s := range pages {
		if refs[i], err = w.add(tx.db.dirty.at(s.pgno).buf); err != nil {
			break
		}
	}
	if err = cmp.Or(err, w.close()); err != nil {
		return err
	}
	for i, s := range pages {
		parent := tx.db.dirty.at(s.parent).buf
		refs[i].count = parent.ref(s.slot).count
		parent.setRef(s.slot, refs[i])
		tx.db.dirty.drop(s.pgno, tx.w.scope())
	}
	return nil
}

// An earlyWriter writes pages, gathered, to pages of the innermost scope.
type earlyWriter struct {
	tx    *Tx
	batch uint32 // pages allocated at a time
	runs  []run  // allocated and not yet given out
	first uint32 // where bufs go
	bufs  [][]byte
	reuse bool // bufs are the writer's to use again once written
}

func (tx *Tx) newEarlyWriter(batch uint32) *earlyWriter {
	return &earlyWriter{tx: tx, batch: min(batch, 256)}
}

// add gives p its place and returns the ref to it, without the count. p must stay as it is
// until close.
func (w *earlyWriter) add(p page) (ref, error) {
	if len(w.runs) == 0 {
		rs, err := w.tx.db.allocate(w.batch, true, anywhere)
		if err != nil {
			return ref{}, err
		}
		for _, r := range rs {
			w.tx.w.scope().allocs.add(r)
		}
		w.runs = rs
	}
	pgno := w.runs[0].start
	if len(w.bufs) > 0 && (pgno != w.first+uint32(len(w.bufs)) || len(w.bufs) == 256) {
		if err := w.write(); err != nil {
			return ref{}, err
		}
	}
	if w.runs[0] = (run{pgno + 1, w.runs[0].n - 1}); w.runs[0].n == 0 {
		w.runs = w.runs[1:]
	}
	if len(w.bufs) == 0 {
		w.first = pgno
	}
	w.bufs = append(w.bufs, p)
	birth := w.tx.w.id
	le.PutUint32(p[16:], pgno)
	le.PutUint64(p[24:], birth)
	return ref{pgno: pgno, birth: birth, sum: checksum(w.tx.db.seed, pgno, birth, p)}, nil
}

func (w *earlyWriter) write() error {
	db := w.tx.db
	if len(w.bufs) == 0 {
		return nil
	}
	if err := db.writePages(w.first, w.bufs); err != nil {
		return err
	}
	if err := db.remap(); err != nil {
		return err
	}
	w.tx.follow()
	for i := range w.bufs {
		db.m.setVerified(w.first + uint32(i))
	}
	if w.reuse {
		for _, b := range w.bufs {
			db.dirty.recycle(dirtyPage{buf: b})
		}
	}
	w.bufs = w.bufs[:0]
	return nil
}

// close writes what is left and gives back pages not used.
func (w *earlyWriter) close() error {
	err := w.write()
	for _, r := range w.runs {
		w.tx.w.scope().allocs.remove(r)
		w.tx.db.alloc.add(r)
	}
	w.runs = nil
	return err
}
