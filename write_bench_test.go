package folio

import (
	"encoding/binary"
	"math/rand"
	"path/filepath"
	"testing"
)

// benchCells returns n cells with 16-byte keys in order and values of 100 bytes.
func benchCells(n int) []cell {
	cells := make([]cell, n)
	for i := range cells {
		sk := storedKey{bytes: binary.BigEndian.AppendUint64(make([]byte, 8, 16), uint64(i)*0x1000001)}
		cells[i] = cell{sk.bytes, sk.klen(), appendLeafCell(nil, cellInline, sk, make([]byte, 100))}
	}
	return cells
}

// The parts of a write: an entry into a page, a page parted in two.
func BenchmarkPageWrite(b *testing.B) {
	cells := benchCells(30)
	p, left, right := make(page, 4096), make(page, 4096), make(page, 4096)
	b.Run("Insert", func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			if i%len(cells) == 0 {
				p.fill(0, cells[:1])
				continue
			}
			p.insert(p.count()/2, cells[i%len(cells)])
		}
	})
	p.fill(0, cells)
	var scratch []cell
	b.Run("Split", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			scratch = p.appendCells(scratch[:0], 0, p.count())
			m := splitPoint(scratch, 0, 0)
			left.fill(0, scratch[:m])
			right.fill(0, scratch[m:])
		}
	})
	b.Run("Checksum", func(b *testing.B) {
		b.SetBytes(4096)
		for i := range b.N {
			_ = checksum(1, uint32(i), 1, p)
		}
	})
}

// The life of a transaction, in a store of 100,000 entries. Deferred commits write nothing;
// Durable ones are flushed to memory: what the processor has to do for them.
func BenchmarkWrite(b *testing.B) {
	const n = 100_000
	open := map[string]func() (*DB, error){
		"Deferred": func() (*DB, error) {
			return Open(filepath.Join(b.TempDir(), "db"), 0o600, &Options{Durability: Deferred, FlushInterval: -1, FlushBytes: -1})
		},
		"Durable": func() (*DB, error) { return OpenMemory(nil) },
	}
	for name, open := range open {
		db, err := open()
		if err != nil {
			b.Fatal(err)
		}
		rng := rand.New(rand.NewSource(1))
		key, value := make([]byte, 16), make([]byte, 100)
		bucket := []byte("b")
		put := func(tx *Tx) error {
			binary.BigEndian.PutUint64(key, uint64(rng.Intn(n))*0x9e3779b97f4a7c15)
			return tx.Bucket(bucket).Put(key, value)
		}
		for range n / 1000 {
			if err := putRandom(db, rng, n, 1000); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(name+"/Update1", func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				if err := db.Update(put); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/Seal100", func(b *testing.B) { // one operation is a page, about
			b.ReportAllocs()
			for i := 0; i < b.N; i += 100 {
				if err := putRandom(db, rng, n, 100); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/BeginRollback", func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				tx, err := db.Begin(true)
				if err == nil {
					err = tx.Rollback()
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/View", func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				if err := db.View(func(*Tx) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
