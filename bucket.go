package folio

import (
	"bytes"
	"fmt"
	"slices"
)

// A Bucket is an ordered set of keys, each with a value or a nested bucket. A Bucket belongs
// to its transaction. Reads through a nil *Bucket, or after the transaction ended, find
// nothing.
type Bucket struct {
	tx           *Tx
	parent       *Bucket // nil: the bucket tree
	root         ref
	inline       page // the whole tree, when it stands in the parent's cell
	sequence     uint64
	*writeBucket // what only a bucket of a write transaction has
}

// A writeBucket is the part of a Bucket for writing.
type writeBucket struct {
	name     []byte
	children openBuckets // one Bucket for each
	stale    []*Bucket   // of them, those that changed or hold one that did; see touch
	listed   bool        // it stands in its parent's stale
	changes  uint64      // counts changes of the tree, so cursors see them
	moved    uint64      // those of them that only gave pages other places
	changed  bool        // the header in the parent's cell is old
	shrunk   bool        // something was deleted since the last rebalance
	atEnd    bool        // the last insert was at the end of its leaf
	gone     bool        // deleted, or rolled back

	shortName  [24]byte   // room for name
	firstStale [1]*Bucket // and for stale
}

// A bucket's header is the payload of its cell:
//
//	 0          24           32      36
//	+----------+------------+-------+-------------------+
//	| root ref | sequence   | flags | page, if inline   |
//	|          | u64        | u32   |                   |
//	+----------+------------+-------+-------------------+
//
// With bucketInline, the tree is one leaf that follows the header, as long as its cells need,
// with neither extents nor long keys nor buckets in it; the root ref has pgno 0 and the count.
const (
	bucketHeaderSize = 36

	bucketInline = 1
)

// setHeader takes over a header as it stands in a cell.
func (b *Bucket) setHeader(v []byte) error {
	b.root, b.inline = getRef(v), nil
	b.sequence = le.Uint64(v[24:])
	switch flags := le.Uint32(v[32:]); flags {
	case 0:
		return nil
	case bucketInline:
		p := page(v[bucketHeaderSize:])
		if err := validateInline(p); err != nil {
			return err
		}
		b.inline = p
		return nil
	default:
		return fmt.Errorf("bucket flags %#x", flags)
	}
}

// validateInline is validate for the page of an inline bucket.
func validateInline(p page) error {
	if err := p.validate(); err != nil {
		return fmt.Errorf("inline bucket: %w", err)
	}
	if p.level() != 0 {
		return fmt.Errorf("inline bucket of level %d", p.level())
	}
	for i := range p.count() {
		if flags, _ := p.payload(i); flags != cellInline || p.isLong(i) {
			return fmt.Errorf("inline bucket with more than plain values")
		}
	}
	return nil
}

// header returns the header for the parent's cell.
func (b *Bucket) header() []byte {
	var v [bucketHeaderSize]byte
	r := b.root
	if b.inline != nil {
		le.PutUint32(v[32:], bucketInline)
		r = ref{count: r.count}
	}
	r.put(v[:])
	le.PutUint64(v[24:], b.sequence)
	return append(v[:], b.inline...)
}

// Tx returns the bucket's transaction.
func (b *Bucket) Tx() *Tx { return b.tx }

// Writable tells whether the bucket's transaction can write.
func (b *Bucket) Writable() bool { return b.tx.writable }

// Root returns the number of the bucket's root page: 0 when the bucket is empty or stands
// inside its parent's page, and of no meaning when the transaction has changed the bucket.
func (b *Bucket) Root() uint64 { return uint64(b.root.pgno) }

// live tells whether reads through b make sense.
func (b *Bucket) live() bool {
	return b != nil && b.tx != nil && (b.writeBucket == nil || !b.gone) && b.tx.usable()
}

// writeCheck returns the error that a write through b must give before anything else.
func (b *Bucket) writeCheck() error {
	if b == nil || b.tx == nil {
		return ErrBucketNotFound
	}
	if err := b.tx.check(); err != nil {
		return err
	}
	if b.gone {
		return ErrBucketNotFound
	}
	return nil
}

// Get returns the value of key, nil if it does not exist or is a nested bucket. An empty
// value is not nil. The slice is valid until the transaction ends and must not be changed.
// Damage makes Get return nil and is told by Tx.Err.
func (b *Bucket) Get(key []byte) []byte {
	if !b.live() {
		return nil
	}
	if !b.tx.begins() {
		return b.guardedGet(key)
	}
	v, err := b.read(key)
	b.tx.within = false
	if err != nil {
		b.tx.fail(err)
		return nil
	}
	return v
}

// guardedGet is Get where View does not guard against faults.
func (b *Bucket) guardedGet(key []byte) []byte {
	defer b.tx.leave(b.tx.enter(), nil)
	v, err := b.get(key)
	if err != nil {
		b.tx.fail(err)
		return nil
	}
	return v
}

func (b *Bucket) get(key []byte) ([]byte, error) {
	if b.tx.w == nil {
		return b.read(key)
	}
	p, at, i, found, err := b.lookup(key)
	if !found {
		return nil, err
	}
	return b.value(p, at, i)
}

// read is get in a read transaction.
func (b *Bucket) read(key []byte) ([]byte, error) {
	p, err := b.leaf(key)
	if p == nil {
		return nil, err
	}
	i, tie := p.bound(key)
	if !tie {
		return nil, nil
	}
	i, found, err := p.searchTies(key, i, b.tx)
	if !found {
		return nil, err
	}
	return b.value(p, b.root, i)
}

// value returns the value in slot i of leaf p, nil for a bucket.
func (b *Bucket) value(p page, at ref, i int) ([]byte, error) {
	switch flags, v := p.payload(i); flags {
	case cellInline:
		b.tx.exposeRef(at)
		return v, nil
	case cellExtent:
		return b.tx.bytesOf(getExtent(v))
	default:
		return nil, nil
	}
}

// Put stores value under key and replaces the value it had. The slices may be used again as
// soon as Put returns. It returns ErrKeyRequired, ErrKeyTooLarge, ErrValueTooLarge,
// ErrIncompatibleValue if key is a bucket, ErrTxNotWritable, ErrTxClosed, or the error of
// writing a large value.
func (b *Bucket) Put(key, value []byte) (err error) {
	if err := b.writeCheck(); err != nil {
		return err
	}
	if err := checkKey(key); err != nil {
		return err
	}
	if len(value) > MaxValueSize {
		return ErrValueTooLarge
	}
	defer b.tx.leave(b.tx.enter(), &err)
	return b.put(key, value)
}

func checkKey(key []byte) error {
	switch {
	case len(key) == 0:
		return ErrKeyRequired
	case len(key) > MaxKeySize:
		return ErrKeyTooLarge
	}
	return nil
}

func (b *Bucket) put(key, value []byte) error {
	b.tx.w.deletes = false
	if b.tx.fitsInline(key, value) {
		if err := b.tx.prepare(key, 0); err != nil {
			return err
		}
		if !b.tx.tells() {
			return b.tx.spilled(b.putCell(key, cellInline, value))
		}
		return b.told(b.tx.spilled(b.putCell(key, cellInline, value)), redoPut, key, value)
	}
	if err := b.tx.prepare(key, int64(len(value))); err != nil {
		return err
	}
	e, err := b.tx.writeExtent(value)
	if err != nil {
		return err
	}
	return b.putExtent(key, e)
}

// fitsInline tells whether value has room beside key in a cell.
func (tx *Tx) fitsInline(key, value []byte) bool {
	klen := len(key)
	if klen > maxInlineKey(tx.db.pageSize) {
		klen = longKey
	}
	return leafKeyOff+keySpace(klen)+len(value) <= maxCell(tx.db.pageSize)
}

// putExtent stores an extent that was written as the value of key, or frees it.
func (b *Bucket) putExtent(key []byte, e extent) error {
	var ref [extentSize]byte
	e.put(ref[:])
	err := b.putCell(key, cellExtent, ref[:])
	if err != nil {
		b.tx.freeExtent(e)
	}
	return b.tx.spilled(err)
}

// Delete removes key. That it does not exist is no error. It returns ErrIncompatibleValue if
// key is a bucket, ErrTxNotWritable and ErrTxClosed.
func (b *Bucket) Delete(key []byte) (err error) {
	if err := b.writeCheck(); err != nil {
		return err
	}
	defer b.tx.leave(b.tx.enter(), &err)
	return b.tx.spilled(b.delete(key))
}

// delete removes key, and tells of it.
func (b *Bucket) delete(key []byte) error {
	p, _, i, found, err := b.lookup(key)
	if !found {
		return err
	}
	if flags, _ := p.payload(i); flags == cellBucket {
		return ErrIncompatibleValue
	}
	tells := b.tx.tells()
	path, p, err := b.descend(key)
	if err == nil {
		err = b.deleteCell(path, p, i)
	}
	if tells {
		return b.told(err, redoDelete, key, nil)
	}
	return err
}

// Bucket returns the nested bucket called name, nil if there is none.
func (b *Bucket) Bucket(name []byte) *Bucket {
	if !b.live() {
		return nil
	}
	defer b.tx.leave(b.tx.enter(), nil)
	c, err := b.bucket(name)
	if err != nil {
		b.tx.fail(err)
		return nil
	}
	return c
}

// bucket returns the nested bucket called name, nil without an error if there is none.
func (b *Bucket) bucket(name []byte) (*Bucket, error) {
	if c := b.open(name); c != nil {
		return c, nil
	}
	p, at, i, found, err := b.lookup(name)
	if !found {
		return nil, err
	}
	flags, v := p.payload(i)
	if flags != cellBucket {
		return nil, nil
	}
	var c *Bucket
	if b.tx.writable {
		c = b.newChild(name)
		b.children.put(c)
	} else {
		c = b.tx.newBucket()
		c.tx, c.parent = b.tx, b
	}
	if err := c.setHeader(v); err != nil {
		return nil, corruptf(at.pgno, "bucket in slot %d: %v", i, err)
	}
	if b.tx.writable {
		c.inline = bytes.Clone(c.inline) // the cell may move or go
	}
	if c.circular() {
		return nil, corruptf(at.pgno, "bucket in slot %d contains itself", i)
	}
	return c, nil
}

// circular tells whether the bucket lies, in a damaged file, in itself.
func (b *Bucket) circular() bool {
	for up := b.parent; up != nil; up = up.parent {
		if b.root.pgno != 0 && b.root.pgno == up.root.pgno {
			return true
		}
	}
	return false
}

// newBucket returns an empty Bucket of a read transaction: the first lies in the Tx itself.
func (tx *Tx) newBucket() *Bucket {
	if !tx.hasOpen.CompareAndSwap(false, true) {
		return new(Bucket)
	}
	return &tx.opened
}

// newChild returns an empty Bucket of a write transaction: the first lies there, too.
func (b *Bucket) newChild(name []byte) *Bucket {
	c, w := &b.tx.opened, &b.tx.w.opened
	if !b.tx.hasOpen.CompareAndSwap(false, true) {
		n := &struct {
			Bucket
			w writeBucket
		}{}
		c, w = &n.Bucket, &n.w
	}
	*c = Bucket{tx: b.tx, parent: b, writeBucket: w}
	w.name = append(w.shortName[:0], name...)
	return c
}

// version counts the changes of the tree.
func (b *Bucket) version() uint64 {
	if b.writeBucket == nil {
		return 0
	}
	return b.changes
}

// open returns the open bucket called name, nil if it is not open.
func (b *Bucket) open(name []byte) *Bucket {
	if b.writeBucket == nil {
		return nil
	}
	return b.children.get(name)
}

// CreateBucket creates a nested bucket. It returns ErrBucketNameRequired, ErrKeyTooLarge,
// ErrBucketExists, ErrIncompatibleValue if name is a key with a value, ErrTxNotWritable and
// ErrTxClosed.
func (b *Bucket) CreateBucket(name []byte) (_ *Bucket, err error) {
	if err := b.writeCheck(); err != nil {
		return nil, err
	}
	if err := checkName(name); err != nil {
		return nil, err
	}
	defer b.tx.leave(b.tx.enter(), &err)
	c, err := b.bucket(name)
	if err != nil {
		return nil, err
	}
	if c != nil {
		return nil, ErrBucketExists
	}
	return b.create(name)
}

// CreateBucketIfNotExists returns the nested bucket called name and creates it if need be.
// Its errors are those of CreateBucket except ErrBucketExists.
func (b *Bucket) CreateBucketIfNotExists(name []byte) (_ *Bucket, err error) {
	if err := b.writeCheck(); err != nil {
		return nil, err
	}
	if err := checkName(name); err != nil {
		return nil, err
	}
	defer b.tx.leave(b.tx.enter(), &err)
	c, err := b.bucket(name)
	if c != nil || err != nil {
		return c, err
	}
	return b.create(name)
}

func checkName(name []byte) error {
	if len(name) == 0 {
		return ErrBucketNameRequired
	}
	return checkKey(name)
}

func (b *Bucket) create(name []byte) (*Bucket, error) {
	b.tx.w.deletes = false
	if err := b.tx.prepare(name, 0); err != nil {
		return nil, err
	}
	c := b.newChild(name)
	if err := b.putCell(name, cellBucket, c.header()); err != nil {
		return nil, err
	}
	b.children.put(c)
	return c, b.tx.spilled(nil)
}

// DeleteBucket deletes the nested bucket called name with all it holds. It returns
// ErrBucketNotFound, ErrIncompatibleValue if name is a key with a value, ErrTxNotWritable and
// ErrTxClosed. Its cost is that of reading the bucket's pages.
func (b *Bucket) DeleteBucket(name []byte) (err error) {
	if err := b.writeCheck(); err != nil {
		return err
	}
	defer b.tx.leave(b.tx.enter(), &err)
	return b.tx.spilled(b.deleteBucket(name))
}

func (b *Bucket) deleteBucket(name []byte) error {
	if err := b.mustBeBucket(name); err != nil {
		return err
	}
	if err := b.forget(name); err != nil {
		return err
	}
	path, p, err := b.descend(name)
	if err != nil {
		return err
	}
	i, _, err := p.search(name, b.tx)
	if err != nil {
		return err
	}
	return b.deleteCell(path, p, i)
}

func (b *Bucket) mustBeBucket(name []byte) error {
	p, _, i, found, err := b.lookup(name)
	switch {
	case err != nil:
		return err
	case !found:
		return ErrBucketNotFound
	}
	if flags, _ := p.payload(i); flags != cellBucket {
		return ErrIncompatibleValue
	}
	return nil
}

// forget writes back an open nested bucket, so that its cell is true, and marks it gone.
func (b *Bucket) forget(name []byte) error {
	c := b.children.get(name)
	if c == nil {
		return nil
	}
	if err := c.writeBack(); err != nil {
		return err
	}
	if c.changed {
		if err := b.putHeader(c); err != nil {
			return err
		}
	}
	c.markGone()
	b.children.remove(name)
	s := b.tx.w.scope()
	s.buried = append(s.buried, c)
	return nil
}

func (b *Bucket) markGone() {
	b.gone = true
	b.changes++
	for _, c := range b.children.inOrder(nil) {
		c.markGone()
	}
}

// revive takes back what forget did, after a rollback.
func (b *Bucket) revive() {
	if other := b.parent.children.get(b.name); other != nil {
		other.markGone()
	}
	b.parent.children.put(b)
	b.markLive()
}

func (b *Bucket) markLive() {
	b.gone = false
	for _, c := range b.children.inOrder(nil) {
		c.markLive()
	}
}

// MoveBucket moves the nested bucket called key into dst, which belongs to the same
// transaction. Buckets opened below it before are not to be used any more. It returns
// ErrBucketNotFound, ErrIncompatibleValue if key has a value in b or in dst, ErrBucketExists,
// ErrSameBuckets if dst is b or lies in the bucket to be moved, ErrDifferentDB,
// ErrTxNotWritable and ErrTxClosed.
func (b *Bucket) MoveBucket(key []byte, dst *Bucket) (err error) {
	if err := b.writeCheck(); err != nil {
		return err
	}
	if err := dst.writeCheck(); err != nil {
		return err
	}
	if b.tx != dst.tx {
		return ErrDifferentDB
	}
	if err := checkName(key); err != nil {
		return err
	}
	defer b.tx.leave(b.tx.enter(), &err)
	return b.tx.spilled(b.moveBucket(key, dst))
}

func (b *Bucket) moveBucket(key []byte, dst *Bucket) error {
	if err := b.mustBeBucket(key); err != nil {
		return err
	}
	for up := dst; up != nil; up = up.parent {
		if up == b && up == dst || up.parent == b && bytes.Equal(up.name, key) {
			return ErrSameBuckets
		}
	}
	p, _, i, found, err := dst.lookup(key)
	if err != nil {
		return err
	}
	if found {
		if flags, _ := p.payload(i); flags == cellBucket {
			return ErrBucketExists
		}
		return ErrIncompatibleValue
	}
	if c := b.children.get(key); c != nil {
		// At the end of the transaction it is not among the open ones.
		if err := c.finish(); err != nil {
			return b.tx.fail(err)
		}
	}
	if err := b.forget(key); err != nil {
		return err
	}
	return b.carry(key, dst)
}

// carry moves the cell of a nested bucket that is not open.
func (b *Bucket) carry(key []byte, dst *Bucket) error {
	p, _, i, _, err := b.lookup(key)
	if err != nil {
		return err
	}
	_, v := p.payload(i)
	if err := dst.putCell(key, cellBucket, bytes.Clone(v)); err != nil {
		return err
	}
	b.tx.w.deletes = false
	path, p, err := b.descend(key)
	if err != nil {
		return b.tx.fail(err)
	}
	if i, _, err = p.search(key, b.tx); err != nil {
		return b.tx.fail(err)
	}
	b.tx.freeLongKey(p, i)
	p.remove(i, i+1)
	b.addCounts(path, -1)
	b.shrunk = true
	return nil
}

// Sequence returns the bucket's sequence number, 0 at first.
func (b *Bucket) Sequence() uint64 {
	if !b.live() {
		return 0
	}
	return b.sequence
}

// SetSequence sets the bucket's sequence number. It returns ErrTxNotWritable and ErrTxClosed.
func (b *Bucket) SetSequence(v uint64) (err error) {
	if err := b.writeCheck(); err != nil {
		return err
	}
	defer b.tx.leave(b.tx.enter(), &err)
	tells := b.tx.tells()
	b.sequence = v
	b.touch()
	b.tx.w.change()
	b.tx.w.deletes = false
	if tells {
		return b.told(nil, redoSequence, nil, nil)
	}
	return nil
}

// NextSequence adds one to the bucket's sequence number and returns it. Its errors are those of
// SetSequence.
func (b *Bucket) NextSequence() (uint64, error) {
	if err := b.SetSequence(b.Sequence() + 1); err != nil {
		return 0, err
	}
	return b.sequence, nil
}

// ForEach calls fn for every key in order, with a nil value for a nested bucket, and stops at
// the first error, which it returns. fn may change the bucket (see Cursor). Its own errors are
// ErrTxClosed and that of Tx.Err.
func (b *Bucket) ForEach(fn func(k, v []byte) error) error {
	if b != nil && b.tx != nil && b.tx.ended.Load() {
		return ErrTxClosed
	}
	for k, v := range b.All() {
		if err := fn(k, v); err != nil {
			return err
		}
	}
	if b != nil && b.tx != nil {
		return b.tx.Err()
	}
	return nil
}

// ForEachBucket calls fn with the name of every nested bucket in order and stops at the first
// error, which it returns.
func (b *Bucket) ForEachBucket(fn func(name []byte) error) error {
	return b.ForEach(func(k, v []byte) error {
		if v != nil {
			return nil
		}
		return fn(k)
	})
}

// touch notes that the header in the parent's cell is old, where writeBack finds it.
func (b *Bucket) touch() {
	b.changed = true
	for ; b.parent != nil && !b.listed; b = b.parent {
		b.listed = true
		if up := b.parent; up.stale == nil {
			up.stale = append(up.firstStale[:0], b)
		} else {
			up.stale = append(up.stale, b)
		}
	}
}

// writeBack puts the headers of changed nested buckets into their cells, deepest first.
func (b *Bucket) writeBack() error {
	slices.SortFunc(b.stale, func(c, d *Bucket) int { return bytes.Compare(d.name, c.name) })
	for len(b.stale) > 0 {
		last := len(b.stale) - 1
		c := b.stale[last]
		if !c.gone {
			if err := c.writeBack(); err != nil {
				return err
			}
			if c.changed {
				if err := b.putHeader(c); err != nil {
					return err
				}
			}
		}
		c.listed = false
		b.stale = b.stale[:last]
	}
	return nil
}

// finish is writeBack at the end of a transaction: it also merges underfull pages and takes
// small buckets into their parents.
func (b *Bucket) finish() error {
	var few [fewOpen]*Bucket
	for _, c := range b.children.inOrder(few[:0]) {
		if err := c.finish(); err != nil {
			return err
		}
		if c.changed {
			c.takeInline()
			if err := b.putHeader(c); err != nil {
				return err
			}
		}
	}
	return b.rebalance()
}

func (b *Bucket) putHeader(c *Bucket) error {
	err := b.putCell(c.name, cellBucket, c.header())
	c.changed = err != nil
	return err
}

// takeInline makes a bucket of one small leaf an inline one.
func (b *Bucket) takeInline() {
	if !b.altered(b.root.pgno) {
		return
	}
	p := b.tx.db.dirty.at(b.root.pgno).buf
	room := maxCell(b.tx.db.pageSize) - leafKeyOff - bucketHeaderSize - keySpace(len(b.name))
	if p.level() != 0 || headerSize+p.used() > room {
		return
	}
	cells := p.appendCells(b.tx.db.cells[:0], 0, p.count())
	b.tx.db.cells = cells
	for _, c := range cells {
		if c.body[0] != cellInline || c.klen == longKey {
			return
		}
	}
	small := make(page, headerSize+cellsSize(cells))
	small.fill(0, cells)
	b.tx.dropPage(b.root)
	b.root, b.inline = ref{count: b.root.count}, small
	b.touch()
	b.changes++
}

// reload makes b and the open buckets in it show what the tree has, after a rollback to a
// savepoint.
func (b *Bucket) reload() error {
	b.changes++
	b.shrunk = true // what was deleted before the savepoint may wait for its merge
	for _, c := range b.children.inOrder(nil) {
		p, at, i, found, err := b.lookup(c.name)
		if err != nil {
			return err
		}
		if found {
			flags, v := p.payload(i)
			if found = flags == cellBucket; found {
				if err := c.setHeader(bytes.Clone(v)); err != nil {
					return corruptf(at.pgno, "bucket in slot %d: %v", i, err)
				}
				c.changed = false
				if err := c.reload(); err != nil {
					return err
				}
			}
		}
		if !found {
			c.markGone()
			b.children.remove(c.name)
		}
	}
	return nil
}
