package fuzz

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foliokv/folio"
	"github.com/foliokv/folio/internal/foliotest"
	"github.com/foliokv/folio/internal/model"
	"github.com/foliokv/folio/internal/simfile"
	"github.com/foliokv/folio/internal/workload"
)

// The fault test fails every operation of a workload in turn, once and from there on for ever,
// in each way that a disk has. Errors must come back, no answer may be wrong, and what was
// acknowledged must be there after the next open: of the killed process's cache, of what the
// kernel has left of it, and of what a power loss leaves.

var faults = []struct {
	name string
	simfile.Fault
}{
	{"EIO", simfile.Fault{}},
	{"EIO for ever", simfile.Fault{Always: true}},
	{"ENOSPC", simfile.Fault{Err: syscall.ENOSPC, Kind: simfile.Write}},
	{"ENOSPC for ever", simfile.Fault{Err: syscall.ENOSPC, Kind: simfile.Write, Always: true}},
	{"short write", simfile.Fault{Err: syscall.ENOSPC, Reach: simfile.Some}},
	{"short write for ever", simfile.Fault{Err: syscall.ENOSPC, Reach: simfile.Some, Always: true}},
	{"failure in spite of success", simfile.Fault{Reach: simfile.All}},
	{"failed flush", simfile.Fault{Kind: simfile.SyncEnd}},
	{"failed flush of a part", simfile.Fault{Kind: simfile.SyncEnd, Reach: simfile.Some}},
	{"failed read", simfile.Fault{Kind: simfile.Read}},
	{"failed read for ever", simfile.Fault{Kind: simfile.Read, Always: true}},
	{"failed map", simfile.Fault{Kind: simfile.Map, Err: syscall.ENOMEM}},
}

func TestFault(t *testing.T) {
	for _, p := range []struct {
		name string
		opts folio.Options
		prof workload.Profile
		ops  int
	}{
		{"tiny", folio.Options{}, workload.Tiny, 60},
		{"mixed", folio.Options{}, workload.Mixed, 40},
		{"spilling", folio.Options{DirtyLimit: 32 << 10}, workload.DeleteHeavy, 30},
		{"deferred", deferred, workload.Tiny, 80},
	} {
		for _, x := range faults {
			t.Run(p.name+"/"+x.name, func(t *testing.T) {
				t.Parallel()
				ops := workload.Generate(*seed, p.ops, p.prof)
				n := 0
				for fired := true; fired; n++ {
					var err error
					x.Fault.At = n
					if fired, err = runFault(t, p.opts, x.Fault, ops); err != nil {
						t.Fatalf("operation %d fails: %v", n, err)
					}
				}
				t.Logf("seed %d: %d operations failed", *seed, n-1)
			})
		}
	}
}

// runFault runs the operations with a fault, then opens the file again.
func runFault(t *testing.T, o folio.Options, x simfile.Fault, ops []workload.Op) (fired bool, err error) {
	h := workload.NewHistory(model.Empty())
	direct := x.At%2 == 1
	f := simfile.New(simfile.Options{Seed: uint64(x.At), MapAhead: 64 << 10, Direct: direct})
	f.Fail(x)
	defer func() { f.Release() }()
	var db *folio.DB
	opens := 0
	done := 0
	c := workload.Config{History: h, KeepOpen: true, Errors: foliotest.Errors,
		Deferred: o.Durability == folio.Deferred, OnFault: func(err error) { expectFault(t, err, x) }}
	c.Open = func() (workload.Store, error) {
		if opens++; opens > 1 {
			fired = fired || f.Fired()
			done += calls(f, x.Kind)
			old := f
			f = f.Kill(simfile.Options{MapAhead: 64 << 10, Direct: direct})
			old.Release()
			if !fired {
				later := x
				later.At -= done
				f.Fail(later)
			}
		}
		var err error
		if db, err = foliotest.Open(f, &o); err != nil {
			return nil, err
		}
		return unreadable{workload.Adapt(db)}, nil
	}
	if err := workload.Run(c, ops); err != nil {
		return true, err
	}
	if db != nil {
		within(t, "Close", func() { db.Close() }) // it may fail
	}
	fired = fired || f.Fired()
	return fired, survivesFault(f, h)
}

// calls returns how many operations there were that a fault of a kind counts.
func calls(f *simfile.File, k simfile.Kind) int {
	switch k {
	case simfile.Read:
		return f.Reads()
	case simfile.Map:
		return f.Maps()
	}
	return f.Ops()
}

// Check tells of pages that cannot be read, and is right: here that is no finding.
type (
	unreadable   struct{ workload.Store }
	unreadableTx struct{ workload.Tx }
)

func (s unreadable) View(fn func(workload.Tx) error) error {
	return s.Store.View(func(tx workload.Tx) error { return fn(unreadableTx{tx}) })
}

func (tx unreadableTx) Check() <-chan error {
	var found []error
	unread := false
	for err := range tx.Tx.Check() {
		found = append(found, err)
		unread = unread || strings.Contains(err.Error(), syscall.EIO.Error())
	}
	ch := make(chan error, len(found))
	defer close(ch)
	for _, err := range found {
		if !unread { // else what was not read seems lost
			ch <- err
		}
	}
	return ch
}

// expectFault ends the test if err is not what a fault may lead to.
func expectFault(t *testing.T, err error, x simfile.Fault) {
	var corrupt *folio.CorruptError
	want := x.Err
	if want == nil {
		want = syscall.EIO
	}
	if !errors.Is(err, want) && !errors.As(err, &corrupt) && !errors.Is(err, folio.ErrMaxSizeReached) {
		t.Errorf("a fault comes back as %v", err)
	}
}

// within runs fn and ends the test process's patience after a while.
func within(t *testing.T, what string, fn func()) {
	timer := time.AfterFunc(2*time.Minute, func() { panic(what + " hangs") })
	defer timer.Stop()
	fn()
}

// survivesFault opens what is left of the file in each of the ways.
func survivesFault(f *simfile.File, h *workload.History) error {
	r := &crashRun{crasher: &crasher{}, h: h, depth: 2}
	for _, direct := range []bool{false, true} {
		if err := r.survives(f.Kill(simfile.Options{Direct: direct}), false); err != nil {
			return fmt.Errorf("after a kill, with direct reads %v: %w", direct, err)
		}
	}
	evicted := f.Kill(simfile.Options{})
	evicted.Evict()
	if err := r.survives(evicted, false); err != nil {
		return fmt.Errorf("after a kill, with pages evicted: %w", err)
	}
	if err := r.survives(f.Kill(simfile.Options{KeepCache: true}), false); err != nil && f.Limbo() == 0 {
		return fmt.Errorf("after a kill, where the cache cannot be dropped: %w", err)
	}
	for img := range f.Images(simfile.ImageOptions{Random: 1, Each: 3}) {
		if err := r.survives(simfile.FromImage(img.Bytes, simfile.Options{}), false); err != nil {
			return fmt.Errorf("image %q: %w", img.Name, err)
		}
	}
	return nil
}

// After a failed flush every write returns its error, until the store is opened again; reads
// show the last durable state.
func TestFailedFlushLatches(t *testing.T) {
	for _, kind := range []simfile.Kind{simfile.SyncBegin, simfile.SyncEnd} {
		for _, reach := range []simfile.Reach{simfile.None, simfile.Some, simfile.All} {
			t.Run(fmt.Sprint(kind, reach), func(t *testing.T) {
				f := simfile.New(simfile.Options{})
				db, err := foliotest.Open(f, nil)
				foliotest.Must(t, err)
				put := func(v string) error {
					return db.Update(func(tx *folio.Tx) error {
						b, err := tx.CreateBucketIfNotExists([]byte("b"))
						if err != nil {
							return err
						}
						return b.Put([]byte("k"), []byte(v))
					})
				}
				foliotest.Must(t, put("old"))
				f.Fail(simfile.Fault{Kind: kind, Reach: reach})
				first := put("new")
				if !errors.Is(first, syscall.EIO) {
					t.Fatalf("a failed flush comes back as %v", first)
				}
				if err := put("newer"); !errors.Is(err, syscall.EIO) {
					t.Fatalf("a write after a failed flush gives %v", err)
				}
				if _, err := db.Begin(true); !errors.Is(err, syscall.EIO) {
					t.Fatalf("Begin after a failed flush gives %v", err)
				}
				if err := db.Sync(); !errors.Is(err, syscall.EIO) {
					t.Fatalf("Sync after a failed flush gives %v", err)
				}
				foliotest.Must(t, db.View(func(tx *folio.Tx) error {
					if v := tx.Bucket([]byte("b")).Get([]byte("k")); string(v) != "old" {
						t.Errorf("after a failed flush a reader sees %q", v)
					}
					return nil
				}))
				if err := db.Close(); !errors.Is(err, syscall.EIO) {
					t.Fatalf("Close after a failed flush gives %v", err)
				}
				db, err = foliotest.Open(f.Kill(simfile.Options{}), nil)
				foliotest.Must(t, err)
				foliotest.Must(t, put("newest"))
				foliotest.MustClose(t, db)
			})
		}
	}
}

// A failed write of pages fails its transaction only.
func TestFullDiskIsNotFatal(t *testing.T) {
	f := simfile.New(simfile.Options{Capacity: 2 << 20})
	db, err := foliotest.Open(f, nil)
	foliotest.Must(t, err)
	put := func(i, n int) error {
		return db.Update(func(tx *folio.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			if err != nil {
				return err
			}
			return b.Put(foliotest.Key(i), make([]byte, n))
		})
	}
	n := 0
	for err = nil; err == nil; n++ {
		err = put(n, 5000)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("a full disk comes back as %v", err)
	}
	foliotest.MustCheck(t, db)
	for i := range n - 1 { // deletes succeed all the same, one by one
		foliotest.Must(t, db.Update(func(tx *folio.Tx) error {
			return tx.Bucket([]byte("b")).Delete(foliotest.Key(i))
		}))
	}
	foliotest.Must(t, put(0, 5000))
	f.SetCapacity(0)
	foliotest.Must(t, put(1, 3<<20))
	foliotest.MustClose(t, db)
}
