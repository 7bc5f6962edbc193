package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync/atomic"
	"time"
)

func getLong(b *bench) ([]metric, error) {
	return timed(func() (int, error) {
		return b.ops, b.store.View(func(r Reader) error { return getRandom(r, b.random(0), b.n, b.ops) })
	})
}

func getRandom(r Reader, rng *rand.Rand, n, ops int) error {
	var key []byte
	for range ops {
		i := rng.IntN(n)
		key = appendKey(key[:0], 2*i)
		value, err := r.Get(key)
		if err != nil {
			return err
		}
		if err := checkValue(i, value); err != nil {
			return err
		}
	}
	return nil
}

func getAbsent(b *bench) ([]metric, error) {
	return timed(func() (int, error) {
		return b.ops, b.store.View(func(r Reader) error {
			rng := b.random(0)
			var key []byte
			for range b.ops {
				key = appendKey(key[:0], 2*rng.IntN(b.n)+1)
				if value, err := r.Get(key); value != nil || err != nil {
					return errors.Join(fmt.Errorf("key %s: not absent", key), err)
				}
			}
			return nil
		})
	})
}

// getNative prepares the keys outside the timed part: a C program would make its own.
func getNative(b *bench) ([]metric, error) {
	native, ok := b.store.(NativeGetter)
	if !ok {
		return nil, errUnsupported
	}
	rng := b.random(0)
	keys := make([]byte, 0, b.ops*keySize)
	var want uint64
	for range b.ops {
		i := rng.IntN(b.n)
		keys = appendKey(keys, 2*i)
		want += mix(uint64(i))
	}
	return timed(func() (int, error) {
		found, sum, err := native.NativeGets(keys, valueSize)
		if err == nil && (found != b.ops || sum != want) {
			err = fmt.Errorf("found %d of %d values, or wrong ones", found, b.ops)
		}
		return b.ops, err
	})
}

// pointReads returns a function that reads one random entry in a fresh read transaction.
func pointReads(s Store, rng *rand.Rand, n int) func() error {
	var i int
	var key []byte
	check := func(value []byte) error { return checkValue(i, value) }
	view := func(r Reader) error {
		value, err := r.Get(key)
		if err != nil {
			return err
		}
		return check(value)
	}
	point, isPoint := s.(PointReader)
	return func() error {
		i = rng.IntN(n)
		key = appendKey(key[:0], 2*i)
		if isPoint {
			return point.ReadPoint(key, check)
		}
		return s.View(view)
	}
}

func getFresh(goroutines int) func(*bench) ([]metric, error) {
	return func(b *bench) ([]metric, error) {
		each := b.ops / goroutines
		return timed(func() (int, error) {
			return each * goroutines, b.parallel(goroutines, func(_ int, rng *rand.Rand) error {
				read := pointReads(b.store, rng, b.n)
				for range each {
					if err := read(); err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
}

func getCold(goroutines int) func(*bench) ([]metric, error) {
	return func(b *bench) ([]metric, error) {
		debug.FreeOSMemory() // the bound on memory counts the heap, too
		return timed(func() (int, error) {
			l, err := b.readFor(goroutines, b.budget)
			return int(l.total), err
		})
	}
}

// readFor reads in g goroutines until the time is over.
func (b *bench) readFor(g int, budget time.Duration) (*latencies, error) {
	each := make([]latencies, g)
	start := time.Now()
	err := b.parallel(g, func(id int, rng *rand.Rand) error {
		read := pointReads(b.store, rng, b.n)
		for last := start; last.Sub(start) < budget; {
			if err := read(); err != nil {
				return err
			}
			now := time.Now()
			each[id].add(now.Sub(last))
			last = now
		}
		return nil
	})
	all := &latencies{}
	for id := range each {
		all.merge(&each[id])
	}
	return all, err
}

const manyKeys = 128

func getMany(b *bench) ([]metric, error) {
	return b.manyAtOnce(func(r Reader, keys [][]byte, fn func(int, []byte)) error {
		many, ok := r.(ManyGetter)
		if !ok {
			return errUnsupported
		}
		return many.GetMany(keys, fn)
	})
}

func getManySingly(b *bench) ([]metric, error) {
	return b.manyAtOnce(func(r Reader, keys [][]byte, fn func(int, []byte)) error {
		for i, key := range keys {
			value, err := r.Get(key)
			if err != nil {
				return err
			}
			fn(i, value)
		}
		return nil
	})
}

func (b *bench) manyAtOnce(get func(Reader, [][]byte, func(int, []byte)) error) ([]metric, error) {
	rng := b.random(0)
	var entry [manyKeys]int
	arena := make([]byte, 0, manyKeys*keySize)
	keys := make([][]byte, manyKeys)
	var seen int
	var bad error
	check := func(i int, value []byte) {
		if err := checkValue(entry[i], value); err != nil {
			bad = err
		}
		seen++
	}
	rounds := max(1, b.ops/manyKeys)
	return timed(func() (int, error) {
		err := b.store.View(func(r Reader) error {
			for range rounds {
				arena = arena[:0]
				for j := range keys {
					entry[j] = rng.IntN(b.n)
					arena = appendKey(arena, 2*entry[j])
					keys[j] = arena[j*keySize:]
				}
				if err := get(r, keys, check); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil && bad == nil && seen != rounds*manyKeys {
			bad = fmt.Errorf("%d values of %d", seen, rounds*manyKeys)
		}
		return rounds * manyKeys, errors.Join(err, bad)
	})
}

func scan(b *bench) ([]metric, error) {
	return b.scanAll(func(r Reader, fn func(k, v []byte) bool) error { return r.Scan(nil, fn) }, 0, 1)
}

func scanReverse(b *bench) ([]metric, error) { return b.scanAll(Reader.Reverse, b.n-1, -1) }

// scanAll checks length and place of every entry: its key, or a word of it, and its value's length.
func (b *bench) scanAll(walk func(Reader, func(k, v []byte) bool) error, first, step int) ([]metric, error) {
	var bad error
	next, left := first, b.n
	visit := func(k, v []byte) bool {
		if len(v) != valueSize || k[keySize-1] != '0'+byte(2*next%10) {
			bad = fmt.Errorf("scan: %q instead of entry %d", k, next)
			return false
		}
		next += step
		left--
		return true
	}
	return timed(func() (int, error) {
		err := b.store.View(func(r Reader) error { return walk(r, visit) })
		if err == nil && bad == nil && left != 0 {
			bad = fmt.Errorf("scan: %d entries too few", left)
		}
		return b.n, errors.Join(err, bad)
	})
}

func seek100(b *bench) ([]metric, error) {
	const length = 100
	rng := b.random(0)
	ops := max(1, b.ops/20)
	var key []byte
	return timed(func() (int, error) {
		return ops, b.store.View(func(r Reader) error {
			for range ops {
				next := rng.IntN(max(1, b.n-length))
				last := min(next+length, b.n)
				var bad error
				key = appendKey(key[:0], 2*next)
				err := r.Scan(key, func(_, v []byte) bool {
					bad = checkValue(next, v)
					next++
					return bad == nil && next < last
				})
				if err == nil && bad == nil && next != last {
					bad = fmt.Errorf("scan ended at entry %d", next)
				}
				if err := errors.Join(err, bad); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// readersBesideWriter measures two readers alone, then beside a writer that never pauses.
func readersBesideWriter(b *bench) ([]metric, error) {
	const readers, perTx = 2, 100
	idle, err := b.readFor(readers, b.budget/2)
	if err != nil {
		return nil, err
	}
	var stop atomic.Bool
	var written int
	writer := make(chan error)
	go func() {
		rng, w := b.random(readers), newBatch(b.data, perTx)
		var err error
		for err == nil && !stop.Load() {
			err = w.transactions(b.store, perTx, perTx, func(int) int { return rng.IntN(b.n) }, w.put)
			written += perTx
		}
		writer <- err
	}()
	start := time.Now()
	busy, err := b.readFor(readers, b.budget)
	took := time.Since(start)
	stop.Store(true)
	if err := errors.Join(err, <-writer); err != nil {
		return nil, err
	}
	return []metric{
		{unit: "ns", value: float64(took) / float64(busy.total), allocs: -1},
		{name: "p99", unit: "ns", value: busy.quantile(0.99), allocs: -1},
		{name: "p99.9", unit: "ns", value: busy.quantile(0.999), allocs: -1},
		{name: "p99 to idle p99", unit: "x", value: busy.quantile(0.99) / idle.quantile(0.99), allocs: -1},
		{name: "time per put of the writer", unit: "ns", value: float64(took) / float64(written), allocs: -1},
	}, nil
}
