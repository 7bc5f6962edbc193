package compat

import (
	"encoding/binary"
	"path/filepath"
	"testing"
)

const benchKeys = 200000

// BenchmarkBoth measures the same through bbolt and through package bolt, for benchstat to
// compare.
func BenchmarkBoth(b *testing.B) {
	b.Run("store=bbolt", func(b *testing.B) { benchmark(b, realStore()) })
	b.Run("store=bolt", func(b *testing.B) { benchmark(b, ourStore()) })
}

func benchmark[D dbAPI[T], T txAPI[D, T, B, C], B bucketAPI[T, B, C], C cursorAPI[B]](b *testing.B, s *store[D, T, B]) {
	db, err := s.open(filepath.Join(b.TempDir(), "db"), settings{noSync: true})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	name := []byte("b")
	key := func(i int) []byte {
		k := make([]byte, 16)
		binary.BigEndian.PutUint64(k, uint64(i)*0x9E3779B97F4A7C15)
		return k
	}
	if err := db.Update(func(tx T) error {
		bucket, err := tx.CreateBucket(name)
		for i := 0; i < benchKeys && err == nil; i++ {
			err = bucket.Put(key(i), make([]byte, 100))
		}
		return err
	}); err != nil {
		b.Fatal(err)
	}
	view := func(b *testing.B, fn func(bucket B) error) {
		b.ReportAllocs()
		if err := db.View(func(tx T) error {
			bucket := tx.Bucket(name)
			b.ResetTimer()
			return fn(bucket)
		}); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("get", func(b *testing.B) {
		view(b, func(bucket B) error {
			k := key(0)
			for i := range b.N {
				binary.BigEndian.PutUint64(k, uint64(i%benchKeys)*0x9E3779B97F4A7C15)
				if bucket.Get(k) == nil {
					b.Fatal("lost")
				}
			}
			return nil
		})
	})
	b.Run("next", func(b *testing.B) {
		view(b, func(bucket B) error {
			c := bucket.Cursor()
			c.First()
			for range b.N {
				if k, _ := c.Next(); k == nil {
					c.First()
				}
			}
			return nil
		})
	})
	b.Run("view", func(b *testing.B) {
		b.ReportAllocs()
		k := key(7)
		for range b.N {
			db.View(func(tx T) error {
				if tx.Bucket(name).Get(k) == nil {
					b.Fatal("lost")
				}
				return nil
			})
		}
	})
	b.Run("update", func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			if err := db.Update(func(tx T) error { return tx.Bucket(name).Put(key(i%benchKeys), make([]byte, 100)) }); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("put", func(b *testing.B) {
		b.ReportAllocs()
		if err := db.Update(func(tx T) error {
			bucket := tx.Bucket(name)
			v := make([]byte, 100)
			b.ResetTimer()
			for i := range b.N {
				if err := bucket.Put(key(i%benchKeys), v); err != nil {
					return err
				}
			}
			b.StopTimer()
			return nil
		}); err != nil {
			b.Fatal(err)
		}
	})
}
