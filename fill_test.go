package folio

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand"
	"testing"
)

// fillOf returns how full the leaves of bucket b are, in percent.
func fillOf(t *testing.T, db *DB) (fill int) {
	t.Helper()
	ok(t, db.View(inBucket(func(b *Bucket) error {
		s := b.Stats()
		fill = 100 * s.LeafInuse / s.LeafAlloc
		return nil
	})))
	return fill
}

// Pages are filled well whatever the order of the keys.
func TestFill(t *testing.T) {
	const n = 30_000
	rng := rand.New(rand.NewSource(1))
	for name, c := range map[string]struct {
		key   func(i int) uint64
		least int
	}{
		"ascending":  {func(i int) uint64 { return uint64(i) }, 95},
		"descending": {func(i int) uint64 { return uint64(n - i) }, 95},
		"random":     {func(int) uint64 { return rng.Uint64() }, 82},
	} {
		db, err := OpenMemory(&Options{Durability: Deferred})
		ok(t, err)
		for i := 0; i < n; i += 1000 {
			ok(t, db.Update(inB(func(b *Bucket) error {
				for j := range 1000 {
					key := binary.BigEndian.AppendUint64(nil, c.key(i+j))
					if err := b.Put(key, make([]byte, 20+j%150)); err != nil {
						return err
					}
				}
				return nil
			})))
		}
		if fill := fillOf(t, db); fill < c.least {
			t.Errorf("%s: leaves are filled to %d %%, want %d", name, fill, c.least)
		}
		sound(t, db)
		ok(t, db.Close())
	}
}

// A prefixCount counts pages, and those with a shorter prefix than what all of their keys share.
type prefixCount struct{ pages, short int }

// countPrefixes adds the pages of the tree at r to counts: of leaves, and of branches.
func countPrefixes(t *testing.T, tx *Tx, r ref, level int, counts *[2]prefixCount) {
	t.Helper()
	p, err := tx.load(r, level)
	ok(t, err)
	c := &counts[min(p.level(), 1)]
	c.pages++
	if p.prefixLen() < commonPrefix(p.level(), p.appendCells(nil, 0, p.count())) {
		c.short++
	}
	if p.level() == 0 {
		return
	}
	for i := range p.count() {
		countPrefixes(t, tx, p.ref(i), p.level()-1, counts)
	}
}

// Heads tell keys apart only behind their prefix, so pages have one whatever the order in which keys come, also where 32 entries
// would fill a page to the last byte without. Random keys may do without it in some leaves, which are filled better for that.
func TestPrefixes(t *testing.T) {
	const n = 60_000
	rng := rand.New(rand.NewSource(1))
	for _, c := range []struct {
		name  string
		key   func(i int) int64
		short int // leaves of a hundred
		fill  int // entries a leaf
	}{
		{"ascending", func(i int) int64 { return int64(i) }, 1, 30},
		{"descending", func(i int) int64 { return int64(n - i) }, 1, 30},
		{"random", func(int) int64 { return rng.Int63() }, 8, 27},
	} {
		db, err := OpenMemory(&Options{Durability: Deferred, PageSize: 4096})
		ok(t, err)
		for i := 0; i < n; i += 1000 {
			ok(t, db.Update(inB(func(b *Bucket) error {
				for j := range 1000 {
					if err := b.Put(fmt.Appendf(nil, "user%012d", c.key(i+j)%1e12), make([]byte, 100)); err != nil {
						return err
					}
				}
				return nil
			})))
		}
		var counts [2]prefixCount
		ok(t, db.View(inBucket(func(b *Bucket) error {
			countPrefixes(t, b.tx, b.root, -1, &counts)
			return nil
		})))
		leaves, branches := counts[0], counts[1]
		if 100*leaves.short > c.short*leaves.pages || branches.short > 1 || branches.pages < n/3000 {
			t.Errorf("%s: %d of %d leaves, %d of %d branches have too short a prefix", c.name, leaves.short, leaves.pages, branches.short, branches.pages)
		}
		if leaves.pages*c.fill > n {
			t.Errorf("%s: %d entries take %d leaves", c.name, n, leaves.pages)
		}
		sound(t, db)
		ok(t, db.Close())
	}
}

// The way to the last leaf is remembered no longer than it is one: other buckets, savepoints that
// are rolled back, deletes and seals beneath the transaction come between.
func TestAppendsAmidOtherChanges(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	for range 3 {
		db, err := OpenMemory(&Options{DirtyLimit: 1 << (13 + rng.Intn(8))})
		ok(t, err)
		next := map[string]uint64{"b": 0, "c": 0}
		ok(t, db.Update(func(tx *Tx) error {
			var mark *Savepoint
			then := map[string]uint64{}
			for range 3000 {
				name := []string{"b", "c"}[rng.Intn(2)]
				b, err := tx.CreateBucketIfNotExists([]byte(name))
				if err != nil {
					return err
				}
				switch rng.Intn(40) {
				case 0:
					if mark == nil {
						mark, then = tx.Savepoint(), map[string]uint64{"b": next["b"], "c": next["c"]}
					} else if rng.Intn(2) == 0 {
						ok(t, mark.Rollback())
						mark, next = nil, map[string]uint64{"b": then["b"], "c": then["c"]}
					} else {
						ok(t, mark.Release())
						mark = nil
					}
				case 1: // the last ones go
					for k := rng.Intn(60); k > 0 && next[name] > 0; k-- {
						next[name]--
						ok(t, b.Delete(binary.BigEndian.AppendUint64(nil, next[name])))
					}
				default:
					for range rng.Intn(20) {
						ok(t, b.Put(binary.BigEndian.AppendUint64(nil, next[name]), make([]byte, rng.Intn(200))))
						next[name]++
					}
				}
			}
			return nil
		}))
		ok(t, db.View(func(tx *Tx) error {
			for name, n := range next {
				b := tx.Bucket([]byte(name))
				if b == nil {
					if n > 0 {
						t.Errorf("bucket %s is missing", name)
					}
					continue
				}
				at := uint64(0)
				for k := range b.All() {
					if binary.BigEndian.Uint64(k) != at {
						t.Fatalf("bucket %s: key %x in place of %x", name, k, at)
					}
					at++
				}
				if at != n || b.Count() != n {
					t.Errorf("bucket %s: %d entries, counted as %d, of %d", name, at, b.Count(), n)
				}
			}
			return nil
		}))
		sound(t, db)
		ok(t, db.Close())
	}
}

// Where an append splits the root, the way that it went is the way to the last leaf no more.
func TestTailAfterRootSplit(t *testing.T) {
	for _, seed := range []int64{20728, 37046, 1, 2, 3} {
		rng := rand.New(rand.NewSource(seed))
		db, err := OpenMemory(&Options{Durability: Deferred})
		ok(t, err)
		prefix := bytes.Repeat([]byte("p"), rng.Intn(300))
		ok(t, db.Update(inB(func(b *Bucket) error {
			for range 2 + rng.Intn(6) {
				at, large := rng.Intn(1000000), false
				for range 1 + rng.Intn(60) {
					at++
					key := fmt.Appendf(bytes.Clone(prefix), "%07d", at)
					if rng.Intn(6) == 0 {
						large = !large
					}
					size := rng.Intn(40)
					if large {
						size = rng.Intn(600)
					}
					if err := b.Put(key, make([]byte, size)); err != nil {
						return err
					}
				}
			}
			return nil
		})))
		sound(t, db)
		ok(t, db.Close())
	}
}
