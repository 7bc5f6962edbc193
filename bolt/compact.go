package bolt

import "github.com/foliokv/folio"

// Compact copies all that is in src to dst, whose pages are full then. txMaxSize is about how
// many bytes of keys and values one transaction copies; 0: one transaction copies all. A bucket
// that dst has already is ErrBucketExists. Transactions committed before an error stay.
func Compact(dst, src *DB, txMaxSize int64) error {
	return src.View(func(from *Tx) error {
		c := &compaction{dst: dst, limit: txMaxSize}
		defer c.drop()
		if err := c.begin(); err != nil {
			return err
		}
		if err := c.copy(from.rootBucket().f, nil); err != nil {
			return err
		}
		return c.tx.Commit()
	})
}

// A compaction is one under way.
type compaction struct {
	dst   *DB
	limit int64 // bytes a transaction may copy; 0: none
	size  int64 // bytes it has copied
	tx    *Tx
	in    *folio.Bucket // where path leads to in tx; nil: to be looked up
}

func (c *compaction) begin() (err error) {
	c.tx, err = c.dst.Begin(true)
	c.in, c.size = nil, 0
	return err
}

// drop rolls back what is not committed.
func (c *compaction) drop() {
	if c.tx != nil {
		_ = c.tx.Rollback()
	}
}

// room makes room for n bytes: it begins a new transaction if they are too many for this one.
func (c *compaction) room(n int) error {
	if c.limit != 0 && c.size+int64(n) > c.limit {
		if err := c.tx.Commit(); err != nil {
			return err
		}
		if err := c.begin(); err != nil {
			return err
		}
	}
	c.size += int64(n)
	return nil
}

// bucket returns the bucket of dst that path leads to.
func (c *compaction) bucket(path [][]byte) *folio.Bucket {
	if c.in == nil {
		c.in = c.tx.rootBucket().f
		for _, name := range path {
			c.in = c.in.Bucket(name)
		}
	}
	return c.in
}

// copy copies what is in from to the bucket that path leads to.
func (c *compaction) copy(from *folio.Bucket, path [][]byte) error {
	return from.ForEach(func(k, v []byte) error {
		if err := c.room(len(k) + len(v)); err != nil {
			return err
		}
		if v != nil {
			return plain(c.bucket(path).Put(k, v))
		}
		return c.nested(from.Bucket(k), k, path)
	})
}

// nested copies the bucket called name.
func (c *compaction) nested(from *folio.Bucket, name []byte, path [][]byte) error {
	b, err := c.bucket(path).CreateBucket(name)
	if err != nil {
		return plain(err)
	}
	if err := b.SetSequence(from.Sequence()); err != nil {
		return plain(err)
	}
	c.in = b
	err = c.copy(from, append(path[:len(path):len(path)], name))
	c.in = nil
	return err
}
