// Package workload makes lists of operations from bytes or a seed, and runs them on a store and
// on the oracle (package model) side by side. Tests, fuzz targets, crash tests and benchmarks
// use the same lists; one prints as a script that parses back.
package workload

import (
	"context"
	"io"
	"iter"
)

// A Store is what is tested. Adapt makes one of a *folio.DB or a *model.DB; the methods of the
// interfaces have the meaning that folio's documentation gives them.
type Store interface {
	Begin(writable bool) (Tx, error)
	View(fn func(Tx) error) error
	Update(fn func(Tx) error) error
	storeMethods
}

// A Tx is a transaction of a Store.
type Tx interface {
	Bucket(name []byte) Bucket
	CreateBucket(name []byte) (Bucket, error)
	CreateBucketIfNotExists(name []byte) (Bucket, error)
	MoveBucket(child []byte, src, dst Bucket) error
	Cursor() Cursor
	Savepoint() Savepoint
	txMethods
}

// A Bucket is a bucket of a Tx. A missing bucket is a nil Bucket.
type Bucket interface {
	Bucket(name []byte) Bucket
	CreateBucket(name []byte) (Bucket, error)
	CreateBucketIfNotExists(name []byte) (Bucket, error)
	Cursor() Cursor
	bucketMethods
}

// A Cursor is a cursor of a Bucket or a Tx.
type Cursor interface {
	First() (key, value []byte)
	Last() (key, value []byte)
	Next() (key, value []byte)
	Prev() (key, value []byte)
	Seek(seek []byte) (key, value []byte)
	Delete() error
}

// A Savepoint is a scope of a Tx.
type Savepoint interface {
	Rollback() error
	Release() error
}

// The methods whose signatures name no type of the store.
type (
	storeMethods interface {
		Sync() error
		Close() error
	}
	txMethods interface {
		DeleteBucket(name []byte) error
		Check() <-chan error
		Err() error
		Commit() error
		Rollback() error
	}
	bucketMethods interface {
		DeleteBucket(name []byte) error

		Get(key []byte) []byte
		Put(key, value []byte) error
		Delete(key []byte) error
		DeleteRange(lo, hi []byte) error

		Sequence() uint64
		SetSequence(v uint64) error
		NextSequence() (uint64, error)

		Count() uint64
		CountRange(lo, hi []byte) uint64
		Rank(key []byte) uint64
		At(i uint64) (key, value []byte)

		ForEach(fn func(k, v []byte) error) error
		All() iter.Seq2[[]byte, []byte]
		Backward() iter.Seq2[[]byte, []byte]
		Prefix(p []byte) iter.Seq2[[]byte, []byte]
		Range(lo, hi []byte) iter.Seq2[[]byte, []byte]
	}
)

// Methods of a bucket that a store may lack; simpler ones stand in for them then.
type (
	manyGetter interface {
		GetMany(keys [][]byte, fn func(i int, value []byte))
	}
	readerPutter interface {
		PutReader(key []byte, r io.Reader, size int64) error
	}
	loader interface {
		Load(ctx context.Context, pairs iter.Seq2[[]byte, []byte]) error
	}
)
