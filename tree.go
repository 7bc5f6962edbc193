package folio

import (
	"bytes"
	"slices"

	"github.com/foliokv/folio/mmapfile"
)

// This file is the B+tree of one bucket: lookup, insert, delete, split, merge. What must hold:
//
//   - Splits happen at once. Merging waits for the end of the transaction, so a leaf may be
//     empty until then; a branch never is.
//   - The counts in refs are exact at all times, in dirty refs too.
//   - A change walks its path from the root and makes every page on it writable.

// A step is a page on the way from the root to a leaf, and the slot taken there.
type step struct {
	pgno uint32 // dirty
	slot int
}

// rootPage returns the root's page, nil for an empty tree.
func (b *Bucket) rootPage() (page, error) {
	switch {
	case b.inline != nil:
		return b.inline, nil
	case b.root.pgno == 0:
		return nil, nil
	}
	return b.tx.load(b.root, -1)
}

// lookup returns the leaf that covers key, its ref, and the slot where key is or would be.
// For an empty tree the leaf is nil.
func (b *Bucket) lookup(key []byte) (p page, at ref, i int, found bool, err error) {
	tx := b.tx
	at = b.root
	if p, err = b.rootPage(); p == nil {
		return nil, at, 0, false, err
	}
	for p[1] > 0 {
		if i, err = p.child(key, tx); err != nil {
			return nil, at, 0, false, err
		}
		if tx.w != nil {
			at = p.ref(i)
		}
		if p, err = tx.child(p, i); err != nil {
			return nil, at, 0, false, err
		}
	}
	i, found, err = p.search(key, tx)
	return p, at, i, found, err
}

// leaf returns, in a read transaction, the leaf that covers key; nil for an empty tree.
func (b *Bucket) leaf(key []byte) (page, error) {
	tx, m := b.tx, b.tx.m
	p, err := b.rootPage()
	if p == nil {
		return nil, err
	}
	for p[1] > 0 {
		i, tie := p.bound(key)
		found := false
		if tie {
			if i, found, err = p.searchTies(key, i, tx); err != nil {
				return nil, err
			}
		}
		if !found {
			i--
		}
		if pgno := p.refPgno(i); pgno < tx.known && m.isVerified(pgno) {
			c := m.page(pgno)
			mmapfile.Prefetch(c[64:askSlots])
			if c[1] == p[1]-1 {
				p = c
				continue
			}
		}
		if p, err = tx.load(p.ref(i), p.level()-1); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// descend makes the path to the leaf that covers key writable and returns it.
func (b *Bucket) descend(key []byte) ([]step, page, error) {
	tx := b.tx
	if err := b.dirtyRoot(); err != nil {
		return nil, nil, err
	}
	p := tx.db.dirty.at(b.root.pgno).buf
	path := append(tx.db.path[:0], step{pgno: b.root.pgno})
	for p[1] > 0 {
		i, found, err := b.searchIn(p, key)
		if err != nil {
			return nil, nil, err
		}
		if !found {
			i--
		}
		r, c, err := tx.writablePage(p.ref(i), p.level()-1)
		if err != nil {
			return nil, nil, err
		}
		p.setRef(i, r)
		path[len(path)-1].slot = i
		path = append(path, step{pgno: r.pgno})
		p = c
	}
	tx.db.path = path
	return path, p, nil
}

// searchIn is page.search for an insert: where the last one was at the end of the bucket's
// leaf, it looks there first, so that loading in order needs no search.
func (b *Bucket) searchIn(p page, key []byte) (int, bool, error) {
	if b.atEnd {
		if after, err := p.afterLast(key, b.tx); after || err != nil {
			return p.count(), false, err
		}
	}
	return p.search(key, b.tx)
}

// dirtyRoot makes the root writable; an empty tree gets an empty leaf.
func (b *Bucket) dirtyRoot() error {
	tx := b.tx
	b.touch()
	b.changes++
	if b.inline == nil && b.root.pgno != 0 {
		r, _, err := tx.writablePage(b.root, -1)
		if err == nil {
			b.root = r
		}
		return err
	}
	var cells []cell
	if b.inline != nil {
		cells = b.inline.appendCells(tx.db.cells[:0], 0, b.inline.count())
		b.inline = nil
	}
	b.root.pgno = tx.newPage(0, cells)
	return nil
}

// A tail is the way to the last leaf of a bucket, where the last insert went: what comes behind it
// needs no search. The way is as it was as long as the bucket and the scope are.
type tail struct {
	bucket  *Bucket
	changes uint64 // of the bucket
	serial  uint64 // of the scope, which owns the pages
	path    []step
}

// behindTail returns the way to the bucket's last leaf and the leaf, writable, if key comes behind
// all that is there and that is known without a search; else nil.
func (b *Bucket) behindTail(key []byte) ([]step, page) {
	tx := b.tx
	t := &tx.w.tail
	if t.bucket != b || t.changes != b.changes || t.serial != tx.w.scope().serial {
		return nil, nil
	}
	p := tx.db.dirty.at(t.path[len(t.path)-1].pgno).buf
	if after, err := p.afterLast(key, tx); !after || err != nil {
		return nil, nil
	}
	b.touch()
	b.changes++
	t.changes = b.changes
	return t.path, p
}

// noteTail notes whether what was inserted in slot i at the end of path is the last of the bucket.
func (b *Bucket) noteTail(path []step, i int) {
	tx := b.tx
	t := &tx.w.tail
	t.bucket = nil
	if path[0].pgno != b.root.pgno {
		return // the root was split, and the way is one in its left half
	}
	if n := tx.db.dirty.at(path[len(path)-1].pgno).buf.count(); i == n-1 && tx.onEdge(path, i, n) == 1 {
		t.bucket, t.changes, t.serial = b, b.changes, tx.w.scope().serial
		t.path = append(t.path[:0], path...)
	}
}

// addCounts adds d to the counts on the way to the leaf at the end of path.
func (b *Bucket) addCounts(path []step, d int64) {
	for _, s := range path[:len(path)-1] {
		b.tx.db.dirty.at(s.pgno).buf.addCount(s.slot, d)
	}
	b.root.count = uint64(int64(b.root.count) + d)
}

// putCell stores a payload under key. A key stays a bucket or none: else it returns
// ErrIncompatibleValue.
func (b *Bucket) putCell(key []byte, flags byte, payload []byte) error {
	path, p := b.behindTail(key)
	if p != nil {
		return b.insertCell(path, p.count(), key, flags, payload)
	}
	path, p, err := b.descend(key)
	if err != nil {
		return err
	}
	i, found, err := b.searchIn(p, key)
	if err != nil {
		return err
	}
	b.atEnd = !found && i == p.count()
	if found {
		return b.replaceCell(path, p, i, flags, payload)
	}
	return b.insertCell(path, i, key, flags, payload)
}

// insertCell stores a payload under a new key, in slot i of the leaf at the end of path.
func (b *Bucket) insertCell(path []step, i int, key []byte, flags byte, payload []byte) error {
	tx := b.tx
	sk, err := tx.storeKey(key)
	if err != nil {
		b.shrunk = true // an empty tree has got an empty leaf
		return err
	}
	body := appendLeafCell(tx.db.body[:0], flags, sk, payload)
	tx.db.body = body
	b.addCounts(path, 1)
	if err := b.place(path, i, cell{sk.bytes, sk.klen(), body}, false); err != nil {
		b.addCounts(path, -1)
		if sk.long {
			tx.freeExtent(sk.ext)
		}
		return err
	}
	if b.atEnd {
		b.noteTail(path, i)
	}
	return nil
}

func (b *Bucket) replaceCell(path []step, p page, i int, flags byte, payload []byte) error {
	tx := b.tx
	was, old := p.payload(i)
	if (was == cellBucket) != (flags == cellBucket) {
		return ErrIncompatibleValue
	}
	c := p.cell(i)
	body := append(tx.db.body[:0], flags, byte(len(payload)), byte(len(payload)>>8))
	body = append(body, c.body[leafKeyOff:leafKeyOff+keySpace(c.klen)]...)
	body = append(body, payload...)
	tx.db.body = body
	var replaced extent
	if was == cellExtent {
		replaced = getExtent(old)
	}
	if err := b.place(path, i, cell{c.key, c.klen, body}, true); err != nil {
		return err
	}
	if was == cellExtent {
		tx.freeExtent(replaced)
	}
	return nil
}

// storeKey returns key as a page stores it; a long one is written to an extent.
func (tx *Tx) storeKey(key []byte) (storedKey, error) {
	if len(key) <= maxInlineKey(tx.db.pageSize) {
		return storedKey{bytes: key}, nil
	}
	e, err := tx.writeExtent(key)
	return storedKey{bytes: key[:longInline], ext: e, long: true}, err
}

// place puts c at slot i of the page at the end of path, or over the cell there if over is
// set, and splits the page if it must.
func (b *Bucket) place(path []step, i int, c cell, over bool) error {
	tx := b.tx
	at := path[len(path)-1].pgno
	d := tx.db.dirty.at(at)
	p := d.buf
	d.buckets = d.buckets || p.level() == 0 && c.body[0] == cellBucket
	switch {
	case !over && p.fits(c):
		p.insert(i, c)
		return nil
	case over && !d.exposed && len(c.body) == p.cellSize(i):
		copy(p[p.cellOff(i):], c.body) // nobody has a slice of the old bytes
		return nil
	case over && p.room() >= len(c.body):
		p.replace(i, c)
		return nil
	}
	rest := i
	if over {
		rest++
	}
	cells := p.appendCells(tx.db.cells[:0], 0, i)
	cells = append(cells, c)
	cells = p.appendCells(cells, rest, p.count())
	tx.db.cells = cells
	if spaceFor(tx.db.pageSize, p.level(), cells) {
		tx.rebuild(at, p.level(), cells)
		return nil
	}
	edge := tx.onEdge(path, i, len(cells))
	if edge == 0 && p.level() == 0 {
		if done, err := b.splitWithNeighbour(path, cells); done || err != nil {
			return err
		}
	}
	return b.split(path, i, edge, cells)
}

// shareFill is how full, in percent, two neighbours may be after they shared their cells. It
// leaves room for some more inserts before they have to share again.
const shareFill = 97

// splitWithNeighbour parts the cells that do not fit into the leaf at the end of path, and those
// of the emptier of its neighbours, evenly between the two if they have room, else between them
// and a new page; before that, the leaf gives up its prefix for the last entry that it has room for. It fills pages
// better than splitting one (the idea is that of Knuth's B*-trees). It tells whether it did.
func (b *Bucket) splitWithNeighbour(path []step, cells []cell) (bool, error) {
	tx := b.tx
	last := len(path) - 1
	if last == 0 {
		return false, nil
	}
	slot := path[last-1].slot
	parent := tx.db.dirty.at(path[last-1].pgno).buf
	sibling, p, err := b.emptierNeighbour(parent, slot)
	if p == nil {
		return false, err
	}
	all := tx.besides(cells, p, sibling < slot)
	parts := 2
	if cellsSize(all) > 2*(tx.db.pageSize-slotBase(commonPrefix(0, all)))*shareFill/100 {
		parts = 3
		if headerSize+cellsSize(cells) <= tx.db.pageSize {
			tx.rebuild(path[last].pgno, 0, cells)
			return true, nil
		}
	}
	ends := partPoints(all, parts)
	for i, from := range ends[:parts] {
		if !spaceFor(tx.db.pageSize, 0, all[from:ends[i+1]]) {
			return false, nil
		}
	}
	r, p, err := tx.writablePage(parent.ref(sibling), 0)
	if err != nil {
		return false, err
	}
	parent.setRef(sibling, r)
	// The page it was may be used again as soon as something is written: a long separator.
	all = tx.besides(cells, p, sibling < slot)
	left, right := path[last].pgno, r.pgno
	if sibling < slot {
		left, right = right, left
	}
	return true, b.part(path[:last], min(slot, sibling), [2]uint32{left, right}, all, ends[1:parts])
}

// emptierNeighbour returns the slot of the emptier one of the leaves beside the one in slot, and
// its page; nil if there is none.
func (b *Bucket) emptierNeighbour(parent page, slot int) (sibling int, p page, err error) {
	for _, s := range [2]int{slot - 1, slot + 1} {
		if s < 0 || s >= parent.count() {
			continue
		}
		c, err := b.tx.child(parent, s)
		if err != nil {
			return 0, nil, err
		}
		if p == nil || c.used() < p.used() {
			sibling, p = s, c
		}
	}
	return sibling, p, nil
}

// partPoints returns where two or three parts of the cells begin, none of which is empty, that
// have about as many bytes each; then how many cells there are.
func partPoints(cells []cell, parts int) (ends [4]int) {
	if parts == 2 {
		return [4]int{0, splitPoint(cells, 0, 0), len(cells)}
	}
	size, sum, k := cellsSize(cells), 0, 1
	for i, c := range cells {
		if i > ends[k-1] && (sum+c.size()/2 >= size*k/parts || len(cells)-i == parts-k) {
			ends[k] = i
			if k++; k == parts {
				break
			}
		}
		sum += c.size()
	}
	ends[parts] = len(cells)
	return ends
}

// besides returns cells and those of a neighbour in order.
func (tx *Tx) besides(cells []cell, p page, before bool) []cell {
	all := tx.db.shared[:0]
	if before {
		all = append(p.appendCells(all, 0, p.count()), cells...)
	} else {
		all = p.appendCells(append(all, cells...), 0, p.count())
	}
	tx.db.shared = all
	return all
}

// part gives these cells to two neighbours, in slots i and i+1 of the branch at the end of path,
// and where there are two points to a new page behind them. at are the points where the second
// part begins, and the third.
func (b *Bucket) part(path []step, i int, pages [2]uint32, cells []cell, at []int) error {
	tx := b.tx
	seps, err := tx.separators(cells, at)
	if err != nil {
		return err
	}
	bufs := [2]page{tx.db.dirty.newBuffer(), tx.db.dirty.newBuffer()}
	parts := [3][]cell{cells[:at[0]], cells[at[0]:]}
	if len(at) == 2 {
		parts[1], parts[2] = cells[at[0]:at[1]], cells[at[1]:]
	}
	for k, buf := range bufs {
		buf.fill(0, parts[k])
	}
	up := make([]cell, 0, 2)
	add := func(pgno uint32, k int) {
		body := appendBranchCell(nil, ref{pgno: pgno, count: uint64(len(parts[k]))}, seps[k-1])
		up = append(up, cell{seps[k-1].bytes, seps[k-1].klen(), body})
	}
	add(pages[1], 1)
	if len(at) == 2 {
		add(tx.newPage(0, parts[2]), 2)
	}
	for k, buf := range bufs {
		tx.refill(pages[k], buf, parts[k])
	}
	parent := tx.db.dirty.at(path[len(path)-1].pgno).buf
	tx.freeLongKey(parent, i+1)
	parent.setRef(i, ref{pgno: pages[0], count: uint64(len(parts[0]))})
	if len(up) == 1 {
		parent.remove(i+1, i+2)
		return b.place(path, i+1, up[0], false)
	}
	return b.replaceSlot(path, i+1, up)
}

// separators returns the separators of leaves that begin with the cells at these points.
func (tx *Tx) separators(cells []cell, at []int) (seps [2]storedKey, err error) {
	for k, m := range at {
		if seps[k], err = tx.separator(0, cells[m-1], cells[m]); err != nil {
			if k > 0 && seps[0].long {
				tx.freeExtent(seps[0].ext)
			}
			return seps, err
		}
	}
	return seps, nil
}

// replaceSlot puts these cells into the branch at the end of path instead of slot i, and splits
// it if it must.
func (b *Bucket) replaceSlot(path []step, i int, with []cell) error {
	tx := b.tx
	at := path[len(path)-1].pgno
	p := tx.db.dirty.at(at).buf
	cells := append(p.appendCells(tx.db.cells[:0], 0, i), with...)
	cells = p.appendCells(cells, i+1, p.count())
	tx.db.cells = cells
	if spaceFor(tx.db.pageSize, p.level(), cells) {
		tx.rebuild(at, p.level(), cells)
		return nil
	}
	return b.split(path, i, 0, cells)
}

// split parts cells, which do not fit into the page at the end of path, between it and a new
// page to its right. i is the slot of the cell that came new.
func (b *Bucket) split(path []step, i, edge int, cells []cell) error {
	tx := b.tx
	at := path[len(path)-1].pgno
	p := tx.db.dirty.at(at).buf
	level := p.level()
	m := splitPoint(cells, i, edge)
	sep, err := tx.separator(level, cells[m-1], cells[m])
	if err != nil {
		return err
	}
	prefixes := partPrefixes(level, cells, m)
	next := tx.db.dirty.newBuffer()
	next.fillWith(level, cells[m:], prefixes[1])
	right := tx.addPage(next, cells[m:])
	switch {
	case m != p.count() || m != i:
		p = tx.db.dirty.newBuffer()
		p.fillWith(level, cells[:m], prefixes[0])
		tx.refill(at, p, cells[:m])
	case p.prefixLen() < prefixes[0] && p.room() >= slotBase(prefixes[0])-p.slotBase():
		p.setPrefix(prefixes[0])
	}
	return b.linkRight(path, p, right, sep)
}

// partPrefixes returns the lengths of the prefixes of the two pages that cells are parted between at m. A page that begins
// with one cell, where keys come in order, begins with as long a prefix as that of its neighbour is: the keys that will come
// differ from each other where the neighbour's do.
func partPrefixes(level int, cells []cell, m int) (lens [2]int) {
	lens[0], lens[1] = commonPrefix(level, cells[:m]), commonPrefix(level, cells[m:])
	if m == 1 {
		lens[0] = min(lens[1], len(cells[0].key))
	}
	if m == len(cells)-1 {
		lens[1] = min(lens[0], len(cells[m].key))
	}
	return lens
}

// linkRight puts the new page right, which begins with sep, into the tree behind left, the page
// at the end of path.
func (b *Bucket) linkRight(path []step, left page, right uint32, sep storedKey) error {
	tx := b.tx
	last := len(path) - 1
	at := path[last].pgno
	rightRef := ref{pgno: right, count: tx.db.dirty.at(right).buf.total()}
	up := cell{sep.bytes, sep.klen(), appendBranchCell(nil, rightRef, sep)}
	leftRef := ref{pgno: at, count: left.total()}
	if last == 0 {
		first := cell{nil, 0, appendBranchCell(nil, leftRef, storedKey{})}
		b.root.pgno = tx.newPage(left.level()+1, []cell{first, up})
		return nil
	}
	parent := path[last-1]
	tx.db.dirty.at(parent.pgno).buf.setRef(parent.slot, leftRef)
	return b.place(path[:last], parent.slot+1, up, false)
}

// onEdge tells whether slot i is the last of the tree's level (+1), the first (-1), or
// between.
func (tx *Tx) onEdge(path []step, i, n int) int {
	first, last := i == 0, i == n-1
	for _, s := range path[:len(path)-1] {
		first = first && s.slot == 0
		last = last && s.slot == tx.db.dirty.at(s.pgno).buf.count()-1
	}
	switch {
	case last:
		return 1
	case first:
		return -1
	}
	return 0
}

// splitPoint returns how many cells go left: at the edges of the tree all but the new one, so
// that loading in order fills pages; else half of the bytes.
func splitPoint(cells []cell, i, edge int) int {
	switch edge {
	case 1:
		return len(cells) - 1
	case -1:
		return 1
	}
	half := cellsSize(cells) / 2
	sum := 0
	for m, c := range cells {
		if sum += c.size(); sum > half {
			// The cell over the middle goes where it leaves the halves more alike.
			if m > 0 && sum-half > half-(sum-c.size()) || m == len(cells)-1 {
				return max(m, 1)
			}
			return m + 1
		}
	}
	return len(cells) / 2
}

// separator returns the key that parts two neighbours: in a branch the right one's own, in a
// leaf the shortest string above the left and not above the right one.
func (tx *Tx) separator(level int, left, right cell) (storedKey, error) {
	if level > 0 {
		return right.storedKey(branchKeyOff), nil
	}
	n := commonLen(left.key, right.key)
	if n < min(len(left.key), len(right.key)) || n == len(left.key) && left.klen != longKey {
		return tx.storeKey(slices.Clone(right.key[:n+1]))
	}
	l, err := left.whole(tx)
	if err != nil {
		return storedKey{}, err
	}
	r, err := right.whole(tx)
	if err != nil {
		return storedKey{}, err
	}
	return tx.storeKey(slices.Clone(r[:commonLen(l, r)+1]))
}

// storedKey returns the key of a cell whose key part begins at off; it is a copy.
func (c cell) storedKey(off int) storedKey {
	if c.klen != longKey {
		return storedKey{bytes: slices.Clone(c.body[off : off+c.klen])}
	}
	from := off + extentSize
	return storedKey{bytes: slices.Clone(c.body[from : from+longInline]), ext: getExtent(c.body[off:]), long: true}
}

// whole returns the whole key of a leaf cell.
func (c cell) whole(kl keyLoader) ([]byte, error) {
	if c.klen != longKey {
		return c.key, nil
	}
	return kl.loadKey(getExtent(c.body[leafKeyOff:]))
}

// deleteCell removes the entry at the end of path, which is a leaf, and frees what it holds.
func (b *Bucket) deleteCell(path []step, p page, i int) error {
	if err := b.freeCell(p, i); err != nil {
		return err
	}
	p.remove(i, i+1)
	b.addCounts(path, -1)
	b.shrunk = true
	return nil
}

// freeCell frees what a leaf cell refers to: extents, a bucket's tree.
func (b *Bucket) freeCell(p page, i int) error {
	b.tx.freeLongKey(p, i)
	switch flags, v := p.payload(i); flags {
	case cellExtent:
		b.tx.freeExtent(getExtent(v))
	case cellBucket:
		return b.dropTree(getRef(v), -1)
	}
	return nil
}

// dropTree frees all pages and extents of a tree. When it fails part of them is free already,
// so the transaction fails too.
func (b *Bucket) dropTree(r ref, level int) error {
	if r.pgno == 0 {
		return nil
	}
	d := &dropper{tx: b.tx, left: int(b.tx.hwm) + len(b.tx.db.dirty.pages)}
	err := d.claim(r)
	if err == nil {
		err = d.tree(r, level)
	}
	for err == nil && len(d.roots) > 0 {
		last := len(d.roots) - 1
		root := d.roots[last]
		d.roots = d.roots[:last]
		err = d.tree(root, -1)
	}
	if err != nil {
		return b.tx.fail(err)
	}
	return nil
}

// A dropper is one dropTree under way. Pages of a damaged file may lead to each other, or nest
// buckets without end.
type dropper struct {
	tx    *Tx
	roots []ref // of nested buckets still to be dropped
	left  int   // pages that it may visit
}

func (d *dropper) claim(r ref) error {
	if d.left--; d.left < 0 {
		return corruptf(r.pgno, "a tree with more pages than the file has")
	}
	return nil
}

// tree drops a tree whose root is claimed, but for the buckets nested in it.
func (d *dropper) tree(r ref, level int) error {
	p, err := d.tx.load(r, level)
	if err != nil {
		return err
	}
	for i := range p.count() {
		d.tx.freeLongKey(p, i)
		if p.level() > 0 {
			c := p.ref(i)
			if err = d.claim(c); err == nil {
				err = d.tree(c, p.level()-1)
			}
		} else {
			err = d.payload(p, i)
		}
		if err != nil {
			return err
		}
	}
	d.tx.dropPage(r)
	return nil
}

func (d *dropper) payload(p page, i int) error {
	switch flags, v := p.payload(i); flags {
	case cellExtent:
		d.tx.freeExtent(getExtent(v))
	case cellBucket:
		if root := getRef(v); root.pgno != 0 {
			d.roots = append(d.roots, root)
			return d.claim(root)
		}
	}
	return nil
}

// freeLongKey frees the extent of a long key or separator.
func (tx *Tx) freeLongKey(p page, i int) {
	if p.isLong(i) {
		_, e := p.longKey(i)
		tx.freeExtent(e)
	}
}

// removeChildren takes slots from to to out of a writable branch, whose children are dropped
// already, and lets the first of the rest have the empty separator.
func (b *Bucket) removeChildren(p page, from, to int) {
	for i := from; i < to; i++ {
		b.tx.freeLongKey(p, i)
	}
	p.remove(from, to)
	if from == 0 && p.count() > 0 {
		b.tx.freeLongKey(p, 0)
		p.clearLeftmost()
	}
}

// clearLeftmost empties the separator in slot 0 of a branch.
func (p page) clearLeftmost() {
	s := p.slot(0)
	le.PutUint32(p[12:], uint32(p.garbage()+keySpace(int(le.Uint16(s[6:])))))
	le.PutUint32(s, 0)
	le.PutUint16(s[6:], 0)
}

// rebalance merges pages that the transaction left underfull with a neighbour, drops empty
// ones, and lowers the tree where the root has one child.
func (b *Bucket) rebalance() error {
	if !b.shrunk || !b.root.dirty() {
		return nil
	}
	b.shrunk = false
	b.changes++
	if b.altered(b.root.pgno) {
		if err := b.mergeBelow(b.root.pgno); err != nil {
			return err
		}
	}
	for b.root.dirty() {
		p := b.tx.db.dirty.at(b.root.pgno).buf
		switch {
		case p.count() == 0:
			b.tx.dropPage(b.root)
			b.root = ref{}
			b.touch()
		case p.level() > 0 && p.count() == 1:
			only := p.ref(0)
			b.tx.dropPage(b.root)
			b.root = only
			b.touch()
		default:
			return nil
		}
	}
	return nil
}

// mergeBelow mends the children of a branch that the transaction changed, bottom up.
func (b *Bucket) mergeBelow(pgno uint32) error {
	_, p, err := b.tx.writablePage(ref{pgno: pgno}, -1)
	if err != nil || p.level() == 0 {
		return err
	}
	for i := range p.count() {
		if c := p.refPgno(i); b.altered(c) {
			if err := b.mergeBelow(c); err != nil {
				return err
			}
		}
	}
	b.dropEmpty(p)
	return b.mergeUnderfull(p)
}

// dropEmpty takes empty children out of a branch that the transaction changed.
func (b *Bucket) dropEmpty(p page) {
	for i := 0; i < p.count(); {
		c := p.ref(i)
		if !b.altered(c.pgno) || b.tx.db.dirty.at(c.pgno).buf.count() > 0 {
			i++
			continue
		}
		b.tx.dropPage(c)
		b.removeChildren(p, i, i+1)
	}
}

// mergeUnderfull joins underfull children of a branch that the transaction changed with their
// neighbours, of which none is empty.
func (b *Bucket) mergeUnderfull(p page) error {
	for i := 0; i < p.count(); {
		c := p.ref(i)
		if !b.altered(c.pgno) || p.count() == 1 {
			i++
			continue
		}
		child := b.tx.db.dirty.at(c.pgno).buf
		merged := false
		if child.used() < len(child)/3 {
			var err error
			if merged, err = b.mergeChild(p, i); err != nil {
				return err
			}
		}
		if !merged {
			i++
		}
	}
	return nil
}

// altered tells whether the transaction, in whatever scope, changed the page.
func (b *Bucket) altered(pgno uint32) bool {
	return pgno&dirtyBit != 0 && b.tx.db.dirty.at(pgno).scope != 0
}

// owns tells whether the innermost scope may change the page as it is.
func (b *Bucket) owns(pgno uint32) bool {
	return pgno&dirtyBit != 0 && b.tx.db.dirty.at(pgno).scope == b.tx.w.scope().serial
}

// mergeChild joins child i of a writable branch with a neighbour if one page takes both.
func (b *Bucket) mergeChild(p page, i int) (bool, error) {
	for _, left := range []int{i - 1, i} {
		if left < 0 || left+1 >= p.count() {
			continue
		}
		if done, err := b.mergePair(p, left); done || err != nil {
			return done, err
		}
	}
	return false, nil
}

// mergePair joins the children in slots i and i+1 if one page takes both.
func (b *Bucket) mergePair(p page, i int) (bool, error) {
	tx := b.tx
	level := p.level() - 1
	lref, rref := p.ref(i), p.ref(i+1)
	l, err := tx.load(lref, level)
	if err != nil {
		return false, err
	}
	r, err := tx.load(rref, level)
	if err != nil {
		return false, err
	}
	if l.used()+r.used() > len(p)-headerSize {
		return false, nil
	}
	cells := l.appendCells(tx.db.cells[:0], 0, l.count())
	right := len(cells)
	cells = r.appendCells(cells, 0, r.count())
	tx.db.cells = cells
	sep := p.cell(i + 1)
	if level > 0 {
		body := append(slices.Clone(cells[right].body[:branchKeyOff]), sep.body[branchKeyOff:]...)
		cells[right] = cell{bytes.Clone(sep.key), sep.klen, body}
	}
	if !spaceFor(tx.db.pageSize, level, cells) {
		return false, nil
	}
	merged := ref{pgno: tx.newPage(level, cells), count: lref.count + rref.count}
	tx.dropPage(lref)
	tx.dropPage(rref)
	p.setRef(i, merged)
	if level == 0 {
		b.tx.freeLongKey(p, i+1)
	}
	p.remove(i+1, i+2)
	return true, nil
}
