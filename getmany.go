package folio

// manyAtOnce is how many lookups of GetMany descend together.
const manyAtOnce = 128

// GetMany looks up many keys at once and calls fn for each with its index in keys and what
// Get would return, in no particular order. The lookups descend level by level together, so
// that their cache misses overlap: it pays with many keys that are not in the processor's cache.
// fn may use the transaction. Damage is told by Tx.Err; values beside it may be nil then, too.
func (b *Bucket) GetMany(keys [][]byte, fn func(i int, value []byte)) {
	values := make([][]byte, min(len(keys), manyAtOnce))
	for from := 0; from < len(keys); from += manyAtOnce {
		part := keys[from:min(from+manyAtOnce, len(keys))]
		clear(values)
		b.getMany(part, values)
		for i := range part {
			fn(from+i, values[i])
		}
	}
}

func (b *Bucket) getMany(keys, values [][]byte) {
	if !b.live() {
		return
	}
	defer b.tx.leave(b.tx.enter(), nil)
	if err := b.lookupMany(keys, values); err != nil {
		b.tx.fail(err)
		clear(values)
	}
}

// A descent is one lookup of many on its way down.
type descent struct {
	p    page
	at   ref // of p; kept in write transactions only
	slot int
	tie  bool
}

// lookupMany fills in the values of keys. Between the rounds it touches the lines that the
// next round begins with, in loads that do not depend on each other.
func (b *Bucket) lookupMany(keys, values [][]byte) error {
	root, err := b.rootPage()
	if root == nil {
		return err
	}
	var all [manyAtOnce]descent
	ds := all[:len(keys)]
	for i := range ds {
		ds[i] = descent{p: root, at: b.root}
	}
	touched := byte(0)
	for level := root.level(); level > 0; level-- {
		if err := b.childMany(keys, ds, level); err != nil {
			return err
		}
		for i := range ds {
			touched += ds[i].p[0]
		}
		for i := range ds {
			p := ds[i].p
			mid := p.slotBase() + p.count()/2*slotSize
			touched += p[min(mid, len(p)-1)] + p[min(mid/2, len(p)-1)] + p[min(mid+mid/2, len(p)-1)]
		}
	}
	for i := range ds {
		if p := ds[i].p; p.level() != 0 {
			return corruptf(p.pgno(), "level %d in place of a leaf", p.level())
		}
		ds[i].slot, ds[i].tie = ds[i].p.bound(keys[i])
	}
	for i := range ds {
		if d := &ds[i]; d.tie {
			touched += d.p[d.p.cellOff(d.slot)]
		}
	}
	b.tx.db.touched(touched)
	for i := range ds {
		d := &ds[i]
		if !d.tie {
			continue
		}
		slot, found, err := d.p.searchTies(keys[i], d.slot, b.tx)
		if found {
			values[i], err = b.value(d.p, d.at, slot)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// childMany goes down by one level.
func (b *Bucket) childMany(keys [][]byte, ds []descent, level int) error {
	tx := b.tx
	for i := range ds {
		d := &ds[i]
		if d.p.level() != level {
			return corruptf(d.p.pgno(), "level %d in place of %d", d.p.level(), level)
		}
		slot, err := d.p.child(keys[i], tx)
		if err != nil {
			return err
		}
		if tx.w != nil {
			d.at = d.p.ref(slot)
		}
		pgno := d.p.refPgno(slot)
		if pgno < tx.hwm && pgno < tx.m.pages && tx.m.isVerified(pgno) && tx.db.opts.Verify != VerifyAlways {
			d.p = tx.m.page(pgno) // not looked at yet
			continue
		}
		if d.p, err = tx.load(d.p.ref(slot), level-1); err != nil {
			return err
		}
	}
	return nil
}

// touched keeps the compiler from leaving loads out.
//
//go:noinline
func (db *DB) touched(byte) {}
