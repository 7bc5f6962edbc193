package folio_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/foliokv/folio"
	"github.com/foliokv/folio/internal/foliotest"
	"github.com/foliokv/folio/internal/simfile"
	"github.com/foliokv/folio/mmapfile"
)

// A trail collects events.
type trail struct {
	mu     sync.Mutex
	events []folio.Event
}

func (r *trail) add(e folio.Event) {
	r.mu.Lock()
	r.events = append(r.events, e)
	r.mu.Unlock()
}

// of returns the events of a type. The store must be closed, which waits for them.
func of[E folio.Event](r *trail) []E {
	var found []E
	for _, e := range r.events {
		if e, ok := e.(E); ok {
			found = append(found, e)
		}
	}
	return found
}

// No small commit of a Durable store makes more than a MiB of room ahead, however large the store is; Deferred ones,
// which nobody waits for, make up to four.
func TestStepsOfGrowth(t *testing.T) {
	if testing.Short() {
		t.Skip("runs without -short")
	}
	for _, of := range []struct {
		durability folio.Durability
		least      int64
		most       int64
	}{{folio.Durable, 1 << 19, 1 << 20}, {folio.Deferred, 1<<20 + 1, 4 << 20}} {
		db := open(t, &folio.Options{Durability: of.durability, FlushInterval: -1})
		fill(t, db, 40000, 1000)
		longest := int64(0)
		for i := range 2000 {
			before := db.Stats().FileSize
			update(t, db, func(b *folio.Bucket) error {
				return b.Put(foliotest.Key(i*7919%40000), value(i, 1000))
			})
			longest = max(longest, db.Stats().FileSize-before)
		}
		if longest < of.least || longest > of.most {
			t.Errorf("%v: a commit made the file longer by %d bytes", of.durability, longest)
		}
	}
}

// The steps of growth and shrinking lead from one size to the next up to the file's size.
func TestEventsGrowthAndShrinking(t *testing.T) {
	var r trail
	f := simfile.New(simfile.Options{})
	db, err := foliotest.Open(f, &folio.Options{OnEvent: r.add})
	must(t, err)
	size := db.Stats().FileSize
	fill(t, db, 100, 10)
	update(t, db, func(b *folio.Bucket) error { return b.Put([]byte("large"), value(1, 24<<20)) })
	update(t, db, func(b *folio.Bucket) error { return b.Delete([]byte("large")) })
	for i := range 12 {
		update(t, db, func(b *folio.Bucket) error { return b.Put([]byte("small"), value(i, 10)) })
	}
	end := db.Stats().FileSize
	foliotest.MustClose(t, db)
	for _, e := range r.events {
		from, to := int64(0), int64(0)
		switch e := e.(type) {
		case folio.EventGrown:
			from, to = e.From, e.To
			if from >= to {
				t.Errorf("growth from %d to %d", from, to)
			}
		case folio.EventShrunk:
			from, to = e.From, e.To
			if from <= to {
				t.Errorf("shrinking from %d to %d", from, to)
			}
		default:
			continue
		}
		if from != size {
			t.Errorf("%#v, the size was %d", e, size)
		}
		size = to
	}
	shrinks := mmapfile.CanReserve // elsewhere a mapped file cannot be cut
	if size != end || shrinks != (len(of[folio.EventShrunk](&r)) > 0) {
		t.Errorf("the trail ends with %d bytes, the file with %d: %#v", size, end, r.events)
	}
}

func TestEventSlowFlush(t *testing.T) {
	var slow, quick trail
	for r, limit := range map[*trail]time.Duration{&slow: -1, &quick: time.Hour} {
		db := open(t, &folio.Options{OnEvent: r.add, SlowFlush: limit})
		fill(t, db, 10, 10)
		txid := db.Stats().Txid
		foliotest.MustClose(t, db)
		events := of[folio.EventSlowFlush](r)
		switch {
		case r == &quick && len(events) > 0:
			t.Errorf("%v", events)
		case r == &slow && (len(events) != 1 || events[0].Txid != txid || events[0].Took < 0):
			t.Errorf("one flush, of txid %d: %v", txid, events)
		}
	}
}

// A state that is read for long is reported once, with where its readers began if asked for.
func TestEventLongReader(t *testing.T) {
	for _, traced := range []bool{false, true} {
		var r trail
		db := open(t, &folio.Options{OnEvent: r.add, LongReader: -1, TraceReaders: traced})
		fill(t, db, 1000, 100)
		before := time.Now()
		tx := beginHere(t, db)
		view(t, db, func(*folio.Bucket) error { return nil }) // ended: not to be reported
		must(t, db.Update(func(tx *folio.Tx) error { return tx.DeleteBucket([]byte("b")) }))
		for range 3 {
			fill(t, db, 10, 100)
		}
		s := db.Stats()
		if traced && (s.OldestAge < 0 || s.OldestAge > time.Since(before)) {
			t.Errorf("the reader is said to be %v old", s.OldestAge)
		}
		id := tx.ID()
		must(t, tx.Rollback())
		foliotest.MustClose(t, db)
		events := of[folio.EventLongReader](&r)
		if len(events) != 1 || events[0].Txid != id || events[0].Age < 0 || events[0].Retained < 1000*100 {
			t.Fatalf("traced %v: %+v", traced, events)
		}
		readers := events[0].Readers
		if !traced {
			if readers != nil {
				t.Errorf("not asked for: %v", readers)
			}
			continue
		}
		if len(readers) != 1 || !strings.Contains(readers[0].Stack, "beginHere") || readers[0].Since.Before(before) {
			t.Errorf("not where it began: %+v", readers)
		}
	}
}

func beginHere(t *testing.T, db *folio.DB) *folio.Tx {
	tx, err := db.Begin(false)
	must(t, err)
	return tx
}

func TestEventNoSpace(t *testing.T) {
	var r trail
	f := simfile.New(simfile.Options{Capacity: 1 << 20})
	db, err := foliotest.Open(f, &folio.Options{OnEvent: r.add})
	must(t, err)
	fill(t, db, 10, 10)
	overfill := func() {
		err := db.Update(func(tx *folio.Tx) error {
			b := tx.Bucket([]byte("b"))
			for i := range 100 {
				if err := b.Put(foliotest.Key(i), value(i, 20000)); err != nil {
					return err
				}
			}
			return nil
		})
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("2 MB on a disk of 1 MiB: %v", err)
		}
	}
	overfill()
	overfill() // nothing new
	f.SetCapacity(4 << 20)
	fill(t, db, 100, 20000)
	f.SetCapacity(1 << 20)
	foliotest.MustClose(t, db)
	if events := of[folio.EventNoSpace](&r); len(events) != 1 || !errors.Is(events[0].Err, syscall.ENOSPC) {
		t.Errorf("%v", events)
	}
}

func TestEventLatched(t *testing.T) {
	var r trail
	f := simfile.New(simfile.Options{})
	db, err := foliotest.Open(f, &folio.Options{OnEvent: r.add})
	must(t, err)
	fill(t, db, 10, 10)
	durable := db.Stats().DurableTxid
	f.Fail(simfile.Fault{Kind: simfile.SyncBegin})
	failed := db.Update(func(tx *folio.Tx) error { return tx.Bucket([]byte("b")).Put([]byte("k"), nil) })
	if failed == nil {
		t.Fatal("a commit whose flush failed succeeds")
	}
	if err := db.Close(); err == nil {
		t.Error("a latched store closes without an error")
	}
	events := of[folio.EventLatched](&r)
	if len(events) != 1 || events[0].DurableTxid != durable || !errors.Is(events[0].Err, syscall.EIO) {
		t.Errorf("%v", events)
	}
}

// The function may use the store.
func TestEventFunctionWrites(t *testing.T) {
	var db *folio.DB
	var once sync.Once
	ready, wrote := make(chan struct{}), make(chan error, 1)
	db = open(t, &folio.Options{SlowFlush: -1, OnEvent: func(e folio.Event) {
		if _, slow := e.(folio.EventSlowFlush); slow {
			once.Do(func() {
				<-ready
				wrote <- db.Update(func(tx *folio.Tx) error {
					return tx.Bucket([]byte("b")).Put([]byte("event"), []byte("seen"))
				})
			})
		}
	}})
	fill(t, db, 10, 10)
	close(ready)
	must(t, <-wrote)
	view(t, db, func(b *folio.Bucket) error {
		if b.Get([]byte("event")) == nil {
			t.Error("what the function wrote is not there")
		}
		return nil
	})
}

// A function that does not keep up costs events, not memory and not commits.
func TestEventsAreDropped(t *testing.T) {
	var n int
	hold := make(chan struct{})
	db := open(t, &folio.Options{SlowFlush: -1, OnEvent: func(folio.Event) { <-hold; n++ }})
	for range 400 {
		fill(t, db, 1, 1)
	}
	close(hold)
	foliotest.MustClose(t, db)
	if n < 256 || n > 260 {
		t.Errorf("%d events were delivered", n)
	}
}

func TestLogEvents(t *testing.T) {
	var out bytes.Buffer
	log := folio.LogEvents(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})))
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, e := range []folio.Event{
		folio.EventGrown{From: 1, To: 2},
		folio.EventShrunk{From: 2, To: 1},
		folio.EventSlowFlush{Took: time.Second, Txid: 3},
		folio.EventLongReader{Txid: 3, Age: time.Minute, Retained: 4096},
		folio.EventLongReader{Txid: 3, Age: time.Minute, Readers: []folio.ReaderTrace{{Since: began, Stack: "main.f\n"}}},
		folio.EventNoSpace{Err: syscall.ENOSPC},
		folio.EventHandlerWait{Txid: 7, Running: 6},
		folio.EventLatched{Err: syscall.EIO, DurableTxid: 9},
	} {
		log(e)
	}
	want := `level=INFO msg="folio: the file has grown" from=1 to=2
level=INFO msg="folio: the file has shrunk" from=2 to=1
level=WARN msg="folio: slow flush" took=1s txid=3
level=WARN msg="folio: an old state is being read" txid=3 age=1m0s retained=4096
level=WARN msg="folio: an old state is being read" txid=3 age=1m0s retained=0 reader.since=2026-01-02T03:04:05.000Z reader.stack="main.f\n"
level=ERROR msg="folio: no space to grow" err="` + syscall.ENOSPC.Error() + `"
level=WARN msg="folio: commit handlers wait" txid=7 running=6
level=ERROR msg="folio: latched" err="` + syscall.EIO.Error() + `" durable=9
`
	if out.String() != want {
		t.Errorf("the log is\n%s", out.String())
	}
}
