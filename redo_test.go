package folio

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/foliokv/folio/internal/simfile"
)

// newRedo opens a store on a simulated file that has a redo log from its first commits on.
func newRedo(t *testing.T, f *simfile.File) *DB {
	t.Helper()
	db, err := openOn(f, (&Options{}).withDefaults(), true)
	ok(t, err)
	return db
}

var redoOptions = simfile.Options{RedoBytes: 16 << 10, RedoAfter: 0}

// redoFill makes some buckets, so that there is a log, and n commits of one put.
func redoFill(t *testing.T, db *DB, n int) {
	t.Helper()
	ok(t, db.Update(func(tx *Tx) error {
		b, err := tx.CreateBucket([]byte("b"))
		if err != nil {
			return err
		}
		_, err = b.CreateBucket([]byte("inner"))
		return err
	}))
	if db.redo.at.n == 0 {
		t.Fatal("there is no redo log")
	}
	for i := range n {
		ok(t, db.Update(redoPutOf(i)))
	}
}

func redoPutOf(i int) func(*Tx) error {
	return func(tx *Tx) error {
		return tx.Bucket([]byte("b")).Put(binary.BigEndian.AppendUint32(nil, uint32(i)), fmt.Append(nil, i))
	}
}

func redoCount(t *testing.T, db *DB) (n int) {
	t.Helper()
	ok(t, db.View(func(tx *Tx) error {
		return tx.Bucket([]byte("b")).ForEach(func(k, v []byte) error {
			if v != nil {
				n++
			}
			return nil
		})
	}))
	return n
}

// What small commits did is told in the log, and done again after a crash: whatever the words, in
// nested buckets, without what was rolled back.
func TestRedoRepeats(t *testing.T) {
	f := simfile.New(redoOptions)
	db := newRedo(t, f)
	redoFill(t, db, 1)
	metas := db.written.Meta
	ok(t, db.Update(func(tx *Tx) error {
		b := tx.Bucket([]byte("b"))
		in := b.Bucket([]byte("inner"))
		if err := in.Put([]byte("k"), []byte("v")); err != nil {
			return err
		}
		sp := tx.Savepoint()
		if err := b.Put([]byte("never"), nil); err != nil {
			return err
		}
		if err := sp.Rollback(); err != nil {
			return err
		}
		if _, err := b.NextSequence(); err != nil {
			return err
		}
		c := b.Cursor()
		c.First()
		if err := c.Delete(); err != nil {
			return err
		}
		return b.Put([]byte("after"), []byte{})
	}))
	ok(t, db.Update(func(tx *Tx) error { return tx.Bucket([]byte("b")).Bucket([]byte("inner")).SetSequence(7) }))
	if db.written.Meta != metas || db.redo.used != 3*redoBlock {
		t.Fatalf("%d metas were written, %d bytes of the log", db.written.Meta-metas, db.redo.used)
	}
	sound(t, db)
	for range 2 { // the second time what the first left, closed by a crash as well
		f = f.Kill(redoOptions)
		db = newRedo(t, f)
		sound(t, db)
		ok(t, db.View(func(tx *Tx) error {
			b := tx.Bucket([]byte("b"))
			in := b.Bucket([]byte("inner"))
			if got := b.Get([]byte("after")); got == nil || len(got) > 0 || b.Count() != 2 || b.Sequence() != 1 {
				t.Errorf("after: %v, %d entries, sequence %d", got, b.Count(), b.Sequence())
			}
			if !bytes.Equal(in.Get([]byte("k")), []byte("v")) || in.Sequence() != 7 {
				t.Errorf("inner: %q, sequence %d", in.Get([]byte("k")), in.Sequence())
			}
			return nil
		}))
	}
	ok(t, db.Close())
}

// What the log has no words for is written as pages, with what it told of until then, which is taken
// up: nothing kept is left over, or written where it was only lent a place.
func TestRedoEndsWithPages(t *testing.T) {
	for name, do := range map[string]func(tx *Tx) error{
		"bucket":       func(tx *Tx) error { _, err := tx.CreateBucket([]byte("c")); return err },
		"large value":  func(tx *Tx) error { return tx.Bucket([]byte("b")).Put([]byte("x"), make([]byte, 10000)) },
		"delete range": func(tx *Tx) error { return tx.Bucket([]byte("b")).DeleteRange(nil, []byte{0, 0, 0, 2}) },
		"in a savepoint": func(tx *Tx) error {
			sp := tx.Savepoint()
			if err := tx.Bucket([]byte("b")).DeleteRange(nil, []byte{0, 0, 0, 2}); err != nil {
				return err
			}
			return sp.Release()
		},
		"much": func(tx *Tx) error {
			for i := range 9000 {
				if err := redoPutOf(i)(tx); err != nil {
					return err
				}
			}
			return nil
		},
	} {
		f := simfile.New(redoOptions)
		db := newRedo(t, f)
		redoFill(t, db, 3)
		if db.kept.all.pages == 0 {
			t.Fatalf("%s: nothing is kept", name)
		}
		before, durable, head := db.written.Meta, db.durable.txid, db.head.txid
		lent := db.kept.all.runs()
		ok(t, db.Update(do))
		for _, r := range lent {
			for pgno := r.start; pgno < r.end(); pgno++ {
				p := make(page, db.pageSize)
				ok(t, readFull(f, p, int64(pgno)<<db.shift))
				if p.pgno() == pgno && p.birth() > durable && p.birth() <= head {
					t.Errorf("%s: page %d was written where it was kept", name, pgno)
				}
			}
		}
		if db.written.Meta != before+1 || db.kept.all.pages != db.kept.old.pages || db.redo.used != 0 {
			t.Errorf("%s: %d metas, %d pages kept, %d bytes of the log", name, db.written.Meta-before, db.kept.all.pages, db.redo.used)
		}
		ok(t, db.Update(redoPutOf(1)))
		if db.written.Meta != before+1 {
			t.Errorf("%s: the log does not begin anew", name)
		}
		sound(t, db)
		want := redoCount(t, db)
		db = newRedo(t, f.Kill(redoOptions))
		if got := redoCount(t, db); got != want {
			t.Errorf("%s: %d entries, want %d", name, got, want)
		}
		sound(t, db)
		ok(t, db.Close())
	}
}

// A full log ends with a meta; a proper close leaves no log.
func TestRedoComesAndGoes(t *testing.T) {
	for _, bytes := range []int64{0, 16 << 10, 1 << 20} {
		o := simfile.Options{RedoBytes: bytes}
		f := simfile.New(o)
		db := newRedo(t, f)
		if bytes == 0 {
			withoutRedo(db)
		}
		ok(t, db.Update(func(tx *Tx) error { _, err := tx.CreateBucket([]byte("b")); return err }))
		for i := range 50 {
			ok(t, db.Update(redoPutOf(i)))
		}
		if most := map[int64]int64{0: 100, 16 << 10: 20, 1 << 20: 3}[bytes]; db.written.Meta > most {
			t.Errorf("a log of %d bytes: %d metas", bytes, db.written.Meta)
		}
		sound(t, db)
		ok(t, db.Close())
		m := db.durable
		if db.redo.at.n > 0 || m.redo.pages > 0 {
			t.Errorf("after Close there is a log at %v", m.redo)
		}
		db = newRedo(t, f.Kill(o))
		if n := redoCount(t, db); n != 50 {
			t.Errorf("%d entries", n)
		}
		ok(t, db.Close())
	}
}

// redoImage returns a store as a crash leaves it after n small commits, and its meta.
func redoImage(t *testing.T, n int) ([]byte, meta) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store")
	db, err := Open(path, 0o600, nil)
	ok(t, err)
	defer db.Close()
	db.redoAfter, db.redoLeast = 0, 64<<10
	redoFill(t, db, n)
	data, err := os.ReadFile(path)
	ok(t, err)
	return data, db.metaOf(db.durable, 0)
}

func openImage(t *testing.T, data []byte, o *Options) (*DB, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store")
	ok(t, os.WriteFile(path, data, 0o600))
	db, err := Open(path, 0, o)
	if err == nil {
		t.Cleanup(func() {
			ok(t, db.Close())
			if now, _ := os.ReadFile(path); o != nil && o.ReadOnly && !bytes.Equal(now, data) {
				t.Error("a read-only open has changed the file")
			}
		})
	}
	return db, err
}

// Whoever only reads has what the log tells of in memory.
func TestRedoReadOnly(t *testing.T) {
	data, _ := redoImage(t, 10)
	db, err := openImage(t, data, &Options{ReadOnly: true})
	ok(t, err)
	if n := redoCount(t, db); n != 10 {
		t.Errorf("%d entries", n)
	}
	sound(t, db)
	if _, err := db.Begin(true); !errors.Is(err, ErrDatabaseReadOnly) {
		t.Errorf("a write transaction: %v", err)
	}
	var copied bytes.Buffer
	ok(t, db.View(func(tx *Tx) error { _, err := tx.WriteTo(&copied); return err }))
	db, err = openImage(t, copied.Bytes(), nil)
	ok(t, err)
	if n := redoCount(t, db); n != 10 {
		t.Errorf("%d entries in the copy", n)
	}
	sound(t, db)
}

// A record that is not whole ends the log if it is the last; before another it is damage.
func TestRedoDamage(t *testing.T) {
	data, m := redoImage(t, 10)
	log := data[int64(m.redo.pgno)*int64(m.pageSize):]
	for _, c := range []struct {
		record, at, want int
	}{{9, 0, 9}, {9, 100, 10}, {9, redoHeader, 9}, {0, redoHeader, -1}, {5, 8, -1}, {8, 33, -1}} {
		damaged := bytes.Clone(data)
		damaged[len(data)-len(log)+c.record*redoBlock+c.at] ^= 1
		for _, o := range []*Options{nil, {ReadOnly: true}} {
			db, err := openImage(t, damaged, o)
			switch {
			case c.want < 0:
				if !errors.Is(err, ErrCorrupt) {
					t.Errorf("record %d, byte %d: %v", c.record, c.at, err)
				}
			case err != nil:
				t.Errorf("record %d, byte %d: %v", c.record, c.at, err)
			default:
				if n := redoCount(t, db); n != c.want {
					t.Errorf("record %d, byte %d: %d entries, want %d", c.record, c.at, n, c.want)
				}
				sound(t, db)
			}
		}
	}
}

// A state that the log builds on was durable: when it is damaged the one before it is not taken for it.
func TestRedoShowsWhatWasDurable(t *testing.T) {
	data, m := redoImage(t, 10)
	data[int64(m.root.pgno)*int64(m.pageSize)+100] ^= 1
	for _, o := range []*Options{nil, {ReadOnly: true}} {
		if _, err := openImage(t, data, o); !errors.Is(err, ErrCorrupt) {
			t.Errorf("a damaged root below acknowledged records: %v", err)
		}
	}
	_, err := openImage(t, data, &Options{ReadOnly: true, Previous: true})
	ok(t, err)
}

// Words that make no sense are damage, whatever their checksum says; nothing panics.
func TestRedoHostile(t *testing.T) {
	data, m := redoImage(t, 1)
	at := int(m.redo.pgno) * m.pageSize
	name := func(names ...string) []byte {
		b := []byte{redoBucket, byte(len(names))}
		for _, n := range names {
			b = appendBytes(b, []byte(n))
		}
		return b
	}
	for _, ops := range [][]byte{
		{9}, {redoPut, 1, 'k', 1, 'v'}, {redoBucket}, name(), name("none"), name("b", "none"), append(name("b"), redoPut),
		append(name("b"), redoPut, 5, 'k'), append(name("b"), redoPut, 0, 0), append(name("b"), redoDelete, 5, 'i', 'n', 'n', 'e', 'r'),
		append(name("b"), redoSequence), append(name("b"), redoPut, 1, 'k', 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f),
		append(name("b"), 0xff, 1), append(name("b"), redoPut, 5, 'i', 'n', 'n', 'e', 'r', 1, 'v'),
	} {
		made := bytes.Clone(data)
		r := made[at : at+redoHeader+len(ops)]
		copy(r[redoHeader:], ops)
		le.PutUint32(r[32:], uint32(len(ops)))
		le.PutUint64(r, checksum(m.seed, m.redo.pgno, m.txid, r[8:]))
		for _, o := range []*Options{nil, {ReadOnly: true}} {
			if _, err := openImage(t, made, o); err == nil {
				t.Errorf("%v: no error", ops)
			}
		}
	}
}

// Where a meta lets the file be cut, it comes soon; the log stands in the way of that no longer than others.
func TestRedoLetsTheFileBeCut(t *testing.T) {
	for _, last := range []bool{false, true} { // the log lies behind the data
		db, err := openOn(&memoryFile{}, (&Options{}).withDefaults(), true)
		ok(t, err)
		load := func() {
			ok(t, db.Update(func(tx *Tx) error {
				c, err := tx.CreateBucket([]byte("c"))
				for i := 0; err == nil && i < 300_000; i++ {
					err = c.Put(binary.BigEndian.AppendUint32(nil, uint32(i)), make([]byte, 100))
				}
				return err
			}))
		}
		db.redoAfter = 0
		if last {
			withoutRedo(db)
			load()
			db.redoAfter = 0
			redoFill(t, db, 1)
		} else {
			redoFill(t, db, 1)
			load()
		}
		if want := uint32(redoMost >> db.shift); last && db.redo.at.n != want {
			t.Errorf("last %t: a log of %d pages, want %d", last, db.redo.at.n, want)
		}
		was := db.size
		ok(t, db.Update(func(tx *Tx) error { return tx.DeleteBucket([]byte("c")) }))
		for i := range 12 {
			ok(t, db.Update(redoPutOf(i)))
		}
		if db.size > was/2 {
			t.Errorf("last %t: %d bytes, %d before nearly all was deleted", last, db.size, was)
		}
		sound(t, db)
		ok(t, db.Close())
	}
}

// The free end of the file is cut also where the nursery begins in it, behind that.
func TestTrimBehindTheNursery(t *testing.T) {
	for _, c := range []struct{ nursery, want uint32 }{{200, 232}, {250, 282}, {268, 300}} {
		a := newAllocator(300, maxPgno)
		a.free.add(run{210, 90})
		a.addToNursery(run{c.nursery, 32})
		if a.trim(); a.hwm != c.want || a.free.pages != uint64(c.want-210) {
			t.Errorf("nursery at %d: the end is %d, want %d; %d pages are free", c.nursery, a.hwm, c.want, a.free.pages)
		}
	}
}

// What the log tells of is salvaged from a store that does not open, or lost the bucket.
func TestRedoSalvaged(t *testing.T) {
	data, m := redoImage(t, 10)
	for name, c := range map[string]struct {
		damage func(b []byte)
		want   int
	}{
		"nothing":    {func([]byte) {}, 10},
		"the root":   {func(b []byte) { b[int64(m.root.pgno)*int64(m.pageSize)+100] ^= 1 }, 10},
		"record 5":   {func(b []byte) { b[int64(m.redo.pgno)*int64(m.pageSize)+5*redoBlock+redoHeader] ^= 1 }, 5},
		"its header": {func(b []byte) { b[int64(m.redo.pgno)*int64(m.pageSize)+33] ^= 1 }, 0},
	} {
		damaged := bytes.Clone(data)
		c.damage(damaged)
		path := filepath.Join(t.TempDir(), "store")
		ok(t, os.WriteFile(path, damaged, 0o600))
		in, err := Inspect(path, nil)
		ok(t, err)
		dst, err := OpenMemory(nil)
		ok(t, err)
		report, err := in.Salvage(t.Context(), dst, SalvageOptions{})
		ok(t, err)
		if n := redoCount(t, dst); n != c.want || report.Redone != int64(c.want) || (report.RedoDamage != nil) != (c.want < 10) {
			t.Errorf("%s: %d entries, want %d; %d records, %v", name, n, c.want, report.Redone, report.RedoDamage)
		}
		sound(t, dst)
		ok(t, dst.Close())
		ok(t, in.Close())
	}
}
