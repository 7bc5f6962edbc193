package folio

// manyAtOnce is how many lookups of GetMany descend together.
const manyAtOnce = 128

// GetMany looks up many keys at once and calls fn for each with its index in keys and what
// Get would return, in no particular order. The lookups descend level by level together, so
// that their cache misses overlap: with many keys that are not in the processor's cache it is
// several times as fast as single Gets. fn may use the transaction.
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

// lookupMany fills in the values of keys.
func (b *Bucket) lookupMany(keys, values [][]byte) error {
	root, err := b.rootPage()
	if root == nil {
		return err
	}
	var pages [manyAtOnce]page
	var ats [manyAtOnce]ref
	for i := range keys {
		pages[i], ats[i] = root, b.root
	}
	var touched uint32
	for level := root.level(); level > 0; level-- {
		for i, key := range keys {
			p := pages[i]
			slot, err := p.child(key, b.tx)
			if err != nil {
				return err
			}
			if b.tx.w != nil {
				ats[i] = p.ref(slot)
			}
			if pages[i], err = b.tx.child(p, slot); err != nil {
				return err
			}
		}
		// Independent loads of what the next round begins with overlap.
		for _, p := range pages[:len(keys)] {
			touched += uint32(p[2]) + uint32(p[len(p)/16])
		}
	}
	b.tx.db.touched(touched)
	for i, key := range keys {
		p := pages[i]
		slot, found, err := p.search(key, b.tx)
		if err != nil {
			return err
		}
		if found {
			if values[i], err = b.value(p, ats[i], slot); err != nil {
				return err
			}
		}
	}
	return nil
}

// touched keeps the compiler from leaving loads out.
//
//go:noinline
func (db *DB) touched(uint32) {}
