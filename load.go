package folio

import (
	"bytes"
	"context"
	"fmt"
	"iter"
)

// This file is the bulk load: pages are filled in key order and written at once, so that
// memory holds one page of each level.

// Load stores pairs, which must come in rising key order and after the bucket's last key,
// straight into full pages. It is the fastest way to fill a bucket, and needs little memory
// whatever the number of pairs. A pair out of order is ErrOutOfOrder, with its position and
// key; then, as after any other error (those of Put, ctx's), the bucket is as before. pairs
// must not use the transaction; its slices may be used again when the next pair is asked for.
func (b *Bucket) Load(ctx context.Context, pairs iter.Seq2[[]byte, []byte]) (err error) {
	if err := b.writeCheck(); err != nil {
		return err
	}
	l, err := b.beginLoad()
	if err != nil {
		return err
	}
	ended := false
	defer func() {
		if !ended {
			b.undoLoad() // pairs panicked
		}
	}()
	n := 0
	for k, v := range pairs {
		if n%1024 == 0 {
			err = ctx.Err()
		}
		if err == nil {
			err = l.add(k, v)
		}
		if err != nil {
			err = fmt.Errorf("loading pair %d, key %q: %w", n, clip(k), err)
			break
		}
		n++
	}
	ended = true
	if err == nil {
		err = l.end()
	}
	if err != nil {
		b.undoLoad()
	}
	return err
}

// A loader is one bulk load under way.
type loader struct {
	b       *Bucket
	w       *earlyWriter
	levels  []*loadLevel
	first   []byte // the first key loaded
	last    []byte // the last key, or that of the bucket before
	before  []byte // the bucket's last key before, nil if it was empty
	count   uint64
	changes uint64 // of the bucket's contents when the load began
}

// A loadLevel is the page of a level that is being filled.
type loadLevel struct {
	cells []cell
	size  int
	buf   []byte    // the cells' bytes
	count uint64    // entries below
	sep   storedKey // parts the page from the one before it
}

func (b *Bucket) beginLoad() (l *loader, err error) {
	defer b.tx.leave(b.tx.enter(), &err)
	b.tx.w.deletes = false
	if err := b.tx.root.writeBack(); err != nil {
		return nil, b.tx.fail(err)
	}
	b.tx.openScope()
	l = &loader{b: b, w: b.tx.newEarlyWriter(64), changes: b.changes - b.moved}
	l.w.reuse = true
	c := b.Cursor()
	found, err := c.last()
	if found {
		f := c.stack[len(c.stack)-1]
		var k []byte
		k, err = f.p.key(f.i, b.tx)
		l.before, l.last = bytes.Clone(k), bytes.Clone(k)
	}
	if err != nil {
		b.tx.undoScope()
	}
	return l, err
}

func (b *Bucket) undoLoad() {
	if b.tx.check() != nil {
		return
	}
	defer b.tx.leave(b.tx.enter(), nil)
	b.tx.undoScope()
	if err := b.tx.root.reload(); err != nil {
		b.tx.fail(err)
	}
}

func (l *loader) add(k, v []byte) (err error) {
	if err := l.b.writeCheck(); err != nil {
		return err
	}
	if err := checkKey(k); err != nil {
		return err
	}
	switch {
	case len(v) > MaxValueSize:
		return ErrValueTooLarge
	case l.last != nil && bytes.Compare(k, l.last) <= 0:
		return ErrOutOfOrder
	}
	tx := l.b.tx
	defer tx.leave(tx.enter(), &err)
	flags, payload := byte(cellInline), v
	inline := tx.fitsInline(k, v)
	n := int64(len(v))
	if inline {
		n = 0
	}
	if err := tx.prepare(k, n); err != nil {
		return err
	}
	if !inline {
		e, err := tx.writeExtent(v)
		if err != nil {
			return err
		}
		var ref [extentSize]byte
		e.put(ref[:])
		flags, payload = cellExtent, ref[:]
	}
	sk := storedKey{bytes: k} // what storeKey returns for a short key, without copying it about
	if len(k) > maxInlineKey(tx.db.pageSize) {
		if sk, err = tx.storeKey(k); err != nil {
			return err
		}
	}
	if err := l.pushEntry(k, &sk, flags, payload); err != nil {
		return err
	}
	if l.first == nil {
		l.first = bytes.Clone(k)
	}
	l.last = append(l.last[:0], k...)
	l.count++
	return nil
}

// pushEntry adds an entry to the leaf being filled, or to the next if that is full.
func (l *loader) pushEntry(k []byte, sk *storedKey, flags byte, payload []byte) error {
	leaf := l.level(0)
	from := len(leaf.buf)
	leaf.buf = appendLeafCell(leaf.buf, flags, *sk, payload) // made where it stays; see hold
	body := leaf.buf[from:len(leaf.buf):len(leaf.buf)]
	if !leaf.takes(0, sk.bytes, len(body), l.b.tx.db.pageSize) {
		sep, err := l.b.tx.storeKey(k[:commonLen(l.last, k)+1])
		if err != nil {
			return err
		}
		if err := l.emit(0, sep); err != nil {
			return err
		}
		body = leaf.hold(body) // now at the beginning of the same memory
	}
	leaf.add(leafKeyOff, sk, body, 1)
	return nil
}

// pushRef adds a page to the branch being filled at a level, or to the next if that is full.
func (l *loader) pushRef(level int, r ref, sep storedKey) error {
	body := appendBranchCell(nil, r, sep)
	if at := l.level(level); !at.takes(level, sep.bytes, len(body), l.b.tx.db.pageSize) {
		if err := l.emit(level, sep); err != nil {
			return err
		}
	}
	at := l.level(level)
	at.add(branchKeyOff, &sep, at.hold(body), r.count)
	return nil
}

func (l *loader) level(i int) *loadLevel {
	if i == len(l.levels) {
		l.levels = append(l.levels, &loadLevel{})
	}
	return l.levels[i]
}

// takes tells whether the page has room for a cell of n bytes and the prefix that all have then.
func (at *loadLevel) takes(level int, key []byte, n, pageSize int) bool {
	first := min(level, 1) // a branch's first separator is not stored
	prefix := 0
	if len(at.cells) > first {
		prefix = min(commonLen(at.cells[first].key, key), maxPrefix)
	}
	return len(at.cells) == 0 || slotBase(prefix)+at.size+slotSize+n <= pageSize
}

// hold copies the body of a cell to at.buf. Where that moves, earlier cells keep the old bytes.
func (at *loadLevel) hold(body []byte) []byte {
	from := len(at.buf)
	at.buf = append(at.buf, body...)
	return at.buf[from:len(at.buf):len(at.buf)]
}

// add adds a cell whose body is in at.buf.
func (at *loadLevel) add(keyOff int, k *storedKey, body []byte, count uint64) {
	if k.long {
		keyOff += extentSize
	}
	at.cells = append(at.cells, cell{})
	c := &at.cells[len(at.cells)-1] // field by field: a copy of the whole would wait for its parts
	c.key, c.klen, c.body = body[keyOff:keyOff+len(k.bytes)], k.klen(), body
	at.size += slotSize + len(body)
	at.count += count
}

// emit writes the page being filled at a level; sep parts it from the next.
func (l *loader) emit(level int, sep storedKey) error {
	at := l.levels[level]
	r, err := l.write(level)
	if err != nil {
		return err
	}
	own := at.sep
	at.cells, at.buf, at.size, at.count = at.cells[:0], at.buf[:0], 0, 0
	at.sep = storedKey{bytes.Clone(sep.bytes), sep.ext, sep.long}
	return l.pushRef(level+1, r, own)
}

// write writes the page being filled at a level.
func (l *loader) write(level int) (ref, error) {
	at := l.levels[level]
	p := l.b.tx.db.dirty.newBuffer()
	p.fill(level, at.cells)
	r, err := l.w.add(p)
	r.count = at.count
	return r, err
}

// end writes what is left and joins it to the bucket.
func (l *loader) end() (err error) {
	b := l.b
	if err := b.writeCheck(); err != nil {
		return err
	}
	defer b.tx.leave(b.tx.enter(), &err)
	if l.changes != b.changes-b.moved {
		return fmt.Errorf("loading: the bucket was changed meanwhile")
	}
	root, level, err := l.root()
	if err != nil {
		return err
	}
	if l.count > 0 {
		if err := b.join(root, level, l.before, l.first); err != nil {
			return err
		}
	}
	b.tx.releaseScope()
	return nil
}

// root finishes the pages of all levels and returns the root's ref and level.
func (l *loader) root() (ref, int, error) {
	if l.count == 0 {
		return ref{}, 0, nil
	}
	for level := 0; ; level++ {
		at := l.levels[level]
		if level < len(l.levels)-1 {
			if err := l.emit(level, storedKey{}); err != nil {
				return ref{}, 0, err
			}
			continue
		}
		if level > 0 && len(at.cells) == 1 {
			return getRef(at.cells[0].body), level - 1, l.w.close()
		}
		r, err := l.write(level)
		if err == nil {
			err = l.w.close()
		}
		return r, level, err
	}
}

// join makes the tree of root, all of whose keys come after those of b, part of b. before and
// first are the keys on both sides of the seam.
func (b *Bucket) join(root ref, level int, before, first []byte) error {
	tx := b.tx
	b.touch()
	b.changes++
	b.shrunk = true // the tree's right edge may be thin
	if before == nil {
		if b.root.pgno != 0 {
			if err := b.dropTree(b.root, -1); err != nil {
				return err
			}
		}
		b.root, b.inline = root, nil
		return nil
	}
	sep, err := tx.storeKey(first[:commonLen(before, first)+1])
	if err != nil {
		return err
	}
	if err := b.dirtyRoot(); err != nil {
		return err
	}
	old := b.root
	oldLevel := tx.db.dirty.at(old.pgno).buf.level()
	up := func(r ref) cell { return cell{sep.bytes, sep.klen(), appendBranchCell(nil, r, sep)} }
	switch {
	case level == oldLevel:
		left := cell{nil, 0, appendBranchCell(nil, old, storedKey{})}
		b.root = ref{pgno: tx.newPage(level+1, []cell{left, up(root)}), count: old.count + root.count}
		return nil
	case level < oldLevel:
		path, err := b.edge(level+1, true)
		if err != nil {
			return err
		}
		b.addCounts(path, int64(root.count))
		n := tx.db.dirty.at(path[len(path)-1].pgno).buf.count()
		return b.place(path, n, up(root), false)
	}
	// The loaded tree is the taller one: the old root becomes its leftmost child.
	b.root = root
	if err := b.dirtyRoot(); err != nil {
		return err
	}
	path, err := b.edge(oldLevel+1, false)
	if err != nil {
		return err
	}
	b.addCounts(path, int64(old.count))
	p := tx.db.dirty.at(path[len(path)-1].pgno).buf
	was := p.ref(0)
	p.setRef(0, old)
	return b.place(path, 1, up(was), false)
}

// edge makes the path from the root down to a level writable, along the right or left edge.
func (b *Bucket) edge(level int, right bool) ([]step, error) {
	tx := b.tx
	p := tx.db.dirty.at(b.root.pgno).buf
	path := []step{{pgno: b.root.pgno}}
	for p.level() > level {
		i := 0
		if right {
			i = p.count() - 1
		}
		r, c, err := tx.writablePage(p.ref(i), p.level()-1)
		if err != nil {
			return nil, err
		}
		p.setRef(i, r)
		path[len(path)-1].slot = i
		path = append(path, step{pgno: r.pgno})
		p = c
	}
	return path, nil
}
