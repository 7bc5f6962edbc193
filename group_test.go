package folio_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/foliokv/folio"
	"github.com/foliokv/folio/internal/foliotest"
	"github.com/foliokv/folio/internal/simfile"
)

// A gate is a store on a simulated file whose flushes wait to be let through.
type gate struct {
	f     *simfile.File
	db    *folio.DB
	begun chan struct{} // a flush has begun and waits
	pass  chan struct{} // lets one flush end
}

func openGate(t *testing.T, o *folio.Options) *gate {
	t.Helper()
	g := &gate{begun: make(chan struct{}, 100), pass: make(chan struct{}, 100)}
	armed := false
	g.f = simfile.New(simfile.Options{PrivateMaps: true, MapAhead: 32 << 10, OnOp: func(_ int, op simfile.Op) {
		if op.Kind == simfile.SyncEnd && armed {
			g.begun <- struct{}{}
			<-g.pass
		}
	}})
	var err error
	g.db, err = foliotest.Open(g.f, o)
	must(t, err)
	armed = true
	return g
}

// free lets all flushes through from now on.
func (g *gate) free() { close(g.pass) }

// soon ends the test if nothing comes out of the channel.
func soon[T any](t *testing.T, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(2 * time.Minute):
		t.Fatalf("%s: nothing happens", what)
		panic("not reached")
	}
}

// async runs a transaction on the bucket "b" in a goroutine of its own.
func (g *gate) async(fn func(b *folio.Bucket) error) <-chan error {
	done := make(chan error, 1)
	go func() {
		done <- g.db.Update(func(tx *folio.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			if err != nil {
				return err
			}
			return fn(b)
		})
	}()
	return done
}

func putter(key string, size int) func(b *folio.Bucket) error {
	return func(b *folio.Bucket) error { return b.Put([]byte(key), value(len(key), size)) }
}

// A closure that runs long delays nobody whose transaction finished before it began: they are
// acknowledged while it still runs, without a look at the clock.
func TestLongClosureDelaysNobody(t *testing.T) {
	g := openGate(t, nil)
	first := g.async(putter("first", 10))
	soon(t, "the first flush", g.begun)
	var members []<-chan error // finish while the first flush is under way
	for i := range 5 {
		in := make(chan struct{})
		members = append(members, g.async(func(b *folio.Bucket) error {
			close(in)
			return putter(fmt.Sprint("member", i), 500)(b)
		}))
		soon(t, "a member", in)
	}
	inside, goOn := make(chan struct{}), make(chan struct{})
	long := g.async(func(b *folio.Bucket) error {
		for i := range 5 { // on the members' pages
			must(t, b.Put(fmt.Append(nil, "member", i), []byte("long")))
		}
		close(inside)
		<-goOn
		for i := range 300 {
			must(t, b.Put(foliotest.Key(i), value(i, 100)))
		}
		return b.Delete([]byte("first"))
	})
	soon(t, "the long closure", inside)
	g.pass <- struct{}{}
	must(t, soon(t, "the first", first))
	soon(t, "the members' flush", g.begun)
	g.pass <- struct{}{}
	for _, m := range members {
		must(t, soon(t, "a member", m))
	}
	view(t, g.db, func(b *folio.Bucket) error { // and readers see them
		if got := keysOf(b.All()); got != "first member0 member1 member2 member3 member4" {
			t.Errorf("beside the long closure there is %q", got)
		}
		if v := b.Get([]byte("member0")); len(v) != 500 {
			t.Errorf("a member's value has %d bytes", len(v))
		}
		return nil
	})
	g.free()
	close(goOn)
	must(t, soon(t, "the long closure", long))
	view(t, g.db, func(b *folio.Bucket) error {
		if b.Count() != 305 || string(b.Get([]byte("member4"))) != "long" {
			t.Errorf("after the long closure there are %d pairs", b.Count())
		}
		return nil
	})
	foliotest.MustClose(t, g.db)
}

// Members that finish during a flush are sealed and flushed together.
func TestMembersShareAFlush(t *testing.T) {
	g := openGate(t, nil)
	var done []<-chan error
	done = append(done, g.async(putter("first", 10)))
	soon(t, "the first flush", g.begun)
	for i := range 20 {
		in := make(chan struct{})
		done = append(done, g.async(func(b *folio.Bucket) error {
			close(in)
			return putter(fmt.Sprint("member", i), 10)(b)
		}))
		soon(t, "a member", in)
	}
	last := make(chan struct{}) // when it has the writer's turn all others have finished
	done = append(done, g.async(func(*folio.Bucket) error { close(last); return nil }))
	soon(t, "the last", last)
	before := g.f.Ops()
	g.free()
	for _, d := range done {
		must(t, soon(t, "a member", d))
	}
	if n := g.f.Ops() - before; n > 30 {
		t.Errorf("20 members took %d operations on the file", n)
	}
	foliotest.MustClose(t, g.db)
}

// A group is sealed while another transaction is open with savepoints, which then rolls back
// or commits: what it stands upon changes beneath it.
func TestSealBeneathAnOpenTransaction(t *testing.T) {
	boom := errors.New("boom")
	for mode := range 64 {
		t.Run(fmt.Sprintf("%06b", mode), func(t *testing.T) {
			g := openGate(t, &folio.Options{DirtyLimit: []int64{0, 40 << 10}[mode>>5&1]})
			g.pass <- struct{}{}
			must(t, g.db.Update(func(tx *folio.Tx) error { // a tree of two levels, and nested buckets
				b, err := tx.CreateBucket([]byte("b"))
				must(t, err)
				for i := range 300 {
					must(t, b.Put(foliotest.Key(i), value(i, 100)))
				}
				_, err = b.CreateBucket([]byte("sub"))
				return err
			}))
			soon(t, "the first flush", g.begun)
			first := g.async(putter("first", 10))
			soon(t, "a flush", g.begun)
			in := make(chan struct{})
			member := g.async(func(b *folio.Bucket) error { // finishes during that flush
				close(in)
				for i := 0; i < 300; i += 2 {
					must(t, b.Put(foliotest.Key(i), value(i+1, 120)))
				}
				must(t, b.Put([]byte("large"), value(5, 9000)))
				return b.Bucket([]byte("sub")).Put([]byte("k"), value(1, 2000))
			})
			soon(t, "the member", in)
			sealed, want := make(chan struct{}), uint64(0)
			open := g.async(func(b *folio.Bucket) error {
				tx := b.Tx()
				change := func(from, to, size int) {
					for i := from; i < to; i++ {
						must(t, b.Put(foliotest.Key(i), value(i+2, size)))
					}
				}
				change(0, 40, 50)
				outer := tx.Savepoint()
				change(20, 80, 200)
				must(t, b.Bucket([]byte("sub")).Put([]byte("k2"), nil))
				must(t, b.Delete([]byte("large")))
				inner := tx.Savepoint()
				must(t, b.DeleteRange(foliotest.Key(100), foliotest.Key(200)))
				change(250, 300, 300)
				g.pass <- struct{}{} // the first flush ends, and the member is sealed and flushed
				soon(t, "the member's flush", g.begun)
				if mode&1 != 0 {
					g.pass <- struct{}{}
					must(t, soon(t, "the member", member))
				}
				close(sealed)
				if mode&2 != 0 {
					must(t, inner.Rollback())
				} else {
					must(t, inner.Release())
				}
				change(60, 120, 150)
				if mode&4 != 0 {
					must(t, outer.Rollback())
				} else if mode&8 != 0 {
					must(t, outer.Release())
				}
				for err := range tx.Check() {
					t.Errorf("check inside: %v", err)
				}
				change(10, 30, 80)
				want = b.Count()
				if mode&16 != 0 {
					return boom
				}
				return nil
			})
			soon(t, "the open one", sealed)
			g.free()
			if err := soon(t, "the open one", open); (mode&16 != 0) != (err == boom) {
				t.Fatal(err)
			}
			must(t, soon(t, "the first", first))
			if mode&1 == 0 {
				must(t, soon(t, "the member", member))
			}
			view(t, g.db, func(b *folio.Bucket) error {
				if mode&16 == 0 && b.Count() != want {
					t.Errorf("%d pairs, not %d", b.Count(), want)
				}
				if v := b.Get(foliotest.Key(20)); mode&16 != 0 && string(v) != string(value(21, 120)) {
					t.Errorf("the member's value is gone")
				}
				if v := b.Bucket([]byte("sub")).Get([]byte("k")); len(v) != 2000 {
					t.Errorf("the member's value in the nested bucket has %d bytes", len(v))
				}
				return nil
			})
			foliotest.MustClose(t, g.db)
		})
	}
}

// When the pages of a group cannot be written, its members fail, and so does what was built
// upon them; the store goes on.
func TestGroupFailsAsAWhole(t *testing.T) {
	g := openGate(t, nil)
	first := g.async(putter("first", 10))
	soon(t, "the first flush", g.begun)
	var members []<-chan error
	for i := range 3 {
		in := make(chan struct{})
		members = append(members, g.async(func(b *folio.Bucket) error {
			close(in)
			return putter(fmt.Sprint("member", i), 500)(b)
		}))
		soon(t, "a member", in)
	}
	inside := make(chan struct{})
	goOn := make(chan struct{})
	upon := g.async(func(b *folio.Bucket) error {
		close(inside)
		<-goOn
		return b.Put([]byte("upon"), nil)
	})
	soon(t, "the one upon them", inside)
	g.f.Fail(simfile.Fault{Kind: simfile.Write})
	g.free()
	must(t, soon(t, "the first", first))
	for _, m := range members {
		if soon(t, "a member", m) == nil {
			t.Error("a member of a group that cannot be written succeeds")
		}
	}
	close(goOn)
	if soon(t, "the one upon them", upon) == nil {
		t.Error("what was built upon a failed group succeeds")
	}
	update(t, g.db, putter("after", 10))
	view(t, g.db, func(b *folio.Bucket) error {
		if got := keysOf(b.All()); got != "after first" {
			t.Errorf("there is %q", got)
		}
		return nil
	})
	foliotest.MustClose(t, g.db)
}

// Storms of members that fail, panic and succeed leave no page behind.
func TestStormOfAborts(t *testing.T) {
	db := open(t, &folio.Options{Durability: folio.Deferred})
	fill(t, db, 500, 100)
	boom := errors.New("boom")
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 60 {
				err := db.Update(func(tx *folio.Tx) error {
					b := tx.Bucket([]byte("b"))
					sp := tx.Savepoint()
					for j := range 20 {
						if err := b.Put(foliotest.Key((i*7+j*g)%500), value(j, 100+j%3*2000)); err != nil {
							return err
						}
					}
					if i%3 == 0 {
						if err := sp.Rollback(); err != nil {
							return err
						}
					}
					if i%4 > 0 {
						return boom
					}
					return nil
				})
				if (i%4 > 0) != (err == boom) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	foliotest.MustCheck(t, db)
}

// What a write transaction has read of its group is durable when its call returns, whether it
// fails, is rolled back or changes nothing; and if it never will be, the call says so.
func TestWhatWasReadIsDurable(t *testing.T) {
	boom := errors.New("boom")
	ends := map[string]func(db *folio.DB, read func(tx *folio.Tx)) error{
		"fails": func(db *folio.DB, read func(tx *folio.Tx)) error {
			err := db.Update(func(tx *folio.Tx) error { read(tx); return boom })
			if err == boom {
				return nil
			}
			if !errors.Is(err, boom) {
				t.Errorf("the closure's error becomes %v", err)
			}
			return err
		},
		"changes nothing": func(db *folio.DB, read func(tx *folio.Tx)) error {
			return db.Update(func(tx *folio.Tx) error { read(tx); return nil })
		},
		"rolls back": func(db *folio.DB, read func(tx *folio.Tx)) error {
			tx, err := db.Begin(true)
			must(t, err)
			read(tx)
			return tx.Rollback()
		},
	}
	for name, end := range ends {
		for _, fails := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " ", fails), func(t *testing.T) {
				g := openGate(t, nil)
				first := g.async(putter("first", 10))
				soon(t, "the first flush", g.begun)
				in := make(chan struct{})
				var id int
				member := g.async(func(b *folio.Bucket) error {
					id = b.Tx().ID()
					close(in)
					return putter("member", 500)(b)
				})
				soon(t, "a member", in)
				ended := make(chan error, 1)
				durable := 0
				reads := make(chan struct{})
				go func() {
					err := end(g.db, func(tx *folio.Tx) {
						if tx.Bucket([]byte("b")).Get([]byte("member")) == nil {
							t.Error("the member is not seen")
						}
						close(reads)
					})
					durable = g.db.Stats().DurableTxid
					ended <- err
				}()
				soon(t, "the one that reads", reads)
				after := make(chan struct{}) // its turn comes when the one that reads has ended
				last := g.async(func(b *folio.Bucket) error { close(after); return nil })
				soon(t, "the last", after)
				if fails {
					g.f.Fail(simfile.Fault{Kind: simfile.Write})
				}
				g.free()
				must(t, soon(t, "the first", first))
				if err := soon(t, "the member", member); (err != nil) != fails {
					t.Error(err)
				}
				err := soon(t, "the end", ended)
				switch {
				case fails && err == nil:
					t.Error("what it read is gone, and it does not say so")
				case !fails && err != nil:
					t.Error(err)
				case !fails && durable < id:
					t.Errorf("it read of %d, and ended when %d was durable", id, durable)
				}
				if err := soon(t, "the last", last); (err != nil) != fails {
					t.Error(err)
				}
				foliotest.MustClose(t, g.db)
			})
		}
	}
}

// A write transaction that has read nothing waits for nobody when it is rolled back.
func TestRollbackOfNothingWaitsForNobody(t *testing.T) {
	g := openGate(t, nil)
	first := g.async(putter("first", 10))
	soon(t, "the first flush", g.begun)
	in := make(chan struct{})
	member := g.async(func(b *folio.Bucket) error { close(in); return putter("member", 500)(b) })
	soon(t, "a member", in)
	undone := make(chan error, 1)
	go func() { undone <- g.db.Update(func(*folio.Tx) error { return errors.New("undo") }) }()
	if soon(t, "the rollback", undone) == nil {
		t.Error("no error")
	}
	g.free()
	must(t, soon(t, "the first", first))
	must(t, soon(t, "the member", member))
	foliotest.MustClose(t, g.db)
}
