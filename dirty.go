package folio

import "slices"

// This file is the writer's private pages and their undo. What must hold:
//
//   - A dirty page's bytes may be changed only while the innermost scope owns them; writablePage
//     in tx.go makes that so, and is the only place that does.
//   - Where a scope owns a page, it owns every page on the way to it from the bucket's root.
//   - A buffer of which a slice was handed out is left to the garbage collector, never used
//     again, so the slice stays intact.

// A dirtyPage is an entry of the dirty table.
type dirtyPage struct {
	buf     page   // nil: the index is not in use
	scope   uint64 // serial of the scope that owns buf; 0: finished transactions of the group
	copied  bool   // that scope has an image of the page from before it owned it
	exposed bool   // a slice of buf was handed out
	leaf    bool
	buckets bool   // a leaf that may hold the roots of dirty buckets
	touched uint32 // when it was last made writable
}

// A dirtyTable holds the pages that the open group has changed and not yet sealed.
type dirtyTable struct {
	pageSize int
	pages    []dirtyPage
	spare    []uint32 // indexes not in use
	buffers  []page   // for use again
	live     int      // pages with a buffer
	clock    uint32
}

func (t *dirtyTable) at(pgno uint32) *dirtyPage { return &t.pages[pgno&^dirtyBit] }

// newBuffer returns a buffer with any contents.
func (t *dirtyTable) newBuffer() page {
	if k := len(t.buffers); k > 0 {
		b := t.buffers[k-1]
		t.buffers = t.buffers[:k-1]
		return b
	}
	return make(page, t.pageSize)
}

const maxBuffers = 4096

// recycle takes back a buffer nobody sees.
func (t *dirtyTable) recycle(d dirtyPage) {
	if d.buf != nil && !d.exposed && len(t.buffers) < maxBuffers {
		t.buffers = append(t.buffers, d.buf)
	}
}

// add makes buf a page of scope s and returns its dirty pgno.
func (t *dirtyTable) add(buf page, s *scope) uint32 {
	var i uint32
	switch {
	case len(s.spare) > 0:
		i = s.spare[len(s.spare)-1]
		s.spare = s.spare[:len(s.spare)-1]
	case len(t.spare) > 0:
		i = t.spare[len(t.spare)-1]
		t.spare = t.spare[:len(t.spare)-1]
		s.created = append(s.created, i)
	default:
		i = uint32(len(t.pages))
		t.pages = append(t.pages, dirtyPage{})
		s.created = append(s.created, i)
	}
	t.clock++
	t.pages[i] = dirtyPage{buf: buf, scope: s.serial, leaf: buf.level() == 0, touched: t.clock}
	t.live++
	return i | dirtyBit
}

// own makes the page one that scope s may change.
func (t *dirtyTable) own(pgno uint32, s *scope) page {
	d := t.at(pgno)
	t.clock++
	d.touched = t.clock
	if d.scope != s.serial {
		s.undo = append(s.undo, undo{pgno &^ dirtyBit, *d})
		buf := t.newBuffer()
		copy(buf, d.buf)
		d.buf, d.scope, d.copied, d.exposed = buf, s.serial, true, false
	}
	return d.buf
}

// swap gives a page that the innermost scope owns a new buffer.
func (t *dirtyTable) swap(pgno uint32, buf page) {
	d := t.at(pgno)
	t.recycle(*d)
	d.buf, d.exposed = buf, false
}

// drop takes a page out of the tree.
func (t *dirtyTable) drop(pgno uint32, s *scope) {
	d := t.at(pgno)
	t.live--
	if d.scope != s.serial {
		s.undo = append(s.undo, undo{pgno &^ dirtyBit, *d})
		*d = dirtyPage{scope: s.serial, copied: true}
		return
	}
	t.recycle(*d)
	*d = dirtyPage{scope: s.serial, copied: d.copied}
	if !d.copied {
		s.spare = append(s.spare, pgno&^dirtyBit)
	}
}

// reset forgets all pages, when no scope is open.
func (t *dirtyTable) reset() {
	for _, d := range t.pages {
		t.recycle(d)
	}
	clear(t.pages)
	t.pages, t.spare, t.live = t.pages[:0], t.spare[:0], 0
}

// An undo is a page as it was before a scope first changed it.
type undo struct {
	index uint32
	page  dirtyPage
}

// A scope is what can be undone as one: a transaction, or what follows a savepoint.
type scope struct {
	serial   uint64
	root     ref // of the bucket tree when the scope began
	undo     []undo
	created  []uint32 // indexes that did not exist when the scope began
	spare    []uint32 // those of created that are not in use
	freed    []freedRun
	allocs   runSet    // pages of the file that the scope allocated: extents, early writes
	buried   []*Bucket // open buckets that were deleted or moved
	handlers int       // commit handlers registered before the scope began
	ops      int       // bytes of writeTx.ops before it
}

func newScope(serial uint64, root ref, handlers int) *scope {
	return &scope{serial: serial, root: root, handlers: handlers}
}

// again returns a new scope that uses the lists of s, whose transaction has ended. Long lists are
// left to the garbage collector.
func (s *scope) again(serial uint64, root ref) *scope {
	const most = 4096
	if s == nil || max(cap(s.undo), cap(s.created), cap(s.freed)) > most {
		return newScope(serial, root, 0)
	}
	clear(s.undo)
	*s = scope{serial: serial, root: root, undo: s.undo[:0], created: s.created[:0], spare: s.spare[:0], freed: s.freed[:0]}
	return s
}

// rollBack undoes the scope, which is the innermost.
func (t *dirtyTable) rollBack(s *scope) {
	for _, i := range s.created {
		if t.pages[i].buf != nil {
			t.live--
		}
		t.recycle(t.pages[i])
		t.pages[i] = dirtyPage{}
		t.spare = append(t.spare, i)
	}
	for _, u := range slices.Backward(s.undo) {
		d := &t.pages[u.index]
		if d.buf == nil && u.page.buf != nil {
			t.live++
		}
		t.recycle(*d)
		*d = u.page
	}
}

// release makes what scope s changed the parent's.
func (t *dirtyTable) release(s, parent *scope) {
	for _, i := range s.created {
		t.pages[i].scope = parent.serial
	}
	parent.created = append(parent.created, s.created...)
	parent.spare = append(parent.spare, s.spare...)
	for _, u := range s.undo {
		d := &t.pages[u.index]
		d.scope = parent.serial
		if u.page.scope != parent.serial {
			parent.undo = append(parent.undo, u)
			continue
		}
		t.recycle(u.page)
		d.copied = u.page.copied
		if d.buf == nil && !d.copied {
			parent.spare = append(parent.spare, u.index)
		}
	}
	parent.buried = append(parent.buried, s.buried...)
	parent.freed = append(parent.freed, s.freed...)
	for _, r := range s.allocs.runs() {
		parent.allocs.add(r)
	}
}

// finish makes the pages of a finished transaction the group's.
func (t *dirtyTable) finish(s *scope) {
	for _, i := range s.created {
		t.pages[i].scope = 0
	}
	t.spare = append(t.spare, s.spare...)
	for _, u := range s.undo {
		t.recycle(u.page)
		d := &t.pages[u.index]
		d.scope, d.copied = 0, false
		if d.buf == nil {
			t.spare = append(t.spare, u.index)
		}
	}
}

// disown makes a page that scope s has an image of one that it created. Where the scope dropped
// it, its index is not in use.
func (t *dirtyTable) disown(i uint32, s *scope, scopes []*scope) {
	s.created = append(s.created, i)
	if d := &t.pages[i]; d.scope == s.serial {
		d.copied = false
		if d.buf == nil {
			s.spare = append(s.spare, i)
		}
	}
	for _, inner := range scopes {
		for k := range inner.undo {
			if u := &inner.undo[k]; u.index == i && u.page.scope == s.serial {
				u.page.copied = false
			}
		}
	}
}
