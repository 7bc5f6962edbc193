package fuzz

import (
	"testing"
	"time"

	"github.com/foliokv/folio"
	"github.com/foliokv/folio/internal/foliotest"
	"github.com/foliokv/folio/internal/model"
	"github.com/foliokv/folio/internal/simfile"
	"github.com/foliokv/folio/internal/workload"
)

// options are ways to use a store that lists of operations are run in.
var options = []folio.Options{
	{}, {PageSize: 16 << 10}, {DirtyLimit: 32 << 10}, {Verify: folio.VerifyAlways},
	{Durability: folio.Deferred, FlushInterval: -1},
	{Durability: folio.Deferred, FlushInterval: -1, FlushBytes: 20 << 10, DirtyLimit: 32 << 10},
}

// runOps runs a list on a store and on the oracle.
func runOps(ops []workload.Op, o folio.Options) error {
	timer := time.AfterFunc(2*time.Minute, func() { panic("hangs:\n" + workload.Format(ops)) })
	defer timer.Stop()
	f := simfile.New(simfile.Options{PrivateMaps: true, MapAhead: 32 << 10})
	c := workload.Config{Errors: foliotest.Errors, CheckAll: true}
	c.Open = foliotest.Opener(func() (*folio.DB, error) {
		old := f
		f = f.Kill(simfile.Options{PrivateMaps: true, MapAhead: 32 << 10})
		old.Release()
		return foliotest.Open(f, &o)
	})
	defer func() { f.Release() }()
	return workload.Run(c, ops)
}

// failShort ends the test with a shortest part of the list for which run fails.
func failShort(t *testing.T, ops []workload.Op, err error, run func([]workload.Op) error) {
	until := time.Now().Add(20 * time.Second)
	ops = workload.Shrink(ops, func(part []workload.Op) bool { return time.Now().Before(until) && run(part) != nil })
	t.Fatalf("%v\nThe shortest list that fails:\n%s%v", err, workload.Format(ops), run(ops))
}

// The first byte chooses the options, the second the profile, the others the operations.
func FuzzOps(f *testing.F) {
	f.Add([]byte("\x00\x00some operations"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < 2 || len(data) > 1000 {
			return
		}
		o := options[int(data[0])%len(options)]
		ops := workload.DecodeAny(data[1:])
		run := func(ops []workload.Op) error { return runOps(ops, o) }
		if err := run(ops); err != nil {
			failShort(t, ops, err, run)
		}
	})
}

// Eight cursors over one bucket, while it is changed in every way. Two bytes make an operation.
func FuzzCursor(f *testing.F) {
	f.Add([]byte("\x00\x00cursors"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < 2 || len(data) > 600 {
			return
		}
		o := options[int(data[0])%len(options)]
		ops := cursorOps(data[1:])
		run := func(ops []workload.Op) error { return runOps(ops, o) }
		if err := run(ops); err != nil {
			failShort(t, ops, err, run)
		}
	})
}

func cursorOps(data []byte) []workload.Op {
	path := workload.Path{workload.Key(0, 0)}
	ops := []workload.Op{{Kind: workload.Update}, {Kind: workload.Ensure, Path: path},
		{Kind: workload.Load, Path: path, Key: workload.Key(0, 0), Value: workload.Value(1, int(data[0])*3), N: int(data[0]) * 2}}
	for n := range 8 {
		ops = append(ops, workload.Op{Kind: workload.Cursors, Path: path, N: n})
	}
	kinds := []workload.Kind{workload.First, workload.Last, workload.Next, workload.Next, workload.Next, workload.Prev,
		workload.Prev, workload.Prev, workload.Seek, workload.Seek, workload.Remove, workload.Remove,
		workload.Put, workload.Put, workload.Delete, workload.DeleteRange, workload.Save, workload.Undo, workload.Release, workload.Scatter}
	saves := 0
	for data = data[1:]; len(data) >= 2; data = data[2:] {
		k := kinds[int(data[0])%len(kinds)]
		op := workload.Op{Kind: k, N: int(data[1]) % 8, Path: path, Key: workload.Key(int(data[1])*2+int(data[0])/128, 0)}
		switch k {
		case workload.Put:
			op.Value = workload.Value(3, int(data[0])*9)
		case workload.DeleteRange:
			op.Hi = workload.Key(op.Key.ID+int(data[0])/8, 0)
		case workload.Save:
			saves++
		case workload.Undo, workload.Release:
			op.N = saves - 1 - int(data[1])%3
		case workload.Scatter:
			op.N, op.Key, op.Value = 2+int(data[1])%30, workload.Literal("x"), workload.Value(4, 50)
		}
		ops = append(ops, op)
	}
	return append(ops, workload.Op{Kind: workload.All, Path: path}, workload.Op{Kind: workload.Commit})
}

// The first byte chooses the kind of workload, the second where crashes begin, the others the
// operations.
func FuzzCrash(f *testing.F) {
	f.Add([]byte("\x01\x00some operations"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < 2 || len(data) > 300 {
			return
		}
		k := crashKinds[int(data[0])%len(crashKinds)]
		if k.lists || k.prepare != nil {
			return
		}
		ops := workload.Decode(data[2:], k.profile)
		run := func(ops []workload.Op) error {
			c := &crasher{budget: 150}
			r := &crashRun{crasher: c, kind: k, seed: uint64(data[1]), from: int(data[1]), ops: ops,
				h: workload.NewHistory(model.Empty()), seen: map[uint64]struct{}{}}
			err := r.run()
			if failed := c.failed.Load(); failed != nil {
				err = *failed
			}
			return err
		}
		if err := run(ops); err != nil {
			failShort(t, ops, err, run)
		}
	})
}
