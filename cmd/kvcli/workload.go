package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/foliokv/folio"
)

// A workload is a named way to use a store.
type workload struct {
	name string
	what string
	step string // what a latency is of
	// run uses the store and returns how many operations that was.
	run func(b *bench, h *histogram) (int, error)
	// fills tells that it starts from an empty bucket; the others find all keys in it.
	fills bool
}

var workloads = []workload{
	{"fill-seq", "store the keys in order", "transaction", (*bench).fillSequential, true},
	{"fill-rand", "store the keys in random order", "transaction", (*bench).fillRandom, true},
	{"read-rand", "get keys in random order, each in a transaction of its own", "get", (*bench).readRandom, false},
	{"read-seq", "get keys in order, in one transaction", "get", (*bench).readSequential, false},
	{"scan", "visit all pairs in order", "1000 pairs", (*bench).scan, false},
	{"overwrite", "store new values under random keys", "transaction", (*bench).overwrite, false},
	{"delete", "delete the keys in random order", "transaction", (*bench).deleteAll, false},
	{"mixed", "get random keys on all processors while one writer overwrites", "get", (*bench).mixed, false},
	{"durable-1", "store one pair a transaction, one after the other", "transaction", (*bench).durableOne, false},
	{"durable-N", "store one pair a transaction, from many goroutines", "transaction", (*bench).durableMany, false},
}

// A bench is a store under measurement.
type bench struct {
	ctx       context.Context
	db        *folio.DB
	keys      int
	valueSize int
	batch     int
	commits   int
	writers   int
	random    *rand.Rand
	progress  *progress
}

var benchBucket = []byte("bench")

// key is the n-th key in order.
func (b *bench) key(n int) []byte { return fmt.Appendf(nil, "%016d", n) }

// value is a value that does not repeat, so that nothing is gained by guessing it.
func (b *bench) value(random *rand.Rand) []byte {
	value := make([]byte, 0, b.valueSize+8)
	for len(value) < b.valueSize {
		value = binary.LittleEndian.AppendUint64(value, random.Uint64())
	}
	return value[:b.valueSize]
}

// reset empties the bucket; with full it holds all keys afterwards.
func (b *bench) reset(full bool) error {
	err := b.db.Update(func(tx *folio.Tx) error {
		if tx.Bucket(benchBucket) != nil {
			if err := tx.DeleteBucket(benchBucket); err != nil {
				return err
			}
		}
		_, err := tx.CreateBucket(benchBucket)
		return err
	})
	if err != nil || !full {
		return err
	}
	_, err = b.fillSequential(new(histogram))
	return err
}

// batches calls fn with 0 to n-1 in write transactions of the batch size, and times those.
func (b *bench) batches(n int, h *histogram, fn func(bucket *folio.Bucket, i int) error) (int, error) {
	for first := 0; first < n; first += b.batch {
		if b.ctx.Err() != nil {
			return first, context.Cause(b.ctx)
		}
		end := min(n, first+b.batch)
		start := time.Now()
		err := b.db.Update(func(tx *folio.Tx) error {
			bucket := tx.Bucket(benchBucket)
			for i := first; i < end; i++ {
				if err := fn(bucket, i); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return first, err
		}
		h.record(time.Since(start))
		b.progress.advance(int64(end - first))
	}
	return n, nil
}

func (b *bench) fillSequential(h *histogram) (int, error) {
	return b.batches(b.keys, h, func(bucket *folio.Bucket, i int) error {
		return bucket.Put(b.key(i), b.value(b.random))
	})
}

func (b *bench) fillRandom(h *histogram) (int, error) {
	order := b.random.Perm(b.keys)
	return b.batches(b.keys, h, func(bucket *folio.Bucket, i int) error {
		return bucket.Put(b.key(order[i]), b.value(b.random))
	})
}

func (b *bench) overwrite(h *histogram) (int, error) {
	return b.batches(b.keys, h, func(bucket *folio.Bucket, _ int) error {
		return bucket.Put(b.key(b.random.IntN(b.keys)), b.value(b.random))
	})
}

func (b *bench) deleteAll(h *histogram) (int, error) {
	order := b.random.Perm(b.keys)
	return b.batches(b.keys, h, func(bucket *folio.Bucket, i int) error {
		return bucket.Delete(b.key(order[i]))
	})
}

func (b *bench) readRandom(h *histogram) (int, error) {
	for n := range b.keys {
		if err := b.readOne(b.random.IntN(b.keys), h); err != nil {
			return n, err
		}
		b.progress.advance(1)
	}
	return b.keys, nil
}

// readOne gets the n-th key in a transaction of its own.
func (b *bench) readOne(n int, h *histogram) error {
	if b.ctx.Err() != nil {
		return context.Cause(b.ctx)
	}
	key := b.key(n)
	start := time.Now()
	err := b.db.View(func(tx *folio.Tx) error {
		return b.expect(tx.Bucket(benchBucket).Get(key), n)
	})
	h.record(time.Since(start))
	return err
}

func (b *bench) expect(value []byte, n int) error {
	if len(value) != b.valueSize {
		return fmt.Errorf("key %d has a value of %d bytes, not %d", n, len(value), b.valueSize)
	}
	return nil
}

func (b *bench) readSequential(h *histogram) (int, error) {
	err := b.db.View(func(tx *folio.Tx) error {
		bucket := tx.Bucket(benchBucket)
		for n := range b.keys {
			if b.ctx.Err() != nil {
				return context.Cause(b.ctx)
			}
			key := b.key(n)
			start := time.Now()
			value := bucket.Get(key)
			h.record(time.Since(start))
			if err := b.expect(value, n); err != nil {
				return err
			}
			b.progress.advance(1)
		}
		return nil
	})
	return b.keys, err
}

func (b *bench) scan(h *histogram) (n int, err error) {
	const step = 1000
	err = b.db.View(func(tx *folio.Tx) error {
		start := time.Now()
		for _, value := range tx.Bucket(benchBucket).All() {
			if err := b.expect(value, n); err != nil {
				return err
			}
			if n++; n%step > 0 {
				continue
			}
			h.record(time.Since(start))
			b.progress.advance(step)
			if b.ctx.Err() != nil {
				return context.Cause(b.ctx)
			}
			start = time.Now()
		}
		return nil
	})
	return n, err
}

func (b *bench) mixed(h *histogram) (int, error) {
	readers := runtime.GOMAXPROCS(0)
	histograms := make([]histogram, readers)
	errs := make(chan error, readers+1)
	var stop atomic.Bool
	var work sync.WaitGroup
	for i := range readers {
		random := rand.New(rand.NewPCG(b.random.Uint64(), 0))
		work.Go(func() {
			for range b.keys / readers {
				if err := b.readOne(random.IntN(b.keys), &histograms[i]); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	var writer sync.WaitGroup
	writer.Go(func() {
		for !stop.Load() {
			if _, err := b.batches(b.batch, new(histogram), func(bucket *folio.Bucket, _ int) error {
				return bucket.Put(b.key(b.random.IntN(b.keys)), b.value(b.random))
			}); err != nil {
				errs <- err
				return
			}
		}
	})
	work.Wait()
	stop.Store(true)
	writer.Wait()
	close(errs)
	for i := range histograms {
		h.merge(&histograms[i])
	}
	return int(h.n), <-errs
}

func (b *bench) durableOne(h *histogram) (int, error) {
	return b.commitFrom(1, h)
}

func (b *bench) durableMany(h *histogram) (int, error) {
	return b.commitFrom(b.writers, h)
}

// commitFrom has that many goroutines store pairs, each in a transaction of its own.
func (b *bench) commitFrom(writers int, h *histogram) (int, error) {
	histograms := make([]histogram, writers)
	errs := make(chan error, writers)
	var left atomic.Int64
	left.Store(int64(b.commits))
	var work sync.WaitGroup
	for i := range writers {
		random := rand.New(rand.NewPCG(b.random.Uint64(), 0))
		work.Go(func() {
			for left.Add(-1) >= 0 {
				if err := b.commitOne(random, &histograms[i]); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	work.Wait()
	close(errs)
	for i := range histograms {
		h.merge(&histograms[i])
	}
	return int(h.n), <-errs
}

func (b *bench) commitOne(random *rand.Rand, h *histogram) error {
	if b.ctx.Err() != nil {
		return context.Cause(b.ctx)
	}
	key, value := b.key(random.IntN(b.keys)), b.value(random)
	start := time.Now()
	err := b.db.Update(func(tx *folio.Tx) error {
		return tx.Bucket(benchBucket).Put(key, value)
	})
	h.record(time.Since(start))
	return err
}
