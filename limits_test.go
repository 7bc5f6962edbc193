package folio_test

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/foliokv/folio"
	"github.com/foliokv/folio/internal/foliotest"
	"github.com/foliokv/folio/internal/simfile"
	"github.com/foliokv/folio/internal/testdir"
)

var pageSizes = []int{4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10}

func TestLongKeys(t *testing.T) {
	for _, size := range pageSizes {
		db := open(t, &folio.Options{PageSize: size})
		var keys [][]byte
		for i := range 40 { // they differ at their ends only, or in length only
			keys = append(keys, fmt.Appendf(bytes.Clone(longKey[:folio.MaxKeySize-3]), "%03d", i), longKey[:200+i*820])
		}
		update(t, db, func(b *folio.Bucket) error {
			for i, k := range keys {
				must(t, b.Put(k, value(i, i*50)))
			}
			c, err := b.CreateBucket(longKey)
			must(t, err)
			return c.Put(longKey, longKey)
		})
		foliotest.MustCheck(t, db)
		view(t, db, func(b *folio.Bucket) error {
			for i, k := range keys {
				if !bytes.Equal(b.Get(k), value(i, i*50)) {
					t.Errorf("pages of %d: key %d of %d bytes is lost", size, i, len(k))
				}
			}
			var last []byte
			for k := range b.All() {
				if bytes.Compare(last, k) >= 0 {
					t.Error("keys are out of order")
				}
				last = k
			}
			if v := b.Bucket(longKey).Get(longKey); !bytes.Equal(v, longKey) {
				t.Error("the bucket with the longest name lacks its pair")
			}
			return nil
		})
		update(t, db, func(b *folio.Bucket) error {
			for i, k := range keys {
				if i%3 > 0 {
					must(t, b.Delete(k))
				}
			}
			must(t, b.DeleteBucket(longKey))
			return b.DeleteRange(keys[0], nil)
		})
	}
}

// Values of every length around the limits of a cell, a page and an extent.
func TestValueLengths(t *testing.T) {
	for _, size := range pageSizes {
		db := open(t, &folio.Options{PageSize: size})
		var lens []int
		for _, n := range []int{0, size / 4, size / 2, size, 2 * size, 5 * size} {
			for d := -80; d <= 10; d++ {
				if n+d >= 0 {
					lens = append(lens, n+d)
				}
			}
		}
		update(t, db, func(b *folio.Bucket) error {
			for i, n := range lens {
				must(t, b.Put(foliotest.Key(i), value(i, n)))
			}
			return nil
		})
		view(t, db, func(b *folio.Bucket) error {
			for i, n := range lens {
				if v := b.Get(foliotest.Key(i)); !bytes.Equal(v, value(i, n)) || v == nil {
					t.Errorf("pages of %d: a value of %d bytes comes back as %d", size, n, len(v))
				}
			}
			return nil
		})
	}
}

func TestBucketsNestDeep(t *testing.T) {
	const depth = 300
	path := filepath.Join(testdir.New(t), "store")
	db := openAt(t, path, nil)
	update(t, db, func(b *folio.Bucket) error {
		for i := range depth {
			must(t, b.Put([]byte("pair"), value(i, 50)))
			var err error
			b, err = b.CreateBucket([]byte("deeper"))
			must(t, err)
		}
		return b.Put([]byte("last"), []byte("here"))
	})
	foliotest.MustClose(t, db)
	db = openAt(t, path, nil)
	down := func(b *folio.Bucket) *folio.Bucket {
		for i := range depth {
			if !bytes.Equal(b.Get([]byte("pair")), value(i, 50)) {
				t.Fatalf("level %d lacks its pair", i)
			}
			b = b.Bucket([]byte("deeper"))
		}
		return b
	}
	update(t, db, func(b *folio.Bucket) error { return down(b).Put([]byte("last"), []byte("changed")) })
	view(t, db, func(b *folio.Bucket) error {
		if string(down(b).Get([]byte("last"))) != "changed" {
			t.Error("the deepest bucket lacks its pair")
		}
		return nil
	})
	foliotest.MustCheck(t, db)
	must(t, db.Update(func(tx *folio.Tx) error { return tx.DeleteBucket([]byte("b")) }))
}

func TestManyBuckets(t *testing.T) {
	n := 10000
	if testing.Short() {
		n = 2000
	}
	db := open(t, &folio.Options{Durability: folio.Deferred})
	update(t, db, func(b *folio.Bucket) error {
		for i := range n {
			c, err := b.CreateBucket(foliotest.Key(i))
			must(t, err)
			must(t, c.Put([]byte("k"), value(i, 20)))
		}
		return nil
	})
	update(t, db, func(b *folio.Bucket) error {
		for i := 0; i < n; i += 3 {
			must(t, b.DeleteBucket(foliotest.Key(i)))
		}
		return nil
	})
	view(t, db, func(b *folio.Bucket) error {
		for i := range n {
			c := b.Bucket(foliotest.Key(i))
			if (c == nil) != (i%3 == 0) || c != nil && !bytes.Equal(c.Get([]byte("k")), value(i, 20)) {
				t.Fatalf("bucket %d is wrong", i)
			}
		}
		return nil
	})
}

// fillUp puts values until that fails, one to a transaction, and returns how many it put.
func fillUp(t *testing.T, db *folio.DB, size int, want error) int {
	t.Helper()
	for i := 0; ; i++ {
		err := db.Update(func(tx *folio.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			if err != nil {
				return err
			}
			return b.Put(foliotest.Key(i), value(i, size))
		})
		if err == nil {
			continue
		}
		wants(t, "Put into a full store", err, want)
		return i
	}
}

// emptyOut deletes all, some keys to a transaction, and then puts again.
func emptyOut(t *testing.T, db *folio.DB, n, each, size int) {
	t.Helper()
	foliotest.MustCheck(t, db)
	for i := 0; i < n; i += each {
		err := db.Update(func(tx *folio.Tx) error {
			for j := i; j < min(n, i+each); j++ {
				if err := tx.Bucket([]byte("b")).Delete(foliotest.Key(j)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatalf("delete %d of %d in a full store: %v", i, n, err)
		}
	}
	foliotest.MustCheck(t, db)
	must(t, db.Sync()) // what the durable state needs is not free
	fill(t, db, max(1, n/2), size)
}

func TestMaxSize(t *testing.T) {
	for _, size := range []int{10, 800, 3000, 50000} {
		for _, each := range []int{1, 20} {
			path := filepath.Join(testdir.New(t), "store")
			db := openAt(t, path, &folio.Options{MaxSize: 2 << 20, Durability: folio.Deferred})
			n := 0
			if size == 10 {
				n = 20000
				fill(t, db, n, size)
				for err := error(nil); err == nil; n += 100 {
					err = db.Update(func(tx *folio.Tx) error {
						for i := range 100 {
							if err := tx.Bucket([]byte("b")).Put(foliotest.Key(n+i), value(i, size)); err != nil {
								return err
							}
						}
						return nil
					})
				}
				n -= 100
			} else {
				n = fillUp(t, db, size, folio.ErrMaxSizeReached)
			}
			if fileSize(t, path) > 2<<20 {
				t.Errorf("values of %d: the file has %d bytes", size, fileSize(t, path))
			}
			emptyOut(t, db, n, each, size)
			foliotest.MustClose(t, db)
		}
	}
}

func TestMaxSizeTooSmall(t *testing.T) {
	_, err := folio.Open(filepath.Join(testdir.New(t), "store"), 0o600, &folio.Options{MaxSize: 5000})
	wants(t, "a maximum below two pages", err, folio.ErrMaxSizeReached)
}

// One large transaction that does not fit leaves everything as it was.
func TestMaxSizeInOneTransaction(t *testing.T) {
	for _, o := range []folio.Options{{}, {DirtyLimit: 64 << 10}} {
		o.MaxSize = 1 << 20
		db := open(t, &o)
		fill(t, db, 1000, 100)
		for _, size := range []int{300, 30000} {
			err := db.Update(func(tx *folio.Tx) error {
				for i := range 10000 {
					if err := tx.Bucket([]byte("b")).Put(foliotest.Key(i), value(i+1, size)); err != nil {
						return err
					}
				}
				return nil
			})
			wants(t, "a transaction that is too large", err, folio.ErrMaxSizeReached)
			foliotest.MustCheck(t, db)
		}
		view(t, db, func(b *folio.Bucket) error {
			for i := range 1000 {
				if !bytes.Equal(b.Get(foliotest.Key(i)), value(i, 100)) {
					t.Fatalf("value %d has changed", i)
				}
			}
			return nil
		})
	}
}

// The reserve for deletes holds on a full disk as under MaxSize.
func TestReserveOnAFullDisk(t *testing.T) {
	for _, size := range []int{800, 3000, 50000} {
		for _, each := range []int{1, 20} {
			f := simfile.New(simfile.Options{Capacity: 2 << 20})
			db, err := foliotest.Open(f, nil)
			must(t, err)
			n := fillUp(t, db, size, syscall.ENOSPC)
			emptyOut(t, db, n, each, size)
			foliotest.MustClose(t, db)
		}
	}
}

// Transactions that fail for want of space leave no page behind.
func TestFullStoreLeaksNothing(t *testing.T) {
	db := open(t, &folio.Options{MaxSize: 1 << 20, Durability: folio.Deferred})
	n := fillUp(t, db, 2000, folio.ErrMaxSizeReached)
	for i := range 100 {
		err := db.Update(func(tx *folio.Tx) error {
			sp := tx.Savepoint()
			for j := range n {
				if err := tx.Bucket([]byte("b")).Put(foliotest.Key(j), value(i, 2000+i*100)); err != nil {
					return errors.Join(err, sp.Rollback())
				}
			}
			return nil
		})
		wants(t, "a transaction without space", err, folio.ErrMaxSizeReached)
	}
	foliotest.MustCheck(t, db)
	emptyOut(t, db, n, 10, 2000)
}
