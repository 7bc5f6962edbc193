package main

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"
	"github.com/foliokv/folio"
)

// A treeSink takes the content of a store as a tree. What comes between begin and end is in that
// bucket.
type treeSink interface {
	begin(name []byte, sequence uint64) error
	put(key, value []byte) error
	end() error
}

// walkTree gives sink all that a store holds: a bucket's pairs and the buckets in it in the order
// of their keys. It is not recursive, for a store may nest deeply.
func walkTree(ctx context.Context, tx *folio.Tx, sink treeSink) error {
	type level struct {
		bucket *folio.Bucket // nil is the root
		cursor *folio.Cursor
	}
	path := []level{{nil, tx.Cursor()}}
	key, value := path[0].cursor.First()
	for n := 0; ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		at := path[len(path)-1]
		switch {
		case key == nil && len(path) == 1:
			return tx.Err()
		case key == nil:
			if err := sink.end(); err != nil {
				return err
			}
			path = path[:len(path)-1]
			key, value = path[len(path)-1].cursor.Next()
		case value == nil:
			bucket := childBucket(tx, at.bucket, key)
			if bucket == nil {
				return tx.Err() // damage
			}
			if err := sink.begin(key, bucket.Sequence()); err != nil {
				return err
			}
			path = append(path, level{bucket, bucket.Cursor()})
			key, value = path[len(path)-1].cursor.First()
		default:
			if err := sink.put(key, value); err != nil {
				return err
			}
			key, value = at.cursor.Next()
		}
	}
}

// A contentSum is a treeSink that counts what it is given, with a checksum over all names,
// sequences, keys and values. The pairs of a bucket count in their order; buckets may come in any.
type contentSum struct {
	contentCount
	open []bucketSum
}

// A contentCount is what two stores have in common if their contents are the same.
type contentCount struct {
	buckets int64
	pairs   int64
	bytes   int64 // of keys and values
	sum     uint64
}

// A bucketSum is a bucket that has not ended.
type bucketSum struct {
	path     uint64 // a checksum of the names that lead to it
	sequence uint64
	pairs    uint64
	digest   xxhash.Digest
}

func (s *contentSum) begin(name []byte, sequence uint64) error {
	b := bucketSum{sequence: sequence}
	b.digest.Reset()
	if len(s.open) > 0 {
		b.writeNumbers(s.open[len(s.open)-1].path)
	}
	b.digest.Write(name)
	b.path = b.digest.Sum64()
	b.digest.Reset()
	s.open = append(s.open, b)
	return nil
}

func (s *contentSum) put(key, value []byte) error {
	b := &s.open[len(s.open)-1]
	b.writeNumbers(uint64(len(key))<<32 | uint64(len(value)))
	b.digest.Write(key)
	b.digest.Write(value)
	b.pairs++
	s.bytes += int64(len(key)) + int64(len(value))
	return nil
}

func (s *contentSum) end() error {
	b := &s.open[len(s.open)-1]
	b.writeNumbers(b.pairs, b.sequence, b.path)
	s.sum += b.digest.Sum64()
	s.pairs += int64(b.pairs)
	s.buckets++
	s.open = s.open[:len(s.open)-1]
	return nil
}

func (b *bucketSum) writeNumbers(numbers ...uint64) {
	var bytes [8]byte
	for _, n := range numbers {
		binary.LittleEndian.PutUint64(bytes[:], n)
		b.digest.Write(bytes[:])
	}
}

func (s contentCount) String() string {
	return fmt.Sprintf("%d buckets, %d pairs, %d bytes, checksum %016x", s.buckets, s.pairs, s.bytes, s.sum)
}

// facts are what a report says of the content.
func (s contentCount) facts() []fact {
	return []fact{
		{"buckets", s.buckets},
		{"pairs", s.pairs},
		{"bytes", size(s.bytes)},
		{"checksum", fmt.Sprintf("%016x", s.sum)},
	}
}

// checkSame is an error unless two contents are the same.
func checkSame(from string, want contentCount, to string, got contentCount) error {
	if want == got {
		return nil
	}
	return fmt.Errorf("the copy is not what was copied: %s has %v, %s has %v", from, want, to, got)
}

// sumStore returns the sum of what the store in the file name has; total is how many pairs it should be.
func (c *cli) sumStore(ctx context.Context, name string, total int64) (contentCount, error) {
	progress := c.newProgress("checking", total, false)
	defer progress.finish()
	var sum contentSum
	err := c.view(name, func(tx *folio.Tx) error {
		return walkTree(ctx, tx, &sinkWithProgress{treeSink: &sum, progress: progress})
	})
	return sum.contentCount, err
}

// A sinkWithProgress tells a progress how many pairs its sink was given.
type sinkWithProgress struct {
	treeSink
	progress *progress
	untold   int64
}

func (s *sinkWithProgress) put(key, value []byte) error {
	if s.untold++; s.untold == 1024 {
		s.progress.advance(s.untold)
		s.untold = 0
	}
	return s.treeSink.put(key, value)
}
