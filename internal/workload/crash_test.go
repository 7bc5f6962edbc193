package workload_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/foliokv/folio/internal/backing"
	"github.com/foliokv/folio/internal/model"
	"github.com/foliokv/folio/internal/simfile"
	"github.com/foliokv/folio/internal/workload"
)

// A tape is a small store that keeps the crash tests' tools honest: every commit appends the
// whole state, with a checksum, and flushes. Its rules can be broken.
type tape struct {
	*model.DB
	f       backing.File
	end     int64
	latched error
	rules   broken
}

type broken struct{ noFlush, noChecksum, noFlushAtOpen, noLatch bool }

type tapeTx struct {
	*model.Tx
	t       *tape
	managed bool
}

func openTape(f backing.File, rules broken) (*tape, error) {
	t := &tape{f: f, rules: rules}
	if !rules.noFlushAtOpen {
		if err := f.SyncFull(); err != nil {
			return nil, err
		}
		if err := f.DropCache(0, 1<<40); err != nil {
			return nil, err
		}
	}
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	all := make([]byte, size)
	if n, err := f.ReadAt(all, 0); n < len(all) {
		return nil, err
	}
	t.DB = model.New()
	for p := t.record(all); p != nil; p = t.record(all) {
		t.end += int64(len(p)) + 12
		t.DB = model.New()
		if err := t.DB.Update(func(tx *model.Tx) error { return decode(p, tx) }); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// record returns the record at the end of what was read so far, nil if there is none.
func (t *tape) record(all []byte) []byte {
	all = all[t.end:]
	if len(all) < 12 {
		return nil
	}
	n := binary.LittleEndian.Uint32(all)
	if n == 0 || int(n) > len(all)-12 {
		return nil
	}
	p := all[12 : 12+n]
	if !t.rules.noChecksum && binary.LittleEndian.Uint64(all[4:]) != xxhash.Sum64(p) {
		return nil
	}
	return p
}

func (t *tape) Begin(writable bool) (*tapeTx, error) {
	tx, err := t.DB.Begin(writable)
	return &tapeTx{Tx: tx, t: t}, err
}

func (t *tape) View(fn func(*tapeTx) error) error {
	return t.DB.View(func(tx *model.Tx) error { return fn(&tapeTx{tx, t, true}) })
}

func (t *tape) Update(fn func(*tapeTx) error) error {
	tx, err := t.Begin(true)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}

func (t *tape) Close() error { return errors.Join(t.DB.Close(), t.f.Close()) }

func (tx *tapeTx) Commit() error {
	if err := tx.t.append(encode(nil, tx.Cursor(), tx.Bucket)); err != nil {
		tx.Rollback()
		return err
	}
	return tx.Tx.Commit()
}

func (t *tape) append(p []byte) error {
	if t.latched != nil {
		return t.latched
	}
	head := binary.LittleEndian.AppendUint32(nil, uint32(len(p)))
	head = binary.LittleEndian.AppendUint64(head, xxhash.Sum64(p))
	_, err := t.f.WriteVec([][]byte{head, p}, t.end)
	if err == nil && !t.rules.noFlush {
		err = t.f.SyncData()
	}
	if err != nil && !t.rules.noLatch {
		t.latched = err
		return err
	}
	t.end += int64(len(head) + len(p)) // without the latch the next record follows a lost one
	return err
}

// encode writes a bucket as pairs, nested buckets and a closing 'e'.
func encode(p []byte, c *model.Cursor, sub func([]byte) *model.Bucket) []byte {
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if v != nil {
			p = appendBytes(appendBytes(append(p, 'k'), k), v)
			continue
		}
		b := sub(k)
		p = binary.LittleEndian.AppendUint64(appendBytes(append(p, 'b'), k), b.Sequence())
		p = encode(p, b.Cursor(), b.Bucket)
	}
	return append(p, 'e')
}

func appendBytes(p, b []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(p, uint32(len(b))), b...)
}

var errDamaged = errors.New("damaged")

func decode(p []byte, tx *model.Tx) (err error) {
	defer func() {
		if recover() != nil { // a slice out of bounds
			err = errDamaged
		}
	}()
	r := reader{p}
	return r.bucket(nil, tx.CreateBucket)
}

type reader struct{ p []byte }

func (r *reader) take(n int) []byte {
	b := r.p[:n]
	r.p = r.p[n:]
	return b
}

func (r *reader) bytes() []byte { return r.take(int(binary.LittleEndian.Uint32(r.take(4)))) }

func (r *reader) bucket(b *model.Bucket, create func([]byte) (*model.Bucket, error)) error {
	for {
		switch r.take(1)[0] {
		case 'k':
			if err := b.Put(r.bytes(), r.bytes()); err != nil {
				return err
			}
		case 'b':
			sub, err := create(r.bytes())
			if err != nil {
				return err
			}
			sub.SetSequence(binary.LittleEndian.Uint64(r.take(8)))
			if err := r.bucket(sub, sub.CreateBucket); err != nil {
				return err
			}
		case 'e':
			return nil
		default:
			return errDamaged
		}
	}
}

// crash runs the operations and at each operation of the file opens every image.
func crash(rules broken, seed uint64, ops []workload.Op) (images int, err error) {
	h := workload.NewHistory(model.Empty())
	seen := map[uint64]struct{}{}
	f := simfile.New(simfile.Options{})
	hook := func(n int, op simfile.Op) {
		if op.Kind == simfile.SyncBegin { // what differs between two operations is in the log
			clear(seen)
		}
		for img := range f.Images(simfile.ImageOptions{Seed: seed + uint64(n), Seen: seen}) {
			images++
			g := simfile.FromImage(img.Bytes, simfile.Options{})
			if e := recovers(g, rules, h); e != nil && err == nil {
				err = fmt.Errorf("operation %d (%v), image %q: %w", n, op, img.Name, e)
			}
			g.Release()
		}
	}
	o := simfile.Options{OnOp: func(n int, op simfile.Op) { hook(n, op) }}
	f = simfile.New(o)
	open := func() (workload.Store, error) {
		f = f.Kill(o)
		t, err := openTape(f, rules)
		return workload.Adapt(t), err
	}
	if e := workload.Run(workload.Config{Open: open, History: h, Seed: seed}, ops); e != nil {
		return images, e
	}
	return images, err
}

// recovers opens a file and looks whether it is in an allowed state, and can be written to.
func recovers(f *simfile.File, rules broken, h *workload.History) error {
	t, err := openTape(f, rules)
	if err != nil {
		return err
	}
	s := workload.Adapt(t)
	var found model.State
	err = s.View(func(tx workload.Tx) (err error) {
		found, err = h.Match(tx)
		return err
	})
	if err != nil {
		return err
	}
	ops, _ := workload.Parse("update\nensure w /k1\nput w /k1 k1 v9*600\ncommit")
	return workload.Run(workload.Config{Open: func() (workload.Store, error) { return s, nil }, State: found}, ops)
}

func TestCrash(t *testing.T) {
	for _, c := range []struct {
		name  string
		rules broken
		holds bool
	}{
		{"all rules kept", broken{}, true},
		{"no flush", broken{noFlush: true}, false},
		{"no checksum", broken{noChecksum: true}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			images, failed := 0, 0
			for seed := range uint64(5) {
				n, err := crash(c.rules, seed, workload.Generate(seed, 60, workload.Tiny))
				images += n
				if err != nil {
					failed++
					if c.holds {
						t.Fatal(err)
					}
				}
			}
			t.Logf("%d images, %d of 5 runs failed", images, failed)
			if !c.holds && failed == 0 {
				t.Fatal("a store that loses data is not found out")
			}
		})
	}
}

// fault fails operation n of the file, and later ones too if always is set, then opens the file
// again, from what a killed process and a power loss leave.
func fault(rules broken, n int, x simfile.Fault, ops []workload.Op) (fired bool, err error) {
	h := workload.NewHistory(model.Empty())
	f := simfile.New(simfile.Options{Seed: uint64(n)})
	x.At = n
	f.Fail(x)
	opens := 0
	c := workload.Config{History: h, OnFault: func(error) {}, KeepOpen: true, Errors: sentinels}
	c.Open = func() (workload.Store, error) {
		if opens++; opens > 1 {
			fired = fired || f.Fired()
			f = f.Kill(simfile.Options{})
		}
		t, err := openTape(f, rules)
		return workload.Adapt(t), err
	}
	if err := workload.Run(c, ops); err != nil {
		return true, err
	}
	fired = fired || f.Fired()
	if err := recovers(f.Kill(simfile.Options{}), rules, h); err != nil {
		return fired, fmt.Errorf("after a kill: %w", err)
	}
	for img := range f.Images(simfile.ImageOptions{}) {
		if err := recovers(simfile.FromImage(img.Bytes, simfile.Options{}), rules, h); err != nil {
			return fired, fmt.Errorf("image %q: %w", img.Name, err)
		}
	}
	return fired, nil
}

var sentinels = map[string]error{
	"ErrTxNotWritable": model.ErrTxNotWritable, "ErrBucketNotFound": model.ErrBucketNotFound,
	"ErrBucketExists": model.ErrBucketExists, "ErrKeyRequired": model.ErrKeyRequired,
	"ErrIncompatibleValue": model.ErrIncompatibleValue, "ErrSameBuckets": model.ErrSameBuckets,
	"ErrSavepointClosed": model.ErrSavepointClosed, "ErrBucketNameRequired": model.ErrBucketNameRequired,
}

func TestFault(t *testing.T) {
	ops := workload.Generate(3, 120, workload.Tiny)
	for _, x := range []simfile.Fault{
		{}, {Always: true}, {Reach: simfile.Some}, {Reach: simfile.Some, Always: true}, {Reach: simfile.All},
	} {
		n, fired := 0, true
		for ; fired; n++ {
			var err error
			if fired, err = fault(broken{}, n, x, ops); err != nil {
				t.Fatalf("operation %d fails (%+v): %v", n, x, err)
			}
		}
		if n < 20 {
			t.Fatalf("only %d operations", n)
		}
	}
}

func TestFaultFindsAMissingLatch(t *testing.T) {
	ops, _ := workload.Parse("update\nensure w /k1\ncommit\nupdate\nput w /k1 k1 v1*9000\ncommit\n" +
		"update\nput w /k1 k2 v1*9000\ncommit\nreopen")
	for n, fired := 0, true; fired; n++ {
		var err error
		if fired, err = fault(broken{noLatch: true}, n, simfile.Fault{Kind: simfile.SyncEnd}, ops); err != nil {
			t.Logf("found: %.200s", err.Error())
			return
		}
	}
	t.Fatal("not found")
}
