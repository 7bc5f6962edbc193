package fuzz

import (
	"testing"

	"github.com/foliokv/folio"
	"github.com/foliokv/folio/internal/foliotest"
	"github.com/foliokv/folio/internal/model"
	"github.com/foliokv/folio/internal/simfile"
	"github.com/foliokv/folio/internal/workload"
	"github.com/foliokv/folio/mmapfile"
)

// Crashes where files are too large to open every image: some are drawn at every operation. A
// commit that flushes its pages before its meta, growth in large steps, a cut of the file.
func TestCrashLarge(t *testing.T) {
	for name, o := range map[string]folio.Options{"durable": {}, "deferred": deferred, "spilling": {DirtyLimit: 256 << 10}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &crashRun{
				crasher: &crasher{budget: 1 << 60}, kind: crashKind{name: name, opts: o}, depth: 2,
				h: workload.NewHistory(model.Empty()), seen: map[uint64]struct{}{}, seed: *seed, few: true,
			}
			r.ops = script(`
update
ensure w /k0
put w /k0 k0 v1*100
commit
update
load w /k0/k1 k0 v1*10 5
putreader w /k0 k1 v1*9000000
putreader w /k0 k2 v2*9000000
put w /k0 k3 v3*20
commit
update
load w /k0 k0 v1*10 5
delete w /k0 k1
put w /k0 k4 v4*3000
commit
sync
update
deleterange w /k0 - -
put w /k0 k5 v5*20
commit
update
put w /k0 k6 v6*20
commit
update
put w /k0 k7 v7*20
commit
sync
update
put w /k0 k8 v8*20000
commit
reopen
update
put w /k0 k9 v9*200
commit`)
			if err := r.run(); err != nil {
				t.Fatal(err)
			}
			if err := r.failed.Load(); err != nil {
				t.Fatal(*err)
			}
			t.Logf("%d images", r.images.Load())
		})
	}
}

// A file that was cut, by a transaction after many were deleted, is short.
func TestFileShrinks(t *testing.T) {
	if !mmapfile.CanReserve {
		t.Skip("a file that is mapped cannot be cut here")
	}
	f := simfile.New(simfile.Options{})
	db, err := foliotest.Open(f, nil)
	foliotest.Must(t, err)
	for _, size := range []int{30 << 20, 10, 20, 30} {
		foliotest.Must(t, db.Update(func(tx *folio.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			if err != nil {
				return err
			}
			return b.Put([]byte("k"), make([]byte, size))
		}))
	}
	if n, _ := f.Size(); n > 12<<20 {
		t.Errorf("the file still has %d bytes", n)
	}
	foliotest.MustClose(t, db)
}
