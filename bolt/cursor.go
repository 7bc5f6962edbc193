package bolt

import "github.com/foliokv/folio"

// A Cursor walks a bucket in key order; a nested bucket comes with a nil value. It remembers the
// key it is on: when the bucket changes under it, through the cursor or not, it goes on at the
// next key in order, and no key is skipped or seen twice. bbolt leaves that undefined.
//
// Past the last pair, Next returns nil and the cursor stays on that pair, as does Prev before
// the first. After a Seek past the end, Prev gives the last pair. Keys and values are valid
// until the transaction ends and must not be changed.
type Cursor struct {
	bucket *Bucket
	f      *folio.Cursor
}

// Bucket returns the cursor's bucket.
func (c *Cursor) Bucket() *Bucket { return c.bucket }

// First moves to the first pair and returns it, nil if the bucket is empty. It panics after the
// transaction ended, as do Last, Next, Prev and Seek.
func (c *Cursor) First() (key []byte, value []byte) {
	c.mustBeOpen()
	return c.f.First()
}

// Last moves to the last pair and returns it, nil if the bucket is empty.
func (c *Cursor) Last() (key []byte, value []byte) {
	c.mustBeOpen()
	return c.f.Last()
}

// Next moves to the next pair and returns it, nil past the last.
func (c *Cursor) Next() (key []byte, value []byte) {
	c.mustBeOpen()
	return c.f.Next()
}

// Prev moves to the previous pair and returns it, nil before the first.
func (c *Cursor) Prev() (key []byte, value []byte) {
	c.mustBeOpen()
	return c.f.Prev()
}

// Seek moves to the key seek, or the next one in order, and returns that pair, nil if there is
// none.
func (c *Cursor) Seek(seek []byte) (key []byte, value []byte) {
	c.mustBeOpen()
	return c.f.Seek(seek)
}

// Delete removes the pair the cursor is on; Next then gives the pair after it. On no pair it
// does nothing. It returns ErrIncompatibleValue on a nested bucket, ErrTxNotWritable and
// ErrTxClosed.
func (c *Cursor) Delete() error { return plain(c.f.Delete()) }

func (c *Cursor) mustBeOpen() { assert(c.bucket.tx.db != nil, "tx closed") }
