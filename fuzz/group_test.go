package fuzz

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/foliokv/folio"
	"github.com/foliokv/folio/internal/foliotest"
	"github.com/foliokv/folio/internal/model"
	"github.com/foliokv/folio/internal/simfile"
	"github.com/foliokv/folio/internal/workload"
)

// Transactions of several goroutines, which succeed, fail, panic, roll back to savepoints and
// take their time, while flushes go on beside them. The result must be that of the successful
// ones in the order of their ids.

// A step is one thing that a transaction does.
type step struct {
	what byte
	key  int
	size int
}

// A member is a transaction.
type member struct {
	steps []step
	end   byte // 's' succeeds, 'f' fails, 'p' panics
	begin bool // by Begin and Commit instead of Update
	lazy  bool // Deferred
}

// members decodes what each goroutine does: three bytes for each step.
func members(data []byte) [][]member {
	all := make([][]member, 4)
	for i := 0; len(data) > 0; i++ {
		m := member{end: "sssssfpb"[data[0]%8], begin: data[0]&8 != 0, lazy: data[0]&48 == 48}
		if m.end == 'b' {
			m.begin, m.end = true, 's'
		}
		n := min(1+int(data[0]>>6)*3, (len(data)-1)/3)
		for s := range n {
			b := data[1+3*s:]
			m.steps = append(m.steps, step{b[0], int(b[1]) % 60, int(b[2])})
		}
		data = data[1+3*n:]
		all[i%4] = append(all[i%4], m)
	}
	return all
}

// A bucket is *folio.Bucket or *model.Bucket.
type bucket[B any] interface {
	Put(key, value []byte) error
	Delete(key []byte) error
	DeleteRange(lo, hi []byte) error
	CreateBucketIfNotExists(name []byte) (B, error)
	DeleteBucket(name []byte) error
	NextSequence() (uint64, error)
}

type savepoint interface {
	Rollback() error
	Release() error
}

// apply performs the steps; save opens a savepoint, pause waits for something else to happen.
func apply[B bucket[B]](b B, steps []step, save func() savepoint, pause func()) error {
	var saves []savepoint
	for _, s := range steps {
		key := foliotest.Key(s.key)
		var err error
		switch s.what % 16 {
		case 0, 1, 2, 3, 4:
			err = b.Put(key, workload.Value(s.key, s.size*6).Bytes())
		case 5:
			err = b.Put(key, workload.Value(s.key, s.size*100).Bytes())
		case 6, 7:
			err = b.Delete(key)
		case 8:
			err = b.DeleteRange(key, foliotest.Key(s.key+s.size%8))
		case 9, 10:
			saves = append(saves, save())
		case 11:
			if k := len(saves); k > 0 {
				err = saves[k-1-s.size%k].Rollback()
				saves = saves[:k-1-s.size%k]
			}
		case 12:
			if k := len(saves); k > 0 {
				err = saves[k-1].Release()
				saves = saves[:k-1]
			}
		case 13:
			err = inSub(b, s)
		default:
			pause()
		}
		if err != nil && !isIncompatible(err) {
			return err
		}
	}
	return nil
}

func inSub[B bucket[B]](b B, s step) error {
	name := fmt.Appendf(nil, "sub%d", s.key%3)
	if s.size%8 == 0 {
		if err := b.DeleteBucket(name); err != nil && !errors.Is(err, folio.ErrBucketNotFound) && !errors.Is(err, model.ErrBucketNotFound) {
			return err
		}
		return nil
	}
	c, err := b.CreateBucketIfNotExists(name)
	if err != nil {
		return err
	}
	_, err = c.NextSequence()
	return errors.Join(err, c.Put(foliotest.Key(s.key), workload.Value(s.size, s.size*4).Bytes()))
}

func isIncompatible(err error) bool {
	return errors.Is(err, folio.ErrIncompatibleValue) || errors.Is(err, model.ErrIncompatibleValue)
}

var errWanted = errors.New("the member's own")

// A groupRun is what the goroutines share.
type groupRun struct {
	db   *folio.DB
	f    *simfile.File
	mu   sync.Mutex
	done map[int]member // by id
}

// pause lets a flush end that is under way, or others come.
func (g *groupRun) pause() {
	for n, i := g.f.Ops(), 0; g.f.Ops() == n && i < 20; i++ {
		runtime.Gosched()
		time.Sleep(5 * time.Microsecond)
	}
}

func (g *groupRun) body(tx *folio.Tx, m member) error {
	if m.lazy {
		tx.SetDurability(folio.Deferred)
	}
	b, err := tx.CreateBucketIfNotExists([]byte("b"))
	if err != nil {
		return err
	}
	if err := apply(b, m.steps, func() savepoint { return tx.Savepoint() }, g.pause); err != nil {
		return err
	}
	switch m.end {
	case 'f':
		return errWanted
	case 'p':
		panic(errWanted)
	}
	return nil
}

// run runs one member and notes it if it succeeds.
func (g *groupRun) run(m member) (err error) {
	id := 0
	defer func() {
		if r := recover(); r != nil && r != errWanted {
			panic(r)
		} else if r == nil && err == nil && m.end == 's' {
			g.mu.Lock()
			g.done[id] = m
			g.mu.Unlock()
		}
	}()
	if m.begin && m.end != 'p' {
		tx, err := g.db.Begin(true)
		if err != nil {
			return err
		}
		id = tx.ID()
		if err := g.body(tx, m); err != nil {
			return errors.Join(notWanted(err), tx.Rollback())
		}
		return tx.Commit()
	}
	return notWanted(g.db.Update(func(tx *folio.Tx) error {
		id = tx.ID()
		return g.body(tx, m)
	}))
}

func notWanted(err error) error {
	if errors.Is(err, errWanted) {
		return nil
	}
	return err
}

// runGroup runs all members and compares the store with the oracle, before and after Close.
func runGroup(all [][]member) error {
	timer := time.AfterFunc(2*time.Minute, func() { panic("members hang") })
	defer timer.Stop()
	g := &groupRun{done: map[int]member{}}
	g.f = simfile.New(simfile.Options{PrivateMaps: true, MapAhead: 32 << 10, OnOp: func(_ int, op simfile.Op) {
		if op.Kind == simfile.SyncEnd {
			time.Sleep(20 * time.Microsecond)
		}
	}})
	var err error
	if g.db, err = foliotest.Open(g.f, &folio.Options{FlushInterval: time.Millisecond}); err != nil {
		return err
	}
	errs := make(chan error, 1000)
	var wg sync.WaitGroup
	for _, ms := range all {
		wg.Go(func() {
			for _, m := range ms {
				if err := g.run(m); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		return err
	}
	want, err := g.oracle()
	if err != nil {
		return err
	}
	if err := compareWith(g.db, want); err != nil {
		return err
	}
	if err := g.db.Close(); err != nil {
		return err
	}
	db, err := foliotest.Open(g.f.Kill(simfile.Options{}), nil)
	if err != nil {
		return err
	}
	if err := compareWith(db, want); err != nil {
		return fmt.Errorf("opened again: %w", err)
	}
	return db.Close()
}

// oracle applies the successful members in order.
func (g *groupRun) oracle() (model.State, error) {
	ids := make([]int, 0, len(g.done))
	for id := range g.done {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	m := model.New()
	for _, id := range ids {
		err := m.Update(func(tx *model.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			if err != nil {
				return err
			}
			return apply(b, g.done[id].steps, func() savepoint { return tx.Savepoint() }, func() {})
		})
		if err != nil {
			return m.State(), fmt.Errorf("the oracle: %w", err)
		}
	}
	return m.State(), nil
}

func compareWith(db *folio.DB, s model.State) error {
	if err := foliotest.Check(db); err != nil {
		return fmt.Errorf("check: %w", err)
	}
	return db.View(func(tx *folio.Tx) error { return workload.DiffState(workload.AdaptTx(tx), s) })
}

func FuzzGroup(f *testing.F) {
	f.Add([]byte("some members"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 600 {
			return
		}
		if err := runGroup(members(data)); err != nil {
			t.Fatalf("%v\n%v", err, members(data))
		}
	})
}

func TestGroups(t *testing.T) {
	n := 120
	if testing.Short() {
		n = 30
	}
	for s := range uint64(n) {
		data := workload.Value(int(*seed+s), 400).Bytes()
		if err := runGroup(members(data)); err != nil {
			t.Fatalf("seed %d: %v", *seed+s, err)
		}
	}
}
