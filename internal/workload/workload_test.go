package workload

import (
	"errors"
	"flag"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/foliokv/folio/internal/model"
)

var seed = flag.Uint64("seed", 1, "first seed of the random tests")

var sentinels = map[string]error{
	"ErrTxNotWritable": model.ErrTxNotWritable, "ErrBucketNotFound": model.ErrBucketNotFound,
	"ErrBucketExists": model.ErrBucketExists, "ErrBucketNameRequired": model.ErrBucketNameRequired,
	"ErrKeyRequired": model.ErrKeyRequired, "ErrKeyTooLarge": model.ErrKeyTooLarge,
	"ErrIncompatibleValue": model.ErrIncompatibleValue, "ErrSameBuckets": model.ErrSameBuckets,
	"ErrSavepointClosed": model.ErrSavepointClosed,
}

// onModel opens a model in the place of the store; it keeps its state from open to open.
func onModel() func() (Store, error) {
	db := model.New()
	return func() (Store, error) {
		db = model.FromState(db.State())
		return Adapt(db), nil
	}
}

func TestModelAgainstModel(t *testing.T) {
	for _, p := range Profiles {
		t.Run(p.Name, func(t *testing.T) {
			for s := range uint64(10) {
				ops := Generate(*seed+s, 500, p)
				err := Run(Config{Open: onModel(), Errors: sentinels, CheckAll: s%3 == 0, Seed: *seed + s}, ops)
				if err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// The generated lists reach what they are for: most operations find their bucket, and every
// kind and every error occurs.
func TestGeneratedListsAreSensible(t *testing.T) {
	seen := map[Kind]int{}
	for _, p := range Profiles {
		for s := range uint64(10) {
			for _, op := range Generate(*seed+s, 1000, p) {
				seen[op.Kind]++
			}
		}
	}
	for k := range kinds {
		if seen[k] == 0 && k != Check {
			t.Errorf("no %v was made", k)
		}
	}
}

func TestScriptsParseBack(t *testing.T) {
	for _, p := range Profiles {
		ops := Generate(*seed, 1000, p)
		back, err := Parse(Format(ops))
		if err != nil {
			t.Fatal(err)
		}
		for i := range ops {
			if back[i].String() != ops[i].String() {
				t.Fatalf("%v comes back as %v", ops[i], back[i])
			}
		}
	}
}

func TestParse(t *testing.T) {
	ops, err := Parse("# a comment\n\nupdate\nput w /k1/\"a\\x20b\" k7*20 v1*10\nrange r2 /k1 - \"\"\ncommit\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []Op{
		{Kind: Update},
		{Kind: Put, Path: Path{Key(1, 0), Literal("a b")}, Key: Key(7, 20), Value: Value(1, 10)},
		{Kind: Range, Tx: 2, Path: Path{Key(1, 0)}, Key: Nil, Hi: Literal("")},
		{Kind: Commit},
	}
	if !reflect.DeepEqual(ops, want) {
		t.Fatalf("parsed %v", ops)
	}
	for _, bad := range []string{"fly", "put w /k1", "get w k1 k2", "get w /k1 x2", "at w /k1 z", "get w /q k1"} {
		if _, err := Parse(bad); err == nil {
			t.Errorf("%q parses", bad)
		}
	}
}

func TestBlobs(t *testing.T) {
	for text, want := range map[string]string{
		"k7": "k007", "k7*6": "k007..", "p7*6": "...007", "b0": "\x00", "b2": "\xff", "b3": "\x00\x00", `"x\x20"`: "x ",
	} {
		b, err := ParseBlob(text)
		if err != nil || string(b.Bytes()) != want || b.String() != text {
			t.Errorf("%s is %q, %v, and prints as %v", text, b.Bytes(), err, b)
		}
	}
	if Nil.Bytes() != nil || Literal("").Bytes() == nil || Value(1, 0).Bytes() == nil {
		t.Error("nil and empty are mixed up")
	}
	if v := Value(3, 1000).Bytes(); len(v) != 1000 || slices.Equal(v, Value(4, 1000).Bytes()) {
		t.Error("values are not of their length, or alike")
	}
	seen := map[string]bool{}
	for id := range 200 {
		seen[string(Blob{Shape: 'b', ID: id}.Bytes())] = true
	}
	if len(seen) != 200 {
		t.Errorf("%d different b keys of 200", len(seen))
	}
}

func TestExhaustiveModelAgainstModel(t *testing.T) {
	n := 0
	for ops := range Exhaustive(2) {
		if err := Run(Config{Open: onModel(), Errors: sentinels}, ops); err != nil {
			t.Fatal(err)
		}
		n++
	}
	if want := len(alphabet()); n != want*want {
		t.Fatalf("%d lists, want %d", n, want*want)
	}
}

// A broken store has one method that does the wrong thing.
type broken struct {
	Store
	get func(Bucket) Bucket
}

func (s broken) Update(fn func(Tx) error) error {
	return s.Store.Update(func(tx Tx) error { return fn(brokenTx{tx, s.get}) })
}

func (s broken) Begin(writable bool) (Tx, error) {
	tx, err := s.Store.Begin(writable)
	return brokenTx{tx, s.get}, err
}

type brokenTx struct {
	Tx
	get func(Bucket) Bucket
}

func (t brokenTx) Bucket(name []byte) Bucket {
	b := t.Tx.Bucket(name)
	if b == nil {
		return nil
	}
	return t.get(b)
}

func (t brokenTx) MoveBucket(child []byte, src, dst Bucket) error {
	return t.Tx.MoveBucket(child, inner(src), inner(dst))
}

func inner(b Bucket) Bucket {
	switch b := b.(type) {
	case forgetful:
		return b.plain
	case flaky:
		return b.plain
	}
	return b
}

func (t brokenTx) CreateBucketIfNotExists(name []byte) (Bucket, error) {
	b, err := t.Tx.CreateBucketIfNotExists(name)
	if err != nil {
		return nil, err
	}
	return t.get(b), nil
}

// plain is embedded where a field named Bucket would hide the method.
type plain = Bucket

// forgetful loses what is deleted and put again.
type forgetful struct {
	plain
	deleted map[string]bool
}

func (b forgetful) Delete(key []byte) error {
	b.deleted[string(key)] = true
	return b.plain.Delete(key)
}

func (b forgetful) Put(key, value []byte) error {
	if b.deleted[string(key)] {
		return nil
	}
	return b.plain.Put(key, value)
}

func TestDifferenceIsFoundAndShrunk(t *testing.T) {
	run := func(ops []Op) error {
		deleted := map[string]bool{}
		get := func(b Bucket) Bucket { return forgetful{b, deleted} }
		open := onModel()
		return Run(Config{Seed: 5, Errors: sentinels, Open: func() (Store, error) {
			db, err := open()
			return broken{db, get}, err
		}}, ops)
	}
	ops := Generate(5, 2000, Tiny)
	err := run(ops)
	var m *Mismatch
	if !errors.As(err, &m) || m.Seed != 5 || !strings.Contains(err.Error(), "seed 5") {
		t.Fatalf("the broken store gives %v", err)
	}
	small := Shrink(ops[:min(m.At+1, len(ops))], func(ops []Op) bool { return run(ops) != nil })
	if len(small) > 8 || run(small) == nil {
		t.Fatalf("shrunk to %d operations:\n%s", len(small), Format(small))
	}
}

// flaky fails every n-th Put, or every n-th commit, with EIO.
type flaky struct {
	plain
	calls *int
}

func (b flaky) Put(key, value []byte) error {
	if *b.calls++; *b.calls%7 == 0 {
		return syscall.EIO
	}
	return b.plain.Put(key, value)
}

type flakyCommit struct {
	broken
	calls *int
}

func (s flakyCommit) Update(fn func(Tx) error) error {
	return s.broken.Update(func(tx Tx) error {
		err := fn(tx)
		if *s.calls++; err == nil && *s.calls%5 == 0 {
			return syscall.EIO
		}
		return err
	})
}

func TestFaultsAreBorneWith(t *testing.T) {
	for s := range uint64(20) {
		faults, calls := 0, 0
		open := onModel()
		c := Config{Seed: s, Errors: sentinels, CheckAll: true, OnFault: func(err error) {
			if !errors.Is(err, syscall.EIO) {
				t.Errorf("fault %v", err)
			}
			faults++
		}}
		c.Open = func() (Store, error) {
			db, err := open()
			return flakyCommit{broken{db, func(b Bucket) Bucket { return flaky{b, &calls} }}, &calls}, err
		}
		if err := Run(c, Generate(s, 600, Tiny)); err != nil {
			t.Fatal(err)
		}
		if faults == 0 {
			t.Fatal("no fault was met")
		}
		c.OnFault = nil
		if Run(c, Generate(s, 600, Tiny)) == nil {
			t.Fatal("a fault goes unnoticed")
		}
	}
}

// In a hook inside a commit the history allows the state before and the state after it.
func TestHistory(t *testing.T) {
	db := model.New()
	h := NewHistory(db.State())
	var allowed []int
	c := Config{History: h, KeepOpen: true, Open: func() (Store, error) { return watched{Adapt(db), &allowed, h}, nil }}
	ops, _ := Parse("update\nensure w /k1\ncommit\nupdate\nput w /k1 k1 v1*1\nfail\nupdate\nput w /k1 k2 v1*1\ncommit")
	if err := Run(c, ops); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(allowed, []int{2, 2}) || len(h.Allowed()) != 1 {
		t.Fatalf("allowed states at commits: %v", allowed)
	}
	err := Adapt(db).View(func(tx Tx) error {
		_, err := h.Match(tx)
		return err
	})
	if err == nil {
		err = Adapt(model.New()).View(func(tx Tx) error {
			if _, err := h.Match(tx); err == nil {
				t.Error("an empty store matches")
			}
			return nil
		})
	}
	if err != nil {
		t.Fatal(err)
	}
}

type watched struct {
	Store
	allowed *[]int
	h       *History
}

func (w watched) Update(fn func(Tx) error) error {
	return w.Store.Update(func(tx Tx) error {
		err := fn(tx)
		if err == nil {
			*w.allowed = append(*w.allowed, len(w.h.Allowed()))
		}
		return err
	})
}

func TestDeferredHistoryWaitsForSync(t *testing.T) {
	h := NewHistory(model.Empty())
	c := Config{History: h, Deferred: true, Open: onModel(), KeepOpen: true}
	ops, _ := Parse("update\nensure w /k1\ncommit\nupdate\nput w /k1 k1 v1*1\ncommit")
	if err := Run(c, ops); err != nil || len(h.Allowed()) != 3 {
		t.Fatalf("%v, %d states allowed", err, len(h.Allowed()))
	}
	h = NewHistory(model.Empty())
	c.History, c.Open = h, onModel()
	if err := Run(c, append(ops, Op{Kind: Sync})); err != nil || len(h.Allowed()) != 1 {
		t.Fatalf("%v, %d states allowed after Sync", err, len(h.Allowed()))
	}
}

func FuzzModelAgainstModel(f *testing.F) {
	for s := range uint64(8) {
		data := noise(int(s), 200)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		ops := DecodeAny(data)
		if err := Run(Config{Open: onModel(), Errors: sentinels}, ops); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkRunModelAgainstModel(b *testing.B) {
	for s := range b.N {
		if err := Run(Config{Open: onModel()}, Generate(uint64(s), 1000, Mixed)); err != nil {
			b.Fatal(err)
		}
	}
}
