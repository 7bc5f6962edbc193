package folio

// The counted tree: what the counts in refs are good for.

// Count returns the number of keys in the bucket, nested buckets included, in O(1).
func (b *Bucket) Count() uint64 {
	if !b.live() {
		return 0
	}
	if b.tx.writable {
		b.tx.db.mu.Lock() // a flush may move the root
		defer b.tx.db.mu.Unlock()
	}
	return b.root.count
}

// CountRange returns the number of keys with lo <= key < hi; the bounds are those of Range.
// It costs two lookups.
func (b *Bucket) CountRange(lo, hi []byte) uint64 {
	if !b.live() {
		return 0
	}
	defer b.tx.leave(b.tx.enter(), nil)
	from, to := uint64(0), b.root.count
	var err error
	if lo != nil {
		from, err = b.rank(lo)
	}
	if hi != nil && err == nil {
		to, err = b.rank(hi)
	}
	if err != nil {
		b.tx.fail(err)
		return 0
	}
	return max(to, from) - from
}

// Rank returns the number of keys below key, which need not exist. It costs a lookup.
func (b *Bucket) Rank(key []byte) uint64 {
	if !b.live() {
		return 0
	}
	defer b.tx.leave(b.tx.enter(), nil)
	n, err := b.rank(key)
	if err != nil {
		b.tx.fail(err)
		return 0
	}
	return n
}

func (b *Bucket) rank(key []byte) (uint64, error) {
	p, err := b.rootPage()
	if p == nil {
		return 0, err
	}
	var n uint64
	for p.level() > 0 {
		i, err := p.child(key, b.tx)
		if err != nil {
			return 0, err
		}
		for j := range i {
			n += p.ref(j).count
		}
		if p, err = b.tx.child(p, i); err != nil {
			return 0, err
		}
	}
	i, _, err := p.search(key, b.tx)
	return n + uint64(i), err
}

// At returns the pair with i keys before it, nil and nil past the last. A nested bucket has a
// nil value. It costs a lookup.
func (b *Bucket) At(i uint64) (key, value []byte) {
	if !b.live() {
		return nil, nil
	}
	defer b.tx.leave(b.tx.enter(), nil)
	if i >= b.root.count {
		return nil, nil
	}
	key, value, err := b.at(i)
	if err != nil {
		b.tx.fail(err)
		return nil, nil
	}
	return key, value
}

func (b *Bucket) at(i uint64) (key, value []byte, err error) {
	p, err := b.rootPage()
	if p == nil {
		return nil, nil, err
	}
	at := b.root
	for p.level() > 0 {
		slot, n := 0, p.count()
		for at = p.ref(0); i >= at.count; at = p.ref(slot) {
			i -= at.count
			if slot++; slot == n {
				return nil, nil, corruptf(p.pgno(), "counts are lower than the parent's")
			}
		}
		if p, err = b.tx.child(p, slot); err != nil {
			return nil, nil, err
		}
	}
	if i >= uint64(p.count()) {
		return nil, nil, corruptf(at.pgno, "%d entries, fewer than the parent's count", p.count())
	}
	if key, err = p.key(int(i), b.tx); err != nil {
		return nil, nil, err
	}
	b.tx.exposeRef(at)
	value, err = b.value(p, at, int(i))
	return key, value, err
}

// DeleteRange removes all keys with lo <= key < hi, nested buckets among them too; the bounds
// are those of Range. Its cost is that of reading the pages in the range and rewriting those
// at its ends. It returns ErrTxNotWritable and ErrTxClosed.
func (b *Bucket) DeleteRange(lo, hi []byte) (err error) {
	if err := b.writeCheck(); err != nil {
		return err
	}
	if hi != nil && !below(lo, hi) {
		return nil
	}
	defer b.tx.leave(b.tx.enter(), &err)
	return b.tx.spilled(b.deleteRange(lo, hi))
}

func (b *Bucket) deleteRange(lo, hi []byte) error {
	if b.root.count == 0 {
		return nil
	}
	for _, c := range b.children.inOrder(nil) {
		if key := c.name; !below(key, lo) && below(key, hi) || lo == nil && below(key, hi) {
			if err := b.forget(key); err != nil {
				return err
			}
		}
	}
	if err := b.dirtyRoot(); err != nil {
		return err
	}
	b.shrunk = true
	n, err := b.cutRange(b.root.pgno, lo, hi)
	if err != nil {
		return b.tx.fail(err) // the tree is half cut
	}
	b.root.count -= n
	if p := b.tx.db.dirty.at(b.root.pgno).buf; p.count() == 0 {
		b.tx.dropPage(b.root)
		b.root = ref{}
	}
	return nil
}

// cutRange removes the range from a writable page and what is below it, and returns how many
// entries that were. A branch may be left without children.
func (b *Bucket) cutRange(pgno uint32, lo, hi []byte) (uint64, error) {
	p := b.tx.db.dirty.at(pgno).buf
	if p.level() == 0 {
		return b.cutLeaf(p, lo, hi)
	}
	from, to, err := b.covering(p, lo, hi)
	if err != nil {
		return 0, err
	}
	var removed uint64
	first, last := to+1, to // the children that go
	for i := from; i <= to; i++ {
		l, h := lo, hi
		if i > from {
			l = nil
		}
		if i < to {
			h = nil
		}
		n, gone, err := b.cutChild(p, i, l, h)
		if err != nil {
			return 0, err
		}
		removed += n
		if gone {
			first, last = min(first, i), i
		}
	}
	if first <= last {
		b.removeChildren(p, first, last+1)
	}
	return removed, nil
}

// covering returns the slots of the first and last child that the range may touch.
func (b *Bucket) covering(p page, lo, hi []byte) (from, to int, err error) {
	to = p.count() - 1
	if lo != nil {
		if from, err = p.child(lo, b.tx); err != nil {
			return 0, 0, err
		}
	}
	if hi != nil {
		to, err = p.child(hi, b.tx)
	}
	return from, to, err
}

// cutChild cuts the range out of child i of a branch and tells whether the child is gone.
func (b *Bucket) cutChild(p page, i int, lo, hi []byte) (uint64, bool, error) {
	r := p.ref(i)
	if lo == nil && hi == nil {
		return r.count, true, b.dropTree(r, p.level()-1)
	}
	w, _, err := b.tx.writablePage(r, p.level()-1)
	if err != nil {
		return 0, false, err
	}
	p.setRef(i, w)
	n, err := b.cutRange(w.pgno, lo, hi)
	if err != nil {
		return 0, false, err
	}
	w.count -= n
	p.setRef(i, w)
	if c := b.tx.db.dirty.at(w.pgno).buf; c.count() == 0 {
		b.tx.dropPage(w)
		return n, true, nil
	}
	return n, false, nil
}

func (b *Bucket) cutLeaf(p page, lo, hi []byte) (uint64, error) {
	from, to := 0, p.count()
	var err error
	if lo != nil {
		if from, _, err = p.search(lo, b.tx); err != nil {
			return 0, err
		}
	}
	if hi != nil {
		if to, _, err = p.search(hi, b.tx); err != nil {
			return 0, err
		}
	}
	if from >= to {
		return 0, nil
	}
	for i := from; i < to; i++ {
		if err := b.freeCell(p, i); err != nil {
			return 0, err
		}
	}
	p.remove(from, to)
	return uint64(to - from), nil
}
