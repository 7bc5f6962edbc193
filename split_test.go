package folio

import (
	"encoding/binary"
	"fmt"
	"math/rand"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/foliokv/folio/internal/backing"
)

// A splitFile counts, for each stretch of splitPiece bytes, how often it is to be kept in small pieces.
type splitFile struct {
	memoryFile
	asked map[int64]int
}

type splitMap struct {
	backing.Map
	f *splitFile
}

func (f *splitFile) Map(size int64) (backing.Map, error) {
	m, err := f.memoryFile.Map(size)
	return splitMap{m, f}, err
}

func (m splitMap) Split(off int64) { m.f.asked[off/splitPiece]++ }

// Small commits with a flush ask for small pieces where they write, once, but not in the room that the
// store wrote in small pieces itself; others do not ask.
func TestCommitsSplitPieces(t *testing.T) {
	skipShort(t)
	for _, durability := range []Durability{Durable, Deferred} {
		f := &splitFile{asked: map[int64]int{}}
		opts := Options{Durability: Deferred, FlushInterval: -1, FlushBytes: -1}
		db, err := openOn(f, opts.withDefaults(), true)
		ok(t, err)
		rng := rand.New(rand.NewSource(1))
		const n = 100_000
		ok(t, putRandom(db, rng, n, 2*n))
		ok(t, db.Close())
		if len(f.asked) > 0 {
			t.Fatalf("a load asks for small pieces at %v", f.asked)
		}
		f.closed = false
		opts.Durability = durability
		db, err = openOn(f, opts.withDefaults(), true)
		ok(t, err)
		withoutRedo(db)
		loaded := db.size
		for i := range 3000 {
			ok(t, putRandom(db, rng, n, 1))
			if i == 0 && durability == Durable && f.asked[0] != 1 {
				t.Error("a meta is written in a large piece")
			}
		}
		if db.size <= loaded {
			t.Error("the file did not grow")
		}
		ok(t, db.Close())
		for at, times := range f.asked {
			if times > 1 || at*splitPiece >= loaded {
				t.Errorf("asked %d times at %d, %d bytes were loaded", times, at*splitPiece, loaded)
			}
		}
		if want := durability == Durable; (len(f.asked) > 2) != want {
			t.Errorf("durability %v: asked at %v", durability, f.asked)
		}
	}
}

// Large groups do not ask, small ones where they write only, and what was cut off is asked for again
// when it has grown anew.
func TestSplitPiecesAgain(t *testing.T) {
	skipShort(t)
	f := &splitFile{asked: map[int64]int{}}
	db, err := openOn(f, (&Options{}).withDefaults(), true)
	ok(t, err)
	withoutRedo(db)
	t.Cleanup(func() { db.Close() })
	rng := rand.New(rand.NewSource(1))
	const n = 400_000
	fill := func() {
		t.Helper()
		before := len(f.asked)
		for range 10 {
			ok(t, putRandom(db, rng, n, 20_000))
		}
		if len(f.asked) > before {
			t.Errorf("large groups ask for small pieces at %v", f.asked)
		}
	}
	asks := func() (n int) {
		for _, times := range f.asked {
			n += times
		}
		return n
	}
	single := func(most, puts int) {
		t.Helper()
		for range puts {
			before := asks()
			ok(t, putRandom(db, rng, n, 1))
			if now := asks(); now-before > most {
				t.Fatalf("a small group asks for small pieces %d times", now-before)
			}
		}
	}
	fill()
	ok(t, putRandom(db, rng, n, 200))
	if len(f.asked) > 0 {
		t.Errorf("a group of 200 puts asks for small pieces at %v", f.asked)
	}
	single(4, 2000)
	ok(t, db.Update(func(tx *Tx) error { return tx.DeleteBucket([]byte("b")) }))
	was := db.size
	for i := range 5 {
		ok(t, db.Update(put(fmt.Sprint(i), nil)))
	}
	if db.size >= was/2 {
		t.Fatalf("%d bytes, %d before nearly all was deleted", db.size, was)
	}
	cut := db.size/splitPiece + 1
	again := map[int64]int{}
	for at, times := range f.asked {
		if at >= cut {
			again[at] = times
		}
	}
	fill()
	single(4, 2000)
	more := 0
	for at, times := range again {
		more += f.asked[at] - times
	}
	if len(again) == 0 || more == 0 {
		t.Errorf("asked %d times for what was cut off, where %d were asked before", more, len(again))
	}
}

// The pages of the free log and the meta are written from memory that is used again: a durable commit of one
// put leaves less than a page of garbage.
func TestDurableCommitsLeaveLittleGarbage(t *testing.T) {
	if invariants || testing.Short() { // the race detector runs with -short
		t.Skip("they allocate, too")
	}
	db, err := Open(filepath.Join(t.TempDir(), "store"), 0o600, nil)
	ok(t, err)
	t.Cleanup(func() { db.Close() })
	rng := rand.New(rand.NewSource(1))
	ok(t, putRandom(db, rng, 1000, 1000))
	for range 200 {
		ok(t, putRandom(db, rng, 1000, 1))
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const commits = 300
	key := make([]byte, 8)
	for i := range commits {
		binary.BigEndian.PutUint64(key, uint64(i%50))
		ok(t, db.Update(put(string(key), key)))
	}
	runtime.ReadMemStats(&after)
	if n := (after.TotalAlloc - before.TotalAlloc) / commits; n > uint64(db.pageSize) {
		t.Errorf("%d bytes of garbage a commit", n)
	}
}
