package bolt

import (
	"github.com/foliokv/folio"
	"github.com/foliokv/folio/bolt/errors"
	"github.com/foliokv/folio/bolt/internal/common"
)

// Limits of a pair, in bytes.
const (
	// MaxKeySize is the length of the longest key and bucket name.
	MaxKeySize = 32768

	// MaxValueSize is the length of the longest value.
	MaxValueSize = (1 << 31) - 2
)

// DefaultFillPercent is the FillPercent of a bucket until it is set.
const DefaultFillPercent = 0.5

// A Bucket is an ordered set of keys, each with a value or a nested bucket. It belongs to its
// transaction; a write transaction returns the same *Bucket for a bucket each time.
type Bucket struct {
	*common.InBucket

	// FillPercent changes nothing: writes in key order fill pages whole, and others share room
	// with their neighbours before they split.
	FillPercent float64

	tx     *Tx
	f      *folio.Bucket
	header common.InBucket // what InBucket points to
}

// dirtyPages is the first of the numbers that pages have which are not in the file yet.
const dirtyPages = 1 << 31

// handle returns the Bucket of one of the engine, nil for nil.
func (tx *Tx) handle(f *folio.Bucket) *Bucket {
	if f == nil {
		return nil
	}
	if b := tx.opened[f]; b != nil {
		return b
	}
	b := &Bucket{tx: tx, f: f, FillPercent: DefaultFillPercent}
	root := common.Pgid(f.Root())
	if root >= dirtyPages {
		root = 0
	}
	b.header = common.NewInBucket(root, f.Sequence())
	b.InBucket = &b.header
	if tx.writable {
		if tx.opened == nil {
			tx.opened = map[*folio.Bucket]*Bucket{}
		}
		tx.opened[f] = b
	}
	return b
}

// created is handle for a bucket that may not have been created.
func (tx *Tx) created(f *folio.Bucket, err error) (*Bucket, error) {
	if err != nil {
		return nil, plain(err)
	}
	return tx.handle(f), nil
}

// Tx returns the bucket's transaction.
func (b *Bucket) Tx() *Tx { return b.tx }

// Root returns the number of the bucket's root page when it was opened, 0 if the bucket stood
// in its parent's page or did not exist.
func (b *Bucket) Root() common.Pgid { return b.RootPage() }

// Writable tells whether the bucket's transaction can write.
func (b *Bucket) Writable() bool { return b.tx.writable }

// Cursor returns a cursor over the bucket; it is on no pair until moved.
func (b *Bucket) Cursor() *Cursor {
	b.tx.stats.IncCursorCount(1)
	return &Cursor{bucket: b, f: b.f.Cursor()}
}

// Bucket returns the nested bucket called name, nil if there is none.
func (b *Bucket) Bucket(name []byte) *Bucket { return b.tx.handle(b.f.Bucket(name)) }

// CreateBucket creates a nested bucket. It returns ErrBucketExists, ErrIncompatibleValue if key
// has a value, ErrBucketNameRequired, ErrKeyTooLarge, ErrTxNotWritable and ErrTxClosed.
func (b *Bucket) CreateBucket(key []byte) (*Bucket, error) {
	return b.tx.created(b.f.CreateBucket(key))
}

// CreateBucketIfNotExists returns the nested bucket called key and creates it if need be. Its
// errors are those of CreateBucket except ErrBucketExists.
func (b *Bucket) CreateBucketIfNotExists(key []byte) (*Bucket, error) {
	return b.tx.created(b.f.CreateBucketIfNotExists(key))
}

// DeleteBucket deletes the nested bucket called key with all it holds. It returns
// ErrBucketNotFound, ErrIncompatibleValue if key has a value, ErrTxNotWritable and ErrTxClosed.
func (b *Bucket) DeleteBucket(key []byte) error {
	err := plain(b.f.DeleteBucket(key))
	return b.noName(key, err)
}

// noName returns ErrIncompatibleValue where an empty name is looked for in an empty bucket, as
// bbolt does, and otherwise err.
func (b *Bucket) noName(key []byte, err error) error {
	if err == errors.ErrBucketNotFound && len(key) == 0 && b.f.Count() == 0 {
		return errors.ErrIncompatibleValue
	}
	return err
}

// MoveBucket moves the nested bucket called key into dstBucket, which belongs to the same
// transaction. Handles of it and of what is in it, opened before, are not to be used any more.
// It returns ErrBucketNotFound, ErrIncompatibleValue if key has a value here or there,
// ErrBucketExists, ErrSameBuckets if dstBucket is this bucket or lies in the one to be moved,
// ErrDifferentDB, ErrTxNotWritable and ErrTxClosed.
func (b *Bucket) MoveBucket(key []byte, dstBucket *Bucket) error {
	if b.tx.db == nil || dstBucket.tx.db == nil {
		return errors.ErrTxClosed
	}
	if !b.tx.writable || !dstBucket.tx.writable {
		return errors.ErrTxNotWritable
	}
	return b.noName(key, plain(b.f.MoveBucket(key, dstBucket.f)))
}

// Get returns the value of key, nil if it does not exist or is a nested bucket. An empty value
// is not nil. The slice is valid until the transaction ends and must not be changed.
func (b *Bucket) Get(key []byte) []byte { return b.f.Get(key) }

// Put stores value under key and replaces the value it had. Both slices may be used again when
// it returns. It returns ErrKeyRequired, ErrKeyTooLarge, ErrValueTooLarge, ErrIncompatibleValue
// if key is a bucket, ErrTxNotWritable, ErrTxClosed, or the error of writing a large value.
func (b *Bucket) Put(key []byte, value []byte) error {
	if len(value) > MaxValueSize {
		return b.tooLarge(key)
	}
	return plain(b.f.Put(key, value))
}

// tooLarge returns the error of a Put with a value that is too large.
func (b *Bucket) tooLarge(key []byte) error {
	switch {
	case b.tx.db == nil:
		return errors.ErrTxClosed
	case !b.tx.writable:
		return errors.ErrTxNotWritable
	case len(key) == 0:
		return errors.ErrKeyRequired
	case len(key) > MaxKeySize:
		return errors.ErrKeyTooLarge
	}
	return errors.ErrValueTooLarge
}

// Delete removes key. That it does not exist is no error. It returns ErrIncompatibleValue if
// key is a bucket, ErrTxNotWritable and ErrTxClosed.
func (b *Bucket) Delete(key []byte) error { return plain(b.f.Delete(key)) }

// Sequence returns the bucket's sequence number, 0 at first.
func (b *Bucket) Sequence() uint64 { return b.InSequence() }

// SetSequence sets the bucket's sequence number. It returns ErrTxNotWritable and ErrTxClosed.
func (b *Bucket) SetSequence(v uint64) error {
	if err := b.f.SetSequence(v); err != nil {
		return plain(err)
	}
	b.SetInSequence(v)
	return nil
}

// NextSequence adds one to the bucket's sequence number and returns it. It returns
// ErrTxNotWritable and ErrTxClosed.
func (b *Bucket) NextSequence() (uint64, error) {
	v, err := b.f.NextSequence()
	if err != nil {
		return 0, plain(err)
	}
	b.SetInSequence(v)
	return v, nil
}

// ForEach calls fn for every key in order, with a nil value for a nested bucket, and stops at
// the first error, which it returns. It returns ErrTxClosed. If fn changes the bucket, the
// iteration goes on at the next key in order.
func (b *Bucket) ForEach(fn func(k, v []byte) error) error {
	if b.tx.db == nil {
		return errors.ErrTxClosed
	}
	return b.f.ForEach(fn)
}

// ForEachBucket calls fn with the name of every nested bucket in order and stops at the first
// error, which it returns. It returns ErrTxClosed.
func (b *Bucket) ForEachBucket(fn func(k []byte) error) error {
	if b.tx.db == nil {
		return errors.ErrTxClosed
	}
	return b.f.ForEachBucket(fn)
}

// A BucketStructure tells what is in a bucket.
type BucketStructure struct {
	Name     string            `json:"name"`              // of the bucket
	KeyN     int               `json:"keyN"`              // keys with values
	Children []BucketStructure `json:"buckets,omitempty"` // nested buckets in order
}

// Inspect returns how buckets are nested in this one, which itself is called "root". It reads
// all keys.
func (b *Bucket) Inspect() BucketStructure { return inspect("root", b.f) }

func inspect(name string, b *folio.Bucket) BucketStructure {
	s := BucketStructure{Name: name}
	c := b.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if v != nil {
			s.KeyN++
			continue
		}
		if child := b.Bucket(k); child != nil {
			s.Children = append(s.Children, inspect(string(k), child))
		}
	}
	return s
}
