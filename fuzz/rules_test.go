package fuzz

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/foliokv/folio"
	"github.com/foliokv/folio/internal/foliotest"
	"github.com/foliokv/folio/internal/simfile"
)

// Rules of the commit protocol that chance seldom puts to the test: for each a short history in
// which breaking it does harm. Package mutate breaks them.

// manual is Deferred without any flush that nobody asked for.
var manual = folio.Options{Durability: folio.Deferred, FlushInterval: -1, FlushBytes: -1}

// A witness is a store on a simulated file, and what power losses may leave of it.
type witness struct {
	*testing.T
	db *folio.DB
	f  *simfile.File
	on func(op simfile.Op) // called before each operation on the file
}

func newWitness(t *testing.T, o folio.Options) *witness {
	w := &witness{T: t}
	w.f = simfile.New(simfile.Options{OnOp: func(_ int, op simfile.Op) {
		if w.on != nil {
			w.on(op)
		}
	}})
	var err error
	w.db, err = foliotest.Open(w.f, &o)
	foliotest.Must(t, err)
	return w
}

// put stores values of so many bytes, all of the byte that the key begins with, in one
// transaction; size -1 deletes.
func put(db *folio.DB, size int, keys ...string) error {
	return db.Update(func(tx *folio.Tx) error { return putIn(tx, size, keys...) })
}

func putIn(tx *folio.Tx, size int, keys ...string) error {
	b, err := tx.CreateBucketIfNotExists([]byte("b"))
	for _, k := range keys {
		if err == nil && size < 0 {
			err = b.Delete([]byte(k))
		} else if err == nil {
			err = b.Put([]byte(k), bytes.Repeat([]byte(k[:1]), size))
		}
	}
	return err
}

// content describes what a store holds.
func content(db *folio.DB) string {
	var s []string
	err := db.View(func(tx *folio.Tx) error {
		b := tx.Bucket([]byte("b"))
		if b == nil {
			return nil
		}
		for k, v := range b.All() {
			s = append(s, fmt.Sprintf("%s:%d", k, len(v)))
			if n := bytes.Count(v, k[:1]); n != len(v) {
				s = append(s, fmt.Sprintf("%d bytes wrong", len(v)-n))
			}
		}
		return tx.Err()
	})
	if err != nil {
		s = append(s, err.Error())
	}
	return strings.Join(s, " ")
}

// loses opens what a power loss may leave at this moment and compares it with what is allowed.
func (w *witness) loses(o simfile.ImageOptions, allowed ...string) {
	for img := range w.f.Images(o) {
		f := simfile.FromImage(img.Bytes, simfile.Options{MapAhead: 32 << 10})
		if err := opensAs(f, allowed...); err != nil {
			w.Errorf("image %q: %v", img.Name, err)
		}
		f.Release()
	}
}

func opensAs(f *simfile.File, allowed ...string) error {
	db, err := foliotest.Open(f, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := foliotest.Check(db); err != nil {
		return err
	}
	if found := content(db); !slices.Contains(allowed, found) {
		return fmt.Errorf("holds %q, not one of %q", found, allowed)
	}
	return nil
}

// once makes fn run before the first operation of a kind from now on.
func (w *witness) once(kind simfile.Kind, fn func()) {
	w.on = func(op simfile.Op) {
		if op.Kind == kind {
			w.on = nil
			fn()
		}
	}
}

// What a crash took away does not come back when a later transaction writes the same pages
// again, and more: txids are used once.
func TestRuleTxidsAreUsedOnce(t *testing.T) {
	w := newWitness(t, folio.Options{})
	foliotest.Must(t, put(w.db, 1500, "a"))
	const size = 9000 // in an extent
	lost := 0         // the txid
	w.once(simfile.SyncBegin, func() {
		for img := range w.f.Images(simfile.ImageOptions{}) {
			again := &witness{T: t}
			again.f = simfile.FromImage(img.Bytes, simfile.Options{OnOp: func(int, simfile.Op) {
				if again.db != nil {
					again.loses(simfile.ImageOptions{Random: 1}, "a:1500", "a:1500 b:9000 c:9000")
				}
			}})
			db, err := foliotest.Open(again.f, nil)
			foliotest.Must(t, err)
			if content(db) == "a:1500" { // the transaction is lost
				again.db = db
				tx, err := db.Begin(true)
				foliotest.Must(t, err)
				if metaOf(img.Bytes, lost) && tx.ID() <= lost {
					t.Errorf("image %q: txid %d comes after %d", img.Name, tx.ID(), lost)
				}
				foliotest.Must(t, tx.Rollback())
				foliotest.Must(t, put(db, size, "b", "c"))
			}
			foliotest.Must(t, db.Close())
		}
	})
	tx, err := w.db.Begin(true)
	foliotest.Must(t, err)
	lost = tx.ID()
	foliotest.Must(t, putIn(tx, size, "b"))
	foliotest.Must(t, tx.Commit())
	foliotest.MustClose(t, w.db)
}

// metaOf tells whether a file has the meta of a transaction in one of its slots.
func metaOf(image []byte, txid int) bool {
	for _, slot := range []int{0, folio.DefaultPageSize} {
		if len(image) >= slot+512 && binary.LittleEndian.Uint64(image[slot+metaTxid:]) == uint64(txid) {
			return true
		}
	}
	return false
}

// An open that cannot read a page fails. It does not take the state before, for what it cannot
// read may be whole, and acknowledged.
func TestRuleReadErrorIsNoLoss(t *testing.T) {
	w := newWitness(t, folio.Options{})
	foliotest.Must(t, put(w.db, 1500, "a"))
	foliotest.Must(t, put(w.db, 9000, "b"))
	failed := 0
	for n := 0; ; n++ {
		f := w.f.Kill(simfile.Options{})
		f.Fail(simfile.Fault{Kind: simfile.Read, At: n})
		db, err := foliotest.Open(f, nil)
		fired := f.Fired()
		f.Heal()
		if !fired {
			foliotest.MustClose(t, db)
			break
		}
		if failed++; err == nil {
			t.Errorf("read %d fails, and the store opens with %q", n, content(db))
			db.Close()
		} else if !errors.Is(err, syscall.EIO) {
			t.Errorf("read %d fails with %v", n, err)
		}
		foliotest.Must(t, opensAs(f.Kill(simfile.Options{}), "a:1500 b:9000"))
	}
	if failed < 4 {
		t.Errorf("only %d reads", failed)
	}
	foliotest.MustClose(t, w.db)
}

// A meta says that its pages were flushed only if they were: not those sealed meanwhile.
func TestRuleFlagIsForWhatWasFlushed(t *testing.T) {
	w := newWitness(t, manual)
	foliotest.Must(t, put(w.db, 1500, "a"))
	foliotest.Must(t, w.db.Sync())
	foliotest.Must(t, put(w.db, 17<<20, "b"))
	few := simfile.ImageOptions{Each: 4, Random: -1}
	w.once(simfile.SyncBegin, func() {
		foliotest.Must(t, put(w.db, 1500, "c"))
		w.once(simfile.SyncBegin, func() {
			w.loses(few, "a:1500", "a:1500 b:17825792", "a:1500 b:17825792 c:1500")
		})
	})
	foliotest.Must(t, w.db.Sync())
	w.loses(few, "a:1500 b:17825792", "a:1500 b:17825792 c:1500")
	foliotest.MustClose(t, w.db)
}

// A Durable transaction is seen when it is durable, not before.
func TestRuleVisibilityFollowsDurability(t *testing.T) {
	w := newWitness(t, folio.Options{})
	foliotest.Must(t, put(w.db, 1500, "a"))
	looked := 0
	w.on = func(op simfile.Op) {
		looked++
		if s := content(w.db); s != "a:1500" {
			t.Errorf("before %v a reader sees %q", op, s)
		}
	}
	foliotest.Must(t, put(w.db, 1500, "b"))
	w.on = nil
	if looked < 4 {
		t.Errorf("%d operations", looked)
	}
	foliotest.MustClose(t, w.db)
}

// After a failed flush the kernel may forget what it could not write: readers of a state that
// was not durable end with an error, those of a durable one go on.
func TestRuleReadersOfALostStateEnd(t *testing.T) {
	w := newWitness(t, manual)
	foliotest.Must(t, put(w.db, 1500, "a"))
	foliotest.Must(t, w.db.Sync())
	older, err := w.db.Begin(false)
	foliotest.Must(t, err)
	foliotest.Must(t, put(w.db, 1000, "a", "b"))
	newer, err := w.db.Begin(false)
	foliotest.Must(t, err)
	w.f.Fail(simfile.Fault{Kind: simfile.SyncEnd})
	if err := w.db.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("a failed flush comes back as %v", err)
	}
	w.f.Evict()
	if b := newer.Bucket([]byte("b")); b != nil && b.Get([]byte("a")) != nil {
		t.Error("a reader of a state that may be lost still reads")
	}
	if err := newer.Err(); !errors.Is(err, syscall.EIO) {
		t.Errorf("its error is %v", err)
	}
	if v := older.Bucket([]byte("b")).Get([]byte("a")); !bytes.Equal(v, bytes.Repeat([]byte("a"), 1500)) {
		t.Errorf("a reader of the durable state sees %d bytes, and %v", len(v), older.Err())
	}
	newer.Rollback()
	older.Rollback()
	if err := w.db.Close(); !errors.Is(err, syscall.EIO) {
		t.Errorf("Close gives %v", err)
	}
	foliotest.Must(t, opensAs(w.f.Kill(simfile.Options{}), "a:1500"))
}

// What a group that could not be written freed and allocated is not in the free log of the next.
func TestRuleFreeLogForgetsFailedGroups(t *testing.T) {
	w := newWitness(t, folio.Options{})
	keys := strings.Split("abcdefghijkl", "")
	foliotest.Must(t, put(w.db, 1000, keys...)) // some leaves
	w.f.Fail(simfile.Fault{Kind: simfile.Write})
	if err := put(w.db, 900, "a"); !errors.Is(err, syscall.EIO) {
		t.Fatalf("a failed write comes back as %v", err)
	}
	foliotest.Must(t, put(w.db, 1000, "l")) // another leaf
	foliotest.MustCheck(t, w.db)
	whole := content(w.db)
	foliotest.MustClose(t, w.db)
	foliotest.Must(t, opensAs(w.f.Kill(simfile.Options{}), whole))
}

// Pages that a reader sees stay, and only those: what came and went after it is used again.
func TestRuleReadersKeepTheirPages(t *testing.T) {
	for name, o := range map[string]folio.Options{"durable": {}, "deferred": manual} {
		t.Run(name, func(t *testing.T) {
			w := newWitness(t, o)
			foliotest.Must(t, put(w.db, 1000, "a", "b", "c", "d", "e"))
			foliotest.Must(t, put(w.db, 9000, "f"))
			tx, err := w.db.Begin(false)
			foliotest.Must(t, err)
			for i := range 200 { // often enough that allocation comes by everywhere
				foliotest.Must(t, put(w.db, 1000+i, "a", "b"))
				foliotest.Must(t, put(w.db, 9000+i, "f"))
				foliotest.Must(t, w.db.Sync())
			}
			for k, v := range tx.Bucket([]byte("b")).All() {
				size := 1000
				if k[0] == 'f' {
					size = 9000
				}
				if !bytes.Equal(v, bytes.Repeat(k, size)) {
					t.Errorf("the reader sees %s changed", k)
				}
			}
			foliotest.Must(t, tx.Err())
			if n := tx.DB().Stats(); n.OpenTxN != 1 {
				t.Errorf("%d readers", n.OpenTxN)
			}
			foliotest.Must(t, tx.Rollback())
			if n, _ := w.f.Size(); n > 1<<20 {
				t.Errorf("the file has %d bytes", n)
			}
			foliotest.MustClose(t, w.db)
		})
	}
}

// The published state stays whole though it is neither durable nor the newest: a reader may
// come.
func TestRulePublishedStateStays(t *testing.T) {
	w := newWitness(t, manual)
	const size = 9000 // three pages
	var odd, even []string
	for i := range 100 {
		odd, even = append(odd, fmt.Sprintf("o%d", i)), append(even, fmt.Sprintf("e%d", i))
		foliotest.Must(t, put(w.db, size, odd[i], even[i]))
	}
	foliotest.Must(t, put(w.db, -1, odd...)) // holes of that size, more than the reserve has
	foliotest.Must(t, w.db.Sync())
	foliotest.Must(t, put(w.db, size, "a"))
	foliotest.Must(t, put(w.db, size, "b"))
	published := content(w.db)
	var ended chan error
	w.once(simfile.SyncBegin, func() {
		tx, err := w.db.Begin(true) // above the state in flight
		foliotest.Must(t, err)
		foliotest.Must(t, putIn(tx, size, odd...)) // wherever allocation begins, it comes by
		if s := content(w.db); s != published {
			t.Errorf("a reader sees %q, not %q", s, published)
		}
		ended = make(chan error, 1)
		go func() { ended <- tx.Rollback() }() // which waits for what it has seen
	})
	foliotest.Must(t, w.db.Update(func(tx *folio.Tx) error {
		tx.SetDurability(folio.Durable)
		return putIn(tx, size+1, "a", "b")
	}))
	if ended == nil {
		t.Fatal("there was no flush")
	}
	foliotest.Must(t, <-ended)
	foliotest.MustClose(t, w.db)
}

// churn makes transactions that free and allocate runs of pages of many lengths, and leaves
// the keys a and b alone.
func churn(t *testing.T, db *folio.DB, n int) {
	t.Helper()
	for i := range n {
		size := 500 + 3700*(i*7%5)
		foliotest.Must(t, put(db, size, "c", "d"))
		foliotest.Must(t, put(db, size+1, strings.Split("efgh", "")[:i%4]...))
		foliotest.Must(t, put(db, -1, strings.Split("efgh", "")[i%4:]...))
	}
}

// What the last durable state needs is not used again before the next is durable.
func TestRuleDurableStateStays(t *testing.T) {
	w := newWitness(t, manual)
	churn(t, w.db, 3)
	foliotest.Must(t, put(w.db, 1000, "a"))
	foliotest.Must(t, put(w.db, 9000, "b"))
	var old, next []string
	for i := range 60 {
		old, next = append(old, fmt.Sprintf("o%d", i)), append(next, fmt.Sprintf("n%d", i))
	}
	foliotest.Must(t, put(w.db, 9000, old...))
	foliotest.Must(t, w.db.Sync())
	whole := content(w.db)
	foliotest.Must(t, put(w.db, -1, old...)) // more pages than the reserve has
	if n := w.db.Stats().PendingPageN; n < 2*len(old) {
		t.Fatalf("%d pages wait", n)
	}
	for i := range 10 {
		foliotest.Must(t, put(w.db, 9000, next[6*i:6*i+6]...)) // wherever allocation begins, it comes by
		churn(t, w.db, 4)
		w.loses(simfile.ImageOptions{Each: 4, Random: 1}, whole)
	}
	foliotest.MustClose(t, w.db)
}

// Nor is what a state needs whose flush is under way: it may be the durable one in a moment.
func TestRuleStateInFlightStays(t *testing.T) {
	w := newWitness(t, manual)
	churn(t, w.db, 3)
	foliotest.Must(t, put(w.db, 1000, "a"))
	foliotest.Must(t, w.db.Sync())
	foliotest.Must(t, put(w.db, 9000, "b"))
	whole := content(w.db)
	w.once(simfile.SyncEnd, func() { churn(t, w.db, 20) })
	foliotest.Must(t, w.db.Sync())
	w.loses(simfile.ImageOptions{Each: 4, Random: 1}, whole)
	foliotest.MustClose(t, w.db)
}

// Close marks the store as closed without touching the one meta that is durable, so a torn mark
// does no harm.
func TestRuleCleanMarkGoesBesideTheDurableMeta(t *testing.T) {
	w := newWitness(t, folio.Options{})
	foliotest.Must(t, put(w.db, 1500, "a"))
	foliotest.Must(t, put(w.db, 1500, "b"))
	w.once(simfile.SyncBegin, func() {
		// Drives write a sector whole, but here nothing hangs on it.
		w.loses(simfile.ImageOptions{Random: 20, Grain: 64}, "a:1500 b:1500")
	})
	foliotest.MustClose(t, w.db)
}

// A savepoint that is rolled back has freed nothing, whatever it changed first.
func TestRuleRolledBackFreesNothing(t *testing.T) {
	w := newWitness(t, folio.Options{})
	keys := strings.Split("abcdefghijkl", "")
	foliotest.Must(t, put(w.db, 1000, keys...))
	foliotest.Must(t, put(w.db, 9000, "m"))
	whole := content(w.db)
	for _, commit := range []bool{true, false} {
		err := w.db.Update(func(tx *folio.Tx) error {
			sp := tx.Savepoint()
			foliotest.Must(t, putIn(tx, 9000, "a"))
			foliotest.Must(t, putIn(tx, -1, "b", "m"))
			foliotest.Must(t, sp.Rollback())
			foliotest.Must(t, putIn(tx, 1000, "l"))
			if !commit {
				return errUndo
			}
			return nil
		})
		if err != nil && err != errUndo {
			t.Fatal(err)
		}
		foliotest.MustCheck(t, w.db)
		if s := content(w.db); s != whole {
			t.Errorf("it holds %q, not %q", s, whole)
		}
	}
	foliotest.MustClose(t, w.db)
	foliotest.Must(t, opensAs(w.f.Kill(simfile.Options{}), whole))
}

// Counts in branches follow every change below them.
func TestRuleCountsFollow(t *testing.T) {
	w := newWitness(t, folio.Options{})
	for i := range 600 {
		foliotest.Must(t, w.db.Update(func(tx *folio.Tx) error {
			key := fmt.Sprintf("k%03d", i*7%300)
			if i >= 300 {
				return putIn(tx, -1, key)
			}
			return putIn(tx, 900, key)
		}))
		n := min(i+1, 599-i)
		foliotest.Must(t, w.db.View(func(tx *folio.Tx) error {
			b := tx.Bucket([]byte("b"))
			if b.Count() != uint64(n) || b.Rank([]byte("l")) != uint64(n) || b.CountRange(nil, []byte("k")) != 0 {
				t.Fatalf("after %d changes %d keys, %d below the end, not %d", i+1, b.Count(), b.Rank([]byte("l")), n)
			}
			return nil
		}))
	}
	foliotest.MustClose(t, w.db)
}

// A crash inside Compact leaves the destination as it was, or whole; also where the copy is
// larger than what is kept in memory.
func TestCrashInCompact(t *testing.T) {
	src, err := folio.OpenMemory(nil)
	foliotest.Must(t, err)
	defer src.Close()
	for i := range 300 {
		foliotest.Must(t, put(src, 200+i*37%3000, fmt.Sprintf("k%03d", i*7%300)))
	}
	foliotest.Must(t, put(src, 30_000, "z"))
	whole := content(src)
	dst := newWitness(t, folio.Options{DirtyLimit: 64 << 10})
	at := 0
	few := simfile.ImageOptions{Each: 3, Random: 1}
	dst.on = func(op simfile.Op) {
		few.Seed++
		if at++; at%4 == 0 || op.Kind != simfile.Write || op.Off < 2*folio.DefaultPageSize {
			dst.loses(few, "", whole)
		}
	}
	foliotest.Must(t, src.Compact(t.Context(), dst.db))
	dst.on = func(simfile.Op) { dst.loses(few, whole) }
	foliotest.Must(t, dst.db.Close())
	dst.loses(few, whole)
	if at < 20 {
		t.Errorf("only %d operations", at)
	}
}

var errUndo = errors.New("undo")
