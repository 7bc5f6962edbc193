package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"time"

	"github.com/foliokv/folio/internal/boltfile"
)

// openBolt opens the bbolt file name for reading.
func (c *cli) openBolt(name string) (*boltfile.File, error) {
	f, err := boltfile.Open(name, c.timeout)
	switch {
	case errors.Is(err, boltfile.ErrLocked):
		return nil, c.inUse(name)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: no such file", name)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%s: permission denied", name)
	case errors.Is(err, boltfile.ErrInvalid):
		return nil, fmt.Errorf("%s is not a bbolt file", name)
	}
	return f, explainBolt(name, err)
}

// isBolt tells whether the file name is one of bbolt's.
func isBolt(name string) bool {
	f, err := boltfile.Open(name, time.Nanosecond)
	if err == nil {
		f.Close()
	}
	return err == nil
}

// explainBolt says what an error in the bbolt file name means.
func explainBolt(name string, err error) error {
	if damage := (*boltfile.DamageError)(nil); errors.As(err, &damage) {
		return fmt.Errorf("%s is damaged: %w", name, err)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// A boltContent is one way through all that a bbolt file holds.
type boltContent struct {
	ctx      context.Context
	name     string
	file     *boltfile.File
	progress *progress

	pairs  *boltfile.Walk // through the buckets for their pairs
	nested *boltfile.Walk // and again for the buckets in them
	path   bucketPath
	sum    contentSum

	// What ended the pairs of a bucket early, and whether there are buckets among them.
	err       error
	hasNested bool
}

func newBoltContent(ctx context.Context, name string, file *boltfile.File, progress *progress) *boltContent {
	return &boltContent{ctx: ctx, name: name, file: file, progress: progress, pairs: file.NewWalk(), nested: file.NewWalk()}
}

// A boltTaker takes a bucket, with its pairs in order. The path is its own only until it returns.
type boltTaker func(path bucketPath, b boltfile.Bucket, pairs iter.Seq2[[]byte, []byte]) error

// each calls take with each bucket of the file, one before those in it, and sums up what it takes.
func (c *boltContent) each(take boltTaker) error {
	var taken error // in place of an error of the file
	err := c.file.Guard(func() error {
		return c.walk(func(path bucketPath, b boltfile.Bucket, pairs iter.Seq2[[]byte, []byte]) error {
			taken = take(path, b, pairs)
			return taken
		})
	})
	if taken != nil && c.err == nil {
		return taken
	}
	return explainBolt(c.name, err)
}

func (c *boltContent) walk(take boltTaker) error {
	open := []*boltfile.Scanner{c.nested.Scan(c.file.Root())}
	for len(open) > 0 {
		at := open[len(open)-1]
		switch {
		case !at.Next():
			if at.Err() != nil {
				return at.Err()
			}
			open = open[:len(open)-1]
			c.leave()
		case at.Value() != nil && len(c.path) == 0:
			return errors.New("there is a pair outside of all buckets")
		case at.Value() == nil:
			b := at.Bucket()
			if err := c.enter(at.Key(), b, take); err != nil {
				return err
			}
			if c.hasNested {
				open = append(open, c.nested.Scan(b))
			} else {
				c.leave()
			}
		}
	}
	return nil
}

// enter gives take the bucket b.
func (c *boltContent) enter(name []byte, b boltfile.Bucket, take boltTaker) error {
	c.path = append(c.path, name)
	c.sum.begin(name, b.Sequence)
	c.err, c.hasNested = nil, false
	err := take(c.path, b, c.pairsOf(b))
	if c.err != nil {
		return c.err
	}
	return err
}

func (c *boltContent) leave() {
	if len(c.path) > 0 {
		c.path = c.path[:len(c.path)-1]
		c.sum.end()
	}
}

// pairsOf are the pairs of a bucket, without the buckets in it.
func (c *boltContent) pairsOf(b boltfile.Bucket) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		s := c.pairs.Scan(b)
		for n := 0; s.Next(); n++ {
			if n%1024 == 0 && !c.goOn() {
				return
			}
			if s.Value() == nil {
				c.hasNested = true
				continue
			}
			c.sum.put(s.Key(), s.Value())
			if !yield(s.Key(), s.Value()) {
				return
			}
		}
		c.err = s.Err()
	}
}

// goOn shows the progress, and tells whether to go on.
func (c *boltContent) goOn() bool {
	c.progress.report(c.pairs.Visited(), c.file.Size())
	if c.ctx.Err() != nil {
		c.err = context.Cause(c.ctx)
	}
	return c.err == nil
}
