package folio

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/foliokv/folio/internal/backing"
	"github.com/foliokv/folio/internal/simfile"
	"github.com/foliokv/folio/internal/testdir"
)

// A decayingFile changes a bit of one page once that page was read a number of times.
type decayingFile struct {
	backing.File
	mu    sync.Mutex
	page  int64 // -1: none
	reads int   // that are still good
	once  bool  // after one bad read it is well again
}

func (f *decayingFile) decay(page uint32, reads int, once bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.page, f.reads, f.once = int64(page), reads, once
}

func (f *decayingFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	f.mu.Lock()
	defer f.mu.Unlock()
	at := f.page*DefaultPageSize + 100 - off
	if f.page < 0 || at < 0 || at >= int64(n) {
		return n, err
	}
	if f.reads--; f.reads >= 0 {
		return n, err
	}
	p[at] ^= 4
	if f.once {
		f.page = -1
	}
	return n, err
}

// variety fills a store with branches, leaves, extents of values and keys, nested and inline
// buckets, and free pages among them.
func variety(t *testing.T, db *DB) {
	t.Helper()
	ok(t, db.Update(inB(func(b *Bucket) error {
		for i := range 300 {
			ok(t, b.Put(fmt.Appendf(nil, "key%d", i*7919%300), make([]byte, i%300)))
			if i%75 == 0 {
				ok(t, b.Put(fmt.Appendf(nil, "large%d", i), bytes.Repeat([]byte{byte(i)}, 9000+i*40)))
				ok(t, b.Put(bytes.Repeat([]byte{'k', byte(i)}, 3000), nil))
				n, err := b.CreateBucket(fmt.Appendf(nil, "nested%d", i))
				ok(t, err)
				for j := range i {
					ok(t, n.Put(fmt.Appendf(nil, "%d", j), make([]byte, 50)))
				}
			}
		}
		return nil
	})))
	ok(t, db.Update(inB(func(b *Bucket) error { return b.DeleteRange([]byte("key2"), []byte("key3")) })))
	ok(t, db.Update(put("end", nil)))
}

// usedPages returns a name for every page in use: itself, or its extent's first page.
func usedPages(t *testing.T, db *DB) map[uint32]uint32 {
	t.Helper()
	first := map[uint32]uint32{}
	ok(t, db.View(func(tx *Tx) error {
		c := newChecker(tx, context.Background(), CheckOptions{})
		ok(t, c.reach())
		for i := range tx.hwm {
			if c.isUsed(i) {
				first[i] = i
			}
		}
		var extents func(b *Bucket)
		extents = func(b *Bucket) {
			cur := b.Cursor()
			for k, v := cur.First(); k != nil; k, v = cur.Next() {
				p := cur.stack[len(cur.stack)-1]
				note := func(e extent) {
					for i := range e.pages(db.pageSize) {
						first[e.pgno+i] = e.pgno
					}
				}
				if p.p.isLong(p.i) {
					_, e := p.p.longKey(p.i)
					note(e)
				}
				if flags, v := p.p.payload(p.i); flags == cellExtent {
					note(getExtent(v))
				}
				if v == nil {
					extents(b.Bucket(k))
				}
			}
		}
		extents(&tx.root)
		return nil
	}))
	return first
}

// A page that goes bad after it was verified and before it is copied is an error that names it.
func TestCopyVerifiesWhatItWrites(t *testing.T) {
	f := &decayingFile{File: simfile.New(simfile.Options{}), page: -1}
	db := openSim(t, f, nil)
	variety(t, db)
	for pgno, first := range usedPages(t, db) {
		for _, once := range []bool{false, true} {
			for _, reads := range []int{0, 1} {
				f.decay(pgno, reads, once)
				var out bytes.Buffer
				err := db.View(func(tx *Tx) error {
					_, err := tx.WriteTo(&out)
					return err
				})
				f.page = -1
				var e *CorruptError
				switch {
				case !errors.As(err, &e):
					t.Errorf("page %d bad after %d reads: %v", pgno, reads, err)
				case !once && e.Pgno != first:
					t.Errorf("page %d of %d: %v", pgno, first, err)
				case e.Pgno > pgno || e.Pgno+sumPages <= first:
					t.Errorf("once, page %d: %v", pgno, err)
				}
			}
		}
	}
	sound(t, db)
	ok(t, db.Close())
}

// steps notes what Progress is told, and calls then at the step with a number.
type steps struct {
	done, total []int64
	at          int
	then        func()
}

func (s *steps) options() CopyOptions {
	return CopyOptions{Progress: func(done, total int64) {
		s.done, s.total = append(s.done, done), append(s.total, total)
		if s.then != nil && len(s.done) == s.at {
			s.then()
		}
	}}
}

func (s *steps) check(t *testing.T, what string, total int64) {
	t.Helper()
	last := int64(0)
	for i, done := range s.done {
		if done < last || s.total[i] != total {
			t.Errorf("%s: step %d of %d of %d after %d of %d", what, i, done, s.total[i], last, total)
		}
		last = done
	}
	if len(s.done) < 4 || last != total {
		t.Errorf("%s: %d steps, the last one is %d of %d", what, len(s.done), last, total)
	}
}

// bigStore returns a store of some megabytes in a file.
func bigStore(t *testing.T) *DB {
	t.Helper()
	db, err := Open(filepath.Join(testdir.New(t), "store"), 0o600, nil)
	ok(t, err)
	variety(t, db)
	ok(t, db.Update(inB(func(b *Bucket) error {
		n, err := b.CreateBucket([]byte("more"))
		if err != nil {
			return err
		}
		for i := range 20000 {
			ok(t, n.Put(fmt.Appendf(nil, "%06d", i), make([]byte, 400)))
		}
		return nil
	})))
	return db
}

func TestCopiesTellTheirProgress(t *testing.T) {
	db := bigStore(t)
	defer db.Close()
	ok(t, db.View(func(tx *Tx) error {
		var s steps
		n, err := tx.WriteToContext(t.Context(), io.Discard, s.options())
		if err != nil || n != tx.Size() {
			t.Errorf("%d bytes, %v", n, err)
		}
		s.check(t, "WriteToContext", tx.Size())
		s = steps{}
		ok(t, tx.CopyFileContext(t.Context(), filepath.Join(testdir.New(t), "copy"), 0o600, s.options()))
		s.check(t, "CopyFileContext", tx.Size())
		return nil
	}))
	dst, err := OpenMemory(nil)
	ok(t, err)
	var s steps
	ok(t, db.CompactWith(t.Context(), dst, s.options()))
	s.check(t, "CompactWith", s.total[0])
	if size := db.Stats().FileSize; s.total[0] < size/2 || s.total[0] > size || s.done[len(s.done)-2] < size/2 {
		t.Errorf("a store of %d bytes: %d of %d", size, s.done[len(s.done)-2], s.total[0])
	}
	sound(t, dst)
	ok(t, dst.Close())
}

// At whatever step a copy is cancelled, it returns the context's error and leaves nothing.
func TestCopiesCanBeCancelled(t *testing.T) {
	db := bigStore(t)
	defer db.Close()
	var all steps
	ok(t, db.View(func(tx *Tx) error {
		_, err := tx.WriteToContext(t.Context(), io.Discard, all.options())
		return err
	}))
	dir := testdir.New(t)
	for at := range len(all.done) {
		ctx, cancel := context.WithCancel(t.Context())
		s := steps{at: at, then: cancel}
		if at == 0 {
			cancel()
		}
		old := filepath.Join(dir, "copy")
		ok(t, os.WriteFile(old, []byte("old"), 0o600))
		err := db.View(func(tx *Tx) error { return tx.CopyFileContext(ctx, old, 0o600, s.options()) })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled at step %d of %d: %v", at, len(all.done), err)
		}
		if names, _ := filepath.Glob(filepath.Join(dir, "*")); len(names) != 1 {
			t.Errorf("there are %q", names)
		}
		if b, _ := os.ReadFile(old); string(b) != "old" {
			t.Errorf("the file that was there is %d bytes", len(b))
		}
	}
	dst, err := OpenMemory(nil)
	ok(t, err)
	defer dst.Close()
	for at := range 5 {
		ctx, cancel := context.WithCancel(t.Context())
		s := steps{at: at, then: cancel}
		if at == 0 {
			cancel()
		}
		if err := db.CompactWith(ctx, dst, s.options()); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled at step %d: %v", at, err)
		}
		ok(t, dst.View(func(tx *Tx) error {
			if n := tx.root.Count(); n != 0 {
				t.Errorf("%d buckets are left", n)
			}
			return nil
		}))
		sound(t, dst)
	}
}

// A Progress that panics leaves nothing behind, and the panic is not taken for damage.
func TestProgressThatPanics(t *testing.T) {
	db := bigStore(t)
	defer db.Close()
	opts := CopyOptions{Progress: func(done, total int64) { _ = []int{}[done] }}
	dir := testdir.New(t)
	for what, fn := range map[string]func(tx *Tx){
		"CopyFileContext": func(tx *Tx) { _ = tx.CopyFileContext(t.Context(), filepath.Join(dir, "copy"), 0o600, opts) },
		"WriteToContext":  func(tx *Tx) { _, _ = tx.WriteToContext(t.Context(), io.Discard, opts) },
	} {
		var thrown any
		func() {
			defer func() { thrown = recover() }()
			_ = db.View(func(tx *Tx) error { fn(tx); return nil })
		}()
		if thrown == nil {
			t.Errorf("%s: the panic does not come through", what)
		}
	}
	if names, _ := filepath.Glob(filepath.Join(dir, "*")); len(names) != 0 {
		t.Errorf("there are %q", names)
	}
	sound(t, db)
}

// The Progress of a check may use the store; in a write transaction there is none.
func TestProgressOfCheckMayUseTheStore(t *testing.T) {
	db := bigStore(t)
	defer db.Close()
	calls := 0
	opts := CheckOptions{Progress: func(done, total int64) { calls += 1 + 0*db.Stats().PageN }}
	ok(t, db.View(func(tx *Tx) error {
		for err := range tx.CheckContext(t.Context(), opts) {
			t.Error(err)
		}
		return nil
	}))
	if calls == 0 {
		t.Error("no progress")
	}
	done := background(func() error {
		return db.Update(func(tx *Tx) error {
			for err := range tx.CheckContext(t.Context(), opts) {
				t.Error(err)
			}
			return nil
		})
	})
	ok(t, within(t, "a check in a write transaction", done))
}
