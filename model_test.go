package folio_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/foliokv/folio"
	"github.com/foliokv/folio/internal/foliotest"
	"github.com/foliokv/folio/internal/model"
	"github.com/foliokv/folio/internal/simfile"
	"github.com/foliokv/folio/internal/testdir"
	"github.com/foliokv/folio/internal/workload"
)

// Random operations on a store and on the oracle give the same.

// A medium is what a store lies in: opener returns what opens one store again and again.
type medium struct {
	name   string
	opener func(t *testing.T, o *folio.Options) func() (*folio.DB, error)
	short  bool // it is gone when closed
}

var media = []medium{
	{name: "file", opener: func(t *testing.T, o *folio.Options) func() (*folio.DB, error) {
		path := filepath.Join(testdir.New(t), "store")
		return func() (*folio.DB, error) { return folio.Open(path, 0o600, o) }
	}},
	{name: "simulated", opener: func(t *testing.T, o *folio.Options) func() (*folio.DB, error) {
		f := simfile.New(simfile.Options{PrivateMaps: true, MapAhead: 64 << 10})
		return func() (*folio.DB, error) {
			if n := f.OpenMaps(); n > 0 {
				return nil, fmt.Errorf("%d maps are still open", n)
			}
			f = f.Kill(simfile.Options{PrivateMaps: true, MapAhead: 64 << 10})
			return foliotest.Open(f, o)
		}
	}},
	{name: "memory", short: true, opener: func(t *testing.T, o *folio.Options) func() (*folio.DB, error) {
		return func() (*folio.DB, error) { return folio.OpenMemory(o) }
	}},
}

func withoutReopen(ops []workload.Op) []workload.Op {
	var kept []workload.Op
	for _, op := range ops {
		if op.Kind != workload.Reopen {
			kept = append(kept, op)
		}
	}
	return kept
}

func TestModel(t *testing.T) {
	for _, m := range media {
		for _, size := range []int{4 << 10, 16 << 10, 64 << 10} {
			for _, p := range workload.Profiles {
				t.Run(fmt.Sprintf("%s/%dK/%s", m.name, size>>10, p.Name), func(t *testing.T) {
					t.Parallel()
					for s := range uint64(*folio.Rounds) {
						runModel(t, m, &folio.Options{PageSize: size, Verify: folio.Verify(s % 2)}, *folio.Seed+s, p)
					}
				})
			}
		}
	}
}

func runModel(t *testing.T, m medium, o *folio.Options, seed uint64, p workload.Profile) {
	t.Helper()
	n := 800
	if p.Name == workload.BigValues.Name {
		n = 300
	}
	ops := workload.Generate(seed, n, p)
	if m.short {
		ops = withoutReopen(ops)
	}
	c := workload.Config{Errors: foliotest.Errors, CheckAll: seed%3 == 0, Seed: seed}
	c.Open = foliotest.Opener(m.opener(t, o))
	if err := workload.Run(c, ops); err != nil {
		t.Fatal(err)
	}
}

// Deferred transactions show the same to this process as durable ones.
func TestModelDeferred(t *testing.T) {
	for _, p := range workload.Profiles {
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			for s := range uint64(2 * *folio.Rounds) {
				o := &folio.Options{Durability: folio.Deferred, FlushInterval: []time.Duration{-1, time.Millisecond}[s%2], FlushBytes: []int64{0, 20000}[s/2%2]}
				runModel(t, media[1], o, *folio.Seed+s, p)
			}
		})
	}
}

// A dirty limit of a few pages makes every transaction write early.
func TestModelSpilling(t *testing.T) {
	for _, p := range workload.Profiles {
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			for s := range uint64(2 * *folio.Rounds) {
				runModel(t, media[s%2], &folio.Options{DirtyLimit: 40 << 10}, *folio.Seed+s, p)
			}
		})
	}
}

// Every list of a few steps, on the shortest way to each corner of the code.
func TestModelExhaustive(t *testing.T) {
	steps := min(2**folio.Rounds-1, 3)
	n := 0
	for ops := range workload.Exhaustive(steps) {
		n++
		f := simfile.New(simfile.Options{})
		db, err := foliotest.Open(f, nil)
		must(t, err)
		c := workload.Config{Errors: foliotest.Errors, CheckAll: true, State: model.Empty()}
		c.Open = func() (workload.Store, error) { return workload.Adapt(db), nil }
		if err := workload.Run(c, ops); err != nil {
			t.Fatal(err)
		}
		f.Release()
	}
	t.Logf("%d lists", n)
}
