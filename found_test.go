package folio_test

import (
	"fmt"
	"testing"

	"github.com/foliokv/folio"
)

// What a snapshot remembers of buckets is true for that snapshot: the same names are looked up again
// and again, in old and new states, while their buckets change, go and come back.
func TestFoundBuckets(t *testing.T) {
	db := open(t, nil)
	const names = 20 // more than are remembered
	name := func(i int) []byte { return fmt.Appendf(nil, "bucket %d", i) }
	has := map[int]int{} // the number of entries, and the sequence, of the buckets that exist
	type state struct {
		tx  *folio.Tx
		has map[int]int
	}
	check := func(tx *folio.Tx, has map[int]int) {
		t.Helper()
		for range 2 {
			for i := range names {
				n, ok := has[i]
				b := tx.Bucket(name(i))
				switch {
				case b == nil != !ok:
					t.Fatalf("bucket %d: found %v, exists %v", i, b != nil, ok)
				case !ok:
				case b.Count() != uint64(n) || b.Sequence() != uint64(n):
					t.Fatalf("bucket %d: %d entries, sequence %d, want %d", i, b.Count(), b.Sequence(), n)
				case n > 0 && b.Get(fmt.Appendf(nil, "%08d", n-1)) == nil:
					t.Fatalf("bucket %d: entry %d is missing", i, n-1)
				case b.Tx() != tx || b.Writable():
					t.Fatalf("bucket %d belongs to another transaction", i)
				}
			}
		}
		if tx.Bucket(nil) != nil || tx.Bucket([]byte("absent")) != nil {
			t.Fatal("found a bucket that is not there")
		}
	}
	var old []state
	for step := range 200 {
		must(t, db.Update(func(tx *folio.Tx) error {
			i := step * 7 % names
			if _, ok := has[i]; ok && step%3 == 0 {
				delete(has, i)
				return tx.DeleteBucket(name(i))
			}
			b, err := tx.CreateBucketIfNotExists(name(i))
			if err != nil {
				return err
			}
			for range 1 + step%50 { // few stand inline
				if err := b.Put(fmt.Appendf(nil, "%08d", has[i]), make([]byte, 50)); err != nil {
					return err
				}
				has[i]++
			}
			return b.SetSequence(uint64(has[i]))
		}))
		now := map[int]int{}
		for i, n := range has {
			now[i] = n
		}
		must(t, db.View(func(tx *folio.Tx) error { check(tx, now); return nil }))
		tx, err := db.Begin(false)
		must(t, err)
		old = append(old, state{tx, now})
		t.Cleanup(func() { _ = tx.Rollback() }) // else Close would wait
		if len(old) > 5 {
			check(old[0].tx, old[0].has)
			must(t, old[0].tx.Rollback())
			if old[0].tx.Bucket(name(0)) != nil {
				t.Fatal("a bucket after the end")
			}
			old = old[1:]
		}
	}
	for _, s := range old {
		must(t, s.tx.Rollback())
	}
}

// Reads through a bucket that is nil find nothing, by a cursor too; so does a transaction that never began.
func TestNothingThroughNil(t *testing.T) {
	c := (*folio.Bucket)(nil).Cursor()
	for _, step := range []func() ([]byte, []byte){c.First, c.Next, c.Last, c.Prev} {
		if k, v := step(); k != nil || v != nil {
			t.Errorf("a cursor of no bucket finds %q", k)
		}
	}
	if new(folio.Tx).Bucket([]byte("b")) != nil {
		t.Error("a transaction that never began has a bucket")
	}
}
