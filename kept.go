package folio

import (
	"fmt"
	"slices"
)

// This file is pages that are sealed but not in the file yet. What a Deferred commit seals, or one that the
// redo log tells of (redo.go), stays in memory until the next flush of pages: most of it is replaced before that, and is never written. What
// must hold:
//
//   - A kept page has its number, and is found by it, but is not marked as verified: so whoever
//     reads the mapping does not take what the file has in its place.
//   - It is forgotten when no needed state has it any more, or when it was written and marked as
//     verified: in this order, so that a reader who does not find it finds it in the file.
//   - A meta goes to the file only when every kept page that its state refers to is there.
//   - The file has blocks for it when the commit that keeps it returns, so that a full disk is an
//     error of that commit and not of the flush.

// A keptPages is the pages that are kept.
type keptPages struct {
	all    pageSet
	old    pageSet // those that the newest state does not refer to: readers need them
	flying pageSet // those that a flush is writing, without the mutex; none is old
	spare  []*page // for mapping.keep: of pages that nobody sees any more
}

// keeps tells whether a seal of n pages that no flush follows keeps them in memory. A large one
// goes to the file at once, by way of its end, as one that was too large for memory does.
func (db *DB) keeps(n int) bool {
	return db.volatile || db.onDisk && int64(n)<<db.shift <= db.opts.DirtyLimit/4
}

// roomToKeep sees to it that n more pages can be kept within Options.DirtyLimit, apart from those
// that a flush is writing.
func (db *DB) roomToKeep(n int) error {
	k := &db.kept
	if db.volatile || int64(k.all.pages-k.flying.pages+uint64(n))<<db.shift <= db.opts.DirtyLimit {
		return nil
	}
	pages := db.keptExcept(&k.flying) // old ones too: their places are nobody else's
	if err := db.writeKept(pages); err != nil {
		return err
	}
	db.unflushed += int64(len(pages)) << db.shift
	db.keptWritten(pages)
	return nil
}

// keep keeps the pages of the seal instead of writing them.
func (s *sealer) keep() error {
	db := s.db
	if err := db.fitFile(); err != nil {
		return err
	}
	k := &db.kept
	for _, w := range s.out {
		var as *page
		if n := len(k.spare); n > 0 {
			as, k.spare = k.spare[n-1], k.spare[:n-1]
		} else {
			as = new(page)
		}
		*as = w.buf
		db.m.keep(w.pgno, as)
		k.all.mark(run{w.pgno, 1})
	}
	for _, p := range s.order {
		s.page(p.pgno).buf = nil // it has another owner now
	}
	return nil
}

// keptExcept returns the kept pages that are in none of some sets, in order.
func (db *DB) keptExcept(sets ...*pageSet) []pageWrite {
	pages := make([]pageWrite, 0, db.kept.all.pages)
	for _, r := range db.kept.all.runs() {
		for at := r.start; at < r.end(); at++ {
			if slices.ContainsFunc(sets, func(s *pageSet) bool { return s.holds(run{at, 1}) }) {
				continue
			}
			pages = append(pages, pageWrite{at, *db.m.keptAt(at)})
		}
	}
	return pages
}

// newKept returns the kept pages that a flush of the newest state has to write.
func (db *DB) newKept() []pageWrite {
	pages := db.keptExcept(&db.kept.old, &db.kept.flying)
	if invariants {
		for _, w := range pages {
			if !db.inUse.holds(run{w.pgno, 1}) {
				panic(fmt.Sprintf("page %d is kept for nobody but readers, and not old", w.pgno))
			}
		}
	}
	return pages
}

// keptIsOld notes that readers at most need what is kept of r.
func (db *DB) keptIsOld(r run) {
	k := &db.kept
	for one, ok := k.all.next(r.start, r.end()); ok; one, ok = k.all.next(one.end(), r.end()) {
		for at := one.start; at < one.end(); at++ {
			if !k.flying.holds(run{at, 1}) {
				k.old.mark(run{at, 1})
			}
		}
	}
}

// writeKept writes kept pages to the file. It needs no mutex as long as the pages are needed.
func (db *DB) writeKept(pages []pageWrite) error {
	return new(byPlace).eachRun(pages, func(pgno uint32, bufs [][]byte) error {
		if _, err := db.file.WriteVec(bufs, int64(pgno)<<db.shift); err != nil {
			return fmt.Errorf("writing pages from %d: %w", pgno, err)
		}
		return nil
	})
}

// keptWritten lets the file stand for pages that were written to it. Where the mapping does not
// show what was written they stay in memory.
func (db *DB) keptWritten(pages []pageWrite) {
	_ = new(byPlace).eachRun(pages, func(pgno uint32, bufs [][]byte) error {
		if err := db.m.m.Refresh(int64(pgno)<<db.shift, int64(len(bufs))<<db.shift); err != nil {
			db.opts.Logger.Warn("folio: refreshing", "path", db.name, "err", err)
			return nil
		}
		for i, b := range bufs {
			at := pgno + uint32(i)
			db.written.add(b)
			db.m.setVerified(at)
			db.m.forgetKept(at)
			db.kept.all.remove(run{at, 1})
			db.kept.old.remove(run{at, 1})
		}
		return nil
	})
}

// dropKept forgets the kept pages of r, which no needed state has.
func (db *DB) dropKept(r run) {
	k := &db.kept
	for one, ok := k.all.next(r.start, r.end()); ok; one, ok = k.all.next(one.end(), r.end()) {
		for at := one.start; at < one.end(); at++ {
			p := db.m.keptAt(at)
			db.dirty.recycle(dirtyPage{buf: *p})
			db.m.forgetKept(at)
			if len(k.spare) < maxBuffers {
				*p = nil
				k.spare = append(k.spare, p)
			}
			k.old.remove(run{at, 1})
		}
		k.all.remove(one)
	}
}

// waitingBytes is how much a crash now could lose.
func (db *DB) waitingBytes() int64 {
	k := &db.kept
	return db.unflushed + int64(k.all.pages-k.old.pages-k.flying.pages)<<db.shift
}

// keptIn returns the kept pages among n from pgno on that are needed; of others not even the header
// may be read.
func (m *mapping) keptIn(pgno, n uint32, needed func(pgno uint32) bool) []pageWrite {
	var pages []pageWrite
	for at, end := pgno, min(pgno+n, m.pages); at < end; at++ {
		if m.kept[at/keptChunkPages].Load() == nil {
			at |= keptChunkPages - 1
			continue
		}
		if p := m.keptAt(at); p != nil && needed(at) {
			pages = append(pages, pageWrite{at, *p})
		}
	}
	return pages
}

// A byPlace is the memory in which pages are brought into order.
type byPlace struct {
	order, spare []uint64
	bufs         [][]byte
}

// eachRun calls fn for each run of adjacent ones of the pages.
func (m *byPlace) eachRun(pages []pageWrite, fn func(pgno uint32, bufs [][]byte) error) error {
	m.order = m.order[:0]
	for i, w := range pages {
		m.order = append(m.order, uint64(w.pgno)<<32|uint64(i))
	}
	m.order, m.spare = sortNumbers(m.order, m.spare, 32)
	m.bufs = m.bufs[:0]
	for _, at := range m.order {
		m.bufs = append(m.bufs, pages[uint32(at)].buf)
	}
	defer clear(m.bufs)
	for i := 0; i < len(pages); {
		j, pgno := i+1, uint32(m.order[i]>>32)
		for j < len(pages) && uint32(m.order[j]>>32)-pgno == uint32(j-i) {
			j++
		}
		if err := fn(pgno, m.bufs[i:j]); err != nil {
			return err
		}
		i = j
	}
	return nil
}
