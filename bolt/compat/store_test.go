package compat

import (
	"errors"
	"fmt"
	"os"

	real "go.etcd.io/bbolt"
	realerrors "go.etcd.io/bbolt/errors"

	ours "github.com/foliokv/folio/bolt"
	ourerrors "github.com/foliokv/folio/bolt/errors"
)

// The API that programs use, written once for both packages: D, T, B and C stand for the *DB,
// *Tx, *Bucket and *Cursor of one of them.

type dbAPI[T any] interface {
	comparable
	Begin(writable bool) (T, error)
	View(fn func(T) error) error
	Update(fn func(T) error) error
	Batch(fn func(T) error) error
	Close() error
	Sync() error
	Path() string
	IsReadOnly() bool
}

type txAPI[D, T, B, C any] interface {
	comparable
	Bucket(name []byte) B
	CreateBucket(name []byte) (B, error)
	CreateBucketIfNotExists(name []byte) (B, error)
	DeleteBucket(name []byte) error
	MoveBucket(child []byte, src, dst B) error
	ForEach(fn func(name []byte, b B) error) error
	Cursor() C
	OnCommit(fn func())
	Commit() error
	Rollback() error
	Writable() bool
	ID() int
	DB() D
}

type bucketAPI[T, B, C any] interface {
	comparable
	Tx() T
	Writable() bool
	Bucket(name []byte) B
	CreateBucket(name []byte) (B, error)
	CreateBucketIfNotExists(name []byte) (B, error)
	DeleteBucket(name []byte) error
	MoveBucket(key []byte, dst B) error
	Get(key []byte) []byte
	Put(key, value []byte) error
	Delete(key []byte) error
	Sequence() uint64
	SetSequence(v uint64) error
	NextSequence() (uint64, error)
	ForEach(fn func(k, v []byte) error) error
	ForEachBucket(fn func(k []byte) error) error
	Cursor() C
}

type cursorAPI[B any] interface {
	comparable
	Bucket() B
	First() (k, v []byte)
	Last() (k, v []byte)
	Next() (k, v []byte)
	Prev() (k, v []byte)
	Seek(key []byte) (k, v []byte)
	Delete() error
}

// A store is what the two packages do not say in the same words.
type store[D, T, B any] struct {
	open    func(path string, o settings) (D, error)
	compact func(dst, src D, txMaxSize int64) error
	shape   func(B) string // figures that do not depend on the format
	inspect func(T) string
	check   func(T) error
	errors  map[error]string
}

// settings are options that mean the same to both.
type settings struct {
	readOnly bool
	noSync   bool
}

// name returns the name of an error that callers compare with ==, else its text.
func (s *store[D, T, B]) name(err error) string {
	if err == nil {
		return "ok"
	}
	if name, ok := s.errors[err]; ok {
		return name
	}
	return "error " + err.Error()
}

func realStore() *store[*real.DB, *real.Tx, *real.Bucket] {
	return &store[*real.DB, *real.Tx, *real.Bucket]{
		open: func(path string, o settings) (*real.DB, error) {
			// With a mapping that is large at once no commit waits for a reader to end.
			db, err := real.Open(path, 0o600, &real.Options{ReadOnly: o.readOnly, NoSync: o.noSync, NoGrowSync: o.noSync, InitialMmapSize: 1 << 28, PageSize: 4096})
			if err == nil {
				db.MaxBatchDelay = 0
			}
			return db, err
		},
		compact: real.Compact,
		shape: func(b *real.Bucket) string {
			s := b.Stats()
			return fmt.Sprintf("%d keys, %d buckets", s.KeyN, s.BucketN)
		},
		inspect: func(tx *real.Tx) string { return fmt.Sprintf("%+v", tx.Inspect()) },
		check:   func(tx *real.Tx) error { return nil }, // it loses pages now and then
		errors: map[error]string{
			realerrors.ErrDatabaseNotOpen:    "ErrDatabaseNotOpen",
			realerrors.ErrTimeout:            "ErrTimeout",
			realerrors.ErrTxNotWritable:      "ErrTxNotWritable",
			realerrors.ErrTxClosed:           "ErrTxClosed",
			realerrors.ErrDatabaseReadOnly:   "ErrDatabaseReadOnly",
			realerrors.ErrBucketNotFound:     "ErrBucketNotFound",
			realerrors.ErrBucketExists:       "ErrBucketExists",
			realerrors.ErrBucketNameRequired: "ErrBucketNameRequired",
			realerrors.ErrKeyRequired:        "ErrKeyRequired",
			realerrors.ErrKeyTooLarge:        "ErrKeyTooLarge",
			realerrors.ErrIncompatibleValue:  "ErrIncompatibleValue",
			realerrors.ErrSameBuckets:        "ErrSameBuckets",
			realerrors.ErrDifferentDB:        "ErrDifferentDB",
		},
	}
}

func ourStore() *store[*ours.DB, *ours.Tx, *ours.Bucket] {
	return &store[*ours.DB, *ours.Tx, *ours.Bucket]{
		open: func(path string, o settings) (*ours.DB, error) {
			db, err := ours.Open(path, 0o600, &ours.Options{ReadOnly: o.readOnly, NoSync: o.noSync})
			if err == nil {
				db.MaxBatchDelay = 0
			}
			return db, err
		},
		compact: ours.Compact,
		shape: func(b *ours.Bucket) string {
			s := b.Stats()
			return fmt.Sprintf("%d keys, %d buckets", s.KeyN, s.BucketN)
		},
		inspect: func(tx *ours.Tx) string { return fmt.Sprintf("%+v", tx.Inspect()) },
		check:   func(tx *ours.Tx) error { return first(tx.Check()) },
		errors: map[error]string{
			ourerrors.ErrDatabaseNotOpen:    "ErrDatabaseNotOpen",
			ourerrors.ErrTimeout:            "ErrTimeout",
			ourerrors.ErrTxNotWritable:      "ErrTxNotWritable",
			ourerrors.ErrTxClosed:           "ErrTxClosed",
			ourerrors.ErrDatabaseReadOnly:   "ErrDatabaseReadOnly",
			ourerrors.ErrBucketNotFound:     "ErrBucketNotFound",
			ourerrors.ErrBucketExists:       "ErrBucketExists",
			ourerrors.ErrBucketNameRequired: "ErrBucketNameRequired",
			ourerrors.ErrKeyRequired:        "ErrKeyRequired",
			ourerrors.ErrKeyTooLarge:        "ErrKeyTooLarge",
			ourerrors.ErrIncompatibleValue:  "ErrIncompatibleValue",
			ourerrors.ErrSameBuckets:        "ErrSameBuckets",
			ourerrors.ErrDifferentDB:        "ErrDifferentDB",
		},
	}
}

// first returns the first finding of a check, after its end.
func first(ch <-chan error) error {
	var found error
	for err := range ch {
		found = errors.Join(found, err)
	}
	return found
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
