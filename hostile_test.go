package folio

import (
	"bytes"
	"errors"
	"fmt"
	"math/bits"
	"runtime/debug"
	"testing"

	"github.com/foliokv/folio/internal/backing"
	"github.com/foliokv/folio/internal/simfile"
)

// Files that no store has written.

// nestDeep makes buckets that nest to a depth, each with a page of its own.
func nestDeep(t *testing.T, db *DB, depth int) {
	t.Helper()
	ok(t, db.Update(inB(func(b *Bucket) error {
		for range depth {
			var err error
			if b, err = b.CreateBucket([]byte("deeper")); err != nil {
				return err
			}
		}
		return nil
	})))
}

// However deep buckets nest, what walks all of them needs no deep stack.
func TestNestingNeedsNoStack(t *testing.T) {
	const depth = 5000
	f := simfile.New(simfile.Options{})
	db := openSim(t, f, nil)
	nestDeep(t, db, depth)
	killed := f.Kill(simfile.Options{}) // so that the next open verifies them
	ok(t, db.Close())
	defer debug.SetMaxStack(debug.SetMaxStack(512 << 10))
	db = openSim(t, killed, nil)
	sound(t, db)
	ok(t, db.View(func(tx *Tx) error {
		s := tx.Bucket([]byte("b")).Stats()
		if s.BucketN != depth+1 || s.Depth != depth || s.KeyN != depth {
			t.Errorf("%+v", s)
		}
		var out bytes.Buffer
		_, err := tx.WriteTo(&out)
		return err
	}))
	ok(t, db.Update(func(tx *Tx) error { return tx.DeleteBucket([]byte("b")) }))
	sound(t, db)
	if s := db.Stats(); s.FreePageN+s.PendingPageN < depth {
		t.Errorf("%d pages are free", s.FreePageN)
	}
	ok(t, db.Close())
}

// The primes of xxhash64.
const (
	xxPrime1, xxPrime2 uint64 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F
	xxPrime3, xxPrime4 uint64 = 0x165667B19E3779F9, 0x85EBCA77C2B2AE63
)

// inverse returns the x with x*p == 1.
func inverse(p uint64) uint64 {
	x := p
	for range 6 {
		x *= 2 - p*x
	}
	return x
}

// beforeLast returns the state that xxhash64 had, but for the last eight bytes, before it ended
// in sum.
func beforeLast(sum uint64) uint64 {
	unshift := func(h uint64, n int) uint64 {
		for x, i := h, n; i < 64; i += n {
			h = x ^ h>>n
		}
		return h
	}
	h := unshift(sum, 32) * inverse(xxPrime3)
	h = unshift(h, 29) * inverse(xxPrime2)
	h = unshift(h, 33) - xxPrime4
	return bits.RotateLeft64(h*inverse(xxPrime1), -27)
}

// forgeSum sets the last eight bytes of a page so that it has this checksum.
func forgeSum(seed uint64, pgno uint32, birth uint64, p page, sum uint64) {
	last := p[len(p)-8:]
	clear(last)
	x := beforeLast(checksum(seed, pgno, birth, p)) ^ beforeLast(sum)
	x = bits.RotateLeft64(x*inverse(xxPrime1), -31) * inverse(xxPrime2)
	le.PutUint64(last, x)
}

// A countingFile counts what is read.
type countingFile struct {
	backing.File
	read int
}

func (f *countingFile) ReadAt(p []byte, off int64) (int, error) {
	f.read += len(p)
	return f.File.ReadAt(p, off)
}

// A free log whose two pages follow each other is refused when the first comes again.
func TestFreeLogInACircle(t *testing.T) {
	f := simfile.New(simfile.Options{})
	db := openSim(t, f, nil)
	ok(t, db.Update(put("a", make([]byte, 8<<20))))
	ok(t, db.Update(put("b", nil)))
	size, m := db.pageSize, db.metaOf(db.head, db.durable.txid)
	image := make([]byte, m.length())
	_, err := f.ReadAt(image, 0)
	ok(t, err)
	ok(t, db.Close())
	at := [2]uint32{1000, 1001} // in the large value
	const birth, sum = 1, 12345
	var refs [2]ref
	for i := range 2 {
		p := newLogPage(size)
		le.PutUint32(p[16:], at[i])
		le.PutUint64(p[24:], birth)
		to := ref{pgno: at[1], birth: birth, sum: sum} // of the other page
		if i == 1 {
			to = refs[0]
		}
		to.put(p[headerSize:])
		refs[i] = ref{pgno: at[i], birth: birth, sum: checksum(db.seed, at[i], birth, p)}
		if i == 1 {
			forgeSum(db.seed, at[i], birth, p, sum)
			refs[i].sum = checksum(db.seed, at[i], birth, p)
		}
		copy(image[int(at[i])*size:], p)
	}
	if refs[1].sum != sum {
		t.Fatalf("the checksum is %d", refs[1].sum)
	}
	m.log, m.flags = refs[0], metaFlushed
	for i := range 2 {
		copy(image[i*size:], m.encode())
	}
	c := &countingFile{File: simfile.FromImage(image, simfile.Options{})}
	_, err = openOn(c, (*Options)(nil).withDefaults(), true)
	var e *CorruptError
	if !errors.As(err, &e) || e.Pgno != at[0] {
		t.Errorf("a circle gives %v", err)
	}
	if c.read > 1<<20 {
		t.Errorf("%d bytes were read", c.read)
	}
}

// Two keys refer to one value. Deleting both, in two commits, frees its pages twice: a commit
// fails, and the store goes on and opens again.
func TestFreedTwiceInTwoCommits(t *testing.T) {
	for mode := range 16 {
		t.Run(fmt.Sprintf("%04b", mode), func(t *testing.T) {
			f := simfile.New(simfile.Options{})
			o := &Options{FlushInterval: -1}
			if mode&1 != 0 {
				o.Durability = Deferred
			}
			db := openSim(t, f, o)
			for i := range 10 { // free runs, and a log of some pages
				ok(t, db.Update(put(fmt.Sprint("some", i), make([]byte, 5000))))
			}
			ok(t, db.Update(put("a", make([]byte, 100000))))
			ok(t, db.Update(put("b", make([]byte, 100000))))
			ok(t, db.Update(func(tx *Tx) error {
				var first extent
				if err := forge(tx, "a", func(e *extent) { first = *e }); err != nil {
					return err
				}
				return forge(tx, "b", func(e *extent) { *e = first })
			}))
			ok(t, db.Sync())
			end := func() error { return nil }
			if mode&2 != 0 { // a reader makes the pages wait
				tx, err := db.Begin(false)
				ok(t, err)
				end = tx.Rollback
			}
			del := func(k string) error { return db.Update(inB(func(b *Bucket) error { return b.Delete([]byte(k)) })) }
			ok(t, del("a"))
			if mode&4 != 0 { // what was freed is used again
				for i := range 30 {
					ok(t, db.Update(put(fmt.Sprint("other", i), make([]byte, 3000+900*i))))
				}
			}
			again := del("b")
			if again != nil && !errors.Is(again, ErrCorrupt) {
				t.Errorf("the second delete gives %v", again)
			}
			if again == nil && mode&4 == 0 {
				t.Error("the second delete succeeds")
			}
			for i := range 30 {
				err := db.Update(put(fmt.Sprint("more", i), make([]byte, 500*i)))
				if err != nil && !errors.Is(err, ErrCorrupt) {
					t.Fatal(err)
				}
			}
			if err := db.Sync(); err != nil && !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			ok(t, end())
			killed := f.Kill(simfile.Options{})
			if err := db.Close(); err != nil && !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			if mode&8 == 0 {
				killed = f.Kill(simfile.Options{})
			}
			db, err := openOn(killed, (*Options)(nil).withDefaults(), true)
			if err != nil {
				t.Fatalf("the store does not open: %v", err)
			}
			ok(t, db.Update(put("a", nil)))
			ok(t, db.Close())
		})
	}
}
