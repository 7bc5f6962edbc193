package folio

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/foliokv/folio/internal/simfile"
)

// keepsAll are options of a store that flushes when it is told to.
var keepsAll = Options{Durability: Deferred, FlushInterval: -1, FlushBytes: -1}

func openKeeping(t *testing.T, f *simfile.File, o Options) *DB {
	t.Helper()
	db := openSim(t, f, &o)
	t.Cleanup(func() { db.Close() })
	return db
}

// putAll puts n keys, in order, with this byte as their values.
func putAll(n int, v byte) func(*Tx) error {
	return inB(func(b *Bucket) error {
		for i := range n {
			if err := b.Put(binary.BigEndian.AppendUint32(nil, uint32(i)), bytes.Repeat([]byte{v}, 100)); err != nil {
				return err
			}
		}
		return nil
	})
}

// wantAll looks for what putAll put.
func wantAll(t *testing.T, db *DB, n int, v byte) {
	t.Helper()
	ok(t, db.View(func(tx *Tx) error { checkAll(t, tx, n, v); return nil }))
}

func checkAll(t *testing.T, tx *Tx, n int, v byte) {
	t.Helper()
	seen, c := 0, tx.Bucket([]byte("b")).Cursor()
	for k, got := c.First(); k != nil; k, got = c.Next() {
		if !bytes.Equal(k, binary.BigEndian.AppendUint32(nil, uint32(seen))) || !bytes.Equal(got, bytes.Repeat([]byte{v}, 100)) {
			t.Fatalf("key %x, entry %d of %d: %.10x, want %x", k, seen, n, got, v)
		}
		seen++
	}
	ok(t, tx.Err())
	if seen != n {
		t.Fatalf("%d entries of %d", seen, n)
	}
}

// What Deferred transactions write again and again goes to the file once.
func TestDeferredPagesAreWrittenOnce(t *testing.T) {
	f := simfile.New(simfile.Options{})
	db := openKeeping(t, f, keepsAll)
	const n, rounds = 2000, 50
	for i := range rounds {
		ok(t, db.Update(putAll(n, byte(i))))
	}
	before := db.Stats()
	if w := before.Written; w.Leaf+w.Branch > 0 || before.KeptPageN == 0 {
		t.Errorf("%+v written before the flush, %d pages kept", w, before.KeptPageN)
	}
	wantAll(t, db, n, rounds-1)
	sound(t, db)
	ok(t, db.Sync())
	after := db.Stats()
	if w := int(after.Written.Leaf + after.Written.Branch); after.KeptPageN > before.KeptPageN/2+1 || w > after.DataPageN+2 {
		t.Errorf("%d pages written for %d, %d kept", w, after.DataPageN, after.KeptPageN)
	}
	ok(t, db.Update(putAll(1, rounds-1))) // pages that nobody needs go with the next commit
	if k := db.Stats().KeptPageN; k > 5 {
		t.Errorf("%d pages kept after a commit of one", k)
	}
	wantAll(t, db, n, rounds-1)
	ok(t, db.Sync())
	db = openKeeping(t, f.Kill(simfile.Options{}), keepsAll)
	wantAll(t, db, n, rounds-1)
	sound(t, db)
}

// Readers of any age see their states while later ones replace them, are flushed, and use their
// pages again.
func TestReadersOfKeptPages(t *testing.T) {
	for _, verify := range []Verify{VerifyOnce, VerifyAlways, VerifyNever} {
		o := keepsAll
		o.Verify = verify
		db := openKeeping(t, simfile.New(simfile.Options{}), o)
		rng := rand.New(rand.NewSource(1))
		type reader struct {
			tx *Tx
			v  byte
		}
		const n = 500
		var open []reader
		for i := range 100 {
			v := byte(i)
			ok(t, db.Update(putAll(n, v)))
			tx, err := db.Begin(false)
			ok(t, err)
			t.Cleanup(func() { _ = tx.Rollback() }) // else Close waits for it where the test fails
			open = append(open, reader{tx, v})
			if rng.Intn(10) == 0 {
				ok(t, db.Sync())
			}
			for len(open) > rng.Intn(8) {
				k := rng.Intn(len(open))
				r := open[k]
				checkAll(t, r.tx, n, r.v)
				var copied bytes.Buffer
				if rng.Intn(8) == 0 {
					_, err := r.tx.WriteTo(&copied)
					ok(t, err)
				}
				ok(t, r.tx.Rollback())
				open = append(open[:k], open[k+1:]...)
			}
		}
		for _, r := range open {
			checkAll(t, r.tx, n, r.v)
			ok(t, r.tx.Rollback())
		}
		sound(t, db)
	}
}

// repeated runs fn again and again on some goroutines, until the function that it returns is called
// or fn fails.
func repeated(t *testing.T, goroutines int, fn func() error) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := fn(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	return func() {
		close(done)
		wg.Wait()
	}
}

// Readers run beside commits and flushes. With -race this shows that nobody reads a buffer that
// is in use again.
func TestConcurrentReadersOfKeptPages(t *testing.T) {
	o := keepsAll
	o.DirtyLimit = 1 << 20
	db := openKeeping(t, simfile.New(simfile.Options{}), o)
	const n = 300
	ok(t, db.Update(putAll(n, 0)))
	stop := repeated(t, 3, func() error {
		return db.View(func(tx *Tx) error {
			v := tx.Bucket([]byte("b")).Get([]byte{0, 0, 0, 0})[0]
			checkAll(t, tx, n, v)
			return nil
		})
	})
	for i := range 150 {
		if err := db.Update(putAll(n, byte(i))); err != nil {
			t.Error(err)
		}
		if i%7 == 0 {
			if err := db.Sync(); err != nil {
				t.Error(err)
			}
		}
	}
	stop()
}

// What only old readers need of kept pages waits for no flush, and none writes it.
func TestOldKeptPages(t *testing.T) {
	db := openKeeping(t, simfile.New(simfile.Options{}), keepsAll)
	const n = 5000 // pages of some 600 KiB
	ok(t, db.Update(putAll(n, 1)))
	var readers []*Tx
	for v := byte(2); v < 8; v++ {
		tx, err := db.Begin(false)
		ok(t, err)
		t.Cleanup(func() { _ = tx.Rollback() })
		readers = append(readers, tx)
		ok(t, db.Update(putAll(n, v)))
	}
	ok(t, db.Sync())
	s := db.Stats()
	if w := int(s.Written.Leaf + s.Written.Branch); w > s.DataPageN || s.KeptPageN < 5*s.DataPageN {
		t.Errorf("%d pages written and %d kept for %d", w, s.KeptPageN, s.DataPageN)
	}
	if w := db.waitingBytes(); w > 0 {
		t.Errorf("%d bytes wait after a flush", w)
	}
	for i, tx := range readers {
		checkAll(t, tx, n, byte(i+1))
		ok(t, tx.Rollback())
	}
	sound(t, db)
}

// A flush that nobody waits for and that fails is made again.
func TestFailedFlushIsTriedAgain(t *testing.T) {
	f := simfile.New(simfile.Options{})
	db := openKeeping(t, f, Options{Durability: Deferred, FlushInterval: time.Millisecond, FlushBytes: 16 << 10})
	for range 4 {
		ok(t, db.Update(putAll(1000, 1)))
		ok(t, db.Sync())
	}
	f.Fail(simfile.Fault{At: f.Ops() + 1, Always: true, Kind: simfile.Write})
	ok(t, db.Update(putAll(1000, 2)))
	eventually(t, f.Fired)
	f.Heal()
	eventually(t, func() bool { s := db.Stats(); return s.DurableTxid == s.Txid })
}

// Copies are made beside commits. With -race this shows that they leave alone what is in use again.
func TestCopiesBesideCommits(t *testing.T) {
	o := keepsAll
	o.DirtyLimit = 1 << 20
	db := openKeeping(t, simfile.New(simfile.Options{}), o)
	ok(t, db.Update(putAll(300, 0)))
	stop := repeated(t, 1, func() error {
		return db.View(func(tx *Tx) error { _, err := tx.WriteTo(io.Discard); return err })
	})
	for i := range 200 {
		ok(t, db.Update(putAll(300, byte(i))))
	}
	stop()
}

// A copy has what is in memory only.
func TestCopiesOfKeptPages(t *testing.T) {
	db := openKeeping(t, simfile.New(simfile.Options{}), keepsAll)
	const n = 3000
	ok(t, db.Update(putAll(n, 1)))
	ok(t, db.Sync())
	ok(t, db.Update(putAll(n/2, 2)))
	ok(t, db.Update(putAll(n, 3)))
	dir := t.TempDir()
	ok(t, db.View(func(tx *Tx) error { return tx.CopyFile(filepath.Join(dir, "copy"), 0o600) }))
	c, err := Open(filepath.Join(dir, "compact"), 0o600, nil)
	ok(t, err)
	ok(t, db.Compact(context.Background(), c))
	ok(t, c.Close())
	for _, name := range []string{"copy", "compact"} {
		c, err := Open(filepath.Join(dir, name), 0o600, nil)
		ok(t, err)
		wantAll(t, c, n, 3)
		sound(t, c)
		ok(t, c.Close())
	}
}

// However much is written without a flush, no more than DirtyLimit stays in memory.
func TestKeptPagesStayBelowDirtyLimit(t *testing.T) {
	o := keepsAll
	o.DirtyLimit = 1 << 20
	db := openKeeping(t, simfile.New(simfile.Options{}), o)
	rng := rand.New(rand.NewSource(1))
	most := 0
	for range 300 {
		ok(t, putRandom(db, rng, 50_000, 30))
		most = max(most, db.Stats().KeptPageN)
	}
	const old = 150 // pages that the last commit replaced
	if limit := int(o.DirtyLimit)/db.pageSize + old; most > limit || most < limit/2 {
		t.Errorf("up to %d pages of at most %d", most, limit)
	}
	sound(t, db)
	ok(t, db.Update(func(tx *Tx) error { // more than is kept goes to the file at once
		b := tx.Bucket([]byte("b"))
		for i := range 5000 {
			if err := b.Put(binary.BigEndian.AppendUint64(nil, rng.Uint64()+uint64(i)), make([]byte, 100)); err != nil {
				return err
			}
		}
		return nil
	}))
	sound(t, db)
}

// A flush that cannot write what was kept fails, loses nothing, and is made up for.
func TestFailedWriteOfKeptPages(t *testing.T) {
	for _, cause := range []error{syscall.EIO, syscall.ENOSPC} {
		f := simfile.New(simfile.Options{})
		db := openKeeping(t, f, keepsAll)
		const n = 1000
		ok(t, db.Update(putAll(n, 1)))
		ok(t, db.Sync())
		ok(t, db.Update(putAll(n, 2)))
		log := 1 // the write of the free log comes first
		f.Fail(simfile.Fault{At: f.Ops() + log, Kind: simfile.Write, Err: cause})
		if err := db.Sync(); !errors.Is(err, cause) {
			t.Fatalf("the flush gave %v", err)
		}
		f.Heal()
		wantAll(t, db, n, 2)
		ok(t, db.Update(putAll(n/2, 2)))
		ok(t, db.WaitDurable(context.Background(), db.Stats().Txid))
		sound(t, db)
		db = openKeeping(t, f.Kill(simfile.Options{}), keepsAll)
		wantAll(t, db, n, 2)
		sound(t, db)
	}
}

// Whichever write of a Durable transaction's flush fails, nobody is told that it is durable, and
// what was durable before is whole.
func TestFailedFlushOfKeptPagesWithADurableTransaction(t *testing.T) {
	for at, fails := 0, true; fails; at++ {
		f := simfile.New(simfile.Options{})
		db := openKeeping(t, f, keepsAll)
		const n = 1000
		ok(t, db.Update(putAll(n, 1)))
		ok(t, db.Sync())
		ok(t, db.Update(putAll(n, 2)))
		err := db.Update(func(tx *Tx) error {
			tx.SetDurability(Durable)
			f.Fail(simfile.Fault{At: f.Ops() + at, Always: true, Kind: simfile.Write})
			_, err := tx.CreateBucket([]byte("durable"))
			return err
		})
		if fails = f.Fired(); fails != (err != nil) || !fails && at < 3 {
			t.Fatalf("after %d writes a fault: %v, the commit gave %v", at, fails, err)
		}
		f.Heal()
		_ = db.Sync() // fails if the store is latched
		ok(t, db.View(func(tx *Tx) error {
			if there := tx.Bucket([]byte("durable")) != nil; there == fails {
				t.Errorf("after %d writes: a fault: %v, the transaction is there: %v", at, fails, there)
			}
			return nil
		}))
		db.Close()
		db = openKeeping(t, f.Kill(simfile.Options{}), keepsAll)
		var v byte
		ok(t, db.View(func(tx *Tx) error {
			v = tx.Bucket([]byte("b")).Get([]byte{0, 0, 0, 0})[0]
			return nil
		}))
		if wantAll(t, db, n, v); !fails && v != 2 {
			t.Error("the transaction is lost")
		}
		sound(t, db)
	}
}

// A blockFile remembers which pages were ever written, so that the file system has blocks for them.
type blockFile struct {
	*simfile.File
	has pageSet
}

func (f *blockFile) WriteVec(bufs [][]byte, off int64) (int, error) {
	n, err := f.File.WriteVec(bufs, off)
	f.has.mark(run{uint32(off >> 12), uint32(n >> 12)})
	return n, err
}

// What is kept has its place on the disk already.
func TestKeptPagesHaveBlocks(t *testing.T) {
	f := &blockFile{File: simfile.New(simfile.Options{})}
	db := openSim(t, f, &keepsAll)
	defer db.Close()
	for n := range 40 {
		ok(t, db.Update(putAll(100*n, byte(n))))
		for _, r := range db.kept.all.runs() {
			if !f.has.holds(r) {
				t.Fatalf("pages %d to %d have no blocks", r.start, r.end())
			}
		}
	}
	if k := db.Stats().KeptPageN; k < 100 {
		t.Fatalf("%d pages are kept", k)
	}
}

// A Deferred commit finds out that the disk is full; the flush after it needs no room.
func TestKeptPagesHaveRoom(t *testing.T) {
	f := simfile.New(simfile.Options{})
	db := openKeeping(t, f, keepsAll)
	ok(t, db.Update(putAll(10, 0)))
	ok(t, db.Sync())
	f.SetCapacity(4 << 20)
	n := 0
	var err error
	for v := byte(0); err == nil; v++ {
		if n += 500; n > 100_000 {
			t.Fatal("the disk is never full")
		}
		if err = db.Update(putAll(n, 7)); err != nil {
			n -= 500
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	wantAll(t, db, n, 7)
	ok(t, db.Sync())
	db = openKeeping(t, f.Kill(simfile.Options{}), keepsAll)
	wantAll(t, db, n, 7)
	sound(t, db)
}

// A hookFile calls a function before one of its writes, and fails it with what that returns.
type hookFile struct {
	*simfile.File
	after int // writes that go before
	hook  func() error
}

func (f *hookFile) WriteVec(bufs [][]byte, off int64) (int, error) {
	if hook := f.hook; hook != nil {
		if f.after--; f.after < 0 {
			f.hook = nil
			if err := hook(); err != nil {
				return 0, err
			}
		}
	}
	return f.File.WriteVec(bufs, off)
}

// While a flush writes what was kept, a commit replaces it; then the flush fails, or not. Either
// way a reader of what was replaced sees it as long as it likes, and the next flush does not write it.
func TestCommitBesideFlushOfKeptPages(t *testing.T) {
	for _, cause := range []error{nil, syscall.EIO} {
		f := &hookFile{File: simfile.New(simfile.Options{})}
		db := openSim(t, f, &keepsAll)
		t.Cleanup(func() { db.Close() })
		const n = 1000
		ok(t, db.Update(putAll(n, 1)))
		ok(t, db.Sync())
		ok(t, db.Update(putAll(n, 2)))
		reader, err := db.Begin(false)
		ok(t, err)
		t.Cleanup(func() { _ = reader.Rollback() })
		f.after, f.hook = 1, func() error { // the free log goes before
			if err := db.Update(putAll(n, 3)); err != nil {
				return err
			}
			return cause
		}
		if err := db.Sync(); !errors.Is(err, cause) || f.hook != nil {
			t.Fatalf("the flush gave %v", err)
		}
		written := db.Stats().Written.Leaf
		for v := byte(4); v < 8; v++ {
			checkAll(t, reader, n, 2)
			ok(t, db.Update(putAll(n, v)))
			ok(t, db.Sync())
		}
		s := db.Stats()
		if w := int(s.Written.Leaf - written); w > 4*s.DataPageN {
			t.Errorf("%d leaves written by 4 flushes of %d pages", w, s.DataPageN)
		}
		checkAll(t, reader, n, 2)
		ok(t, reader.Rollback())
		sound(t, db)
		reopened := openKeeping(t, f.Kill(simfile.Options{}), keepsAll)
		wantAll(t, reopened, n, 7)
		sound(t, reopened)
	}
}

// After a flush that could not write what was kept, the state whose free log it would have made
// durable is needed by nobody: its pages are freed, and the end of the file with them. The next
// log, written upon that one, has to be readable all the same.
func TestFreeLogAfterAFailedFlushOfKeptPages(t *testing.T) {
	f := simfile.New(simfile.Options{})
	db := openKeeping(t, f, keepsAll)
	for range 2 { // enough that the free log has a place before what comes next
		ok(t, db.Update(putAll(2000, 1)))
		ok(t, db.Sync())
	}
	ok(t, db.Update(func(tx *Tx) error {
		b, err := tx.CreateBucket([]byte("big"))
		for i := 0; err == nil && i < 5000; i++ {
			err = b.Put(fmt.Appendf(nil, "k%06d", i), make([]byte, 200))
		}
		return err
	}))
	f.Fail(simfile.Fault{At: f.Ops() + 1, Always: true, Kind: simfile.Write}) // behind the free log
	if db.Sync() == nil {
		t.Fatal("Sync does not tell")
	}
	f.Heal()
	ok(t, db.Update(func(tx *Tx) error { return tx.DeleteBucket([]byte("big")) }))
	for i := range 6 {
		ok(t, db.Update(putAll(1, byte(i))))
	}
	db.delta.tidy()
	if last := len(db.delta.freed) - 1; last < 0 || db.delta.freed[last].end() <= db.alloc.hwm || db.alloc.hwm >= db.log.hwm {
		t.Fatalf("%d pages, %d in the log, freed since: %v: nothing is cut off that was freed", db.alloc.hwm, db.log.hwm, db.delta.freed)
	}
	ok(t, db.Sync())
	again := openSim(t, f.Kill(simfile.Options{}), nil)
	sound(t, again)
	ok(t, again.Close())
}

// Of kept pages that nobody needs not even the header is read by a copy: it may be used again. (The
// race detector sees that.)
func TestHeadersOfOthersStayUnread(t *testing.T) {
	db := openKeeping(t, simfile.New(simfile.Options{}), keepsAll)
	ok(t, db.Update(put("a", nil)))
	at, found := db.kept.all.next(0, db.alloc.hwm)
	if !found {
		t.Fatal("nothing is kept")
	}
	header := db.m.keptAt(at.start)
	p := *header
	done := make(chan struct{})
	go func() {
		*header = p
		close(done)
	}()
	if got := db.m.keptIn(at.start, 1, func(uint32) bool { return false }); len(got) > 0 {
		t.Errorf("%d pages that nobody needs", len(got))
	}
	<-done
	if got := db.m.keptIn(at.start, 1, func(uint32) bool { return true }); len(got) != 1 {
		t.Errorf("%d pages instead of one", len(got))
	}
	ok(t, db.Close())
}
