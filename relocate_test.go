package folio

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/rand"
	"slices"
	"testing"

	"github.com/foliokv/folio/internal/backing"
	"github.com/foliokv/folio/internal/simfile"
)

// A pieceFile counts the pieces in which pages are written.
type pieceFile struct {
	backing.File
	pieces int
}

func (f *pieceFile) WriteVec(bufs [][]byte, off int64) (int, error) {
	if len(bufs) > 0 && &bufs[0][0] != &zeros[0] { // not room ahead
		f.pieces++
	}
	return f.File.WriteVec(bufs, off)
}

// putRandom puts k random ones of n keys in a transaction.
func putRandom(db *DB, rng *rand.Rand, n, k int) error {
	return db.Update(inB(func(b *Bucket) error {
		for range k {
			if err := b.Put(binary.BigEndian.AppendUint64(nil, uint64(rng.Intn(n))*0x9e3779b97f4a7c15), make([]byte, 100)); err != nil {
				return err
			}
		}
		return nil
	}))
}

// skipShort skips a long test of one goroutine where it would say nothing new: under the race detector, on an
// emulated machine.
func skipShort(t *testing.T) {
	t.Helper()
	if testing.Short() && !invariants {
		t.Skip("runs without -short, or with invariants")
	}
}

// newScattered returns a store of n entries whose free pages lie all over the file.
func newScattered(t *testing.T, f backing.File, rng *rand.Rand, n int) *DB {
	t.Helper()
	db, err := openOn(f, (&Options{}).withDefaults(), true)
	ok(t, err)
	t.Cleanup(func() { db.Close() })
	for range 3 * n / 1000 {
		ok(t, putRandom(db, rng, n, 1000))
	}
	return db
}

// fewPieces performs transactions, and tells if they are written in more pieces than most each.
func fewPieces(t *testing.T, f *pieceFile, most float64, transaction func() error) {
	t.Helper()
	const rounds = 200
	f.pieces = 0
	for range rounds {
		ok(t, transaction())
	}
	perGroup := float64(f.pieces) / rounds
	t.Logf("%.1f pieces a transaction", perGroup)
	if perGroup > most {
		t.Errorf("more than %.1f", most)
	}
}

// However long keys are overwritten at random, a group of a few dozen pages is written in a few
// pieces, and the file stays small.
func TestGroupsLieTogether(t *testing.T) {
	skipShort(t)
	rng := rand.New(rand.NewSource(1))
	f := &pieceFile{File: &memoryFile{}}
	const n, leaves = 100_000, 20
	db := newScattered(t, f, rng, n)
	for range 400 { // the sweep goes over the file twice
		ok(t, putRandom(db, rng, n, leaves))
	}
	fewPieces(t, f, leaves/3, func() error { return putRandom(db, rng, n, leaves) })
	if a := db.alloc; uint64(a.hwm) > 2*(uint64(a.hwm)-a.free.pages) {
		t.Errorf("%d of %d pages are free", a.free.pages, a.hwm)
	}
	sound(t, db)
}

// After an open there is no nursery yet, and perhaps no room for one. What belongs there does not
// lead the sweep away from the part of the file that was cleared for it.
func TestGroupsLieTogetherAfterOpen(t *testing.T) {
	skipShort(t)
	rng := rand.New(rand.NewSource(1))
	m := &memoryFile{}
	const n, leaves = 100_000, 20
	db := newScattered(t, m, rng, n)
	for range 800 {
		ok(t, putRandom(db, rng, n, leaves))
	}
	ok(t, db.Close())
	f := &pieceFile{File: &memoryFile{buf: m.buf}}
	db, err := openOn(f, (&Options{}).withDefaults(), true)
	ok(t, err)
	t.Cleanup(func() { db.Close() })
	fewPieces(t, f, leaves/2, func() error { return putRandom(db, rng, n, leaves) })
	sound(t, db)
}

// newHollow returns a store of n entries that a long run of Deferred transactions has left half
// empty, with free pages all over the file, after it was opened again.
func newHollow(t *testing.T, rng *rand.Rand, n int) (*DB, *pieceFile) {
	t.Helper()
	m := &memoryFile{}
	o := &Options{Durability: Deferred, FlushInterval: -1, FlushBytes: -1}
	db, err := openOn(m, o.withDefaults(), true)
	ok(t, err)
	for i := range 50 {
		ok(t, putRandom(db, rng, n, n/10))
		if i == 30 {
			ok(t, db.Sync())
		}
	}
	ok(t, db.Close())
	f := &pieceFile{File: &memoryFile{buf: m.buf}}
	db, err = openOn(f, (&Options{}).withDefaults(), true)
	ok(t, err)
	t.Cleanup(func() { db.Close() })
	if part := float64(db.alloc.free.pages) / float64(db.alloc.hwm); part < .45 {
		t.Fatalf("%.2f of the file is free", part)
	}
	return db, f
}

// Where half of the file is free, groups are written in a few pieces as well, and the data moves
// down, so that the file gets shorter.
func TestGroupsLieTogetherInAHollowFile(t *testing.T) {
	skipShort(t)
	rng := rand.New(rand.NewSource(1))
	const n, leaves = 100_000, 20
	db, f := newHollow(t, rng, n)
	before := db.alloc.hwm
	for range 400 {
		ok(t, putRandom(db, rng, n, leaves))
	}
	fewPieces(t, f, leaves/3, func() error { return putRandom(db, rng, n, leaves) })
	t.Logf("%d pages, of which %d were in use; now %d and %d", before, before-before/2, db.alloc.hwm, db.alloc.used())
	if used := db.alloc.used(); uint64(db.alloc.hwm) > used+used*3/4 {
		t.Errorf("the file did not get shorter")
	}
	sound(t, db)
}

// As long as the file may grow, all pages of a small group are one piece.
func TestSmallGroupsAreOnePiece(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	f := &pieceFile{File: &memoryFile{}}
	db, err := openOn(f, (&Options{}).withDefaults(), true)
	ok(t, err)
	t.Cleanup(func() { db.Close() })
	const n, rounds = 50_000, 150 // after which the file is half as large again
	ok(t, putRandom(db, rng, n, n))
	ok(t, putRandom(db, rng, n, 1))
	ok(t, putRandom(db, rng, n, 1))
	f.pieces = 0
	for range rounds {
		ok(t, putRandom(db, rng, n, 1))
	}
	// Now and then room is made, and the free log gets a page more.
	if f.pieces > rounds*11/10 {
		t.Errorf("%d pieces in %d commits", f.pieces, rounds)
	}
	sound(t, db)
}

// When it may not grow, the leaves of a small group are one piece as a rule, and its other pages another.
func TestSmallGroupsInHoles(t *testing.T) {
	skipShort(t)
	const n = 100_000
	put := func(db *DB, rng *rand.Rand) func() error {
		return func() error { return putRandom(db, rng, n, 1) }
	}
	t.Run("worn", func(t *testing.T) {
		rng := rand.New(rand.NewSource(1))
		f := &pieceFile{File: &memoryFile{}}
		db := newScattered(t, f, rng, n)
		for range 4000 { // the file grows first
			ok(t, putRandom(db, rng, n, 1))
		}
		fewPieces(t, f, 3, put(db, rng))
		sound(t, db)
	})
	t.Run("hollow", func(t *testing.T) {
		rng := rand.New(rand.NewSource(1))
		db, f := newHollow(t, rng, n)
		fewPieces(t, f, 2.2, put(db, rng))
		sound(t, db)
	})
}

// A writeFile remembers the writes of pages.
type writeFile struct {
	backing.File
	writes []run
}

func (f *writeFile) WriteVec(bufs [][]byte, off int64) (int, error) {
	if &bufs[0][0] != &zeros[0] { // not room ahead
		f.writes = append(f.writes, run{uint32(off / DefaultPageSize), uint32(len(bufs))})
	}
	return f.File.WriteVec(bufs, off)
}

// In a file that may not grow any more, each lone commit goes on where the one before was: its leaf with the next
// free page, the rest in the nursery. That is so after the next open, too.
func TestLoneCommitsGoOn(t *testing.T) {
	skipShort(t)
	const n, rounds = 300_000, 500
	rng := rand.New(rand.NewSource(1))
	f := &writeFile{File: &memoryFile{}}
	db, err := openOn(f, (&Options{}).withDefaults(), true)
	ok(t, err)
	withoutRedo(db)
	ok(t, putRandom(db, rng, n, 2*n))
	for _, again := range []bool{false, true} {
		if again {
			image := slices.Clone(f.File.(*memoryFile).buf)
			ok(t, db.Close())
			f = &writeFile{File: &memoryFile{buf: image}} // as after a crash
			db, err = openOn(f, (&Options{}).withDefaults(), true)
			ok(t, err)
			withoutRedo(db)
		}
		for range 5000 {
			ok(t, putRandom(db, rng, n, 1))
		}
		steps, on := 0, 0 // of leaves; commits whose other pages go on
		var leaf, rest uint32
		for range rounds {
			f.writes = f.writes[:0]
			ok(t, putRandom(db, rng, n, 1))
			if len(f.writes) != 2 || f.writes[0].n != 1 {
				continue // room was made, or a leaf was split
			}
			if d := f.writes[0].start - leaf; d < 1000 {
				steps += int(d)
			}
			if d := f.writes[1].start - rest; d < 50 {
				on++
			}
			leaf, rest = f.writes[0].start, f.writes[1].end()
		}
		t.Logf("opened again %v: leaves %d pages apart, %d of %d go on in the nursery", again, steps/rounds, on, rounds)
		if steps/rounds > 60 || on < rounds*8/10 {
			t.Error("they do not go on")
		}
		sound(t, db)
	}
	ok(t, db.Close())
}

// The pages to be moved are those that the rule says, word by word: of the file's pages the leaves in the
// nursery, at distance 0, and outside it what lies in the window or behind the bound.
func TestCandidates(t *testing.T) {
	const hwm, count = 400, 100
	for s := range int64(200) {
		rng := rand.New(rand.NewSource(s))
		a := newAllocator(hwm, hwm)
		bound := uint32(200 + rng.Intn(hwm-200+1))
		a.sweep = uint32(rng.Intn(int(bound)))
		for at := uint32(rng.Intn(100)); at < hwm-60 && len(a.nursery) < rng.Intn(4); at += uint32(60 + rng.Intn(100)) {
			a.nursery = append(a.nursery, run{at, uint32(1 + rng.Intn(40))})
		}
		w := window{a: a, bound: bound, near: uint32(rng.Intn(50))}
		w.nursery, w.first = a.nurseryBits()
		w.far = w.near + uint32(rng.Intn(100))
		level := 1 + rng.Intn(2)
		var children []uint32
		for range count {
			pgno := uint32(rng.Intn(hwm))
			if rng.Intn(5) == 0 {
				pgno |= dirtyBit
			}
			children = append(children, pgno)
		}
		var want []candidate
		for i, pgno := range children {
			d := (pgno + bound - a.sweep) % bound
			switch in := a.inside(run{pgno, 1}); {
			case pgno&dirtyBit != 0:
				continue
			case in && level == 1:
				d = 0
			case in:
				continue
			case pgno >= bound:
				d = w.far
			case d < w.near || d > w.far:
				continue
			}
			want = append(want, candidate(d)<<(candidateBranch+candidateSlot)|7<<candidateSlot|candidate(i))
		}
		if got := w.appendCandidates(nil, children, level == 1, 7); !slices.Equal(got, want) {
			t.Fatalf("seed %d: %x, not %x", s, got, want)
		}
	}
}

// A file nothing of which is in memory.
type coldFile struct{ backing.File }

type coldMap struct{ backing.Map }

func (f coldFile) Map(size int64) (backing.Map, error) {
	m, err := f.File.Map(size)
	return coldMap{m}, err
}

func (coldMap) Cached(off, n int64) bool { return false }

// A commit does not wait for a device to move pages.
func TestOnlyPagesInMemoryMove(t *testing.T) {
	for _, cold := range []bool{false, true} {
		rng := rand.New(rand.NewSource(1))
		f := backing.File(&memoryFile{})
		if cold {
			f = coldFile{f}
		}
		db := newScattered(t, f, rng, 20_000)
		for range 500 {
			ok(t, putRandom(db, rng, 20_000, 10))
		}
		if (db.moved == 0) != cold {
			t.Errorf("cold %v: %d pages were moved", cold, db.moved)
		}
		sound(t, db)
	}
}

// What a transaction has read stays as it is until it ends, though its page is moved by the
// group beneath it, and others take the page's place.
func TestMovesBeneathAnOpenTransaction(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	f := newHeldFile(simfile.Options{})
	const n = 20_000
	db := newScattered(t, f, rng, n)
	for range 200 {
		ok(t, putRandom(db, rng, n, 10))
	}
	dropped := errors.New("dropped")
	for round := range 10 {
		f.hold()
		first := background(func() error { return putRandom(db, rng, n, 10) })
		eventually(t, func() bool { return f.stopped.Load() > 0 })
		f.stopped.Store(0)
		ten := rand.New(rand.NewSource(int64(round)))
		second := background(func() error { return putRandom(db, ten, n, 10) })
		eventually(t, func() bool { return db.waiting() == 1 })
		err := db.Update(inBucket(func(b *Bucket) error {
			var got, want [][]byte
			for k, v := range b.All() {
				got = append(got, k, v)
				want = append(want, bytes.Clone(k), bytes.Clone(v))
			}
			// Of some branches the transaction has versions of its own.
			for range 3 {
				if err := b.Put(want[2*rng.Intn(n/4)], []byte("changed")); err != nil {
					return err
				}
			}
			f.let()
			ok(t, within(t, "the second group", second))
			// Values with pages of their own take all that is free.
			large := func(i int) []byte { return binary.BigEndian.AppendUint32([]byte("large"), uint32(i)) }
			for i := range 600 {
				if err := b.Put(large(i), bytes.Repeat([]byte{0xff}, 3000)); err != nil {
					return err
				}
			}
			for i := range got {
				if !bytes.Equal(got[i], want[i]) {
					t.Fatalf("round %d: slice %d has changed under the transaction", round, i)
				}
			}
			for i := range 600 {
				if err := b.Delete(large(i)); err != nil {
					return err
				}
			}
			if round%2 == 0 {
				return dropped
			}
			return nil
		}))
		if err != nil && err != dropped {
			t.Fatal(err)
		}
		ok(t, within(t, "the first group", first))
		sound(t, db)
	}
	if db.moved == 0 {
		t.Error("no page was moved")
	}
	sound(t, db)
}

// withoutRedo has every commit write its pages.
func withoutRedo(db *DB) { db.redoAfter = math.MaxInt }

// A damaged page is not moved: with a new checksum nobody would see the damage.
func TestDamagedPagesStay(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	f := &memoryFile{}
	const n = 20_000
	db := newScattered(t, f, rng, n)
	withoutRedo(db)
	var damaged uint32
	ok(t, db.View(inBucket(func(b *Bucket) error {
		p, err := b.tx.load(b.root, -1)
		ok(t, err)
		for p.level() > 0 {
			damaged = p.refPgno(p.count() / 2)
			p, err = b.tx.child(p, p.count()/2)
			ok(t, err)
		}
		return nil
	})))
	at := int64(damaged)<<db.shift + int64(db.pageSize) - 1
	last := make([]byte, 1)
	if _, err := f.ReadAt(last, at); err != nil {
		t.Fatal(err)
	}
	last[0] ^= 1
	if _, err := f.WriteAt(last, at); err != nil {
		t.Fatal(err)
	}
	db.m.forget()
	for range 1000 {
		// Those that come upon the page fail.
		if err := putRandom(db, rng, n, 8); err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
	}
	if db.moved < 1000 {
		t.Errorf("only %d pages were moved", db.moved)
	}
	found := false
	ok(t, db.View(func(tx *Tx) error {
		for err := range tx.Check() {
			var c *CorruptError
			found = found || errors.As(err, &c) && c.Pgno == damaged
		}
		return nil
	}))
	if !found {
		t.Errorf("the damage of page %d is seen no more", damaged)
	}
}

// A group of a few changes does not move other pages: it would write more than it saves.
func TestFewLeavesDoNotClean(t *testing.T) {
	skipShort(t)
	rng := rand.New(rand.NewSource(1))
	const n, rounds = 100_000, 200
	db := newScattered(t, &memoryFile{}, rng, n)
	for range 3000 {
		ok(t, putRandom(db, rng, n, 1))
	}
	before := db.moved
	for range rounds {
		ok(t, putRandom(db, rng, n, 3))
	}
	if moved := db.moved - before; moved > rounds {
		t.Errorf("%d commits moved %d pages", rounds, moved)
	}
}

// putRange puts the keys from first up to end, 500 a transaction.
func putRange(t *testing.T, db *DB, first, end int) {
	t.Helper()
	for at := first; at < end; at += 500 {
		ok(t, db.Update(inB(func(b *Bucket) error {
			for i := at; i < min(at+500, end); i++ {
				if err := b.Put(binary.BigEndian.AppendUint32(nil, uint32(i)), make([]byte, 100)); err != nil {
					return err
				}
			}
			return nil
		})))
	}
}

// deleteRange deletes the keys from first up to end in one transaction.
func deleteRange(t *testing.T, db *DB, first, end int) {
	t.Helper()
	ok(t, db.Update(inB(func(b *Bucket) error {
		for i := first; i < end; i++ {
			if err := b.Delete(binary.BigEndian.AppendUint32(nil, uint32(i))); err != nil {
				return err
			}
		}
		return nil
	})))
}

// Where much of the file is free, what is written goes to its lower part, be it much or little, and so
// does the nursery: the file gets shorter when the rest was overwritten.
func TestDataMovesDown(t *testing.T) {
	const n = 20_000
	for _, deferred := range []bool{false, true} {
		rng := rand.New(rand.NewSource(1))
		db, err := openOn(&memoryFile{}, (&Options{FlushInterval: -1}).withDefaults(), true)
		ok(t, err)
		putRange(t, db, 0, n)
		deleteRange(t, db, n/8, n*7/10)
		deleteRange(t, db, n*9/10, n)
		put := func(k int) {
			ok(t, db.Update(inB(func(b *Bucket) error {
				db.active.SetDurability(Durable)
				if deferred {
					db.active.SetDurability(Deferred)
				}
				for range k {
					at := rng.Intn(n / 8)
					if rng.Intn(2) == 0 {
						at = n*7/10 + rng.Intn(n/5)
					}
					if err := b.Put(binary.BigEndian.AppendUint32(nil, uint32(at)), make([]byte, 100)); err != nil {
						return err
					}
				}
				return nil
			})))
		}
		for range 20 {
			put(1) // the nursery
		}
		for i := range 4000 {
			put(1)
			if deferred {
				put(30)
			}
			if i%200 == 199 {
				ok(t, db.Sync())
			}
		}
		most := 2 * db.alloc.used()
		if deferred {
			most += db.alloc.used() // until a flush, what it replaces stays
		}
		if uint64(db.alloc.hwm) > most {
			t.Errorf("deferred %v: %d pages for %d in use", deferred, db.alloc.hwm, db.alloc.used())
		}
		sound(t, db)
		ok(t, db.Close())
	}
}

// A long run of free pages is found wherever it lies, also where the sweep or its bound divides it.
func TestLongRunsAreFound(t *testing.T) {
	const size, pages = 4000, 90
	db, err := openOn(&memoryFile{}, (&Options{MaxSize: size << 12}).withDefaults(), true)
	ok(t, err)
	withoutRedo(db)
	defer db.Close()
	put := func(i, pages int) error {
		return db.Update(inB(func(b *Bucket) error {
			return b.Put(binary.BigEndian.AppendUint32(nil, uint32(i)), make([]byte, pages<<12))
		}))
	}
	n := 0
	for ; err == nil; n++ {
		err = put(n, pages)
	}
	if !errors.Is(err, ErrMaxSizeReached) {
		t.Fatal(err)
	}
	deleteRange(t, db, 15, n-2)
	ok(t, put(0, 1)) // what was deleted is free now
	longest := 0
	for _, r := range db.alloc.free.runs() {
		longest = max(longest, int(r.n))
	}
	for _, want := range []int{longest / 2, longest * 3 / 4, longest - 100} {
		if err := put(-1, want); err != nil {
			t.Errorf("%d of %d adjacent free pages: %v", want, longest, err)
		}
		deleteRange(t, db, -1, 0)
		ok(t, put(0, 1))
	}
	sound(t, db)
}

// A file that is half as large again as its data does not grow any more for the nursery, however many
// lone commits there are.
func TestNurseryDoesNotGrowTheFile(t *testing.T) {
	skipShort(t)
	rng := rand.New(rand.NewSource(1))
	const n = 300_000
	db, err := openOn(&memoryFile{}, (&Options{}).withDefaults(), true)
	ok(t, err)
	t.Cleanup(func() { db.Close() })
	ok(t, putRandom(db, rng, n, 2*n))
	for range 6000 {
		ok(t, putRandom(db, rng, n, 1))
	}
	if used := db.alloc.used(); uint64(db.alloc.hwm) > used+used/2+2*nurseryStep {
		t.Errorf("%d pages, of which %d are in use", db.alloc.hwm, used)
	}
	sound(t, db)
}

// One part of the file is emptied for the nursery at a time; with the nursery given up, none is.
func TestEmptiest(t *testing.T) {
	a := newAllocator(1000, 2000)
	for at := uint32(metaPages); at < a.hwm; at += 3 {
		a.free.add(run{at, 1})
	}
	a.free.add(run{300, 6})
	first, ok := a.emptiest(64)
	if !ok || first.start > 300 || first.end() < 306 {
		t.Fatalf("%v, %v", first, ok)
	}
	a.addToNursery(first)
	if more, ok := a.emptiest(64); ok {
		t.Errorf("%v is to be emptied before %v is", more, first)
	}
	a.giveUpNursery()
	if again, ok := a.emptiest(64); !ok || again != first {
		t.Errorf("%v, %v after the nursery was given up, not %v", again, ok, first)
	}
}
