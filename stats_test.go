package folio_test

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/foliokv/folio"
	"github.com/foliokv/folio/internal/foliotest"
	"github.com/foliokv/folio/internal/simfile"
)

// accounted tells what does not add up in the figures of a store at rest.
func accounted(t *testing.T, s folio.Stats) {
	t.Helper()
	if s.WriteBeginN != s.WriteTxN+s.RollbackN {
		t.Errorf("%d write transactions begun, %d committed, %d rolled back", s.WriteBeginN, s.WriteTxN, s.RollbackN)
	}
	if n := 2 + s.DataPageN + s.FreeLogPageN + s.FreePageN + s.PendingPageN; s.PageN != n || s.DataPageN < 0 {
		t.Errorf("%d pages, by kind %d: %+v", s.PageN, n, s)
	}
	if s.FlushTime.N() != s.FlushN {
		t.Errorf("%d flushes, %d were timed", s.FlushN, s.FlushTime.N())
	}
	if int64(s.WriteBeginN) < s.GroupSize.Sum || s.GroupSize.N() > s.SealN {
		t.Errorf("%d transactions begun, %d seals, groups %+v", s.WriteBeginN, s.SealN, s.GroupSize)
	}
}

func TestStatsCountTransactions(t *testing.T) {
	db := open(t, nil)
	fill(t, db, 100, 10)
	failed := errors.New("failed")
	if err := db.Update(func(*folio.Tx) error { return failed }); err != failed {
		t.Fatal(err)
	}
	func() {
		defer func() { recover() }()
		db.Update(func(*folio.Tx) error { panic("it") })
	}()
	must(t, db.Update(func(*folio.Tx) error { return nil })) // changes nothing
	tx, err := db.Begin(true)
	must(t, err)
	if s := db.Stats(); s.WriteBeginN != 5 || s.WriteTxN != 2 || s.RollbackN != 2 {
		t.Errorf("with one open: %d begun, %d committed, %d rolled back", s.WriteBeginN, s.WriteTxN, s.RollbackN)
	}
	must(t, tx.Rollback())
	view(t, db, func(*folio.Bucket) error { return nil })
	s := db.Stats()
	accounted(t, s)
	if s.WriteBeginN != 5 || s.WriteTxN != 2 || s.TxN != 1 || s.OpenTxN != 0 {
		t.Errorf("%+v", s)
	}
}

// Transactions whose group cannot be written, or whose flush fails, are rolled back.
func TestStatsCountFailedCommits(t *testing.T) {
	f := simfile.New(simfile.Options{})
	db, err := foliotest.Open(f, nil)
	must(t, err)
	fill(t, db, 10, 10)
	for _, kind := range []simfile.Kind{simfile.Write, simfile.SyncBegin} {
		before := db.Stats()
		f.Fail(simfile.Fault{Kind: kind})
		if err := db.Update(func(tx *folio.Tx) error { return tx.Bucket([]byte("b")).Put([]byte("k"), nil) }); err == nil {
			t.Fatalf("a commit whose %v fails succeeds", kind)
		}
		f.Heal()
		s := db.Stats()
		accounted(t, s)
		if s.RollbackN != before.RollbackN+1 || s.WriteTxN != before.WriteTxN {
			t.Errorf("%v: %+v", kind, s)
		}
	}
	if err := db.Close(); err == nil {
		t.Error("a latched store closes without an error")
	}
}

// Every byte that goes to the file while the store is open is counted.
func TestStatsBytesWritten(t *testing.T) {
	for _, durability := range []folio.Durability{folio.Durable, folio.Deferred} {
		var mu sync.Mutex
		var wrote int64
		f := simfile.New(simfile.Options{OnOp: func(_ int, op simfile.Op) {
			if op.Kind == simfile.Write {
				mu.Lock()
				wrote += op.Len
				mu.Unlock()
			}
		}})
		db, err := foliotest.Open(f, &folio.Options{Durability: durability, DirtyLimit: 64 << 10})
		must(t, err)
		wrote = 0
		fill(t, db, 3000, 100)
		fill(t, db, 10, 5000)
		update(t, db, func(b *folio.Bucket) error { return b.Put([]byte("large"), value(1, 2<<20)) })
		must(t, db.Sync())
		s := db.Stats()
		accounted(t, s)
		mu.Lock()
		if s.BytesWritten != wrote {
			t.Errorf("%d bytes written, %d counted: %+v", wrote, s.BytesWritten, s.Written)
		}
		mu.Unlock()
		w := s.Written
		for _, n := range []int64{w.Meta, w.Branch, w.Leaf, w.Extent, w.FreeLog, w.Ahead} {
			if n == 0 {
				t.Errorf("a kind of page was never written: %+v", w)
			}
		}
		foliotest.MustClose(t, db)
	}
}

// Members of a group are counted where they are sealed together.
func TestStatsGroupSizes(t *testing.T) {
	held, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	armed := false
	f := simfile.New(simfile.Options{OnOp: func(_ int, op simfile.Op) {
		if op.Kind == simfile.SyncEnd && armed {
			once.Do(func() { close(held); <-release })
		}
	}})
	db, err := foliotest.Open(f, nil)
	must(t, err)
	fill(t, db, 1, 1)
	armed = true
	const n = 3 // more might be sealed in two parts
	var wg sync.WaitGroup
	put := func(i int) {
		wg.Go(func() {
			if err := db.Update(func(tx *folio.Tx) error {
				return tx.Bucket([]byte("b")).Put(foliotest.Key(i), nil)
			}); err != nil {
				t.Error(err)
			}
		})
	}
	put(0)
	<-held
	for i := range n {
		put(1 + i)
	}
	for db.Stats().WriteBeginN < 2+n || !idle(db) {
		time.Sleep(time.Millisecond)
	}
	close(release)
	wg.Wait()
	s := db.Stats()
	accounted(t, s)
	if s.GroupSize.Max != n || s.GroupSize.Counts[2] != 1 {
		t.Errorf("a group of %d is not among %+v", n, s.GroupSize)
	}
	foliotest.MustClose(t, db)
}

// idle tells whether the writer's turn is free.
func idle(db *folio.DB) bool {
	tx, err := db.Begin(true)
	return err == nil && tx.Rollback() == nil
}

func TestStatsOldestReader(t *testing.T) {
	db := open(t, nil)
	fill(t, db, 2000, 100)
	tx, err := db.Begin(false)
	must(t, err)
	if s := db.Stats(); s.OldestTxid != tx.ID() || s.OldestAge != 0 || s.OldestBytes != 0 {
		t.Errorf("a reader of the newest state: %d of %v that retains %d bytes", s.OldestTxid, s.OldestAge, s.OldestBytes)
	}
	must(t, db.Update(func(tx *folio.Tx) error { return tx.DeleteBucket([]byte("b")) }))
	young, err := db.Begin(false)
	must(t, err)
	defer young.Rollback()
	s := db.Stats()
	if s.OldestTxid != tx.ID() || s.OldestAge < 0 || s.OldestBytes < 2000*100 {
		t.Errorf("a reader of an old state: %d of %v that retains %d bytes", s.OldestTxid, s.OldestAge, s.OldestBytes)
	}
	if s.OldestBytes != int64(s.PendingPageN)*4096 {
		t.Errorf("it retains %d bytes, %d pages wait", s.OldestBytes, s.PendingPageN)
	}
	must(t, tx.Rollback())
	if s := db.Stats(); s.OldestTxid != young.ID() || s.OldestAge != 0 || s.OldestBytes != 0 {
		t.Errorf("when it has ended: %d of %v that retains %d bytes", s.OldestTxid, s.OldestAge, s.OldestBytes)
	}
}

func TestHistogramQuantiles(t *testing.T) {
	h := folio.Histogram{Sum: 1106, Max: 1000}
	if n := (folio.Histogram{}).Quantile(0.5); n != 0 {
		t.Errorf("median of nothing: %d", n)
	}
	h.Counts[0], h.Counts[1], h.Counts[3], h.Counts[7], h.Counts[10] = 1, 1, 1, 1, 1 // 0, 1, 5, 100, 1000
	if h.N() != 5 {
		t.Errorf("%d values", h.N())
	}
	var got []int64
	for _, q := range []float64{0, 0.2, 0.4, 0.5, 0.8, 0.81, 1} {
		got = append(got, h.Quantile(q))
	}
	if want := []int64{0, 0, 1, 7, 127, 1000, 1000}; !slices.Equal(got, want) {
		t.Errorf("quantiles %v, not %v", got, want)
	}
}
