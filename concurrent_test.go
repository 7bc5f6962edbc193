package folio_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/foliokv/folio"
	"github.com/foliokv/folio/internal/foliotest"
	"github.com/foliokv/folio/internal/simfile"
	"github.com/foliokv/folio/internal/testdir"
)

// A thousand goroutines read while a writer commits and the file grows a hundredfold; a read
// transaction held all the while sees its state to the end.
func TestReadersDuringGrowth(t *testing.T) {
	readers, rounds := 1000, 24
	if testing.Short() {
		readers = 100
	}
	for name, open := range map[string]func() (*folio.DB, func() int64){
		"file": func() (*folio.DB, func() int64) {
			path := filepath.Join(testdir.New(t), "store")
			db, err := folio.Open(path, 0o600, nil)
			must(t, err)
			return db, func() int64 { return fileSize(t, path) }
		},
		"tight maps": func() (*folio.DB, func() int64) { // a new mapping every other round
			f := simfile.New(simfile.Options{MapAhead: 1 << 20})
			db, err := foliotest.Open(f, nil)
			must(t, err)
			return db, func() int64 { n, _ := f.Size(); return n }
		},
		"memory": func() (*folio.DB, func() int64) {
			db, err := folio.OpenMemory(nil)
			must(t, err)
			return db, nil
		},
	} {
		t.Run(name, func(t *testing.T) { growth(t, readers, rounds, open) })
	}
}

func growth(t *testing.T, readers, rounds int, open func() (*folio.DB, func() int64)) {
	db, size := open()
	fill(t, db, 200, 100)
	held, err := db.Begin(false)
	must(t, err)
	if size == nil {
		size = held.Size
	}
	before := size()
	var stop atomic.Bool
	var reads atomic.Int64
	var wg sync.WaitGroup
	for g := range readers {
		wg.Go(func() {
			for i := 0; !stop.Load(); i++ {
				readRound(t, db, g+i)
				reads.Add(1)
			}
		})
	}
	for round := range rounds { // every pair's value begins with the round it is of, all the same
		must(t, db.Update(func(tx *folio.Tx) error { return writeRound(tx, round) }))
	}
	for reads.Load() < int64(readers) {
		runtime.Gosched()
	}
	stop.Store(true)
	wg.Wait()
	if after := size(); after < 100*before && after != before { // that of the held one stays
		t.Errorf("the file grew from %d to %d bytes only", before, after)
	}
	b := held.Bucket([]byte("b"))
	for i := range 200 {
		if !bytes.Equal(b.Get(foliotest.Key(i)), value(i, 100)) {
			t.Fatalf("the held transaction does not see value %d", i)
		}
	}
	must(t, held.Rollback())
	foliotest.MustClose(t, db)
}

// writeRound overwrites 100 pairs and adds 100 others with a large one.
func writeRound(tx *folio.Tx, round int) error {
	b, err := tx.CreateBucketIfNotExists([]byte("rounds"))
	if err != nil {
		return err
	}
	v := bytes.Repeat([]byte{byte(round)}, 200)
	for i := range 100 {
		if err := b.Put(foliotest.Key(i), v); err != nil {
			return err
		}
		if err := b.Put(fmt.Appendf(nil, "more-%d-%d", round, i), v); err != nil {
			return err
		}
	}
	return b.Put(fmt.Appendf(nil, "large-%d", round), make([]byte, 1_500_000))
}

// readRound looks whether all pairs are of one round.
func readRound(t *testing.T, db *folio.DB, i int) {
	must(t, db.View(func(tx *folio.Tx) error {
		b := tx.Bucket([]byte("rounds"))
		if b == nil {
			return nil
		}
		one, other := b.Get(foliotest.Key(i%100)), b.Get(foliotest.Key((i*7+50)%100))
		if len(one) != 200 || !bytes.Equal(one, other) {
			t.Error("a reader sees pairs of two rounds")
		}
		if want := uint64(100 + 101*(int(one[0])+1)); b.Count() != want {
			t.Errorf("in round %d a reader counts %d, not %d", one[0], b.Count(), want)
		}
		return nil
	}))
}

// registers is a set of numbers by key: put returns nothing, get the number, add the new one.
type registerOp struct {
	kind byte // 'p', 'g', 'a'
	key  int
	n    uint64
}

var registers = porcupine.Model{
	Init: func() any { return [4]uint64{} },
	Step: func(state, input, output any) (bool, any) {
		s, in := state.([4]uint64), input.(registerOp)
		switch in.kind {
		case 'p':
			s[in.key] = in.n
		case 'a':
			s[in.key] += in.n
			return s[in.key] == output.(uint64), s
		default:
			return s[in.key] == output.(uint64), s
		}
		return true, s
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v = %v", input, output) },
}

func perform(db *folio.DB, op registerOp) (got uint64, err error) {
	key := []byte{byte(op.key)}
	read := func(tx *folio.Tx) uint64 {
		if v := tx.Bucket([]byte("b")).Get(key); v != nil {
			return binary.LittleEndian.Uint64(v)
		}
		return 0
	}
	if op.kind == 'g' {
		err = db.View(func(tx *folio.Tx) error { got = read(tx); return nil })
		return got, err
	}
	err = db.Update(func(tx *folio.Tx) error {
		got = op.n
		if op.kind == 'a' {
			got += read(tx)
		}
		return tx.Bucket([]byte("b")).Put(key, binary.LittleEndian.AppendUint64(nil, got))
	})
	return got, err
}

// The histories of concurrent View and Update are linearizable.
func TestLinearizable(t *testing.T) {
	for _, d := range []folio.Durability{folio.Durable, folio.Deferred} {
		for round := range 10 {
			f := simfile.New(simfile.Options{OnOp: func(_ int, op simfile.Op) {
				if op.Kind == simfile.SyncEnd {
					time.Sleep(20 * time.Microsecond)
				}
			}})
			db, err := foliotest.Open(f, &folio.Options{Durability: d, FlushInterval: time.Millisecond})
			must(t, err)
			fill(t, db, 0, 0)
			linearizable(t, db, round)
			foliotest.MustClose(t, db)
		}
	}
}

func linearizable(t *testing.T, db *folio.DB, round int) {
	var clock atomic.Int64 // orders calls and returns; the time of some systems is too coarse
	histories := make([][]porcupine.Operation, 8)
	var wg sync.WaitGroup
	for g := range histories {
		wg.Go(func() {
			for i := range 40 {
				op := registerOp{"pgga"[(i*7+g*3+round)%4], (i + g*round) % 4, uint64(g*1000 + i)}
				call := clock.Add(1)
				got, err := perform(db, op)
				if err != nil {
					t.Error(err)
					return
				}
				histories[g] = append(histories[g], porcupine.Operation{ClientId: g, Input: op, Output: got,
					Call: call, Return: clock.Add(1)})
			}
		})
	}
	wg.Wait()
	var all []porcupine.Operation
	for _, h := range histories {
		all = append(all, h...)
	}
	if r := porcupine.CheckOperationsTimeout(registers, all, time.Minute); r != porcupine.Ok {
		t.Fatalf("the history is %v", r)
	}
}

// Across a power loss: what was acknowledged is there, what was not is there whole or not at
// all, and the history with the reads after it is linearizable.
func TestLinearizableAcrossCrashes(t *testing.T) {
	for round := range 20 {
		f := simfile.New(simfile.Options{Seed: uint64(round)})
		db, err := foliotest.Open(f, nil)
		must(t, err)
		fill(t, db, 0, 0)
		var mu sync.Mutex
		var history []porcupine.Operation
		var clock atomic.Int64
		var frozen atomic.Bool // after the loss nothing that returns counts as returned
		var wg sync.WaitGroup
		for g := range 6 {
			wg.Go(func() {
				for i := 0; !frozen.Load(); i++ {
					op := registerOp{"pa"[(i+g)%2], (i*g + round) % 4, uint64(g*1000 + i)}
					call := clock.Add(1)
					got, err := perform(db, op)
					mu.Lock()
					done := porcupine.Operation{ClientId: g, Input: op, Output: got, Call: call, Return: clock.Add(1)}
					lost := frozen.Load()
					if lost { // it may be there or not: left out if its number is not
						done.ClientId += 100
					}
					if err != nil {
						t.Error(err)
					}
					history = append(history, done)
					mu.Unlock()
				}
			})
		}
		time.Sleep(time.Duration(1+round%5) * time.Millisecond)
		mu.Lock()
		frozen.Store(true)
		image := f.RandomImage(uint64(round))
		lossAt := clock.Add(1)
		mu.Unlock()
		wg.Wait()
		foliotest.MustClose(t, db)
		afterLoss(t, image.Bytes, history, lossAt)
	}
}

// afterLoss opens what a power loss left. Transactions that were not acknowledged before it
// are tried as having happened and as not.
func afterLoss(t *testing.T, image []byte, history []porcupine.Operation, lossAt int64) {
	db, err := foliotest.Open(simfile.FromImage(image, simfile.Options{}), nil)
	must(t, err)
	var acked, open []porcupine.Operation
	for _, op := range history {
		if op.ClientId < 100 {
			acked = append(acked, op)
		} else if op.Call < lossAt {
			op.Return = lossAt
			open = append(open, op)
		}
	}
	for key := range 4 {
		got, err := perform(db, registerOp{kind: 'g', key: key})
		must(t, err)
		acked = append(acked, porcupine.Operation{ClientId: 99, Input: registerOp{kind: 'g', key: key}, Output: got, Call: lossAt + 1, Return: lossAt + 2})
	}
	for subset := range 1 << len(open) {
		h := acked
		for i, op := range open {
			if subset>>i&1 != 0 {
				h = append(h[:len(h):len(h)], op)
			}
		}
		if porcupine.CheckOperationsTimeout(registers, h, time.Minute) == porcupine.Ok {
			foliotest.MustClose(t, db)
			return
		}
	}
	t.Fatalf("no choice among %d open transactions explains what is left of %d", len(open), len(acked))
}

func TestAllocations(t *testing.T) {
	db := open(t, nil)
	fill(t, db, 10000, 100)
	name, key := []byte("b"), foliotest.Key(4321)
	keys := [][]byte{key, foliotest.Key(17), []byte("absent")}
	get := func(tx *folio.Tx) error {
		if tx.Bucket(name).Get(key) == nil {
			t.Error("not found")
		}
		return nil
	}
	if n := testing.AllocsPerRun(1000, func() { db.View(get) }); n > 1 {
		t.Errorf("View with one Get makes %v allocations", n)
	}
	must(t, db.View(func(tx *folio.Tx) error {
		b := tx.Bucket(name)
		c := b.Cursor()
		for what, fn := range map[string]func(){
			"Get":         func() { b.Get(key) },
			"Cursor.Seek": func() { c.Seek(key) },
			"Cursor.Next": func() { c.Next() },
			"GetMany":     func() { b.GetMany(keys, func(int, []byte) {}) },
			"Rank":        func() { b.Rank(key) },
			"At":          func() { b.At(77) },
			"CountRange":  func() { b.CountRange(key, nil) },
		} {
			if n := testing.AllocsPerRun(1000, fn); n > 0 {
				t.Errorf("%s in an open transaction makes %v allocations", what, n)
			}
		}
		return nil
	}))
}

// A transaction of one put allocates itself and the state that it makes, a Durable one its group, too; the
// rest is for pages now and then.
func TestUpdateAllocations(t *testing.T) {
	for name, of := range map[string]struct {
		o    folio.Options
		most float64
	}{
		"Deferred": {folio.Options{Durability: folio.Deferred, FlushInterval: -1, FlushBytes: -1}, 5},
		"Durable":  {folio.Options{}, 7},
	} {
		t.Run(name, func(t *testing.T) { testUpdateAllocations(t, &of.o, of.most) })
	}
}

func testUpdateAllocations(t *testing.T, o *folio.Options, most float64) {
	db := open(t, o)
	fill(t, db, 10000, 100)
	name, value := []byte("b"), make([]byte, 100)
	keys := make([][]byte, 10000)
	for i := range keys {
		keys[i] = foliotest.Key(i * 7919 % 10000)
	}
	i := 0
	put := func(tx *folio.Tx) error {
		i++
		return tx.Bucket(name).Put(keys[i%len(keys)], value)
	}
	for range 3000 {
		must(t, db.Update(put))
	}
	n := testing.AllocsPerRun(5000, func() { must(t, db.Update(put)) })
	t.Logf("Update with one Put makes %v allocations", n)
	if n > most {
		t.Errorf("more than %v", most)
	}
}
