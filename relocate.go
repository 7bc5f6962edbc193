package folio

import (
	"time"

	"github.com/foliokv/folio/mmapfile"
)

// This file moves pages that nobody changed, so that groups find room in one piece. What must
// hold:
//
//   - A move is a copy-on-write like any other: the page gets a new place and birth, its old
//     place is freed by the group, and the ref to it stands in a page that the group changed.
//   - It is done only in pages that the open transaction has no version of its own of, and what
//     the open transaction may be reading is needed until it ends (see DB.needed).
//   - Nothing depends on it: a page that is not in memory, cannot be read or is damaged stays.
//
// The changed pages of a group are scattered over the tree, and so are, later, the holes that
// they leave behind in the file. A flush into such holes has a piece for nearly every page, and
// pieces are what a disk takes its time for. So while a group is sealed, the neighbours of its
// pages, known from the branches that it changed, are moved out of the part of the file that
// the sweep comes to next. By the time it is there, that part is empty. (Log-structured
// file systems clean segments for this, Rosenblum and Ousterhout 1991; there the cleaner has
// to find out who refers to a page, here those who refer to it come by.)

// A move is a page on its way to another place.
type move struct {
	parent page // in which the ref to it stands
	slot   int
	from   ref
	buf    page // its contents
}

// A candidate is a page that may be moved, as one number, so that sorting many is cheap: the distance
// from the sweep in the high 31 bits, then the branch that refers to it, as its place in sealer.order,
// then its slot there.
type candidate = uint64

const (
	candidateSlot   = 11 // bits: a branch of the largest page has fewer than 2,048 slots
	candidateBranch = 22 // far more than fewPages
)

// inBranch returns which branch refers to the page, and in which slot.
func inBranch(c candidate) (branch, slot int) {
	return int(c >> candidateSlot & (1<<candidateBranch - 1)), int(c & (1<<candidateSlot - 1))
}

// relocate chooses the pages to move, and reads them, for a group that changes n pages without refs
// to others.
func (s *sealer) relocate(n uint32) {
	db, a := s.db, s.db.alloc
	if a.clearing = db.onDisk && s.group.grows && a.wantsMoves(n, db.reserve()); !a.clearing {
		return
	}
	refs := 0
	branches := s.branches[:0]
	for i, p := range s.order {
		if d := db.dirty.at(p.pgno); s.image[p.pgno&^dirtyBit] == nil && !d.leaf {
			branches = append(branches, i)
			refs += d.buf.count()
		}
	}
	w := a.comesSoon(n, refs)
	cs := s.candidates[:0]
	for _, i := range branches {
		p := db.dirty.at(s.order[i].pgno).buf
		cs = w.appendCandidates(cs, s.children[s.order[i].refs:][:p.count()], p.level() == 1, i)
	}
	s.branches = branches
	cs, s.spare = sortNumbers(cs, s.spare, candidateBranch+candidateSlot)
	s.moves = s.movable(cs, int(n+n/2))
	s.candidates = cs
	s.readMoves()
	for _, m := range s.moves {
		s.group.freed = append(s.group.freed, freedRun{run{m.from.pgno, 1}, m.from.birth})
	}
}

// A window is which pages a group should move.
type window struct {
	a         *allocator
	bound     uint32 // of the sweep
	near, far uint32 // distances from the sweep
	nursery   []uint64
	first     uint32 // page of the first bit of nursery
}

// appendCandidates adds those of a branch's children that should be moved: first leaves in the nursery,
// then what the sweep comes to soon, the nearest first, then what lies behind its bound.
func (w *window) appendCandidates(cs []candidate, children []uint32, leaves bool, branch int) []candidate {
	sweep, bound, near, width := w.a.sweep, w.bound, w.near, w.far-w.near
	last := uint32(len(w.nursery) - 1)
	for i, pgno := range children { // thousands with a group, in a form that leaves the processor little to guess
		d := pgno - sweep // the sweep's distance from it
		if pgno < sweep {
			d += bound
		}
		if pgno >= bound {
			d = near + width
		}
		inside := w.nursery[min((pgno-w.first)/64, last)]>>(pgno%64)&1 != 0
		if d-near > width && !inside {
			continue // as most are
		}
		if inside && leaves {
			d = 0
		} else if inside || pgno&dirtyBit != 0 {
			continue
		}
		cs = append(cs, candidate(d)<<(candidateBranch+candidateSlot)|candidate(branch)<<candidateSlot|candidate(i))
	}
	return cs
}

// movable returns the first of the candidates that may be moved, with buffers.
func (s *sealer) movable(cs []candidate, most int) []move {
	out := s.moves[:0]
	for _, c := range cs {
		if len(out) == most {
			break
		}
		branch, slot := inBranch(c)
		m := move{parent: s.db.dirty.at(s.order[branch].pgno).buf, slot: slot}
		m.from = m.parent.ref(m.slot)
		at := run{m.from.pgno, 1}
		if s.db.kept.all.holds(at) {
			continue
		}
		if m.from.birth > s.group.last || !s.db.inUse.holds(at) || s.moving.overlaps(at) {
			continue // the file is damaged
		}
		s.moving.mark(at)
		m.buf = s.db.dirty.newBuffer()
		out = append(out, m)
	}
	for _, m := range out {
		s.moving.remove(run{m.from.pgno, 1})
	}
	return out
}

// readMoves gets the contents of the pages that are to be moved, and leaves out those that are not
// whole or cannot be had at once.
func (s *sealer) readMoves() {
	mem, out := &s.db.inMemory, s.moves[:0]
	mem.begin()
	for _, m := range s.moves {
		if mem.has(s.db.m, s.db.alloc.hwm, m.from.pgno) && s.read(m) {
			out = append(out, m)
		} else {
			s.db.dirty.recycle(dirtyPage{buf: m.buf})
		}
	}
	clear(s.moves[len(out):])
	s.moves = out
}

// A residence remembers for a while which pages are in memory, for to ask takes a system call. Should the
// system evict one meanwhile, a group waits for the device.
type residence struct {
	asked  time.Time
	whole  pageSet // blocks of pages that are in memory
	partly pageSet // blocks of which some are not
}

// begin forgets what was learned too long ago.
func (m *residence) begin() {
	const while = 100 * time.Millisecond
	if now := time.Now(); now.Sub(m.asked) > while {
		*m = residence{asked: now}
	}
}

// has tells whether a page, one of the first hwm, is in memory.
func (m *residence) has(in *mapping, hwm, pgno uint32) bool {
	const pages = 64 // in a block
	block := run{pgno / pages, 1}
	if m.whole.holds(block) {
		return true
	}
	if !m.partly.holds(block) {
		first := pgno &^ (pages - 1)
		if in.cached(first, min(first+pages, hwm)-first) {
			m.whole.mark(block)
			return true
		}
		m.partly.mark(block)
	}
	return in.cached(pgno, 1)
}

// read gets the contents of a page in memory, and tells whether it is whole. It copies from the mapping,
// as system calls would cost more than all else.
func (s *sealer) read(m move) bool {
	err := mmapfile.Guard(func() error {
		copy(m.buf, s.db.m.page(m.from.pgno))
		return nil
	})
	return err == nil && verifyPage(s.db.seed, m.from, m.buf) == nil
}

// placeMoves gives the moved pages their places, in the order that they had.
func (s *sealer) placeMoves() {
	for _, m := range s.moves {
		r := s.finish(m.buf, s.leaf.next(), s.group.last)
		r.count = m.from.count
		m.parent.setRef(m.slot, r)
	}
}

// endMoves gives back what the moves took.
func (s *sealer) endMoves() {
	for _, m := range s.moves {
		s.db.dirty.recycle(dirtyPage{buf: m.buf})
	}
}

// wantsMoves tells whether a group of n leaves should move others: where the file will soon have
// grown as much as is worth it and enough of it is free. A group of fewer leaves sees too few
// branches: it would take more pages than it saves pieces; one that is a large part of the file
// comes back to its own traces too soon.
func (a *allocator) wantsMoves(n uint32, reserve uint64) bool {
	const fewest = 4
	if n < fewest || n > a.hwm/32 {
		return false
	}
	used := a.used()
	return uint64(a.hwm) > used+used/4 && a.free.pages >= uint64(a.hwm)/8+reserve
}

// comesSoon returns which pages should be moved by a group whose branches have this many refs.
// What is freed too near is not free in time; what is farther away than needed may be changed by
// somebody before the sweep comes. Every page should have about four chances: with p the part of
// all pages that a group sees, 2 % have none then.
func (a *allocator) comesSoon(n uint32, refs int) window {
	_, bound := a.near()
	pace := max(a.pace, float64(n))
	near := uint32(min(3*pace, float64(bound/3)))
	width := 4 * pace * float64(a.used()) / float64(refs+1)
	w := window{a: a, bound: bound, near: near, far: near + uint32(min(width, float64(bound/2)))}
	w.nursery, w.first = a.nurseryBits()
	return w
}

// keepPace notes how far the sweep has gone since it was at a place, with one group.
func (a *allocator) keepPace(from uint32) {
	const recent = 1. / 16
	gone := a.sweep - from
	if a.sweep < from {
		gone = a.sweep + a.bound() - min(from, a.bound())
	}
	a.pace += recent * (float64(gone) - a.pace)
}
