package folio

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math/rand"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/foliokv/folio/internal/testdir"
)

// checked fails the test for every finding of Check in a fresh read transaction.
func checked(t *testing.T, db *DB) {
	t.Helper()
	err := db.View(func(tx *Tx) error {
		for err := range tx.Check() {
			t.Error(err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func numbered(from, to int, size int) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		var k [16]byte
		v := make([]byte, size)
		for i := from; i < to; i++ {
			binary.BigEndian.PutUint64(k[8:], uint64(i))
			if !yield(k[:], v) {
				return
			}
		}
	}
}

func TestLoadJoinsTreesOfAnyHeights(t *testing.T) {
	for _, sizes := range [][]int{{0, 10}, {10, 10}, {1, 50000}, {50000, 1}, {5000, 5000}, {50000, 3000, 2, 40000}, {3, 0, 3}} {
		t.Run(fmt.Sprint(sizes), func(t *testing.T) {
			db, err := OpenMemory(nil)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			total := 0
			for _, n := range sizes {
				err := db.Update(func(tx *Tx) error {
					b, err := tx.CreateBucketIfNotExists([]byte("b"))
					if err != nil {
						return err
					}
					return b.Load(context.Background(), numbered(total, total+n, 100))
				})
				if err != nil {
					t.Fatal(err)
				}
				total += n
				checked(t, db)
			}
			err = db.View(func(tx *Tx) error {
				b := tx.Bucket([]byte("b"))
				i := 0
				for k := range b.All() {
					if binary.BigEndian.Uint64(k[8:]) != uint64(i) {
						t.Fatalf("key %d is %x", i, k)
					}
					i++
				}
				if i != total || b.Count() != uint64(total) {
					t.Fatalf("%d pairs, count %d, want %d", i, b.Count(), total)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestLoadOutOfOrderChangesNothing(t *testing.T) {
	db, err := OpenMemory(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Update(func(tx *Tx) error {
		b, err := tx.CreateBucket([]byte("b"))
		if err != nil {
			return err
		}
		if err := b.Load(context.Background(), numbered(0, 30000, 50)); err != nil {
			return err
		}
		if err := b.Load(context.Background(), numbered(29999, 60000, 50)); !errors.Is(err, ErrOutOfOrder) {
			t.Fatalf("loading a key again: %v", err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := b.Load(ctx, numbered(30000, 60000, 50)); !errors.Is(err, context.Canceled) {
			t.Fatalf("cancelled: %v", err)
		}
		if n := b.Count(); n != 30000 {
			t.Fatalf("count %d", n)
		}
		for err := range tx.Check() {
			t.Error(err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	checked(t, db)
}

func TestTransactionLargerThanDirtyLimit(t *testing.T) {
	seed := int64(1)
	rng := rand.New(rand.NewSource(seed))
	path := filepath.Join(testdir.New(t), "a.folio")
	db, err := Open(path, 0o600, &Options{DirtyLimit: 256 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	fill := func(tx *Tx, n int) map[uint64]byte {
		want := map[uint64]byte{}
		for j := range 3 {
			b, err := tx.CreateBucketIfNotExists([]byte{byte('a' + j)})
			if err != nil {
				t.Fatal(err)
			}
			for i := range n {
				k := rng.Uint64() % 100000
				var key [8]byte
				binary.BigEndian.PutUint64(key[:], k)
				if i%7 == 3 {
					if err := b.Delete(key[:]); err != nil {
						t.Fatal(err)
					}
					if j == 0 {
						delete(want, k)
					}
					continue
				}
				v := make([]byte, 50+rng.Intn(100))
				v[0] = byte(i)
				if err := b.Put(key[:], v); err != nil {
					t.Fatal(err)
				}
				if j == 0 {
					want[k] = byte(i)
				}
			}
		}
		return want
	}
	same := func(tx *Tx, want map[uint64]byte) {
		b := tx.Bucket([]byte("a"))
		if int(b.Count()) != len(want) {
			t.Fatalf("seed %d: count %d, want %d", seed, b.Count(), len(want))
		}
		for k, v := range b.All() {
			if want[binary.BigEndian.Uint64(k)] != v[0] {
				t.Fatalf("seed %d: key %x", seed, k)
			}
		}
	}
	boom := errors.New("boom")
	err = db.Update(func(tx *Tx) error {
		want := fill(tx, 20000)
		same(tx, want)
		sp := tx.Savepoint()
		fill(tx, 20000)
		if err := sp.Rollback(); err != nil {
			return err
		}
		same(tx, want)
		for err := range tx.Check() {
			t.Error(err)
		}
		return boom
	})
	if err != boom {
		t.Fatal(err)
	}
	checked(t, db)
	var want map[uint64]byte
	err = db.Update(func(tx *Tx) error {
		want = fill(tx, 30000)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	checked(t, db)
	if err := db.View(func(tx *Tx) error { same(tx, want); return nil }); err != nil {
		t.Fatal(err)
	}
	if s := db.Stats(); s.PageN > 12000 {
		t.Errorf("%d pages after a rollback and as much again", s.PageN)
	}
}

// A page that was written early is free as soon as it is copied, and a long separator or value
// may take its place at once.
func TestLongKeysInATransactionLargerThanDirtyLimit(t *testing.T) {
	for seed := range int64(6) {
		rng := rand.New(rand.NewSource(seed))
		db, err := Open(filepath.Join(testdir.New(t), "a.folio"), 0o600, &Options{DirtyLimit: 32 << 10})
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]int{}
		err = db.Update(func(tx *Tx) error {
			b, err := tx.CreateBucket([]byte("b"))
			if err != nil {
				return err
			}
			for i := range 3000 {
				key := fmt.Appendf(nil, "%06d", rng.Intn(4000))
				if i%2 == 0 {
					key = append(make([]byte, 1500), key...)
				}
				want[string(key)] = i
				if err := b.Put(key, append(make([]byte, rng.Intn(40)*rng.Intn(200)), byte(i))); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		checked(t, db)
		err = db.View(func(tx *Tx) error {
			b := tx.Bucket([]byte("b"))
			for k, i := range want {
				if v := b.Get([]byte(k)); len(v) == 0 || v[len(v)-1] != byte(i) {
					t.Fatalf("seed %d: the value of %.20q (%d bytes) is wrong", seed, k, len(k))
				}
			}
			if int(b.Count()) != len(want) {
				t.Fatalf("seed %d: %d keys, want %d", seed, b.Count(), len(want))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// The roots of open buckets cannot be written early; many of them must not make every call
// look for what can.
func TestManyOpenBucketsPastTheDirtyLimit(t *testing.T) {
	db, err := OpenMemory(&Options{DirtyLimit: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const n = 20000
	err = db.Update(func(tx *Tx) error {
		for i := range n {
			b, err := tx.CreateBucket(fmt.Appendf(nil, "%d", i))
			if err != nil {
				return err
			}
			if err := b.Put([]byte("k"), make([]byte, 10+i%3000)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	checked(t, db)
}

// A Load or a savepoint does not look at the open buckets that have not changed.
func TestLoadAmongManyOpenBuckets(t *testing.T) {
	db, err := OpenMemory(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const n = 5000
	name := func(i int) []byte { return fmt.Appendf(nil, "%06d", i) }
	err = db.Update(func(tx *Tx) error {
		for i := range n {
			b, err := tx.CreateBucket(name(i))
			if err != nil {
				return err
			}
			if err := b.Put([]byte{0}, make([]byte, 2000)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *Tx) error {
		least := ^uint64(0)
		for i := range n {
			b := tx.Bucket(name(i))
			if i%100 > 0 {
				continue
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if err := b.Load(context.Background(), numbered(1<<30, 1<<30+20, 100)); err != nil {
				return err
			}
			if err := tx.Savepoint().Release(); err != nil {
				return err
			}
			runtime.ReadMemStats(&after)
			got := after.TotalAlloc - before.TotalAlloc
			if least = min(least, got); i > n/2 && got > least+100_000 {
				t.Errorf("a Load allocates %d bytes where %d buckets are open, and %d elsewhere", got, i, least)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	checked(t, db)
	err = db.View(func(tx *Tx) error {
		for i := range n {
			want := uint64(1)
			if i%100 == 0 {
				want = 21
			}
			if got := tx.Bucket(name(i)).Count(); got != want {
				t.Errorf("bucket %d has %d pairs", i, got)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestBackupAndCompactGiveTheSameState(t *testing.T) {
	dir := testdir.New(t)
	db, err := Open(filepath.Join(dir, "a.folio"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for i := range 20 {
		err := db.Update(func(tx *Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			if err != nil {
				return err
			}
			n, err := b.CreateBucketIfNotExists([]byte{byte(i)})
			if err != nil {
				return err
			}
			for j := range 300 {
				if err := n.Put(fmt.Appendf(nil, "%d", (j*7919+i)%500), make([]byte, (j*31)%3000)); err != nil {
					return err
				}
			}
			_, err = n.NextSequence()
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	copied := filepath.Join(dir, "copy.folio")
	var size int64
	err = db.View(func(tx *Tx) error {
		size = tx.Size()
		return tx.CopyFile(copied, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(copied); err != nil || info.Size() != size {
		t.Fatalf("copy: %v, %v, want %d bytes", info, err, size)
	}
	other, err := Open(copied, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	checked(t, other)
	compact, err := OpenMemory(&Options{PageSize: 16 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer compact.Close()
	if err := other.Compact(context.Background(), compact); err != nil {
		t.Fatal(err)
	}
	checked(t, compact)
	a, b := listing(t, db), listing(t, compact)
	if a != b {
		t.Fatal("the compacted copy differs")
	}
	if err := other.Update(func(tx *Tx) error { return tx.Bucket([]byte("b")).Put([]byte("x"), nil) }); err != nil {
		t.Fatal(err)
	}
	checked(t, other)
}

// listing is everything in a store as text.
func listing(t *testing.T, db *DB) string {
	t.Helper()
	var out []byte
	var walk func(b *Bucket, depth int)
	walk = func(b *Bucket, depth int) {
		for k, v := range b.All() {
			out = fmt.Appendf(out, "%d %x %x\n", depth, k, v)
			if v == nil {
				n := b.Bucket(k)
				out = fmt.Appendf(out, "%d\n", n.Sequence())
				walk(n, depth+1)
			}
		}
	}
	if err := db.View(func(tx *Tx) error { walk(&tx.root, 0); return nil }); err != nil {
		t.Fatal(err)
	}
	return string(out)
}
