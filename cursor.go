package folio

import (
	"bytes"
	"iter"

	"github.com/foliokv/folio/mmapfile"
)

// A Cursor walks a bucket in key order. It remembers the key it is on: when the bucket
// changes under it, through the cursor or not, it goes on at the next key in order, and no key
// is skipped or seen twice.
//
// Past the last pair, Next returns nil and the cursor stays on that pair, as does Prev before
// the first. After a Seek past the end, Prev gives the last pair. Keys and values are valid
// until the transaction ends and must not be changed.
type Cursor struct {
	b       *Bucket
	stack   []frame
	key     []byte // of the pair the cursor is on
	changes uint64 // of the bucket when stack was made
	where   position
	run     leafRun
	frames  [5]frame
}

type position uint8

const (
	nowhere  position = iota
	onPair            // on key, or where key was
	afterEnd          // behind the last pair
)

// A frame is a page on the way to the cursor's pair and the slot taken in it.
type frame struct {
	p  page
	i  int
	at ref // of p; kept in write transactions only
}

// Cursor returns a cursor over the bucket; it is on no pair until moved.
func (b *Bucket) Cursor() *Cursor {
	c := &Cursor{b: b}
	c.stack = c.frames[:0]
	return c
}

// Bucket returns the cursor's bucket.
func (c *Cursor) Bucket() *Bucket { return c.b }

// First moves to the first pair and returns it, nil if the bucket is empty. The value of a
// nested bucket is nil.
func (c *Cursor) First() (key, value []byte) { return c.move((*Cursor).first) }

// Last moves to the last pair and returns it, nil if the bucket is empty.
func (c *Cursor) Last() (key, value []byte) { return c.move((*Cursor).last) }

// Next moves to the next pair and returns it, nil past the last.
func (c *Cursor) Next() (key, value []byte) {
	if key, value, ok := c.inLeaf(1); ok {
		return key, value
	}
	key, value = c.move((*Cursor).next)
	c.startRun(1)
	return key, value
}

// Prev moves to the previous pair and returns it, nil before the first.
func (c *Cursor) Prev() (key, value []byte) {
	if key, value, ok := c.inLeaf(-1); ok {
		return key, value
	}
	key, value = c.move((*Cursor).prev)
	c.startRun(-1)
	return key, value
}

// A leafRun is a cursor's way through a leaf in a View, which guards against faults already: a
// step is a slot and a cell. Pages may change after they were verified, so it does not trust
// what it reads; whatever is not a plain pair it leaves to move.
//
// So that cache misses overlap, each step asks for a piece of the next leaf, in the order of its bytes,
// which the processor's own prefetching follows: at the end of a leaf all of the next one was
// asked for. Not at once: a processor drops requests when too many are under way. Where a
// run begins within a leaf each step asks for the pair that comes runAhead steps later, too.
type leafRun struct {
	slots
	i, d  int  // the slot the cursor is on, and the direction, 1 or -1
	whole bool // all of the leaf was asked for
	next  page // what is to be asked for of the leaf after this one
	after page // that leaf; empty if not known
	chunk int  // bytes of it to ask for in a step
}

const (
	runAhead   = 8
	askOfValue = 64 // bytes of a value
)

// slots are those of a leaf that may have changed since it was verified; they lie in it.
type slots struct {
	p       page
	base, n int
}

func slotsOf(p page) slots {
	s := slots{p, p.slotBase(), p.count()}
	if s.base+s.n*slotSize > len(p) {
		return slots{}
	}
	return s
}

// ask asks for the memory of the cell in slot i.
func (s *slots) ask(i int) {
	at := s.base + i*slotSize
	w := le.Uint64(s.p[at : at+slotSize])
	off := int(uint16(w >> 32))
	ask(s.p, off, leafKeyOff+int(w>>48)+askOfValue)
}

// askFrom asks for the memory of the pairs that a run comes to from slot i on.
func (s *slots) askFrom(i, d int) {
	for range runAhead {
		if uint(i) >= uint(s.n) {
			return
		}
		s.ask(i)
		i += d
	}
}

// startRun begins a run where a step of the cursor has led to.
func (c *Cursor) startRun(d int) {
	if len(c.stack) > 0 && c.where == onPair && c.b.tx.begins() {
		c.runFrom(d)
		c.b.tx.within = false
	}
}

func (c *Cursor) runFrom(d int) {
	tx, n := c.b.tx, len(c.stack)
	f, r := &c.stack[n-1], &c.run
	whole := r.d == d && len(r.next) == 0 && len(r.after) > 0 && &r.after[0] == &f.p[0]
	r.slots, r.i, r.d, r.whole, r.next, r.after = slotsOf(f.p), f.i, d, whole, nil, nil
	if !whole {
		r.askFrom(r.i+d, d)
	}
	if n == 1 {
		return
	}
	up := &c.stack[n-2]
	if i := up.i + d; uint(i) < uint(up.p.count()) {
		if pgno := up.p.refPgno(i); pgno < tx.known && tx.m.isVerified(pgno) {
			r.after = tx.m.page(pgno)
			r.next = r.after
			left := r.n - r.i
			if d < 0 {
				left = r.i + 1
			}
			r.chunk = (len(r.next)/max(left-1, 1) + 63) &^ 63 // the step to the next leaf asks for nothing
		}
	}
}

// endRun ends a run, so that the cursor can move in another way.
func (c *Cursor) endRun() {
	if c.run.n > 0 {
		c.run.n = 0
		c.stack[len(c.stack)-1].i = c.run.i
	}
}

// inLeaf moves by d in a run.
func (c *Cursor) inLeaf(d int) (key, value []byte, ok bool) {
	r := &c.run
	i, p := r.i+d, r.p
	if uint(i) >= uint(r.n) || r.d != d {
		return nil, nil, false
	}
	if tx := c.b.tx; tx.ended.Load() || tx.failed.Load() != nil || tx.db.latched.Load() != nil {
		return nil, nil, false
	}
	at := r.base + i*slotSize
	w := le.Uint64(p[at : at+slotSize])
	off, klen := int(uint16(w>>32)), int(w>>48)
	from := off + leafKeyOff + klen
	if klen == longKey || from > len(p) || p[off] != cellInline {
		return nil, nil, false
	}
	to := from + int(le.Uint16(p[off+1:off+leafKeyOff]))
	if to > len(p) {
		return nil, nil, false
	}
	if k := i + runAhead*d; !r.whole && uint(k) < uint(r.n) {
		r.ask(k)
	}
	if len(r.next) > 0 {
		n := min(r.chunk, len(r.next))
		mmapfile.Prefetch(r.next[:n])
		r.next = r.next[n:]
	}
	r.i = i
	c.key = p[off+leafKeyOff : from : from]
	return c.key, p[from:to:to], true
}

// Seek moves to key, or the next one in order, and returns that pair, nil if there is none.
func (c *Cursor) Seek(key []byte) (k, v []byte) {
	if !c.b.live() {
		return nil, nil
	}
	defer c.b.tx.leave(c.b.tx.enter(), nil)
	c.endRun()
	found, err := c.seek(key)
	return c.result(found, err)
}

// Delete removes the pair the cursor is on; Next then gives the pair after it. It returns
// ErrIncompatibleValue on a nested bucket, ErrTxNotWritable and ErrTxClosed. On no pair it
// does nothing.
func (c *Cursor) Delete() (err error) {
	if err := c.b.writeCheck(); err != nil {
		return err
	}
	if c.where != onPair {
		return nil
	}
	defer c.b.tx.leave(c.b.tx.enter(), &err)
	return c.b.tx.spilled(c.b.delete(c.key))
}

// move runs one of the movements below. A movement tells whether it is on a pair now.
func (c *Cursor) move(step func(*Cursor) (bool, error)) (key, value []byte) {
	if !c.b.live() {
		return nil, nil
	}
	defer c.b.tx.leave(c.b.tx.enter(), nil)
	c.endRun()
	found, err := step(c)
	return c.result(found, err)
}

// result returns the pair the cursor is on.
func (c *Cursor) result(found bool, err error) (key, value []byte) {
	if found {
		key, value, err = c.pair()
	}
	if err != nil {
		c.b.tx.fail(err)
		return nil, nil
	}
	return key, value
}

func (c *Cursor) pair() (key, value []byte, err error) {
	f := &c.stack[len(c.stack)-1]
	if key, err = f.p.key(f.i, c.b.tx); err != nil {
		return nil, nil, err
	}
	c.b.tx.exposeRef(f.at)
	if value, err = c.b.value(f.p, f.at, f.i); err != nil {
		return nil, nil, err
	}
	c.key, c.where = key, onPair
	return key, value, nil
}

func (c *Cursor) first() (bool, error) {
	if found, err := c.start(); !found {
		return false, err
	}
	if err := c.down(false); err != nil {
		return false, err
	}
	return c.skipEmpty(1)
}

func (c *Cursor) last() (bool, error) {
	if found, err := c.start(); !found {
		return false, err
	}
	if err := c.down(true); err != nil {
		return false, err
	}
	return c.skipEmpty(-1)
}

// start begins a stack at the root; an empty tree has none.
func (c *Cursor) start() (bool, error) {
	p, err := c.b.rootPage()
	c.where, c.changes = nowhere, c.b.version()
	c.stack = c.stack[:0]
	if p == nil {
		return false, err
	}
	c.stack = append(c.stack, frame{p: p, at: c.b.root})
	return true, nil
}

// push goes to the child in the top frame's slot.
func (c *Cursor) push() error {
	f := &c.stack[len(c.stack)-1]
	p, err := c.b.tx.child(f.p, f.i)
	if err != nil {
		return err
	}
	child := frame{p: p}
	if c.b.tx.w != nil {
		child.at = f.p.ref(f.i)
	}
	c.stack = append(c.stack, child)
	return nil
}

// down goes from the top frame to the first or last slot of a leaf.
func (c *Cursor) down(last bool) error {
	for {
		f := &c.stack[len(c.stack)-1]
		f.i = 0
		if last {
			f.i = f.p.count() - 1
		}
		if f.p.level() == 0 {
			return nil
		}
		if err := c.push(); err != nil {
			return err
		}
	}
}

// skipEmpty moves on by d until the cursor is on a pair.
func (c *Cursor) skipEmpty(d int) (bool, error) {
	f := &c.stack[len(c.stack)-1]
	if f.i >= 0 && f.i < f.p.count() {
		return true, nil
	}
	return c.step(d)
}

// step moves by one slot, d being 1 or -1, past empty leaves. When there is none the stack is
// of no use any more.
func (c *Cursor) step(d int) (bool, error) {
	for len(c.stack) > 0 {
		f := &c.stack[len(c.stack)-1]
		f.i += d
		if f.i < 0 || f.i >= f.p.count() {
			c.stack = c.stack[:len(c.stack)-1]
			continue
		}
		if f.p.level() == 0 {
			return true, nil
		}
		if err := c.push(); err != nil {
			return false, err
		}
		if err := c.down(d < 0); err != nil {
			return false, err
		}
		if f := &c.stack[len(c.stack)-1]; f.p.count() > 0 {
			return true, nil
		}
	}
	return false, nil
}

// seek goes to the first pair whose key is not less than key.
func (c *Cursor) seek(key []byte) (bool, error) {
	found, err := c.locate(key)
	if err == nil && !found {
		c.where = afterEnd
		return false, nil
	}
	return found, err
}

// locate is seek without a position when there is no such pair.
func (c *Cursor) locate(key []byte) (bool, error) {
	if found, err := c.start(); !found {
		return false, err
	}
	for {
		f := &c.stack[len(c.stack)-1]
		if f.p.level() == 0 {
			i, _, err := f.p.search(key, c.b.tx)
			if err != nil {
				return false, err
			}
			f.i = i
			return c.skipEmpty(1)
		}
		i, err := f.p.child(key, c.b.tx)
		if err != nil {
			return false, err
		}
		f.i = i
		if err := c.push(); err != nil {
			return false, err
		}
	}
}

func (c *Cursor) next() (bool, error) {
	if c.where != onPair {
		return false, nil
	}
	if !c.fresh() {
		key := c.key
		found, err := c.locate(key)
		if err != nil || !found {
			return c.stay(key, err)
		}
		if on, err := c.onKey(key); !on {
			return err == nil, err
		}
	}
	key := c.key
	found, err := c.step(1)
	if !found {
		return c.stay(key, err)
	}
	return true, nil
}

func (c *Cursor) prev() (bool, error) {
	switch {
	case c.where == nowhere:
		return false, nil
	case c.where == afterEnd:
		return c.last()
	}
	if !c.fresh() {
		key := c.key
		found, err := c.locate(key)
		if err != nil {
			return c.stay(key, err)
		}
		if !found {
			// All that is left is before key.
			if found, err = c.last(); !found {
				return c.stay(key, err)
			}
			return true, nil
		}
	}
	key := c.key
	found, err := c.step(-1)
	if !found {
		return c.stay(key, err)
	}
	return true, nil
}

// fresh tells whether the stack leads to the cursor's key.
func (c *Cursor) fresh() bool { return len(c.stack) > 0 && c.changes == c.b.version() }

// stay leaves the cursor on key after it found nothing to move to.
func (c *Cursor) stay(key []byte, err error) (bool, error) {
	c.stack = c.stack[:0]
	c.key, c.where = key, onPair
	return false, err
}

// onKey tells whether the pair the stack leads to has this key.
func (c *Cursor) onKey(key []byte) (bool, error) {
	f := &c.stack[len(c.stack)-1]
	k, err := f.p.key(f.i, c.b.tx)
	return bytes.Equal(k, key), err
}

// All returns an iterator over all pairs in key order; a nested bucket comes with a nil
// value. The bucket may be changed while iterating (see Cursor). Damage ends the iteration
// and is told by Tx.Err.
func (b *Bucket) All() iter.Seq2[[]byte, []byte] { return b.Range(nil, nil) }

// Backward is All in reverse order.
func (b *Bucket) Backward() iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		if !b.live() {
			return
		}
		c := b.Cursor()
		for k, v := c.Last(); k != nil && yield(k, v); k, v = c.Prev() {
		}
	}
}

// Prefix returns an iterator over the pairs whose keys begin with p, in key order.
func (b *Bucket) Prefix(p []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		if !b.live() {
			return
		}
		c := b.Cursor()
		for k, v := c.Seek(p); k != nil && bytes.HasPrefix(k, p) && yield(k, v); k, v = c.Next() {
		}
	}
}

// Range returns an iterator over the pairs with lo <= key < hi in key order. A nil bound is
// open; an empty one is the empty key, which is before every other.
func (b *Bucket) Range(lo, hi []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		if !b.live() {
			return
		}
		c := b.Cursor()
		for k, v := c.Seek(lo); k != nil && below(k, hi) && yield(k, v); k, v = c.Next() {
		}
	}
}

// below tells whether key is below hi; nil is above everything.
func below(key, hi []byte) bool { return hi == nil || bytes.Compare(key, hi) < 0 }
