package folio_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/foliokv/folio"
	"github.com/foliokv/folio/internal/foliotest"
)

// Movements of a cursor over the keys b, d, f, one after the other; "-" is no pair.
func TestCursorEdges(t *testing.T) {
	db := open(t, nil)
	update(t, db, func(b *folio.Bucket) error {
		for _, k := range []string{"b", "d", "f"} {
			must(t, b.Put([]byte(k), []byte("v"+k)))
		}
		_, err := b.CreateBucket([]byte("x"))
		must(t, err)
		return b.DeleteBucket([]byte("x"))
	})
	update(t, db, func(b *folio.Bucket) error {
		for _, c := range []struct{ moves, want string }{
			{"first next next next next", "b d f - -"},
			{"first next next next prev", "b d f - d"}, // past the end it stays on the last pair
			{"last next prev", "f - d"},
			{"last next next prev prev prev prev", "f - - d b - -"},
			{"first prev next", "b - d"}, // before the first it stays on the first pair
			{"last prev prev prev prev next", "f d b - - d"},
			{"seek:d next", "d f"},
			{"seek:c prev", "d b"},
			{"seek:e next", "f -"},
			{"seek:g prev", "- f"}, // after a Seek past the end, Prev gives the last pair
			{"seek:g prev prev", "- f d"},
			{"seek:g next prev", "- - f"},
			{"seek: prev", "b -"},
			{"next", "-"},
			{"prev", "-"},
			{"seek:f next seek:b prev", "f - b -"},
		} {
			if got := walk(b.Cursor(), c.moves); got != c.want {
				t.Errorf("%s: got %s, want %s", c.moves, got, c.want)
			}
		}
		return nil
	})
}

// walk makes movements and returns the keys they gave.
func walk(c *folio.Cursor, moves string) string {
	var got []string
	for _, m := range strings.Fields(moves) {
		var k, v []byte
		switch {
		case m == "first":
			k, v = c.First()
		case m == "last":
			k, v = c.Last()
		case m == "next":
			k, v = c.Next()
		case m == "prev":
			k, v = c.Prev()
		default:
			k, v = c.Seek([]byte(strings.TrimPrefix(m, "seek:")))
		}
		switch {
		case k == nil && v == nil:
			got = append(got, "-")
		case string(v) == "v"+string(k):
			got = append(got, string(k))
		default:
			got = append(got, fmt.Sprintf("%s=%s", k, v))
		}
	}
	return strings.Join(got, " ")
}

func TestCursorOfAnEmptyBucket(t *testing.T) {
	db := open(t, nil)
	update(t, db, func(b *folio.Bucket) error {
		if got := walk(b.Cursor(), "first last next prev seek:a prev next"); got != "- - - - - - -" {
			t.Error(got)
		}
		must(t, b.Cursor().Delete())
		for range b.All() {
			t.Error("a pair in an empty bucket")
		}
		for range b.Backward() {
			t.Error("a pair in an empty bucket")
		}
		return nil
	})
}

func keysOf(seq func(func(k, v []byte) bool)) string {
	var keys []string
	for k := range seq {
		keys = append(keys, string(k))
	}
	return strings.Join(keys, " ")
}

// A nil bound is open; an empty one is the empty key.
func TestRangesAndCounts(t *testing.T) {
	db := open(t, nil)
	update(t, db, func(b *folio.Bucket) error {
		for _, k := range []string{"a", "ab", "b", "ba", "c"} {
			must(t, b.Put([]byte(k), nil))
		}
		_, err := b.CreateBucket([]byte("bucket"))
		must(t, err)
		bytesOf := func(s string) []byte {
			if s == "nil" {
				return nil
			}
			return []byte(s)
		}
		for _, c := range []struct{ lo, hi, want string }{
			{"nil", "nil", "a ab b ba bucket c"}, {"", "nil", "a ab b ba bucket c"}, {"nil", "", ""},
			{"", "", ""}, {"b", "nil", "b ba bucket c"}, {"nil", "b", "a ab"}, {"ab", "c", "ab b ba bucket"},
			{"c", "a", ""}, {"b", "b", ""}, {"aa", "aa\x00", ""}, {"d", "nil", ""},
		} {
			lo, hi := bytesOf(c.lo), bytesOf(c.hi)
			if got := keysOf(b.Range(lo, hi)); got != c.want {
				t.Errorf("Range(%s, %s) is %q, want %q", c.lo, c.hi, got, c.want)
			}
			if n := b.CountRange(lo, hi); n != uint64(len(strings.Fields(c.want))) {
				t.Errorf("CountRange(%s, %s) is %d, want that of %q", c.lo, c.hi, n, c.want)
			}
		}
		for p, want := range map[string]string{"": "a ab b ba bucket c", "b": "b ba bucket", "ab": "ab", "x": "", "c\x00": ""} {
			if got := keysOf(b.Prefix([]byte(p))); got != want {
				t.Errorf("Prefix(%q) is %q, want %q", p, got, want)
			}
		}
		if got := keysOf(b.Backward()); got != "c bucket ba b ab a" {
			t.Errorf("Backward is %q", got)
		}
		for k, want := range map[string]uint64{"": 0, "a": 0, "aa": 1, "ab": 1, "b": 2, "c": 5, "d": 6} {
			if got := b.Rank([]byte(k)); got != want {
				t.Errorf("Rank(%q) is %d, want %d", k, got, want)
			}
		}
		if k, v := b.At(4); string(k) != "bucket" || v != nil {
			t.Errorf("At(4) is %q, %q", k, v)
		}
		if k, v := b.At(0); string(k) != "a" || v == nil {
			t.Errorf("At(0) is %q, %v; an empty value is not nil", k, v)
		}
		if k, v := b.At(6); k != nil || v != nil {
			t.Errorf("At past the end is %q, %q", k, v)
		}
		must(t, b.DeleteRange([]byte("ab"), []byte("bucket\x00")))
		if got := keysOf(b.All()); got != "a c" {
			t.Errorf("after DeleteRange there is %q", got)
		}
		must(t, b.DeleteRange(nil, []byte{}))
		must(t, b.DeleteRange([]byte("b"), []byte("a")))
		if b.Count() != 2 {
			t.Error("an empty range deletes")
		}
		return b.DeleteRange([]byte{}, nil)
	})
	view(t, db, func(b *folio.Bucket) error { return nothingIn(b) })
}

// Whatever changes meanwhile, iteration goes on at the next key in order: no key that is there
// all the time is skipped, and none is seen twice.
func TestMutationDuringIteration(t *testing.T) {
	for _, o := range []*folio.Options{nil, {DirtyLimit: 32 << 10}} {
		for s := range uint64(10) {
			r := rand.New(rand.NewPCG(*folio.Seed, s))
			db := open(t, o)
			fill(t, db, 2000, 20)
			update(t, db, func(b *folio.Bucket) error {
				seen := ""
				stays := map[string]bool{}
				for i := range 2000 {
					stays[string(foliotest.Key(i))] = true
				}
				for k := range b.All() {
					if string(k) <= seen {
						t.Fatalf("seed %d: %q comes after %q", *folio.Seed, k, seen)
					}
					seen = string(k)
					delete(stays, seen)
					disturb(t, r, b, stays)
				}
				for k := range stays {
					if k < seen {
						t.Fatalf("seed %d: %q was skipped", *folio.Seed, k)
					}
				}
				return nil
			})
		}
	}
}

// disturb changes the bucket: keys it deletes do not stay.
func disturb(t *testing.T, r *rand.Rand, b *folio.Bucket, stays map[string]bool) {
	i := r.IntN(2000)
	key := foliotest.Key(i)
	switch r.IntN(8) {
	case 0:
		must(t, b.Put(key, value(i, r.IntN(1500))))
	case 1:
		must(t, b.Put(append(key, byte(r.IntN(256))), value(i, r.IntN(100))))
	case 2:
		must(t, b.Delete(key))
		delete(stays, string(key))
	case 3:
		if r.IntN(30) == 0 {
			to := i + r.IntN(100)
			must(t, b.DeleteRange(key, foliotest.Key(to)))
			for ; i < to; i++ {
				delete(stays, string(foliotest.Key(i)))
			}
		}
	case 4:
		if r.IntN(30) == 0 {
			sp := b.Tx().Savepoint()
			must(t, b.DeleteRange(key, nil))
			must(t, sp.Rollback())
		}
	}
}

// Every cursor that deletes as it goes deletes each pair once.
func TestDeleteWhileIterating(t *testing.T) {
	db := open(t, nil)
	fill(t, db, 5000, 30)
	update(t, db, func(b *folio.Bucket) error {
		c := b.Cursor()
		n := 0
		for k, _ := c.First(); k != nil; k, _ = c.Next() {
			n++
			must(t, c.Delete())
		}
		if n != 5000 || b.Count() != 0 {
			t.Errorf("%d deleted, %d left", n, b.Count())
		}
		return nil
	})
	fill(t, db, 5000, 30)
	update(t, db, func(b *folio.Bucket) error {
		c := b.Cursor()
		n := 0
		for k, _ := c.Last(); k != nil; k, _ = c.Prev() {
			n++
			must(t, c.Delete())
			must(t, c.Delete()) // its pair is gone: no error, and no other pair goes
		}
		if n != 5000 || b.Count() != 0 {
			t.Errorf("%d deleted backward, %d left", n, b.Count())
		}
		return nil
	})
}

func TestForEachMayStop(t *testing.T) {
	db := open(t, nil)
	fill(t, db, 100, 10)
	stop := fmt.Errorf("stop")
	view(t, db, func(b *folio.Bucket) error {
		n := 0
		err := b.ForEach(func(k, v []byte) error {
			if n++; n == 7 {
				return stop
			}
			return nil
		})
		if err != stop || n != 7 {
			t.Errorf("ForEach gives %v after %d pairs", err, n)
		}
		for k := range b.All() {
			if bytes.Equal(k, foliotest.Key(50)) {
				break
			}
		}
		return nil
	})
	must(t, db.View(func(tx *folio.Tx) error {
		var names []string
		must(t, tx.ForEach(func(name []byte, b *folio.Bucket) error {
			if b == nil {
				t.Errorf("no bucket for %q", name)
			}
			names = append(names, string(name))
			return nil
		}))
		if !slices.Equal(names, []string{"b"}) {
			t.Errorf("buckets are %q", names)
		}
		return nil
	}))
}

func TestForEachBucket(t *testing.T) {
	db := open(t, nil)
	update(t, db, func(b *folio.Bucket) error {
		for _, name := range []string{"x", "y", "z"} {
			_, err := b.CreateBucket([]byte(name))
			must(t, err)
			must(t, b.Put([]byte(name+" is no bucket"), nil))
		}
		return nil
	})
	stop := errors.New("stop")
	view(t, db, func(b *folio.Bucket) error {
		for _, last := range []string{"x", "y", "z", "none"} {
			names := ""
			err := b.ForEachBucket(func(name []byte) error {
				if names += string(name); string(name) == last {
					return stop
				}
				return nil
			})
			if (err == stop) != (last != "none") || err == nil && names != "xyz" || err != nil && !strings.HasSuffix(names, last) {
				t.Errorf("up to %s: %q, %v", last, names, err)
			}
		}
		if c := b.Cursor(); c.Bucket() != b {
			t.Error("a cursor's bucket is another one")
		}
		return nil
	})
}
