package folio_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/foliokv/folio"
	"github.com/foliokv/folio/internal/testdir"
)

// benchEntries make a store beyond the processor's caches, some 45 MB, whose leaves lie
// scattered in the file.
const benchEntries = 300_000

var benchName = []byte("b")

func benchKey(buf []byte, i int) []byte { return fmt.Appendf(buf[:0], "%016d", 2*i) }

// benchKeys are random keys of the store, made before the clock runs.
func benchKeys(n int) [][]byte {
	rng := rand.New(rand.NewPCG(1, 2))
	keys := make([][]byte, n)
	for i := range keys {
		keys[i] = benchKey(nil, rng.IntN(benchEntries))
	}
	return keys
}

// benchStore returns a store that was filled in random order, 1,000 puts a transaction, and
// read once.
func benchStore(b *testing.B) *folio.DB {
	db, err := folio.Open(filepath.Join(testdir.New(b), "store"), 0o600, &folio.Options{Durability: folio.Deferred, FlushInterval: -1})
	must(b, err)
	b.Cleanup(func() { must(b, db.Close()) })
	value := make([]byte, 100)
	order := rand.New(rand.NewPCG(3, 4)).Perm(benchEntries)
	for len(order) > 0 {
		must(b, db.Update(func(tx *folio.Tx) error {
			bucket, err := tx.CreateBucketIfNotExists(benchName)
			if err != nil {
				return err
			}
			for _, i := range order[:1000] {
				binary.LittleEndian.PutUint64(value, uint64(i))
				if err := bucket.Put(benchKey(nil, i), value); err != nil {
					return err
				}
			}
			order = order[1000:]
			return nil
		}))
	}
	inBench(b, db, func(bucket *folio.Bucket) {
		for _, v := range bucket.All() {
			if len(v) != len(value) {
				b.Fatalf("a value of %d bytes", len(v))
			}
		}
	})
	return db
}

func inBench(b *testing.B, db *folio.DB, fn func(bucket *folio.Bucket)) {
	must(b, db.View(func(tx *folio.Tx) error {
		fn(tx.Bucket(benchName))
		return nil
	}))
}

// BenchmarkRead is reads from a store beyond the processor's caches: their time is that of
// cache misses.
func BenchmarkRead(b *testing.B) {
	db := benchStore(b)
	keys := benchKeys(1 << 17)
	b.Run("Get", func(b *testing.B) {
		inBench(b, db, func(bucket *folio.Bucket) {
			i := 0
			for b.Loop() {
				if v := bucket.Get(keys[i%len(keys)]); v[99] != 0 {
					b.Fatal("wrong value")
				}
				i++
			}
		})
	})
	b.Run("ViewGet", func(b *testing.B) {
		i := 0
		get := func(tx *folio.Tx) error {
			if v := tx.Bucket(benchName).Get(keys[i%len(keys)]); v[99] != 0 {
				b.Fatal("wrong value")
			}
			return nil
		}
		for b.Loop() {
			if err := db.View(get); err != nil {
				b.Fatal(err)
			}
			i++
		}
	})
	b.Run("ViewGetParallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			i := rand.IntN(len(keys))
			get := func(tx *folio.Tx) error {
				if v := tx.Bucket(benchName).Get(keys[i%len(keys)]); v[99] != 0 {
					b.Error("wrong value")
				}
				return nil
			}
			for pb.Next() {
				if err := db.View(get); err != nil {
					b.Error(err)
				}
				i++
			}
		})
	})
	b.Run("GetMany", func(b *testing.B) {
		inBench(b, db, func(bucket *folio.Bucket) {
			const n = 128
			check := func(i int, v []byte) {
				if v[99] != 0 {
					b.Fatal("wrong value")
				}
			}
			i := 0
			for b.Loop() {
				bucket.GetMany(keys[i:i+n], check)
				i = (i + n) % len(keys)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n*b.N), "ns/key")
		})
	})
	for name, step := range map[string]func(c *folio.Cursor) func() ([]byte, []byte){
		"Next": func(c *folio.Cursor) func() ([]byte, []byte) { c.First(); return c.Next },
		"Prev": func(c *folio.Cursor) func() ([]byte, []byte) { c.Last(); return c.Prev },
	} {
		b.Run("Cursor"+name, func(b *testing.B) {
			inBench(b, db, func(bucket *folio.Bucket) {
				c := bucket.Cursor()
				move := step(c)
				for b.Loop() {
					k, v := move()
					if k == nil {
						move = step(c)
						continue
					}
					if k[15] < '0' || len(v) != 100 {
						b.Fatal("wrong entry")
					}
				}
			})
		})
	}
	b.Run("Seek100", func(b *testing.B) {
		inBench(b, db, func(bucket *folio.Bucket) {
			c := bucket.Cursor()
			i := 0
			for b.Loop() {
				n := 0
				for k, v := c.Seek(keys[i%len(keys)]); k != nil && n < 100; k, v = c.Next() {
					if k[15] < '0' || v[99] != 0 {
						b.Fatal("wrong entry")
					}
					n++
				}
				i++
			}
		})
	})
}

// BenchmarkOpen opens a store that was closed properly and has many free runs. What a flush
// costs is the disk's affair.
func BenchmarkOpen(b *testing.B) {
	db := benchStore(b)
	path := db.Path()
	free := db.Stats().FreePageN
	must(b, db.Close())
	for b.Loop() {
		db, err := folio.Open(path, 0o600, nil)
		if err == nil {
			b.StopTimer()
			err = db.Close()
			b.StartTimer()
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(free), "free-pages")
}
