package fuzz

import (
	"flag"
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/foliokv/folio"
	"github.com/foliokv/folio/internal/foliotest"
	"github.com/foliokv/folio/internal/model"
	"github.com/foliokv/folio/internal/simfile"
	"github.com/foliokv/folio/internal/workload"
)

// The crash test runs workloads on a simulated file and, before every operation on the file,
// makes every image that a power loss may leave there. Each is opened, must show the state of
// the last acknowledged transaction or of one begun later, whole, must pass Check, and must
// take writes. Some images begin a run of their own, so that there are crashes in recovery and
// in what follows it.

func TestCrash(t *testing.T) {
	c := &crasher{budget: int64(*images)}
	if c.budget == 0 {
		c.budget = defaultImages()
	}
	c.exhaustive = slices.Collect(workload.Exhaustive(2))
	// Little is live and much is garbage, most of it buffers that the collector's coming empties
	// the pools of.
	defer debug.SetGCPercent(debug.SetGCPercent(800))
	begun := time.Now()
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(c.work)
	}
	wg.Wait()
	t.Logf("seed %d: %d distinct crash images at %d operations on the file, %d workloads, "+
		"%d of them run after a crash, and %d killed processes; %.0f s",
		*seed, c.images.Load(), c.points.Load(), c.runs.Load(), c.again.Load(), c.kills.Load(), time.Since(begun).Seconds())
	if err := c.failed.Load(); err != nil {
		t.Fatal(*err)
	}
}

// defaultImages is how many images are opened: most when the test was asked for by name.
func defaultImages() int64 {
	switch {
	case testing.Short():
		return 20_000
	case !named():
		return 70_000
	}
	return 200_000
}

// named tells whether tests were asked for by name, and not all.
func named() bool { return flag.Lookup("test.run").Value.String() != "" }

// A crasher shares out the budget of images to workloads, and counts.
type crasher struct {
	budget     int64
	exhaustive [][]workload.Op
	next       atomic.Uint64 // the workload to run next
	opened     sync.Map      // hashes of images
	images     atomic.Int64  // in opened
	points     atomic.Int64  // operations at which images were made
	runs       atomic.Int64
	again      atomic.Int64
	kills      atomic.Int64
	failed     atomic.Pointer[error]
}

func (c *crasher) done() bool { return c.images.Load() >= c.budget || c.failed.Load() != nil }

func (c *crasher) fail(err error) { c.failed.CompareAndSwap(nil, &err) }

// work runs workloads until the budget is spent: in turn one of each kind.
func (c *crasher) work() {
	for !c.done() {
		i := c.next.Add(1) - 1
		n := uint64(len(crashKinds))
		r := c.newRun(crashKinds[i%n], *seed+i/n)
		if err := r.run(); err != nil {
			c.fail(r.explain(err))
		}
	}
}

// A crashKind is a way to use the store that reaches operations others do not.
type crashKind struct {
	name    string
	opts    folio.Options
	profile workload.Profile
	ops     int                                  // length of the workload
	lists   bool                                 // workloads are short lists, each once
	kill    bool                                 // the process is killed, and the machine later
	prepare func() (image []byte, s model.State) // what the store holds before; nil: nothing
}

var deferred = folio.Options{Durability: folio.Deferred, FlushInterval: -1}

var crashKinds = []crashKind{
	{name: "exhaustive", profile: workload.Tiny, lists: true},
	{name: "tiny", profile: workload.Tiny, ops: 60},
	{name: "mixed", profile: workload.Mixed, ops: 50},
	{name: "deletes", profile: workload.DeleteHeavy, ops: 60},
	{name: "nested", profile: workload.Nested, ops: 60},
	{name: "values", profile: workload.BigValues, ops: 20},
	{name: "deferred", profile: workload.Tiny, ops: 80, opts: deferred},
	{name: "deferred, flushed in the background", profile: workload.Mixed, ops: 60,
		opts: folio.Options{Durability: folio.Deferred, FlushInterval: -1, FlushBytes: 40 << 10}},
	{name: "spilling", profile: workload.DeleteHeavy, ops: 50, opts: folio.Options{DirtyLimit: 32 << 10}},
	{name: "killed", profile: workload.Tiny, ops: 60, kill: true},
	{name: "free log", profile: workload.Tiny, ops: 30, prepare: longFreeLog},
}

// A crashRun is one workload under the crasher.
type crashRun struct {
	*crasher
	kind  crashKind
	seed  uint64
	depth int    // crashes before this run
	where string // for messages: those crashes
	from  int    // the first operation at which images are made
	few   bool   // only some images at each operation
	ops   []workload.Op
	h     *workload.History
	f     *simfile.File

	mu    sync.Mutex // guards what follows: a flush in the background meets the writer here
	seen  map[uint64]struct{}
	acked int // acknowledged when seen was empty
}

func (c *crasher) newRun(k crashKind, s uint64) *crashRun {
	r := &crashRun{crasher: c, kind: k, seed: s, h: workload.NewHistory(model.Empty()), seen: map[uint64]struct{}{}}
	if k.lists {
		r.ops = c.exhaustive[s%uint64(len(c.exhaustive))]
	} else {
		r.ops = workload.Generate(s, k.ops, k.profile)
	}
	return r
}

func (r *crashRun) explain(err error) error {
	return fmt.Errorf("%s, seed %d%s: %w\n%s", r.kind.name, r.seed, r.where, err, workload.Format(r.ops))
}

// run runs the workload, on a new file or on what a crash or the preparation left.
func (r *crashRun) run() error {
	r.runs.Add(1)
	o := r.redo(simfile.Options{Seed: r.seed, OnOp: r.crashHere, Direct: r.seed%2 == 1})
	switch {
	case r.f != nil: // after a crash
		f := r.f
		r.f = f.Kill(o)
		f.Release()
	case r.kind.prepare != nil:
		image, s := r.kind.prepare()
		r.f = simfile.FromImage(image, o)
		r.h.Reset(s)
	default:
		r.f = simfile.New(o)
	}
	defer func() { r.f.Release() }()
	db, err := r.open()
	if err != nil {
		return err
	}
	found, err := r.match(db)
	if err != nil {
		return err
	}
	r.h.Reset(found)
	return r.runOn(db, found, o)
}

// runOn runs the workload on an open store, and looks what the last close has left.
func (r *crashRun) runOn(db *folio.DB, s model.State, o simfile.Options) error {
	c := workload.Config{State: s, History: r.h, Errors: foliotest.Errors, Deferred: r.kind.opts.Durability == folio.Deferred}
	c.Open = func() (workload.Store, error) {
		if db == nil {
			f := r.f
			r.f = f.Kill(o)
			f.Release()
			var err error
			if db, err = r.open(); err != nil {
				return nil, err
			}
		}
		s := workload.Adapt(db)
		db = nil
		return s, nil
	}
	if err := workload.Run(c, r.ops); err != nil {
		return err
	}
	r.crashHere(r.f.Ops(), simfile.Op{})
	return nil
}

// redo says when the stores of the run have a redo log: some at once, some later, some never.
func (r *crashRun) redo(o simfile.Options) simfile.Options {
	if n := r.seed / 2 % 4; n > 0 {
		o.RedoBytes, o.RedoAfter = int64(n)*8<<10, int(n-1)*2
	}
	return o
}

func (r *crashRun) open() (*folio.DB, error) {
	o := r.kind.opts
	return foliotest.Open(r.f, &o)
}

// match returns the allowed state that the store is in, and checks it.
func (r *crashRun) match(db *folio.DB) (found model.State, err error) {
	if err := foliotest.Check(db); err != nil {
		return found, fmt.Errorf("check: %w", err)
	}
	err = db.View(func(tx *folio.Tx) error {
		found, err = r.h.Match(workload.AdaptTx(tx))
		return err
	})
	return found, err
}

// crashHere is called before every operation on the file.
func (r *crashRun) crashHere(n int, op simfile.Op) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done() || n < r.from || r.few && n%16 != 0 && op.Kind == simfile.Write && op.Off >= 8192 {
		return
	}
	r.points.Add(1)
	if a := r.h.Acked(); a != r.acked { // an image that was good may be too old now
		clear(r.seen)
		r.acked = a
	}
	o := simfile.ImageOptions{Seed: r.seed + uint64(n), Seen: r.seen, Random: 6}
	if r.few {
		o.Random, o.Each = 1, 2
	}
	for img := range r.f.Images(o) {
		if _, known := r.opened.LoadOrStore(img.Hash, struct{}{}); !known {
			r.images.Add(1)
		}
		again := img.Hash%r.rarity() == 0
		f := simfile.FromImage(img.Bytes, r.redo(simfile.Options{MapAhead: 32 << 10, Untracked: !again, Direct: img.Hash>>32%2 == 1}))
		if err := r.survives(f, again); err != nil {
			r.fail(r.explain(fmt.Errorf("operation %d (%v), image %q: %w", n, op, img.Name, err)))
			return
		}
	}
	if r.kind.kill && r.depth == 0 {
		r.kills.Add(1)
		if err := r.survives(r.f.Kill(simfile.Options{Direct: n%2 == 1}), true); err != nil {
			r.fail(r.explain(fmt.Errorf("operation %d (%v), killed: %w", n, op, err)))
		}
	}
}

// rarity says which part of the images gets a run of its own.
func (r *crashRun) rarity() uint64 { return [...]uint64{300, 3000, 1 << 60}[r.depth] }

// survives opens what a crash left and looks whether it is in an allowed state and can be
// written to; if again is set it crashes meanwhile.
func (r *crashRun) survives(f *simfile.File, again bool) error {
	if again {
		r.again.Add(1)
		n := r.crasher.newRun(r.kind, r.seed)
		n.ops = afterCrash
		n.depth, n.where, n.f = r.depth+1, r.where+", crashed", f
		n.h = fork(r.h)
		return n.run()
	}
	defer f.Release()
	db, err := foliotest.Open(f, nil)
	if err != nil {
		return err
	}
	found, err := r.match(db)
	if err != nil {
		return err
	}
	s := workload.Adapt(db)
	c := workload.Config{State: found, Open: func() (workload.Store, error) { return s, nil }}
	return workload.Run(c, afterCrash[:4])
}

// fork returns a history that allows the same states.
func fork(h *workload.History) *workload.History {
	s := h.Allowed()
	n := workload.NewHistory(s[0])
	for _, s := range s[1:] {
		n.Begin(s)
	}
	return n
}

// What every image must take.
var afterCrash = script(`
update
ensure w /k1
put w /k1 k1 v9*600
commit
update
put w /k1 k2 v8*9000
delete w /k1 k1
commit
reopen`)

func script(s string) []workload.Op {
	ops, err := workload.Parse(s)
	if err != nil {
		panic(err) // the scripts are constants
	}
	return ops
}

// longFreeLog returns a store whose free log is about to be written anew.
var longFreeLog = sync.OnceValues(func() ([]byte, model.State) {
	f := simfile.New(simfile.Options{RedoBytes: 1, RedoAfter: math.MaxInt}) // each commit writes a meta
	db, err := foliotest.Open(f, nil)
	if err != nil {
		panic(err)
	}
	m := model.New()
	longest := 0
	for i := 0; ; i++ {
		before := f.Kill(simfile.Options{})
		state := m.State()
		key, v := foliotest.Key(i%7), workload.Value(i, 100+900*(i%13)).Bytes()
		put := func(b interface{ Put(k, v []byte) error }, err error) error {
			if err != nil {
				return err
			}
			return b.Put(key, v)
		}
		m.Update(func(tx *model.Tx) error { return put(tx.CreateBucketIfNotExists([]byte("k000"))) })
		err := db.Update(func(tx *folio.Tx) error { return put(tx.CreateBucketIfNotExists([]byte("k000"))) })
		if err != nil {
			panic(err)
		}
		n := logLength(f)
		if n < longest {
			db.Close()
			for img := range before.Images(simfile.ImageOptions{}) { // all is flushed: there is one
				return slices.Clone(img.Bytes), state
			}
		}
		longest = n
		before.Release()
	}
})
