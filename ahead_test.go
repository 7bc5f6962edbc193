package folio

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/foliokv/folio/internal/simfile"
)

// openAhead opens a store in which every group of one member is sealed while a flush is under way,
// and holds the flush of a first transaction.
func openAhead(t *testing.T) (f *heldFile, db *DB, first <-chan error) {
	t.Helper()
	f = newHeldFile(simfile.Options{})
	db = openSim(t, f, nil)
	ok(t, db.Update(put("a", nil)))
	db.fewestAhead = 1
	db.expected = 0 // as if who put "a" had been seen again
	return f, db, holdFirst(t, db, f)
}

func (db *DB) aheadNow() (groups int, txid uint64) {
	db.mu.Lock()
	defer db.mu.Unlock()
	return len(db.ahead), db.head.txid
}

// joinedNow is how many transactions wait for a flush that has not begun.
func (db *DB) joinedNow() int {
	db.mu.Lock()
	defer db.mu.Unlock()
	n := db.group.members
	for _, g := range db.ahead {
		n += g.members
	}
	return n
}

func has(t *testing.T, db *DB, key string, want bool) {
	t.Helper()
	ok(t, db.View(inBucket(func(b *Bucket) error {
		if got := b.Get([]byte(key)) != nil; got != want {
			t.Errorf("%q is there: %v", key, got)
		}
		return nil
	})))
}

// A group that is complete while a flush is under way is sealed then; who comes later is sealed by
// the flush that takes both.
func TestGroupIsSealedAhead(t *testing.T) {
	f, db, first := openAhead(t)
	flushes := db.flushes
	second := background(func() error { return db.Update(put("second", []byte("2"))) })
	eventually(t, func() bool { n, _ := db.aheadNow(); return n == 1 })
	third := background(func() error { return db.Update(put("third", []byte("3"))) })
	eventually(t, func() bool { return db.waiting() == 1 })
	if n, _ := db.aheadNow(); n != 1 {
		t.Errorf("%d groups are sealed ahead", n)
	}
	has(t, db, "second", false) // it is not durable
	f.let()
	for what, c := range map[string]<-chan error{"first": first, "second": second, "third": third} {
		if err := within(t, what, c); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		has(t, db, what, true)
	}
	if n := db.flushes - flushes; n != 2 {
		t.Errorf("%d flushes", n)
	}
	sound(t, db)
	ok(t, db.Close())
}

// Where nobody came later, nothing is sealed any more between two flushes, and a power loss at any
// time finds what was acknowledged.
func TestFlushOfWhatWasSealedAhead(t *testing.T) {
	f, db, first := openAhead(t)
	second := background(func() error { return db.Update(put("second", []byte("2"))) })
	eventually(t, func() bool { n, _ := db.aheadNow(); return n == 1 })
	seals := db.seals
	f.let()
	ok(t, within(t, "first", first))
	ok(t, within(t, "second", second))
	if db.seals != seals {
		t.Errorf("%d seals since the one ahead", db.seals-seals)
	}
	again := openSim(t, simfile.FromImage(f.RandomImage(1).Bytes, simfile.Options{}), nil)
	has(t, again, "second", true)
	sound(t, again)
	ok(t, again.Close())
	sound(t, db)
	ok(t, db.Close())
}

// A group that cannot be sealed ahead fails alone.
func TestSealAheadFails(t *testing.T) {
	f, db, first := openAhead(t)
	broken := errors.New("broken")
	f.Fail(simfile.Fault{Kind: simfile.Write, Err: broken})
	if err := within(t, "second", background(func() error { return db.Update(put("second", nil)) })); !errors.Is(err, broken) {
		t.Errorf("the second: %v", err)
	}
	third := background(func() error { return db.Update(put("third", nil)) })
	eventually(t, func() bool { n, _ := db.aheadNow(); return n == 1 })
	f.let()
	ok(t, within(t, "first", first))
	ok(t, within(t, "third", third))
	has(t, db, "second", false)
	has(t, db, "third", true)
	sound(t, db)
	ok(t, db.Close())
}

// When those who came later cannot be sealed, what was sealed ahead is flushed all the same.
func TestSealAfterOneAheadFails(t *testing.T) {
	f, db, first := openAhead(t)
	second := background(func() error { return db.Update(put("second", nil)) })
	eventually(t, func() bool { n, _ := db.aheadNow(); return n == 1 })
	third := background(func() error { return db.Update(put("third", nil)) })
	eventually(t, func() bool { return db.waiting() == 1 })
	broken := errors.New("broken")
	f.Fail(simfile.Fault{Kind: simfile.Write, Err: broken})
	f.let()
	ok(t, within(t, "first", first))
	ok(t, within(t, "second", second))
	if err := within(t, "third", third); !errors.Is(err, broken) {
		t.Errorf("the third: %v", err)
	}
	has(t, db, "second", true)
	has(t, db, "third", false)
	ok(t, db.Update(put("fourth", nil)))
	if s := db.Stats(); s.WriteTxN != 4 || s.RollbackN != 1 {
		t.Errorf("%d committed, %d rolled back", s.WriteTxN, s.RollbackN)
	}
	sound(t, db)
	ok(t, db.Close())
}

// A flush that fails takes the group with it that was sealed ahead: it was built upon it.
func TestFlushBeneathOneAheadFails(t *testing.T) {
	f, db, first := openAhead(t)
	second := background(func() error { return db.Update(put("second", nil)) })
	eventually(t, func() bool { n, _ := db.aheadNow(); return n == 1 })
	f.Fail(simfile.Fault{Kind: simfile.SyncEnd})
	f.let()
	for what, c := range map[string]<-chan error{"first": first, "second": second} {
		if within(t, what, c) == nil {
			t.Errorf("%s: acknowledged", what)
		}
	}
	has(t, db, "second", false)
	if s := db.Stats(); s.WriteTxN != 1 || s.RollbackN != 2 {
		t.Errorf("%d committed, %d rolled back", s.WriteTxN, s.RollbackN)
	}
	if db.Close() == nil {
		t.Error("Close does not tell")
	}
	db = openSim(t, f.Kill(simfile.Options{}), nil)
	has(t, db, "a", true)
	sound(t, db)
	ok(t, db.Close())
}

// On a disk that has no room to spare nothing is sealed ahead: what the flush under way will
// free may be what it takes.
func TestNothingIsSealedAheadWithoutRoom(t *testing.T) {
	f := newHeldFile(simfile.Options{})
	db := openSim(t, f, &Options{MaxSize: 1 << 20})
	for i := 0; ; i++ {
		if err := db.Update(put(fmt.Sprint("big", i), bytes.Repeat([]byte{1}, 20<<10))); err != nil {
			break
		}
	}
	db.fewestAhead = 1
	db.expected = 0
	stopped := f.stopped.Load()
	f.hold()
	first := background(func() error { return db.Update(inB(func(b *Bucket) error { return b.Delete([]byte("big0")) })) })
	eventually(t, func() bool { return f.stopped.Load() > stopped })
	second := background(func() error { return db.Update(inB(func(b *Bucket) error { return b.Delete([]byte("big1")) })) })
	eventually(t, func() bool { n, _ := db.aheadNow(); return n+db.waiting() == 1 })
	if db.waiting() != 1 {
		t.Error("the second is sealed")
	}
	f.let()
	ok(t, within(t, "first", first))
	ok(t, within(t, "second", second))
	sound(t, db)
	ok(t, db.Close())
}

// A store that is latched, by a defect, before a flush that is due writes no meta any more, and lets
// everybody go: whether the member that has the lead is to make the flush, or was given it.
func TestLatchBeforeAFlush(t *testing.T) {
	for _, given := range []bool{false, true} {
		f := simfile.New(simfile.Options{})
		db := openSim(t, f, nil)
		ok(t, db.Update(put("a", nil)))
		db.mu.Lock()
		db.flushing = true // another flush, so to say
		db.logged = false  // and Deferred commits before
		db.mu.Unlock()
		second := background(func() error { return db.Update(put("second", nil)) })
		eventually(t, func() bool { return db.waiting() == 1 })
		db.mu.Lock()
		g, latch := db.group, func() { db.latch(errors.New("a defect")) }
		ops := f.Ops()
		if given {
			next := db.startFlush()
			ops = f.Ops()
			latch()
			g.lead <- &next // whoever has it does not wait for the mutex
		} else {
			db.handed = true
			g.lead <- nil
			latch()
		}
		db.mu.Unlock()
		if within(t, "second", second) == nil {
			t.Error("the second is acknowledged")
		}
		if within(t, "Close", background(db.Close)) == nil {
			t.Error("Close does not tell")
		}
		if f.Ops() != ops {
			t.Errorf("given %v: something was written", given)
		}
	}
}

// A token that nobody has taken does not get lost when the group is latched.
func TestLatchTakesTheLeadBack(t *testing.T) {
	db := openSim(t, simfile.New(simfile.Options{}), nil)
	ok(t, db.Update(put("a", nil)))
	db.mu.Lock()
	db.flushing, db.handed = true, true // as finishFlush leaves it
	db.group.joined()
	db.group.lead <- nil
	db.latch(errors.New("a defect"))
	if db.flushing {
		t.Error("a flush is under way that nobody makes")
	}
	db.mu.Unlock()
	if within(t, "Close", background(db.Close)) == nil {
		t.Error("Close does not tell")
	}
}

// A group whose member has been told to flush is not sealed ahead: if that failed, a flush of nothing would follow.
func TestNothingIsSealedAheadOnceTheLeadIsGiven(t *testing.T) {
	for range 20 {
		f := simfile.New(simfile.Options{})
		db := openSim(t, f, nil)
		ok(t, db.Update(put("a", nil)))
		ok(t, db.Update(put("a", nil))) // from now on there is room
		db.mu.Lock()
		db.fewestAhead, db.expected = 1, 0
		db.flushing, db.handed = true, true // as finishFlush leaves it
		db.group.joined()
		db.group.lead <- nil
		flushes := db.flushes
		db.mu.Unlock()
		f.Fail(simfile.Fault{Kind: simfile.Write})
		if within(t, "Update", background(func() error { return db.Update(put("b", nil)) })) == nil {
			t.Error("Update does not tell")
		}
		db.mu.Lock()
		if db.flushing {
			t.Fatal("a flush is under way that nobody makes")
		}
		if db.flushes != flushes {
			t.Error("nothing was flushed")
		}
		db.mu.Unlock()
		ok(t, within(t, "Close", background(db.Close)))
	}
}

// Where those who are let go and those who wait are uneven parts of many writers, half of all is sealed ahead
// though others stand in line. These go with the same flush if they are many, else with the next.
func TestHalfOfTheWritersAreSealedAhead(t *testing.T) {
	for _, c := range []struct{ behind, flushes int }{{2, 3}, {3, 2}} {
		f, db, first := openAhead(t) // a large group is one of 4
		flushes := db.flushes
		db.mu.Lock()
		db.flying = 4 // as if the flush under way were for so many
		db.mu.Unlock()
		var writers []<-chan error
		begun, begin := make(chan struct{}), make(chan struct{})
		for i := range 4 + c.behind {
			key := fmt.Sprint("writer", i)
			writers = append(writers, background(func() error {
				return db.Update(inB(func(b *Bucket) error {
					if i == 0 {
						close(begun)
						<-begin
					}
					return b.Put([]byte(key), nil)
				}))
			}))
			if i == 0 {
				<-begun
				continue
			}
			eventually(t, func() bool { return db.order.length() == i })
		}
		close(begin)
		eventually(t, func() bool { return db.joinedNow() == 4+c.behind })
		db.mu.Lock()
		if len(db.ahead) != 1 || db.ahead[0].members != 4 {
			t.Errorf("%d groups are sealed ahead", len(db.ahead))
		}
		db.mu.Unlock()
		f.let()
		ok(t, within(t, "first", first))
		for i, w := range writers {
			ok(t, within(t, fmt.Sprint("writer ", i), w))
			has(t, db, fmt.Sprint("writer", i), true)
		}
		if n := db.flushes - flushes; n != c.flushes {
			t.Errorf("%d behind: %d flushes, not %d", c.behind, n, c.flushes)
		}
		sound(t, db)
		ok(t, db.Close())
	}
}

func (l *fifo) length() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue) - l.served
}
