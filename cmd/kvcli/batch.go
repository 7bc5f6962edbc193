package main

import (
	"bytes"
	"context"
	"io"

	"github.com/foliokv/folio"
)

// Bounds of what one transaction of a load holds in memory.
const (
	defaultBatch  = 10_000 // entries
	maxBatchBytes = 8 << 20
)

// A batchWriter stores pairs by transactions of bounded size.
type batchWriter struct {
	ctx        context.Context
	db         *folio.DB
	path       bucketPath // of the bucket that pairs go to
	maxEntries int
	resume     bool // pairs that are there with the same value are not stored again

	tx           *folio.Tx // nil between batches
	bucket       *folio.Bucket
	batchEntries int
	batchBytes   int64 // of values
	batchKeys    int64 // bytes of keys

	loaded // what is committed
}

// beginBucket makes a bucket; the pairs that follow go there.
func (w *batchWriter) beginBucket(path bucketPath, sequence uint64) error {
	w.path, w.bucket = path, nil
	return w.add(nil, 0, func(b *folio.Bucket) error {
		if sequence == b.Sequence() {
			return nil
		}
		return b.SetSequence(sequence)
	})
}

// put stores a pair.
func (w *batchWriter) put(key, value []byte) error {
	return w.add(key, int64(len(value)), func(b *folio.Bucket) error {
		if w.resume {
			if old := b.Get(key); old != nil && bytes.Equal(old, value) {
				return nil
			}
		}
		return b.Put(key, value)
	})
}

// putReader stores a pair whose value is read from r.
func (w *batchWriter) putReader(key []byte, r io.Reader, size int64) error {
	return w.add(key, size, func(b *folio.Bucket) error { return b.PutReader(key, r, size) })
}

func (w *batchWriter) add(key []byte, valueSize int64, store func(*folio.Bucket) error) error {
	if w.ctx.Err() != nil {
		return context.Cause(w.ctx)
	}
	if err := w.begin(); err != nil {
		return err
	}
	if err := store(w.bucket); err != nil {
		return explainPut(w.path, key, err)
	}
	w.batchEntries++
	w.batchBytes += valueSize
	w.batchKeys += int64(len(key))
	if w.batchEntries < w.maxEntries && w.batchKeys+w.batchBytes < maxBatchBytes {
		return nil
	}
	return w.commit()
}

// begin opens a transaction and the bucket in it, unless they are open.
func (w *batchWriter) begin() (err error) {
	if w.tx == nil {
		w.bucket = nil
		if w.tx, err = w.db.Begin(true); err != nil {
			return err
		}
	}
	if w.bucket == nil {
		w.bucket, err = w.path.create(w.tx)
	}
	return err
}

// finish commits the last batch. Where nothing came it makes the bucket all the same.
func (w *batchWriter) finish() error {
	if w.tx == nil && w.entries == 0 {
		if err := w.begin(); err != nil {
			return err
		}
	}
	if w.tx == nil {
		return nil
	}
	return w.commit()
}

// commit makes the batch durable.
func (w *batchWriter) commit() error {
	tx := w.tx
	w.tx = nil
	if err := tx.Commit(); err != nil {
		return err
	}
	w.entries += int64(w.batchEntries)
	w.bytes += w.batchBytes
	w.batchEntries, w.batchBytes, w.batchKeys = 0, 0, 0
	return nil
}

// abort gives up the batch that is open, if one is.
func (w *batchWriter) abort() {
	if w.tx != nil {
		_ = w.tx.Rollback() // what was not committed is not stored either way
		w.tx = nil
	}
}
