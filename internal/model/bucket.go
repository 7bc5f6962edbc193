package model

import (
	"bytes"
	"iter"

	"github.com/google/btree"
)

// A Bucket names a bucket within a transaction. It stays good as long as that bucket is neither
// deleted nor moved; after that it reads as empty, and writes give ErrBucketNotFound.
type Bucket struct {
	tx   *Tx
	path [][]byte // nil: the root
	id   uint64
}

// node returns the bucket's content, nil if there is none.
func (b *Bucket) node() *node {
	if b == nil || b.tx.ended {
		return nil
	}
	n := b.tx.root
	for _, name := range b.path {
		it, ok := n.items.Get(item{key: name})
		if !ok || it.sub == nil {
			return nil
		}
		n = it.sub
	}
	if n.id != b.id {
		return nil
	}
	return n
}

// own returns the bucket's content for writing: it and all above it belong to the scope then.
func (b *Bucket) own() *node {
	tx := b.tx
	if tx.root.scope != tx.scope {
		tx.root = tx.root.clone(tx.scope)
	}
	n := tx.root
	for _, name := range b.path {
		it, _ := n.items.Get(item{key: name})
		if it.sub.scope != tx.scope {
			it.sub = it.sub.clone(tx.scope)
			n.items.ReplaceOrInsert(it)
		}
		n = it.sub
	}
	return n
}

// writeErr tells why the bucket cannot be written to.
func (b *Bucket) writeErr() error {
	if b == nil {
		return ErrBucketNotFound
	}
	if err := b.tx.writeErr(); err != nil {
		return err
	}
	if b.node() == nil {
		return ErrBucketNotFound
	}
	return nil
}

func (b *Bucket) item(key []byte) (item, bool) {
	n := b.node()
	if n == nil {
		return item{}, false
	}
	return n.items.Get(item{key: key})
}

func (b *Bucket) child(name []byte, sub *node) *Bucket {
	path := append(b.path[:len(b.path):len(b.path)], bytes.Clone(name))
	return &Bucket{tx: b.tx, path: path, id: sub.id}
}

// Bucket returns a nested bucket, or nil.
func (b *Bucket) Bucket(name []byte) *Bucket {
	it, _ := b.item(name)
	if it.sub == nil {
		return nil
	}
	return b.child(name, it.sub)
}

// CreateBucket creates a nested bucket.
func (b *Bucket) CreateBucket(name []byte) (*Bucket, error) {
	if err := b.writeErr(); err != nil {
		return nil, err
	}
	if err := nameErr(name); err != nil {
		return nil, err
	}
	if it, ok := b.item(name); ok {
		if it.sub != nil {
			return nil, ErrBucketExists
		}
		return nil, ErrIncompatibleValue
	}
	sub := &node{items: btree.NewG(16, less), id: numbers.Add(1), scope: b.tx.scope}
	b.own().items.ReplaceOrInsert(item{key: bytes.Clone(name), sub: sub})
	return b.child(name, sub), nil
}

func nameErr(name []byte) error {
	switch {
	case len(name) == 0:
		return ErrBucketNameRequired
	case len(name) > MaxKeySize:
		return ErrKeyTooLarge
	}
	return nil
}

// CreateBucketIfNotExists returns a nested bucket, created if need be.
func (b *Bucket) CreateBucketIfNotExists(name []byte) (*Bucket, error) {
	c, err := b.CreateBucket(name)
	if err == ErrBucketExists {
		return b.Bucket(name), nil
	}
	return c, err
}

// DeleteBucket deletes a nested bucket with all in it.
func (b *Bucket) DeleteBucket(name []byte) error {
	if err := b.writeErr(); err != nil {
		return err
	}
	if err := b.mustBeBucket(name); err != nil {
		return err
	}
	b.own().items.Delete(item{key: name})
	return nil
}

func (b *Bucket) mustBeBucket(name []byte) error {
	it, ok := b.item(name)
	switch {
	case !ok:
		return ErrBucketNotFound
	case it.sub == nil:
		return ErrIncompatibleValue
	}
	return nil
}

// MoveBucket moves a nested bucket into dst, under the same name.
func (b *Bucket) MoveBucket(name []byte, dst *Bucket) error {
	if err := b.writeErr(); err != nil {
		return err
	}
	if err := dst.writeErr(); err != nil {
		return err
	}
	if b.tx != dst.tx {
		return ErrDifferentDB
	}
	if err := b.mustBeBucket(name); err != nil {
		return err
	}
	if err := b.moveErr(name, dst); err != nil {
		return err
	}
	it, _ := b.item(name)
	b.own().items.Delete(it)
	it.sub = it.sub.clone(b.tx.scope)
	it.sub.id = numbers.Add(1)
	dst.own().items.ReplaceOrInsert(it)
	return nil
}

func (b *Bucket) moveErr(name []byte, dst *Bucket) error {
	if dst.node() == b.node() {
		return ErrSameBuckets
	}
	if b.Bucket(name).holds(dst) {
		return ErrMoveIntoSelf
	}
	if it, ok := dst.item(name); ok {
		if it.sub != nil {
			return ErrBucketExists
		}
		return ErrIncompatibleValue
	}
	return nil
}

// holds tells whether x is b or below b.
func (b *Bucket) holds(x *Bucket) bool {
	if len(x.path) < len(b.path) {
		return false
	}
	for i, name := range b.path {
		if !bytes.Equal(name, x.path[i]) {
			return false
		}
	}
	return true
}

// Get returns a value: nil if there is no such key or it is a nested bucket's.
func (b *Bucket) Get(key []byte) []byte {
	it, ok := b.item(key)
	if !ok {
		return nil
	}
	return it.val()
}

// val is the value as folio returns it: never nil for a pair, always nil for a bucket.
func (it item) val() []byte {
	if it.sub == nil && it.value == nil {
		return []byte{}
	}
	return it.value
}

// Put stores a pair.
func (b *Bucket) Put(key, value []byte) error {
	if err := b.writeErr(); err != nil {
		return err
	}
	switch {
	case len(key) == 0:
		return ErrKeyRequired
	case len(key) > MaxKeySize:
		return ErrKeyTooLarge
	case len(value) > MaxValueSize:
		return ErrValueTooLarge
	}
	if it, _ := b.item(key); it.sub != nil {
		return ErrIncompatibleValue
	}
	b.own().items.ReplaceOrInsert(item{key: bytes.Clone(key), value: bytes.Clone(value)})
	return nil
}

// Delete removes a pair; without one it does nothing.
func (b *Bucket) Delete(key []byte) error {
	if err := b.writeErr(); err != nil {
		return err
	}
	it, ok := b.item(key)
	if !ok {
		return nil
	}
	if it.sub != nil {
		return ErrIncompatibleValue
	}
	b.own().items.Delete(it)
	return nil
}

// DeleteRange removes all pairs and nested buckets from lo to hi, hi excluded; nil is open.
func (b *Bucket) DeleteRange(lo, hi []byte) error {
	if err := b.writeErr(); err != nil {
		return err
	}
	var gone []item
	b.each(lo, hi, func(it item) bool {
		gone = append(gone, it)
		return true
	})
	if len(gone) == 0 {
		return nil
	}
	n := b.own()
	for _, it := range gone {
		n.items.Delete(it)
	}
	return nil
}

// each calls fn for the items from lo to hi, hi excluded; nil is open.
func (b *Bucket) each(lo, hi []byte, fn func(item) bool) {
	n := b.node()
	if n == nil {
		return
	}
	n.items.AscendGreaterOrEqual(item{key: lo}, func(it item) bool {
		return (hi == nil || bytes.Compare(it.key, hi) < 0) && fn(it)
	})
}

// Sequence returns the bucket's number.
func (b *Bucket) Sequence() uint64 {
	if n := b.node(); n != nil {
		return n.seq
	}
	return 0
}

// SetSequence sets the bucket's number.
func (b *Bucket) SetSequence(v uint64) error {
	if err := b.writeErr(); err != nil {
		return err
	}
	b.own().seq = v
	return nil
}

// NextSequence adds one to the bucket's number and returns it.
func (b *Bucket) NextSequence() (uint64, error) {
	if err := b.writeErr(); err != nil {
		return 0, err
	}
	n := b.own()
	n.seq++
	return n.seq, nil
}

// ForEach calls fn for each key in order; a nested bucket's has a nil value.
func (b *Bucket) ForEach(fn func(k, v []byte) error) error {
	if b.tx.ended {
		return ErrTxClosed
	}
	for k, v := range b.All() {
		if err := fn(k, v); err != nil {
			return err
		}
	}
	return nil
}

// All returns all in order.
func (b *Bucket) All() iter.Seq2[[]byte, []byte] { return b.Range(nil, nil) }

// Range returns what is from lo to hi, hi excluded; nil is open.
func (b *Bucket) Range(lo, hi []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		b.each(lo, hi, func(it item) bool { return yield(it.key, it.val()) })
	}
}

// Prefix returns what begins with p.
func (b *Bucket) Prefix(p []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		b.each(p, nil, func(it item) bool {
			return bytes.HasPrefix(it.key, p) && yield(it.key, it.val())
		})
	}
}

// Backward returns all in reverse order.
func (b *Bucket) Backward() iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		if n := b.node(); n != nil {
			n.items.Descend(func(it item) bool { return yield(it.key, it.val()) })
		}
	}
}

// Count returns how many keys there are, nested buckets included.
func (b *Bucket) Count() uint64 {
	if n := b.node(); n != nil {
		return uint64(n.items.Len())
	}
	return 0
}

// CountRange returns how many keys are from lo to hi, hi excluded; nil is open.
func (b *Bucket) CountRange(lo, hi []byte) (count uint64) {
	b.each(lo, hi, func(item) bool { count++; return true })
	return count
}

// Rank returns how many keys are below key.
func (b *Bucket) Rank(key []byte) uint64 {
	if key == nil {
		return 0
	}
	return b.CountRange(nil, key)
}

// At returns the key with i keys below it, and its value.
func (b *Bucket) At(i uint64) (key, value []byte) {
	b.each(nil, nil, func(it item) bool {
		if i == 0 {
			key, value = it.key, it.val()
			return false
		}
		i--
		return true
	})
	return key, value
}

// GetMany calls fn with the value of each key, in any order.
func (b *Bucket) GetMany(keys [][]byte, fn func(i int, value []byte)) {
	for i, k := range keys {
		fn(i, b.Get(k))
	}
}
