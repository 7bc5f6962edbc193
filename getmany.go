package folio

import "github.com/foliokv/folio/mmapfile"

const (
	manyAtOnce = 128 // keys that GetMany looks up before it calls fn
	inStep     = 32  // of them, those that descend together: what was asked for must still be there when it is used
	slotsAhead = 4   // keys between asking for a page's slots and searching them: a processor drops requests when too many are under way
	askCell    = 128 // bytes of a cell
)

// GetMany looks up many keys at once and calls fn for each with its index in keys and what
// Get would return, in no particular order. The lookups descend level by level together, so
// that their cache misses overlap: it pays with many keys that are not in the processor's cache.
// fn may use the transaction. Damage is told by Tx.Err; values beside it may be nil then, too.
func (b *Bucket) GetMany(keys [][]byte, fn func(i int, value []byte)) {
	var values [manyAtOnce][]byte
	for from := 0; from < len(keys); from += manyAtOnce {
		part := keys[from:min(from+manyAtOnce, len(keys))]
		clear(values[:len(part)])
		b.getMany(part, values[:len(part)])
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

// lookupMany fills in the values of keys.
func (b *Bucket) lookupMany(keys, values [][]byte) error {
	root, err := b.rootPage()
	if root == nil {
		return err
	}
	for len(keys) > 0 {
		n := min(len(keys), inStep)
		if err := b.lookupTogether(root, keys[:n], values[:n]); err != nil {
			return err
		}
		keys, values = keys[n:], values[n:]
	}
	return nil
}

// A descent is one lookup of many on its way down.
type descent struct {
	p    page
	at   ref // of p; kept in write transactions only
	slot int
	tie  bool
}

// lookupTogether is lookupMany for a few keys. Each round asks for the memory that the next
// round begins with.
func (b *Bucket) lookupTogether(root page, keys, values [][]byte) error {
	var all [inStep]descent
	ds := all[:len(keys)]
	for i := range ds {
		ds[i].p, ds[i].at = root, b.root
	}
	for level := root.level(); level > 0; level-- {
		if err := searchMany(keys, ds, level); err != nil {
			return err
		}
		if err := b.childMany(keys, ds, level); err != nil {
			return err
		}
	}
	if err := searchMany(keys, ds, 0); err != nil {
		return err
	}
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

// searchMany finds each key's slot as far as the slots tell, and asks for the cell that will be
// looked at.
func searchMany(keys [][]byte, ds []descent, level int) error {
	for i := range min(slotsAhead, len(ds)) {
		ask(ds[i].p, 64, askSlots-64)
	}
	for i := range ds {
		if i+slotsAhead < len(ds) {
			ask(ds[i+slotsAhead].p, 64, askSlots-64)
		}
		d := &ds[i]
		if d.p.level() != level {
			return corruptf(d.p.pgno(), "level %d in place of %d", d.p.level(), level)
		}
		d.slot, d.tie = d.p.bound(keys[i])
		if at := d.slot; d.tie {
			ask(d.p, d.p.cellOff(at), askCell)
		} else if level > 0 {
			ask(d.p, d.p.cellOff(at-1), askCell)
		}
	}
	return nil
}

// childMany goes down by one level.
func (b *Bucket) childMany(keys [][]byte, ds []descent, level int) error {
	tx := b.tx
	for i := range ds {
		d := &ds[i]
		found := false
		var err error
		if d.tie {
			if d.slot, found, err = d.p.searchTies(keys[i], d.slot, tx); err != nil {
				return err
			}
		}
		if !found {
			d.slot--
		}
		if tx.w != nil {
			d.at = d.p.ref(d.slot)
		}
		pgno := d.p.refPgno(d.slot)
		if pgno < tx.hwm && pgno < tx.m.pages && tx.m.isVerified(pgno) && tx.db.opts.Verify != VerifyAlways && !tx.looking {
			d.p = tx.m.page(pgno) // not looked at yet
			continue
		}
		if d.p, err = tx.load(d.p.ref(d.slot), level-1); err != nil {
			return err
		}
	}
	for i := range ds {
		mmapfile.Prefetch(ds[i].p[:1])
	}
	return nil
}

// ask asks for the memory of n bytes of p from off on, as far as it has them.
func ask(p page, off, n int) {
	if end := min(off+n, len(p)); off < end {
		mmapfile.Prefetch(p[off:end])
	}
}
