package folio_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/foliokv/folio"
	"github.com/foliokv/folio/internal/foliotest"
	"github.com/foliokv/folio/internal/simfile"
)

func TestSavepoints(t *testing.T) {
	db := open(t, nil)
	put := func(b *folio.Bucket, keys ...string) {
		for _, k := range keys {
			must(t, b.Put([]byte(k), []byte(k)))
		}
	}
	update(t, db, func(b *folio.Bucket) error {
		tx := b.Tx()
		put(b, "a")
		outer := tx.Savepoint()
		put(b, "b")
		inner := tx.Savepoint()
		put(b, "c")
		must(t, inner.Rollback())
		if got := keysOf(b.All()); got != "a b" {
			t.Errorf("after the inner rollback: %s", got)
		}
		wants(t, "a second rollback", inner.Rollback(), folio.ErrSavepointClosed)
		wants(t, "a release after a rollback", inner.Release(), folio.ErrSavepointClosed)
		inner = tx.Savepoint()
		put(b, "d")
		must(t, inner.Release())
		wants(t, "a rollback after a release", inner.Rollback(), folio.ErrSavepointClosed)
		inner = tx.Savepoint()
		put(b, "e")
		must(t, outer.Rollback())
		wants(t, "an inner one after an outer", inner.Rollback(), folio.ErrSavepointClosed)
		if got := keysOf(b.All()); got != "a" {
			t.Errorf("after the outer rollback: %s", got)
		}
		outer = tx.Savepoint()
		inner = tx.Savepoint()
		put(b, "f")
		must(t, outer.Release())
		wants(t, "an inner one after an outer release", inner.Release(), folio.ErrSavepointClosed)
		tx.Savepoint() // released at commit
		put(b, "g")
		return nil
	})
	view(t, db, func(b *folio.Bucket) error {
		if got := keysOf(b.All()); got != "a f g" {
			t.Errorf("after the commit: %s", got)
		}
		return nil
	})
	var none *folio.Savepoint
	wants(t, "a nil savepoint", none.Rollback(), folio.ErrSavepointClosed)
}

func TestSavepointsNestDeep(t *testing.T) {
	db := open(t, nil)
	update(t, db, func(b *folio.Bucket) error {
		var saves []*folio.Savepoint
		for i := range 1000 {
			saves = append(saves, b.Tx().Savepoint())
			must(t, b.Put(foliotest.Key(i), value(i, 300)))
		}
		for i := 999; i >= 500; i-- {
			must(t, saves[i].Rollback())
		}
		if b.Count() != 500 {
			t.Errorf("%d pairs after 500 rollbacks", b.Count())
		}
		must(t, saves[250].Rollback())
		return saves[0].Release()
	})
	view(t, db, func(b *folio.Bucket) error {
		if b.Count() != 250 {
			t.Errorf("%d pairs", b.Count())
		}
		return nil
	})
}

// Buckets that were open before a savepoint show the old state after its rollback, deleted and
// moved ones too.
func TestSavepointKeepsOpenBuckets(t *testing.T) {
	db := open(t, nil)
	update(t, db, func(b *folio.Bucket) error {
		one, err := b.CreateBucket([]byte("one"))
		must(t, err)
		deep, err := one.CreateBucket([]byte("deep"))
		must(t, err)
		must(t, deep.Put([]byte("k"), []byte("v")))
		two, err := b.CreateBucket([]byte("two"))
		must(t, err)
		for name, change := range map[string]func(){
			"delete": func() { must(t, b.DeleteBucket([]byte("one"))) },
			"move":   func() { must(t, b.MoveBucket([]byte("one"), two)) },
			"range":  func() { must(t, b.DeleteRange(nil, nil)) },
			"replace": func() {
				must(t, b.DeleteBucket([]byte("one")))
				_, err := b.CreateBucket([]byte("one"))
				must(t, err)
			},
		} {
			sp := b.Tx().Savepoint()
			change()
			wants(t, name+": Put into a bucket that is gone", deep.Put([]byte("k2"), nil), folio.ErrBucketNotFound)
			must(t, nothingIn(deep))
			must(t, sp.Rollback())
			if string(deep.Get([]byte("k"))) != "v" || two.Count() != 0 {
				t.Errorf("%s: after the rollback the bucket does not show its pair", name)
			}
			must(t, deep.Put([]byte("k"), []byte("v")))
		}
		return nil
	})
}

func TestSequences(t *testing.T) {
	db := open(t, nil)
	update(t, db, func(b *folio.Bucket) error {
		for want := range uint64(3) {
			if n, err := b.NextSequence(); n != want+1 || err != nil {
				t.Errorf("NextSequence is %d, %v", n, err)
			}
		}
		sp := b.Tx().Savepoint()
		must(t, b.SetSequence(1<<63+5))
		if b.Sequence() != 1<<63+5 {
			t.Error("SetSequence does not show")
		}
		must(t, sp.Rollback())
		if b.Sequence() != 3 {
			t.Errorf("after a rollback the sequence is %d", b.Sequence())
		}
		return nil
	})
	view(t, db, func(b *folio.Bucket) error {
		if b.Sequence() != 3 {
			t.Errorf("the sequence is %d", b.Sequence())
		}
		return nil
	})
}

func TestOnCommit(t *testing.T) {
	db := open(t, nil)
	var got []string
	note := func(s string) func() { return func() { got = append(got, s) } }
	update(t, db, func(b *folio.Bucket) error {
		b.Tx().OnCommit(note("1"))
		sp := b.Tx().Savepoint()
		b.Tx().OnCommit(note("rolled back"))
		must(t, sp.Rollback())
		sp = b.Tx().Savepoint()
		b.Tx().OnCommit(note("2"))
		must(t, sp.Release())
		b.Tx().OnCommit(func() {
			got = append(got, "3")
			view(t, db, func(b *folio.Bucket) error { // it sees what was committed
				if b.Get([]byte("k")) == nil {
					t.Error("a handler does not see its transaction")
				}
				return nil
			})
			update(t, db, func(b *folio.Bucket) error { // it may start transactions
				b.Tx().OnCommit(note("4"))
				return b.Put([]byte("k2"), nil)
			})
		})
		return b.Put([]byte("k"), nil)
	})
	if err := db.Update(func(tx *folio.Tx) error { tx.OnCommit(note("failed")); return io.EOF }); err != io.EOF {
		t.Error(err)
	}
	must(t, db.Update(func(tx *folio.Tx) error { tx.OnCommit(note("5")); return nil })) // nothing was changed
	if s := strings.Join(got, " "); s != "1 2 3 4 5" {
		t.Errorf("handlers ran as %s", s)
	}
}

// Handlers of concurrent transactions run in commit order, each before its Update returns.
func TestOnCommitOrder(t *testing.T) {
	for _, d := range []folio.Durability{folio.Durable, folio.Deferred} {
		db := open(t, &folio.Options{Durability: d})
		var mu sync.Mutex
		var got []int
		ran := map[int]bool{}
		var wg sync.WaitGroup
		for g := range 16 {
			wg.Go(func() {
				for i := range 20 {
					var id int
					update(t, db, func(b *folio.Bucket) error {
						id = b.Tx().ID()
						b.Tx().OnCommit(func() {
							mu.Lock()
							defer mu.Unlock()
							got = append(got, id)
							ran[id] = true
						})
						return b.Put(foliotest.Key(g), value(i, 10))
					})
					mu.Lock()
					if !ran[id] {
						t.Error("Update returns before its handler ran")
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		for i := 1; i < len(got); i++ {
			if got[i] <= got[i-1] {
				t.Fatalf("the handler of %d runs after that of %d", got[i], got[i-1])
			}
		}
		if len(got) != 320 {
			t.Errorf("%d handlers ran", len(got))
		}
	}
}

func TestIDs(t *testing.T) {
	db := open(t, nil)
	last := 0
	for i := range 10 {
		must(t, db.Update(func(tx *folio.Tx) error {
			if tx.ID() <= last {
				t.Errorf("id %d after %d", tx.ID(), last)
			}
			last = tx.ID()
			if i == 3 {
				return nil
			}
			_, err := tx.CreateBucketIfNotExists(foliotest.Key(i))
			return err
		}))
		must(t, db.View(func(tx *folio.Tx) error {
			if i != 3 && tx.ID() != last {
				t.Errorf("a reader sees %d, not %d", tx.ID(), last)
			}
			return nil
		}))
	}
}

func TestUpdateContext(t *testing.T) {
	db := open(t, nil)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	err := db.UpdateContext(ended, func(*folio.Tx) error { t.Error("fn runs though ctx has ended"); return nil })
	wants(t, "an ended context", err, context.Canceled)

	tx, err := db.Begin(true)
	must(t, err)
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer stop()
	err = db.UpdateContext(ctx, func(*folio.Tx) error { t.Error("fn runs beside a writer"); return nil })
	wants(t, "a context that ends while waiting", err, context.DeadlineExceeded)
	must(t, tx.Rollback())

	ctx, cancel = context.WithCancel(t.Context())
	must(t, db.UpdateContext(ctx, func(tx *folio.Tx) error {
		cancel() // once fn has begun ctx is not looked at
		_, err := tx.CreateBucket([]byte("b"))
		return err
	}))
	fill(t, db, 10, 10)
}

// Writers are served in order of asking, and one that gives up leaves the others their places.
func TestWritersAreServedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, err := folio.OpenMemory(nil)
		must(t, err)
		tx, err := db.Begin(true)
		must(t, err)
		var order []int
		var wg sync.WaitGroup
		for i := range 20 {
			ctx, cancel := context.WithCancel(t.Context())
			wg.Go(func() {
				err := db.UpdateContext(ctx, func(*folio.Tx) error { order = append(order, i); return nil })
				if (i%5 == 0) != errors.Is(err, context.Canceled) {
					t.Errorf("writer %d: %v", i, err)
				}
			})
			synctest.Wait()
			if i%5 == 0 {
				cancel()
				synctest.Wait()
			}
			defer cancel()
		}
		must(t, tx.Rollback())
		wg.Wait()
		if s := fmt.Sprint(order); s != "[1 2 3 4 6 7 8 9 11 12 13 14 16 17 18 19]" {
			t.Errorf("served in the order %s", s)
		}
		foliotest.MustClose(t, db)
	})
}

// lost returns what a power loss at this moment leaves of the bucket "b" of a store on f.
func lost(t *testing.T, f *simfile.File) string {
	t.Helper()
	for img := range f.Images(simfile.ImageOptions{}) { // the first: nothing unflushed is there
		db, err := foliotest.Open(simfile.FromImage(bytes.Clone(img.Bytes), simfile.Options{}), nil)
		must(t, err)
		defer foliotest.MustClose(t, db)
		keys := ""
		must(t, db.View(func(tx *folio.Tx) error {
			keys = keysOf(tx.Bucket([]byte("b")).All())
			return nil
		}))
		return keys
	}
	return "no image"
}

func TestDeferred(t *testing.T) {
	f := simfile.New(simfile.Options{})
	db, err := foliotest.Open(f, &folio.Options{Durability: folio.Deferred, FlushInterval: -1})
	must(t, err)
	ids := []int{}
	put := func(key string, d folio.Durability) {
		update(t, db, func(b *folio.Bucket) error {
			ids = append(ids, b.Tx().ID())
			b.Tx().SetDurability(d)
			return b.Put([]byte(key), nil)
		})
	}
	is := func(what, want string) {
		t.Helper()
		if got := lost(t, f); got != want {
			t.Errorf("%s: durable is %q, want %q", what, got, want)
		}
	}
	must(t, db.Sync())
	put("a", folio.Deferred)
	is("a Deferred commit", "")
	must(t, db.Sync())
	is("Sync", "a")
	put("b", folio.Deferred)
	put("c", folio.Deferred)
	must(t, db.WaitDurable(t.Context(), ids[1]))
	is("WaitDurable", "a b c")
	must(t, db.WaitDurable(t.Context(), ids[0]))
	put("d", folio.Deferred)
	put("e", folio.Durable) // makes all before it durable
	is("a Durable commit", "a b c d e")
	view(t, db, func(b *folio.Bucket) error {
		if got := keysOf(b.All()); got != "a b c d e" {
			t.Errorf("a reader sees %s", got)
		}
		return nil
	})
	put("f", folio.Deferred)
	foliotest.MustClose(t, db)
	is("Close", "a b c d e f")
}

// In the background Deferred commits are flushed after the interval, or when there is much.
func TestDeferredFlushesByItself(t *testing.T) {
	for _, o := range []*folio.Options{
		{Durability: folio.Deferred, FlushInterval: time.Millisecond},
		{Durability: folio.Deferred, FlushInterval: -1, FlushBytes: 1},
	} {
		f := simfile.New(simfile.Options{})
		db, err := foliotest.Open(f, o)
		must(t, err)
		fill(t, db, 10, 10)
		for deadline := time.Now().Add(2 * time.Minute); len(f.Unflushed()) > 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("nothing is flushed")
			}
		}
		foliotest.MustClose(t, db)
	}
}

func TestWaitDurable(t *testing.T) {
	db := open(t, nil)
	var id int
	update(t, db, func(b *folio.Bucket) error { id = b.Tx().ID(); return nil })
	must(t, db.WaitDurable(t.Context(), id))
	must(t, db.WaitDurable(t.Context(), 0))
	must(t, db.WaitDurable(t.Context(), -5))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	wants(t, "an id not reached", db.WaitDurable(ctx, id+1), context.DeadlineExceeded)

	reached, never := make(chan error, 1), make(chan error, 1)
	go func() { reached <- db.WaitDurable(context.Background(), id+1) }()
	go func() { never <- db.WaitDurable(context.Background(), id+1000) }()
	update(t, db, func(b *folio.Bucket) error { return b.Put([]byte("k"), nil) })
	must(t, <-reached)
	must(t, db.Update(func(tx *folio.Tx) error { return nil }))
	foliotest.MustClose(t, db)
	wants(t, "an id that never came", <-never, folio.ErrDatabaseNotOpen)
}

// Close waits for open transactions.
func TestCloseWaits(t *testing.T) {
	for _, writable := range []bool{false, true} {
		db := open(t, nil)
		fill(t, db, 10, 10)
		tx, err := db.Begin(writable)
		must(t, err)
		closed := make(chan error, 1)
		go func() { closed <- db.Close() }()
		select {
		case <-closed:
			t.Fatal("Close does not wait")
		case <-time.After(20 * time.Millisecond):
		}
		if tx.Bucket([]byte("b")).Count() != 10 {
			t.Error("the transaction does not see its state")
		}
		if writable {
			must(t, tx.Commit())
		} else {
			must(t, tx.Rollback())
		}
		must(t, <-closed)
	}
}

func TestMoveBucket(t *testing.T) {
	db := open(t, nil)
	must(t, db.Update(func(tx *folio.Tx) error {
		a, err := tx.CreateBucket([]byte("a"))
		must(t, err)
		b, err := tx.CreateBucket([]byte("b"))
		must(t, err)
		in, err := a.CreateBucket([]byte("in"))
		must(t, err)
		for i := range 1000 {
			must(t, in.Put(foliotest.Key(i), value(i, 50)))
		}
		must(t, in.SetSequence(77))
		_, err = in.CreateBucket([]byte("deeper"))
		must(t, err)
		must(t, tx.MoveBucket([]byte("in"), a, b))
		wants(t, "a write through the old handle", in.Put([]byte("k"), nil), folio.ErrBucketNotFound)
		wants(t, "moving it again", tx.MoveBucket([]byte("in"), a, b), folio.ErrBucketNotFound)
		if a.Count() != 0 || b.Count() != 1 || b.Bucket([]byte("in")).Sequence() != 77 {
			t.Error("the bucket did not move with what it has")
		}
		wants(t, "moving a bucket into itself", b.MoveBucket([]byte("in"), b.Bucket([]byte("in"))), folio.ErrSameBuckets)
		if err := tx.MoveBucket([]byte("b"), nil, b.Bucket([]byte("in")).Bucket([]byte("deeper"))); err == nil {
			t.Error("a bucket moves below itself")
		}
		_, err = a.CreateBucket([]byte("in"))
		must(t, err)
		wants(t, "moving over a bucket", b.MoveBucket([]byte("in"), a), folio.ErrBucketExists)
		must(t, a.DeleteBucket([]byte("in")))
		must(t, a.Put([]byte("in"), nil))
		wants(t, "moving over a key", b.MoveBucket([]byte("in"), a), folio.ErrIncompatibleValue)
		return tx.MoveBucket([]byte("in"), b, nil)
	}))
	must(t, db.View(func(tx *folio.Tx) error {
		if in := tx.Bucket([]byte("in")); in.Count() != 1001 || in.Sequence() != 77 || string(in.Get(foliotest.Key(7))) != string(value(7, 50)) {
			t.Error("the moved bucket is not what it was")
		}
		return nil
	}))
	other := open(t, nil)
	tx, err := other.Begin(true)
	must(t, err)
	defer tx.Rollback()
	update(t, db, func(b *folio.Bucket) error {
		_, err := b.CreateBucket([]byte("x"))
		must(t, err)
		c, err := tx.CreateBucket([]byte("c"))
		must(t, err)
		wants(t, "a move to another store", b.MoveBucket([]byte("x"), c), folio.ErrDifferentDB)
		return nil
	})
}

// failing is a reader that ends with an error.
type failing struct{ err error }

func (f failing) Read(p []byte) (int, error) { return 0, f.err }

func TestPutReader(t *testing.T) {
	db := open(t, nil)
	fill(t, db, 10, 10)
	boom := errors.New("boom")
	for _, n := range []int{0, 1, 100, 900, 1000, 4096, 5000, 300_000, 2 << 20} {
		update(t, db, func(b *folio.Bucket) error {
			key := fmt.Appendf(nil, "n%d", n)
			must(t, b.Put(key, []byte("before")))
			if n > 0 {
				short := io.LimitReader(bytes.NewReader(value(n, n)), int64(n-1))
				wants(t, "a short reader", b.PutReader(key, short, int64(n)), io.ErrUnexpectedEOF)
				wants(t, "an empty reader", b.PutReader(key, strings.NewReader(""), int64(n)), io.ErrUnexpectedEOF)
				broken := io.MultiReader(bytes.NewReader(value(n, n/2)), failing{boom})
				wants(t, "a failing reader", b.PutReader(key, broken, int64(n)), boom)
			}
			if string(b.Get(key)) != "before" {
				t.Error("a failed PutReader changes the value")
			}
			rest := bytes.NewReader(value(n, n+10))
			must(t, b.PutReader(key, rest, int64(n)))
			if rest.Len() != 10 {
				t.Errorf("%d bytes past the size were read", 10-rest.Len())
			}
			return nil
		})
		view(t, db, func(b *folio.Bucket) error {
			if !bytes.Equal(b.Get(fmt.Appendf(nil, "n%d", n)), value(n, n)) {
				t.Errorf("the value of %d bytes is another", n)
			}
			return nil
		})
		foliotest.MustCheck(t, db)
	}
	update(t, db, func(b *folio.Bucket) error {
		wants(t, "a negative size", b.PutReader([]byte("k"), strings.NewReader(""), -1), folio.ErrValueTooLarge)
		return nil
	})
}

// Open read transactions see what they saw when they began, whatever is written and freed.
func TestOpenReadersDoNotMove(t *testing.T) {
	for _, o := range []*folio.Options{nil, {Durability: folio.Deferred, FlushInterval: -1}, {DirtyLimit: 32 << 10}} {
		f := simfile.New(simfile.Options{PrivateMaps: true, MapAhead: 64 << 10})
		db, err := foliotest.Open(f, o)
		must(t, err)
		type reader struct {
			tx    *folio.Tx
			round int
		}
		var readers []reader
		content := func(tx *folio.Tx) (n, sum int) {
			for k, v := range tx.Bucket([]byte("b")).All() {
				n++
				sum += int(v[0])*len(v) + int(k[len(k)-1])
			}
			return n, sum
		}
		var want [][2]int
		for round := range 60 {
			update(t, db, func(b *folio.Bucket) error {
				for i := range 120 {
					k := foliotest.Key((i*7 + round*13) % 300)
					if (i+round)%3 == 0 {
						must(t, b.Delete(k))
					} else {
						must(t, b.Put(k, value(i+round, 1+(i*round)%900*(1+i%40/39*8))))
					}
				}
				return nil
			})
			tx, err := db.Begin(false)
			must(t, err)
			n, sum := content(tx)
			want = append(want, [2]int{n, sum})
			readers = append(readers, reader{tx, round})
			if round%10 == 9 {
				must(t, db.Sync())
			}
			for len(readers) > 8 { // ends one in the middle
				i := round % len(readers)
				must(t, readers[i].tx.Rollback())
				readers = append(readers[:i], readers[i+1:]...)
			}
			for _, r := range readers {
				if n, sum := content(r.tx); [2]int{n, sum} != want[r.round] {
					t.Fatalf("round %d: the reader of round %d sees something else", round, r.round)
				}
				for err := range r.tx.Check() {
					t.Fatalf("round %d: check of the reader of round %d: %v", round, r.round, err)
				}
			}
		}
		for _, r := range readers {
			must(t, r.tx.Rollback())
		}
		foliotest.MustClose(t, db)
		if f.OpenMaps() != 0 {
			t.Errorf("%d maps are left open", f.OpenMaps())
		}
	}
}
