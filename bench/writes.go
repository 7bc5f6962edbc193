package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

func loadAscending(b *bench) ([]metric, error) {
	return b.putAll(1000, func(j int) int { return j })
}

func loadRandom(b *bench) ([]metric, error) {
	order := permutation(b.random(0), b.n)
	return b.putAll(1000, func(j int) int { return int(order[j]) })
}

func loadRandomOneTx(b *bench) ([]metric, error) {
	order := permutation(b.random(0), b.n)
	return b.putAll(b.n, func(j int) int { return int(order[j]) })
}

func (b *bench) putAll(perTx int, pick func(int) int) ([]metric, error) {
	w := newBatch(b.data, perTx)
	return timed(func() (int, error) {
		return b.n, w.transactions(b.store, b.n, perTx, pick, w.put)
	})
}

func bulkLoad(b *bench) ([]metric, error) {
	return timed(func() (int, error) { return b.n, b.data.load(b.store) })
}

func deleteMost(b *bench) ([]metric, error) {
	order := permutation(b.random(0), b.n)[:b.n*9/10]
	w := newBatch(b.data, 1000)
	return timed(func() (int, error) {
		return len(order), w.transactions(b.store, len(order), 1000, func(j int) int { return int(order[j]) }, w.delete)
	})
}

// overwrite puts 1/share of the reads' number of random entries, 100 a transaction.
func overwrite(share int) func(*bench) ([]metric, error) {
	return func(b *bench) ([]metric, error) {
		const perTx = 100
		rng, w := b.random(0), newBatch(b.data, perTx)
		ops := max(perTx, b.ops/share)
		return timed(func() (int, error) {
			return ops, w.transactions(b.store, ops, perTx, func(int) int { return rng.IntN(b.n) }, w.put)
		})
	}
}

func batchUpdate(s Store, fn func(Writer) error) error {
	batcher, ok := s.(Batcher)
	if !ok {
		return errUnsupported
	}
	return batcher.Batch(fn)
}

// putOnes puts one entry a transaction until the time is over; each goroutine has its own entries.
func putOnes(goroutines int, update func(Store, func(Writer) error) error) func(*bench) ([]metric, error) {
	return func(b *bench) ([]metric, error) {
		each := make([]latencies, goroutines)
		own := b.n / goroutines
		all := &latencies{}
		metrics, err := timed(func() (int, error) {
			start := time.Now()
			err := b.parallel(goroutines, func(id int, rng *rand.Rand) error {
				w := newBatch(b.data, 1)
				for last := start; last.Sub(start) < b.budget; {
					w.arena = w.arena[:0]
					key, value := w.next(rng.IntN(own)*goroutines + id)
					if err := update(b.store, func(w Writer) error { return w.Put(key, value) }); err != nil {
						return err
					}
					now := time.Now()
					each[id].add(now.Sub(last))
					last = now
				}
				return nil
			})
			for id := range each {
				all.merge(&each[id])
			}
			return int(all.total), err
		})
		return append(metrics,
			metric{name: "p50", unit: "ns", value: all.quantile(0.5), allocs: -1},
			metric{name: "p99", unit: "ns", value: all.quantile(0.99), allocs: -1},
			metric{name: "p99.9", unit: "ns", value: all.quantile(0.999), allocs: -1}), err
	}
}

// largeValues puts values of 1 MiB, one a transaction, and then reads them, touching every byte.
func largeValues(b *bench) ([]metric, error) {
	const size = 1 << 20
	b.data = nil
	count := min(max(b.n/4000, 8), 250)
	value := appendValue(nil, 0, 1, size)
	rest := xorWords(value[8:])
	var key []byte
	put, err := timed(func() (int, error) {
		for i := range count {
			key = appendKey(key[:0], i)
			binary.LittleEndian.PutUint64(value, mix(uint64(i)))
			if err := b.store.Update(func(w Writer) error { return w.Put(key, value) }); err != nil {
				return i + 1, err
			}
		}
		return count, nil
	})
	if err != nil {
		return nil, err
	}
	rng := b.random(0)
	get, err := timed(func() (int, error) {
		return 2 * count, b.store.View(func(r Reader) error {
			for range 2 * count {
				i := rng.IntN(count)
				key = appendKey(key[:0], i)
				v, err := r.Get(key)
				if err != nil {
					return err
				}
				if len(v) != size || xorWords(v) != rest^mix(uint64(i)) {
					return fmt.Errorf("large value %d: wrong bytes", i)
				}
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	get[0].name = "get, every byte touched"
	return append(put, get...), nil
}

func xorWords(b []byte) uint64 {
	var x0, x1 uint64
	for ; len(b) >= 16; b = b[16:] {
		x0 ^= binary.LittleEndian.Uint64(b)
		x1 ^= binary.LittleEndian.Uint64(b[8:])
	}
	if len(b) >= 8 {
		x0 ^= binary.LittleEndian.Uint64(b)
	}
	return x0 ^ x1
}

const churnPasses = 20

// churn overwrites a fifth of the entries again and again: does the file stay small?
func churn(b *bench) ([]metric, error) {
	if err := b.loadFifth(); err != nil {
		return nil, err
	}
	return b.overwritePasses()
}

// churnBesideReader does so while a reader keeps the first version of everything.
func churnBesideReader(b *bench) ([]metric, error) {
	if err := b.loadFifth(); err != nil {
		return nil, err
	}
	var metrics []metric
	err := b.store.View(func(r Reader) error {
		first := b.data.clone()
		if err := first.verifyReader(r); err != nil {
			return err
		}
		var err error
		if metrics, err = b.overwritePasses(); err != nil {
			return err
		}
		return first.verifyReader(r)
	})
	return metrics, err
}

func (b *bench) loadFifth() error {
	b.data = newDataset(max(1, b.n/5))
	return b.data.load(b.store)
}

func (b *bench) overwritePasses() ([]metric, error) {
	const perTx = 10_000
	n := len(b.data.version)
	order := permutation(b.random(0), n)
	w := newBatch(b.data, perTx)
	return timed(func() (int, error) {
		for range churnPasses {
			if err := w.transactions(b.store, n, perTx, func(j int) int { return int(order[j]) }, w.put); err != nil {
				return n, err
			}
		}
		return churnPasses * n, nil
	})
}

// openClean opens a store that was closed properly, 20 times: the median.
func openClean(b *bench) ([]metric, error) {
	var took latencies
	for range 20 {
		start := time.Now()
		s, err := b.open()
		if err != nil {
			return nil, err
		}
		took.add(time.Since(start))
		if err := errors.Join(b.view0(s), s.Close()); err != nil {
			return nil, err
		}
	}
	return []metric{{unit: "ns", value: took.quantile(0.5), allocs: -1}}, nil
}

// view0 reads entry 0, so that an open that only promises to be open is found out.
func (b *bench) view0(s Store) error {
	return s.View(func(r Reader) error {
		value, err := r.Get(appendKey(nil, 0))
		if err != nil {
			return err
		}
		return checkValue(0, value)
	})
}
