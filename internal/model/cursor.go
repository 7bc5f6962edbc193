package model

import "bytes"

// A Cursor walks a bucket in order. It remembers a key, and goes on from there whatever was
// changed meanwhile: Next gives the lowest key above it, Prev the highest below it.
type Cursor struct {
	b   *Bucket
	key []byte
	at  position
}

type position uint8

const (
	nowhere position = iota // not placed yet, or placed in an empty bucket: Next and Prev give nil
	onKey                   // on key, which may be gone by now
	pastEnd                 // behind the last key, by a Seek
)

// Cursor returns a cursor, not placed yet.
func (b *Bucket) Cursor() *Cursor { return &Cursor{b: b} }

// Bucket returns the bucket that the cursor walks.
func (c *Cursor) Bucket() *Bucket { return c.b }

// First goes to the first key.
func (c *Cursor) First() (key, value []byte) {
	return c.place(c.above(nil, true), nowhere)
}

// Last goes to the last key.
func (c *Cursor) Last() (key, value []byte) {
	n := c.b.node()
	if n == nil {
		return c.place(nil, nowhere)
	}
	it, ok := n.items.Max()
	if !ok {
		return c.place(nil, nowhere)
	}
	return c.place(&it, nowhere)
}

// Seek goes to the lowest key that is not below key.
func (c *Cursor) Seek(key []byte) (k, value []byte) {
	return c.place(c.above(key, true), pastEnd)
}

// Next goes to the next key; at the last one it gives nil and stays.
func (c *Cursor) Next() (key, value []byte) {
	if c.at != onKey {
		return nil, nil
	}
	return c.move(c.above(c.key, false))
}

// Prev goes to the key before; at the first one it gives nil and stays.
func (c *Cursor) Prev() (key, value []byte) {
	switch c.at {
	case nowhere:
		return nil, nil
	case pastEnd:
		return c.Last()
	}
	return c.move(c.below(c.key))
}

// Delete removes the pair that the cursor is on; if it is on none it does nothing.
func (c *Cursor) Delete() error {
	if err := c.b.writeErr(); err != nil {
		return err
	}
	if c.at != onKey {
		return nil
	}
	return c.b.Delete(c.key)
}

// place puts the cursor on an item, or where there is none.
func (c *Cursor) place(it *item, otherwise position) (key, value []byte) {
	if it == nil {
		c.at, c.key = otherwise, nil
		return nil, nil
	}
	c.at, c.key = onKey, it.key
	return it.key, it.val()
}

// move puts the cursor on an item if there is one.
func (c *Cursor) move(it *item) (key, value []byte) {
	if it == nil {
		return nil, nil
	}
	return c.place(it, nowhere)
}

// above returns the lowest item above key, or at it.
func (c *Cursor) above(key []byte, inclusive bool) (found *item) {
	c.b.each(key, nil, func(it item) bool {
		if !inclusive && bytes.Equal(it.key, key) {
			return true
		}
		found = &it
		return false
	})
	return found
}

// below returns the highest item below key.
func (c *Cursor) below(key []byte) (found *item) {
	n := c.b.node()
	if n == nil {
		return nil
	}
	n.items.DescendLessOrEqual(item{key: key}, func(it item) bool {
		if bytes.Equal(it.key, key) {
			return true
		}
		found = &it
		return false
	})
	return found
}
