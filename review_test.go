package folio

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/foliokv/folio/internal/backing"
	"github.com/foliokv/folio/internal/simfile"
	"github.com/foliokv/folio/internal/testdir"
	"github.com/foliokv/folio/mmapfile"
)

// Tests of corners of commit, undo and recovery, with a file whose flushes can be held up.

// A heldFile is a simulated file that stops at the begin of a flush while it is held.
type heldFile struct {
	*simfile.File
	held    atomic.Pointer[chan struct{}]
	stopped atomic.Int32
}

func newHeldFile(o simfile.Options) *heldFile {
	h := &heldFile{}
	o.OnOp = func(_ int, op simfile.Op) {
		if c := h.held.Load(); c != nil && op.Kind == simfile.SyncBegin {
			h.stopped.Add(1)
			<-*c
		}
	}
	h.File = simfile.New(o)
	return h
}

// hold makes flushes stop until let is called.
func (h *heldFile) hold() {
	c := make(chan struct{})
	h.held.Store(&c)
}

func (h *heldFile) let() {
	if c := h.held.Swap(nil); c != nil {
		close(*c)
	}
}

func eventually(t *testing.T, cond func() bool) {
	t.Helper()
	for range 100_000 {
		if cond() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("waited in vain")
}

func openSim(t *testing.T, f backing.File, o *Options) *DB {
	t.Helper()
	db, err := openOn(f, o.withDefaults(), true)
	ok(t, err)
	return db
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sound ends the test if the store has a flaw.
func sound(t *testing.T, db *DB) {
	t.Helper()
	ok(t, db.View(func(tx *Tx) error {
		for err := range tx.Check() {
			t.Error(err)
		}
		return nil
	}))
	if t.Failed() {
		t.FailNow()
	}
}

func inB(fn func(b *Bucket) error) func(*Tx) error {
	return func(tx *Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte("b"))
		if err != nil {
			return err
		}
		return fn(b)
	}
}

func put(k string, v []byte) func(*Tx) error {
	return inB(func(b *Bucket) error { return b.Put([]byte(k), v) })
}

// background runs fn and returns where its error comes.
func background(fn func() error) <-chan error {
	c := make(chan error, 1)
	go func() { c <- fn() }()
	return c
}

func (db *DB) waiting() int {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.group.members
}

func within(t *testing.T, what string, c <-chan error) error {
	t.Helper()
	select {
	case err := <-c:
		return err
	case <-time.After(2 * time.Minute):
		t.Fatalf("%s hangs", what)
		return nil
	}
}

// holdFirst runs a transaction whose flush has begun and is held.
func holdFirst(t *testing.T, db *DB, f *heldFile) <-chan error {
	t.Helper()
	stopped := f.stopped.Load()
	f.hold()
	first := background(func() error { return db.Update(put("first", []byte("1"))) })
	eventually(t, func() bool { return f.stopped.Load() > stopped })
	return first
}

// sealUnder brings about that one transaction waits for the flush of another; release lets
// both finish, so that the group is sealed while the caller's transaction is open.
func sealUnder(t *testing.T, db *DB, f *heldFile) (release func() error) {
	t.Helper()
	first := holdFirst(t, db, f)
	second := background(func() error { return db.Update(put("second", []byte("2"))) })
	eventually(t, func() bool { return db.waiting() == 1 })
	return func() error {
		f.let()
		if err := <-first; err != nil {
			return err
		}
		return <-second
	}
}

func TestLoadWhileGroupIsSealed(t *testing.T) {
	f := newHeldFile(simfile.Options{})
	db := openSim(t, f, nil)
	ok(t, db.Update(put("a", nil)))
	release := sealUnder(t, db, f)
	err := db.Update(func(tx *Tx) error {
		b := tx.Bucket([]byte("b"))
		return b.Load(context.Background(), func(yield func(k, v []byte) bool) {
			for i := range 1000 {
				if i == 500 {
					ok(t, release())
				}
				if !yield(fmt.Appendf(nil, "t%05d", i), make([]byte, 50)) {
					return
				}
			}
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	sound(t, db)
	ok(t, db.Close())
}

// The separator of a long key and a short one after it is the short key itself.
func TestSeparatorOutlivesItsPage(t *testing.T) {
	db, err := OpenMemory(nil)
	ok(t, err)
	same := strings.Repeat("p", 300)
	ok(t, db.Update(inB(func(b *Bucket) error {
		for i := range 400 {
			k := fmt.Sprintf("%s%04d", same, i*7%400)
			if err := b.Put([]byte(k+strings.Repeat("x", 1000)), []byte("long")); err != nil {
				return err
			}
			if err := b.Put([]byte(k+strings.Repeat("y", 400)), []byte("short")); err != nil {
				return err
			}
		}
		return nil
	})))
	sound(t, db)
	ok(t, db.Close())
}

func TestWaitDurableForWhatChangedNothing(t *testing.T) {
	db, err := OpenMemory(nil)
	ok(t, err)
	var waited <-chan error
	ok(t, db.Update(func(tx *Tx) error {
		id := tx.ID()
		waited = background(func() error { return db.WaitDurable(context.Background(), id) })
		time.Sleep(10 * time.Millisecond)
		return nil
	}))
	ok(t, within(t, "WaitDurable", waited))
	ok(t, db.Close())
}

func TestWaitDurableForWhatFailed(t *testing.T) {
	f := simfile.New(simfile.Options{})
	db := openSim(t, f, &Options{Durability: Deferred, FlushInterval: -1})
	var waited <-chan error
	err := db.Update(func(tx *Tx) error {
		id := tx.ID()
		waited = background(func() error { return db.WaitDurable(context.Background(), id) })
		time.Sleep(10 * time.Millisecond)
		f.Fail(simfile.Fault{Kind: simfile.Write, Always: true, Err: syscall.ENOSPC})
		return put("a", nil)(tx)
	})
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	f.Heal()
	ok(t, within(t, "WaitDurable", waited))
	ok(t, db.Close())
}

// A Deferred commit that fails after much was written leaves nothing to flush: a flush of the
// durable state anew would free the free log that its meta needs.
func TestNothingToFlushAfterFailedSeal(t *testing.T) {
	f := simfile.New(simfile.Options{})
	db := openSim(t, f, &Options{Durability: Deferred, FlushInterval: -1, FlushBytes: 64 << 10, DirtyLimit: 1}) // so that commits write
	ok(t, db.Update(put("a", make([]byte, 9000))))
	ok(t, db.Update(put("a", make([]byte, 9000))))
	ok(t, db.Sync())
	flushes := db.Stats().FlushN
	err := db.Update(func(tx *Tx) error {
		if err := put("b", make([]byte, 100<<10))(tx); err != nil {
			return err
		}
		f.Fail(simfile.Fault{Kind: simfile.Write, Err: syscall.ENOSPC})
		return nil
	})
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	f.Heal()
	eventually(t, func() bool { db.mu.Lock(); defer db.mu.Unlock(); return !db.flushing })
	if n := db.Stats().FlushN; n != flushes {
		t.Errorf("%d flushes of a state that is durable", n-flushes)
	}
	for _, r := range db.log.chain {
		if db.alloc.free.overlaps(run{r.pgno, 1}) {
			t.Errorf("page %d of the free log is free", r.pgno)
		}
	}
	ok(t, db.Close())
}

// What is committed while a flush is under way is flushed in time too, even past FlushBytes.
func TestFlushAfterFlush(t *testing.T) {
	f := newHeldFile(simfile.Options{})
	db := openSim(t, f, &Options{Durability: Deferred, FlushInterval: time.Millisecond, FlushBytes: 64 << 10})
	f.hold()
	ok(t, db.Update(put("a", nil)))
	eventually(t, func() bool { return f.stopped.Load() > 0 })
	ok(t, db.Update(put("b", make([]byte, 70<<10))))
	time.Sleep(20 * time.Millisecond)
	f.let()
	for range 2000 {
		if s := db.Stats(); s.DurableTxid == s.Txid {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if s := db.Stats(); s.DurableTxid != s.Txid {
		t.Errorf("durable is %d, the newest %d", s.DurableTxid, s.Txid)
	}
	ok(t, db.Close())
}

// A heldMemory is a file in memory whose flushes stop while it is held.
type heldMemory struct {
	*memoryFile
	h *heldFile
}

func (m heldMemory) SyncData() error {
	if c := m.h.held.Load(); c != nil {
		m.h.stopped.Add(1)
		<-*c
	}
	return m.memoryFile.SyncData()
}

func (m heldMemory) SyncFull() error { return m.SyncData() }

func TestMemorySealDuringLargeWrite(t *testing.T) {
	h := &heldFile{}
	db, err := openOn(heldMemory{&memoryFile{}, h}, (*Options)(nil).withDefaults(), false)
	ok(t, err)
	ok(t, db.Update(put("a", nil)))
	release := sealUnder(t, db, h)
	const size = 8 << 20
	ok(t, db.Update(inB(func(b *Bucket) error {
		n := 0
		r := readerFunc(func(p []byte) (int, error) {
			if n++; n == 10 {
				ok(t, release())
				ok(t, db.View(func(tx *Tx) error {
					if v := tx.Bucket([]byte("b")).Get([]byte("second")); string(v) != "2" {
						t.Errorf("second is %q", v)
					}
					return nil
				}))
			}
			return len(p), nil
		})
		return b.PutReader([]byte("large"), r, size)
	})))
	sound(t, db)
	ok(t, db.Close())
}

type readerFunc func(p []byte) (int, error)

func (r readerFunc) Read(p []byte) (int, error) { return r(p) }

// A Put that fails leaves the value it was to replace.
func TestFailedReplaceKeepsOldValue(t *testing.T) {
	f := simfile.New(simfile.Options{})
	db := openSim(t, f, nil)
	same := strings.Repeat("s", 1500) // the pages' separators are long keys, which are written at once
	key := func(i int) []byte { return fmt.Appendf(nil, "%s%03d", same, i) }
	ok(t, db.Update(inB(func(b *Bucket) error {
		for i := range 30 {
			if err := b.Put(key(i), bytes.Repeat([]byte("o"), 5000)); err != nil {
				return err
			}
		}
		return nil
	})))
	failed := 0
	ok(t, db.Update(inB(func(b *Bucket) error {
		f.Fail(simfile.Fault{Kind: simfile.Write, Always: true, Err: syscall.ENOSPC})
		defer f.Heal()
		for i := range 30 {
			if b.Put(key(i), make([]byte, 600)) != nil {
				failed++
			}
		}
		return nil
	})))
	if failed == 0 {
		t.Error("no Put failed")
	}
	sound(t, db)
	ok(t, db.View(inBucket(func(b *Bucket) error {
		for i := range 30 {
			if n := len(b.Get(key(i))); n != 5000 && n != 600 {
				t.Errorf("value %d has %d bytes", i, n)
			}
		}
		return nil
	})))
	ok(t, db.Close())
}

// deferred puts k in a Deferred transaction.
func deferred(db *DB, k string) error {
	return db.Update(func(tx *Tx) error {
		tx.SetDurability(Deferred)
		return put(k, nil)(tx)
	})
}

func inBucket(fn func(b *Bucket) error) func(*Tx) error {
	return func(tx *Tx) error { return fn(tx.Bucket([]byte("b"))) }
}

// Pages that a transaction is writing without the mutex are not given to others when the
// group before it fails.
func TestGroupFailsDuringLargeWrite(t *testing.T) {
	f := newHeldFile(simfile.Options{})
	db := openSim(t, f, &Options{FlushInterval: -1})
	ok(t, db.Update(put("a", nil)))
	ok(t, deferred(db, "d1"))
	f.hold()
	sync := background(db.Sync)
	eventually(t, func() bool { return f.stopped.Load() > 0 })
	ok(t, deferred(db, "d2"))
	member := background(func() error { return db.Update(put("m", nil)) })
	eventually(t, func() bool { return db.waiting() == 1 })
	const size = 2 << 20
	err := db.Update(inB(func(b *Bucket) error {
		n := 0
		return b.PutReader([]byte("large"), readerFunc(func(p []byte) (int, error) {
			if n++; n == 2 {
				f.Fail(simfile.Fault{Kind: simfile.Write, Always: true, Err: syscall.ENOSPC})
				f.let()
				ok(t, <-sync)
				if err := <-member; !errors.Is(err, syscall.ENOSPC) {
					t.Error(err)
				}
				f.Heal()
				db.mu.Lock()
				before := db.alloc.free.pages
				db.mu.Unlock()
				if before >= size/4096 {
					t.Errorf("%d pages are free, among them those being written", before)
				}
				ok(t, db.Sync())
			}
			return len(p), nil
		}), size)
	}))
	if err == nil {
		t.Error("no error of a transaction built upon a group that failed")
	}
	if errors.Is(err, ErrCorrupt) {
		t.Errorf("the failed group is said to be damage: %v", err)
	}
	sound(t, db)
	ok(t, db.Close())
}

func TestPutReaderThatPanics(t *testing.T) {
	for _, cause := range []any{"boom", runtimePanic} {
		db, err := OpenMemory(nil)
		ok(t, err)
		ok(t, db.Update(inB(func(b *Bucket) error {
			defer func() {
				if r := recover(); r == nil {
					t.Errorf("the panic of %v is gone", cause)
				}
			}()
			return b.PutReader([]byte("k"), readerFunc(func([]byte) (int, error) {
				if fn, ok := cause.(func()); ok {
					fn()
				}
				panic(cause)
			}), 100000)
		})))
		sound(t, db)
		ok(t, db.Close())
	}
}

var divisor int

var runtimePanic = func() { divisor = 1 / divisor }

// MaxSize may be less than what an existing file has.
func TestMaxSizeBelowFile(t *testing.T) {
	path := filepath.Join(testdir.New(t), "store")
	db, err := Open(path, 0o600, nil)
	ok(t, err)
	ok(t, db.Update(put("a", make([]byte, 4<<20))))
	ok(t, db.Close())
	db, err = Open(path, 0o600, &Options{MaxSize: 1 << 20})
	ok(t, err)
	size := db.Stats().FileSize
	for i := range 20 {
		if err := db.Update(put(fmt.Sprint("b", i), make([]byte, 2000))); !errors.Is(err, ErrMaxSizeReached) {
			t.Fatalf("a write gives %v", err)
		}
	}
	if n := db.Stats().FileSize; n > size {
		t.Errorf("the file grew from %d to %d bytes", size, n)
	}
	sound(t, db)
	ok(t, db.Close())
}

// A state may reach past the end of a file that was cut since.
func TestWriteToAfterCut(t *testing.T) {
	if !mmapfile.CanReserve {
		t.Skip("a mapped file cannot be cut there")
	}
	f := simfile.New(simfile.Options{})
	db := openSim(t, f, nil)
	ok(t, db.Update(put("a", make([]byte, 24<<20))))
	ok(t, db.Update(inB(func(b *Bucket) error { return b.Delete([]byte("a")) })))
	ok(t, db.Update(put("b", nil))) // moves the tree down
	tx, err := db.Begin(false)
	ok(t, err)
	for i := range 12 {
		ok(t, db.Update(put("c", []byte{byte(i)})))
	}
	if s := db.Stats(); s.FileSize >= tx.Size() {
		t.Fatalf("the file was not cut: %d bytes of %d", s.FileSize, tx.Size())
	}
	var out bytes.Buffer
	n, err := tx.WriteTo(&out)
	if err != nil || n != tx.Size() {
		t.Errorf("%d bytes of %d: %v", n, tx.Size(), err)
	}
	ok(t, tx.Rollback())
	sound(t, db)
	ok(t, db.Close())
	if t.Failed() {
		return
	}
	db = openSim(t, simfile.FromImage(out.Bytes(), simfile.Options{}), nil)
	sound(t, db)
	ok(t, db.Close())
}

// A first commit that was torn leaves the empty store.
func TestTornFirstCommit(t *testing.T) {
	for slot := range 2 {
		f := simfile.New(simfile.Options{})
		db := openSim(t, f, nil)
		ok(t, db.Close())
		f = f.Kill(simfile.Options{})
		_, err := f.WriteAt([]byte{0xff}, int64(slot)*4096+40)
		ok(t, err)
		db, err = openOn(f, (*Options)(nil).withDefaults(), true)
		if err != nil {
			t.Errorf("slot %d: %v", slot, err)
			continue
		}
		ok(t, db.Update(put("a", nil)))
		sound(t, db)
		ok(t, db.Close())
	}
}

// forge gives the extent of key other fields.
func forge(tx *Tx, key string, fn func(e *extent)) error {
	b := tx.Bucket([]byte("b"))
	_, p, err := b.descend([]byte(key))
	if err != nil {
		return err
	}
	i, _, err := p.search([]byte(key), tx)
	if err != nil {
		return err
	}
	_, v := p.payload(i)
	e := getExtent(v)
	fn(&e)
	e.put(v)
	return nil
}

func TestExtentsOutsideTheFile(t *testing.T) {
	for _, at := range []uint32{1 << 20, dirtyBit - 4} {
		db, err := OpenMemory(nil)
		ok(t, err)
		ok(t, db.Update(put("a", make([]byte, 10000))))
		ok(t, db.Update(func(tx *Tx) error { return forge(tx, "a", func(e *extent) { e.pgno = at; e.length = 1 << 20 }) }))
		err = db.Update(inB(func(b *Bucket) error { return b.Delete([]byte("a")) }))
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("deleting an extent at page %d gives %v", at, err)
		}
		for i := range 5 {
			ok(t, db.Update(put(fmt.Sprint("c", i), make([]byte, 20000))))
		}
		ok(t, db.Close())
	}
}

func TestExtentsReferredToTwice(t *testing.T) {
	db, err := OpenMemory(&Options{MaxSize: 4 << 20})
	ok(t, err)
	ok(t, db.Update(put("a", make([]byte, 100000))))
	ok(t, db.Update(put("b", make([]byte, 100000))))
	ok(t, db.Update(func(tx *Tx) error {
		var first extent
		if err := forge(tx, "a", func(e *extent) { first = *e }); err != nil {
			return err
		}
		return forge(tx, "b", func(e *extent) { *e = first })
	}))
	done := background(func() error {
		del := inB(func(b *Bucket) error { return errors.Join(b.Delete([]byte("a")), b.Delete([]byte("b"))) })
		err := db.Update(del)
		for i := range 1000 {
			if e := db.Update(put(fmt.Sprint("c", i), make([]byte, 1000))); e != nil {
				break
			}
		}
		if err != nil && !errors.Is(err, ErrCorrupt) {
			return err
		}
		return nil
	})
	ok(t, within(t, "a store with an extent referred to twice", done))
	ok(t, db.Close())
}

// A pinnedFile cannot be cut while it is mapped, as on Windows.
type pinnedFile struct {
	*simfile.File
	maps *atomic.Int32
}

type pinnedMap struct {
	backing.Map
	maps *atomic.Int32
}

func (f pinnedFile) Map(n int64) (backing.Map, error) {
	m, err := f.File.Map(n)
	if err == nil {
		f.maps.Add(1)
		m = pinnedMap{m, f.maps}
	}
	return m, err
}

func (m pinnedMap) Close() error {
	m.maps.Add(-1)
	return m.Map.Close()
}

func (f pinnedFile) Truncate(n int64) error {
	if size, err := f.Size(); err == nil && n < size && f.maps.Load() > 0 {
		return errors.New("the file has a mapped section open")
	}
	return f.File.Truncate(n)
}

func TestCloseWhereMappedFilesCannotBeCut(t *testing.T) {
	f := pinnedFile{simfile.New(simfile.Options{}), new(atomic.Int32)}
	db := openSim(t, f, nil)
	ok(t, db.Update(put("a", make([]byte, 24<<20))))
	for range 3 {
		ok(t, db.Update(inB(func(b *Bucket) error { return b.Delete([]byte("a")) })))
	}
	ok(t, db.Close())
	if n, _ := f.Size(); n > 1<<20 {
		t.Errorf("the file has %d bytes", n)
	}
	db = openSim(t, pinnedFile{f.Kill(simfile.Options{}), new(atomic.Int32)}, nil)
	if !db.cleanSlots {
		t.Error("not closed cleanly")
	}
	sound(t, db)
	ok(t, db.Close())
}

// A Put that waits for room, here for that of a separator, holds no pages: the group below the
// transaction may be sealed meanwhile, and gives its buffers up.
func TestPutWaitsForRoom(t *testing.T) {
	same := strings.Repeat("s", 1500)
	key := func(i int) []byte { return fmt.Appendf(nil, "%s%03d", same, i*77%200) }
	fill := func(db *DB, from, to int, v byte, n int) error {
		return db.Update(inB(func(b *Bucket) error {
			for i := from; i < to; i++ {
				db.mu.Lock()
				db.full = true // as if the disk were
				db.mu.Unlock()
				if err := b.Put(key(i), bytes.Repeat([]byte{v}, n+i%7*5)); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	for round := range 3 {
		f := newHeldFile(simfile.Options{})
		db := openSim(t, f, &Options{FlushInterval: -1})
		ok(t, fill(db, 0, 200, 'a', 100))
		ok(t, deferred(db, "d1"))
		f.hold()
		first := background(db.Sync)
		eventually(t, func() bool { return f.stopped.Load() > 0 })
		ok(t, deferred(db, "d2"))
		second := background(func() error { return fill(db, 0, 200, 'b', 110) })
		eventually(t, func() bool { return db.waiting() == 1 })
		time.AfterFunc(20*time.Millisecond, f.let)
		ok(t, fill(db, round, 100, 'c', 600))
		ok(t, errors.Join(<-first, <-second))
		ok(t, db.View(inBucket(func(b *Bucket) error {
			for i := range 200 {
				want := bytes.Repeat([]byte("b"), 110+i%7*5)
				if i >= round && i < 100 {
					want = bytes.Repeat([]byte("c"), 600+i%7*5)
				}
				if v := b.Get(key(i)); !bytes.Equal(v, want) {
					t.Errorf("round %d: value %d is %.10q", round, i, v)
				}
			}
			return nil
		})))
		sound(t, db)
		ok(t, db.Close())
	}
}

// On a full disk a large value goes to the nursery where no other run is long enough, and the
// nursery is part of the file from then on. While the disk has room it is left alone.
func TestLargeValueInTheNursery(t *testing.T) {
	for _, full := range []bool{false, true} {
		const large = 100 // pages, more than the reserve at the end of the file
		f := simfile.New(simfile.Options{Capacity: 4 << 20})
		db := openSim(t, f, nil)
		n := 0
		page := make([]byte, DefaultPageSize-100) // an extent of one page
		for err := error(nil); err == nil; n += 50 {
			err = db.Update(inB(func(b *Bucket) (err error) {
				for i := range 50 {
					err = cmp.Or(err, b.Put(fmt.Appendf(nil, "%05d", n+i), page))
				}
				return err
			}))
		}
		n -= 50
		ok(t, db.Update(inB(func(b *Bucket) error { // every fourth page, and a run of them
			for i := range n {
				if i%4 == 0 || n/2 < i && i < n/2+2*large+100 {
					if err := b.Delete(fmt.Appendf(nil, "%05d", i)); err != nil {
						return err
					}
				}
			}
			return nil
		})))
		ok(t, db.Update(put("small", nil))) // what was deleted is free now
		if !full {
			f.SetCapacity(0)
		}
		db.mu.Lock()
		nursery, _ := db.alloc.free.fitting([]run{{0, db.alloc.hwm}}, large, nil)
		db.alloc.nursery = []run{nursery}
		db.full = full
		db.mu.Unlock()
		if nursery.n < large {
			t.Fatalf("the nursery has %d pages", nursery.n)
		}
		value := bytes.Repeat([]byte("large"), large*DefaultPageSize/5)
		ok(t, db.Update(put("large", value)))
		db.mu.Lock()
		kept := slices.ContainsFunc(db.alloc.nursery, func(r run) bool { return r.start < nursery.end() && nursery.start < r.end() })
		if in := db.alloc.free.countIn(nursery) < nursery.n-large/2; in != full || kept == full {
			t.Errorf("disk full %v: in the nursery %v, which was kept %v", full, in, kept)
		}
		db.mu.Unlock()
		sound(t, db)
		ok(t, db.Close())
		db = openSim(t, f.Kill(simfile.Options{}), nil)
		ok(t, db.View(inBucket(func(b *Bucket) error {
			if !bytes.Equal(b.Get([]byte("large")), value) {
				t.Error("the large value is lost")
			}
			return nil
		})))
		ok(t, db.Close())
	}
}

// A Put into an empty bucket that fails for want of space leaves no empty page behind.
func TestFailedPutIntoEmptyBucket(t *testing.T) {
	db := openSim(t, simfile.New(simfile.Options{}), &Options{MaxSize: 1 << 20})
	key := bytes.Repeat([]byte("key"), 10000)
	n := 0
	for err := error(nil); err == nil; n++ {
		err = db.Update(put(fmt.Sprint(n), key))
	}
	ok(t, db.Update(inB(func(b *Bucket) error {
		c, err := b.CreateBucket([]byte("empty"))
		if err != nil {
			return err
		}
		if err := c.Put(key, nil); !errors.Is(err, ErrMaxSizeReached) {
			t.Errorf("Put into a full store gives %v", err)
		}
		b.Tx().Savepoint() // from here on the bucket counts as unchanged
		return b.Delete([]byte("0"))
	})))
	sound(t, db)
	ok(t, db.Close())
}

// A call that waits for the mutex while the group below its transaction fails returns the
// transaction's error, also when it looks for pages that the transaction wrote early, and lost.
func TestAbandonedBeforeACall(t *testing.T) {
	for _, early := range []bool{false, true} {
		db := openSim(t, simfile.New(simfile.Options{}), nil)
		failed := errors.New("the group failed")
		err := db.Update(inB(func(b *Bucket) error {
			if early {
				ok(t, b.Load(t.Context(), func(yield func(k, v []byte) bool) {
					for i := 0; i < 1000 && yield(fmt.Appendf(nil, "k%05d", i), make([]byte, 50)); i++ {
					}
				}))
			} else {
				ok(t, b.Put([]byte("k00500"), nil))
			}
			db.mu.Lock()
			call := background(func() error { return b.Delete([]byte("k00500")) })
			time.Sleep(10 * time.Millisecond) // without it the call may find the error at its begin
			b.tx.fail(failed)
			b.tx.abandon()
			db.dirty.reset()
			db.alloc.trim()
			db.mu.Unlock()
			if err := within(t, "Delete", call); err != failed {
				t.Errorf("written early %v: Delete gives %v", early, err)
			}
			return nil
		}))
		if !errors.Is(err, failed) {
			t.Errorf("Update gives %v", err)
		}
		sound(t, db)
		ok(t, db.Close())
	}
}

// A call that gives up the mutex finds what is sealed meanwhile, though the file has grown.
func TestGrowthWhileACallIsWithoutTheMutex(t *testing.T) {
	f := newHeldFile(simfile.Options{})
	db := openSim(t, f, nil)
	ok(t, db.Update(put("a", nil)))
	first := holdFirst(t, db, f)
	second := background(func() error {
		return db.Update(inB(func(b *Bucket) error {
			for i := range 3000 {
				ok(t, b.Put(fmt.Appendf(nil, "k%05d", i), make([]byte, 100)))
			}
			return nil
		}))
	})
	eventually(t, func() bool { return db.waiting() == 1 })
	ok(t, db.Update(inB(func(b *Bucket) (err error) {
		defer b.tx.leave(b.tx.enter(), &err)
		before := b.tx.hwm
		err = db.unlocked(func() error {
			f.let()
			return errors.Join(<-first, <-second)
		})
		if db.alloc.hwm <= before {
			t.Errorf("%d pages, as before", before)
		}
		if err == nil {
			err = b.put([]byte("k02999"), []byte("third"))
		}
		return err
	})))
	sound(t, db)
	ok(t, db.Close())
}

// What a transaction asks of a bucket and the sealing of the group below it do not race.
func TestCountWhileGroupIsSealed(t *testing.T) {
	f := newHeldFile(simfile.Options{})
	db := openSim(t, f, nil)
	ok(t, db.Update(put("a", nil)))
	release := sealUnder(t, db, f)
	ok(t, db.Update(inB(func(b *Bucket) error {
		done := background(release)
		for {
			if k, _ := b.At(2); b.Count() != 3 || string(k) != "second" {
				t.Errorf("%d keys, the third is %q", b.Count(), k)
			}
			select {
			case err := <-done:
				return err
			default:
				runtime.Gosched() // js has one thread
			}
		}
	})))
	sound(t, db)
	ok(t, db.Close())
}

// The indexes of a group's pages that an open transaction dropped are used again once the group
// is sealed beneath it, in whatever scope they were dropped.
func TestDroppedGroupPagesGiveTheirIndexesBack(t *testing.T) {
	fill := func(b *Bucket) {
		for i := range 3000 {
			ok(t, b.Put(fmt.Appendf(nil, "k%05d", i), make([]byte, 100)))
		}
	}
	for _, how := range []string{"flat", "inside", "across"} {
		f := newHeldFile(simfile.Options{})
		db := openSim(t, f, nil)
		ok(t, db.Update(put("a", nil)))
		f.hold()
		first := background(func() error { return db.Update(put("first", nil)) })
		eventually(t, func() bool { return f.stopped.Load() > 0 })
		second := background(func() error { return db.Update(inB(func(b *Bucket) error { fill(b); return nil })) })
		eventually(t, func() bool { return db.waiting() == 1 })
		ok(t, db.Update(inB(func(b *Bucket) error {
			indexes := len(db.dirty.pages)
			var sp *Savepoint
			if how != "flat" {
				ok(t, b.Put([]byte("k00100"), nil))
				sp = b.Tx().Savepoint()
			}
			ok(t, b.DeleteRange(nil, nil))
			if how == "inside" {
				ok(t, sp.Release())
			}
			f.let()
			ok(t, within(t, "first", first))
			ok(t, within(t, "second", second))
			if how == "across" {
				ok(t, sp.Release())
			}
			fill(b)
			if n := len(db.dirty.pages); n > indexes+5 {
				t.Errorf("%s: %d indexes, then %d", how, indexes, n)
			}
			return nil
		})))
		sound(t, db)
		ok(t, db.Close())
	}
}

// A commit that waits long for the handlers of an earlier one is told of: they may wait for it.
func TestEventHandlerWait(t *testing.T) {
	waits := make(chan EventHandlerWait, 1)
	db, err := OpenMemory(&Options{OnEvent: func(e Event) {
		if w, ok := e.(EventHandlerWait); ok {
			waits <- w
		}
	}})
	ok(t, err)
	db.handlers.patience = time.Millisecond
	var first, second int
	var ran []int
	var other <-chan error
	ok(t, db.Update(inB(func(b *Bucket) error {
		first = b.tx.ID()
		b.tx.OnCommit(func() {
			other = background(func() error {
				return db.Update(inB(func(b *Bucket) error {
					second = b.tx.ID()
					b.tx.OnCommit(func() { ran = append(ran, second) })
					return b.Put([]byte("second"), nil)
				}))
			})
			if w := <-waits; w.Running != first || w.Txid <= first {
				t.Errorf("%+v while the handlers of %d run", w, first)
			}
			ran = append(ran, first)
		})
		return b.Put([]byte("first"), nil)
	})))
	ok(t, within(t, "the second", other))
	if len(ran) != 2 || ran[0] != first || ran[1] != second {
		t.Errorf("handlers ran as %d", ran)
	}
	sound(t, db)
	ok(t, db.Close())
}

// A panickyFile panics in the operation that is chosen.
type panickyFile struct {
	*simfile.File
	in    atomic.Value // the operation
	while int          // calls of WriteVec while one is chosen
}

func (f *panickyFile) may(op string) {
	if f.in.Load() == op {
		panic("boom in " + op)
	}
}

func (f *panickyFile) WriteVec(bufs [][]byte, off int64) (int, error) {
	if f.in.Load() != "none" {
		f.while++
	}
	f.may("write")
	if f.while == 2 {
		f.may("write kept") // after the free log
	}
	return f.File.WriteVec(bufs, off)
}

func (f *panickyFile) WriteAt(p []byte, off int64) (int, error) {
	f.may("write meta")
	return f.File.WriteAt(p, off)
}

func (f *panickyFile) SyncData() error {
	f.may("sync")
	return f.File.SyncData()
}

func (f *panickyFile) SyncFull() error {
	f.may("sync")
	return f.File.SyncFull()
}

// A defect that panics in a commit leaves no lock behind: the commit fails, the store is
// latched, and what was durable is read and opens again.
func TestPanicInCommitLatches(t *testing.T) {
	if invariants {
		t.Skip("with invariants it is a panic")
	}
	for _, op := range []string{"write", "write kept", "write meta", "sync"} {
		for _, d := range []Durability{Durable, Deferred} {
			if op == "write kept" && d == Durable {
				continue
			}
			f := &panickyFile{File: simfile.New(simfile.Options{})}
			f.in.Store("none")
			db := openSim(t, f, &Options{Durability: d, FlushInterval: -1})
			ok(t, db.Update(put("a", nil)))
			ok(t, db.Sync())
			f.in.Store(op)
			err := within(t, "the commit", background(func() error {
				if err := db.Update(put("b", nil)); err != nil {
					return err
				}
				return db.Sync()
			}))
			if err == nil || !strings.Contains(err.Error(), "boom") {
				t.Errorf("%s, %d: the commit gives %v", op, d, err)
			}
			for what, fn := range map[string]func() error{
				"Update": func() error { return db.Update(put("c", nil)) },
				"Sync":   func() error { return db.WaitDurable(t.Context(), 100) },
			} {
				if again := within(t, what, background(fn)); again == nil || err.Error() != again.Error() {
					t.Errorf("%s, %d: then %s gives %v", op, d, what, again)
				}
			}
			ok(t, db.View(inBucket(func(b *Bucket) error {
				if b.Get([]byte("a")) == nil || b.Get([]byte("b")) != nil {
					t.Errorf("%s, %d: readers see %d keys", op, d, b.Count())
				}
				return nil
			})))
			killed := f.Kill(simfile.Options{})
			if within(t, "Close", background(db.Close)) == nil {
				t.Errorf("%s, %d: Close gives no error", op, d)
			}
			db = openSim(t, killed, nil)
			sound(t, db)
			ok(t, db.Close())
		}
	}
}

// A Deferred writer waits once twice FlushBytes wait behind a flush that does not end.
func TestDeferredWriterWaitsForASlowFlush(t *testing.T) {
	const flushBytes = 1 << 20
	f := newHeldFile(simfile.Options{})
	db := openSim(t, f, &Options{Durability: Deferred, FlushInterval: -1, FlushBytes: flushBytes})
	f.hold()
	var written atomic.Int64
	done := background(func() error {
		for i := range 100 {
			if err := db.Update(put(fmt.Sprint(i), make([]byte, 100_000))); err != nil {
				return err
			}
			written.Add(100_000)
		}
		return nil
	})
	eventually(t, func() bool { return f.stopped.Load() > 0 && written.Load() >= 2*flushBytes })
	time.Sleep(50 * time.Millisecond)          // in which one that does not wait goes too far
	if n := written.Load(); n > 3*flushBytes { // one in the flush, two behind it
		t.Errorf("%d bytes were written beside a flush", n)
	}
	if db.Stats().DurableTxid != 1 {
		t.Error("the flush has ended")
	}
	f.let()
	ok(t, within(t, "the writer", done))
	ok(t, db.Sync())
	sound(t, db)
	ok(t, db.Close())
}

// A nested bucket changed after a savepoint is, after the rollback, as the group beneath the
// transaction had it, though that was sealed meanwhile: its header stands in a page of the
// transaction, its root page was the group's.
func TestRollbackOfANestedBucketAfterASeal(t *testing.T) {
	f := newHeldFile(simfile.Options{})
	db := openSim(t, f, nil)
	fill := func(b *Bucket, from int) error {
		for i := range 20 {
			if err := b.Put(fmt.Appendf(nil, "%03d", from+i), make([]byte, 100)); err != nil {
				return err
			}
		}
		return nil
	}
	nested := func(from int) func(*Tx) error {
		return inB(func(b *Bucket) error {
			c, err := b.CreateBucketIfNotExists([]byte("c"))
			if err != nil {
				return err
			}
			return fill(c, from)
		})
	}
	ok(t, db.Update(nested(0)))
	f.hold()
	first := background(func() error { return db.Update(put("first", nil)) })
	eventually(t, func() bool { return f.stopped.Load() > 0 })
	second := background(func() error { return db.Update(nested(20)) })
	eventually(t, func() bool { return db.waiting() == 1 })
	ok(t, db.Update(inB(func(b *Bucket) error {
		c := b.Bucket([]byte("c"))
		ok(t, b.Put([]byte("mine"), nil))
		sp := b.tx.Savepoint()
		ok(t, fill(c, 40))
		f.let()
		ok(t, within(t, "the group beneath", second))
		ok(t, sp.Rollback())
		if n := c.Count(); n != 40 {
			t.Errorf("%d keys after the rollback, want 40", n)
		}
		for i := range 5 {
			d, err := b.CreateBucket(fmt.Appendf(nil, "d%d", i))
			ok(t, err)
			ok(t, fill(d, 0))
		}
		return c.Put([]byte("more"), nil)
	})))
	ok(t, within(t, "the first", first))
	sound(t, db)
	ok(t, db.View(inBucket(func(b *Bucket) error {
		if n := b.Bucket([]byte("c")).Count(); n != 41 {
			t.Errorf("%d keys, want 41", n)
		}
		return nil
	})))
	ok(t, db.Close())
}

// Calls of a transaction whose group has failed end, also those that find out in the middle, with
// buckets that had pages in the group.
func TestAbandonedWithOpenBuckets(t *testing.T) {
	failed := errors.New("the group failed")
	fill := func(b *Bucket) error {
		for k := range 200 {
			if err := b.Put(fmt.Append(nil, k), make([]byte, 100)); err != nil {
				return err
			}
		}
		return nil
	}
	for name, call := range map[string]func(b *Bucket) error{
		"Check":        func(b *Bucket) error { return <-b.tx.Check() },
		"CreateBucket": func(b *Bucket) error { _, err := b.CreateBucket([]byte("new")); return err },
		"DeleteBucket": func(b *Bucket) error { return b.DeleteBucket([]byte("n0")) },
		"DeleteRange":  func(b *Bucket) error { return b.DeleteRange(nil, nil) },
		"MoveBucket":   func(b *Bucket) error { return b.tx.MoveBucket([]byte("n0"), b, nil) },
		"Put":          func(b *Bucket) error { return b.Put([]byte("k"), nil) },
		"NextSequence": func(b *Bucket) error { _, err := b.NextSequence(); return err },
		"Savepoint": func(b *Bucket) error {
			sp := b.tx.Savepoint()
			return errors.Join(sp.Rollback(), b.tx.Err())
		},
	} {
		for i := range 8 {
			waits, nested := i%2 == 1, i/2 // buckets in the bucket; the first dirty page is the root of one of them
			db := openSim(t, simfile.New(simfile.Options{}), nil)
			ok(t, db.Update(inB(func(b *Bucket) error {
				for i := range nested {
					n, err := b.CreateBucket(fmt.Append(nil, "n", i))
					ok(t, err)
					ok(t, fill(n))
				}
				return fill(b)
			})))
			err := db.Update(inB(func(b *Bucket) error {
				for i := range nested {
					ok(t, b.Bucket(fmt.Append(nil, "n", i)).Put([]byte("7"), []byte("changed")))
				}
				if nested != 2 {
					ok(t, b.Put([]byte("7"), []byte("changed")))
				}
				var done <-chan error
				db.mu.Lock()
				if waits {
					done = background(func() error { return call(b) })
					time.Sleep(time.Millisecond) // else it may find the error at its begin, as in the other case
				}
				b.tx.fail(failed)
				b.tx.abandon()
				db.dirty.reset()
				db.alloc.trim()
				db.mu.Unlock()
				if !waits {
					done = background(func() error { return call(b) })
				}
				if err := within(t, name, done); !errors.Is(err, failed) {
					t.Errorf("%s, waits %v, %d nested: %v", name, waits, nested, err)
				}
				return nil
			}))
			if !errors.Is(err, failed) {
				t.Errorf("%s, waits %v, %d nested: Update gives %v", name, waits, nested, err)
			}
			sound(t, db)
			ok(t, db.Close())
		}
	}
}
