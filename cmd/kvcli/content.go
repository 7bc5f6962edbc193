package main

import (
	"context"

	"github.com/foliokv/folio"
)

// A contentSink takes the content of a store in order.
type contentSink interface {
	// beginBucket starts a bucket; the pairs that follow are its.
	beginBucket(path bucketPath, sequence uint64) error
	// put takes a pair of that bucket.
	put(key, value []byte) error
}

// copyContent gives sink the bucket at path and all inside it: a bucket's pairs first, then
// the buckets in it. For the root, which has no pairs, bucket is nil.
func copyContent(ctx context.Context, tx *folio.Tx, bucket *folio.Bucket, path bucketPath, sink contentSink) error {
	var nested []bucketPath
	if bucket == nil {
		for name := range childBuckets(tx, nil) {
			nested = append(nested, path.child(name))
		}
	} else {
		if err := sink.beginBucket(path, bucket.Sequence()); err != nil {
			return err
		}
		for key, value := range bucket.All() {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if value == nil {
				nested = append(nested, path.child(key))
				continue
			}
			if err := sink.put(key, value); err != nil {
				return err
			}
		}
	}
	for _, child := range nested {
		if err := copyContent(ctx, tx, childBucket(tx, bucket, child[len(child)-1]), child, sink); err != nil {
			return err
		}
	}
	return tx.Err()
}
