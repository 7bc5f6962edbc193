package fuzz

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
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

// A sample is a small store with everything in it that the format has.
type sample struct {
	image
	parts  []part
	state  model.State
	digest uint64
}

// sampleOf returns a store with this page size; it is the same store for one process.
var sampleOf = func() func(pageSize int) sample {
	var mu sync.Mutex
	made := map[int]sample{}
	return func(pageSize int) sample {
		mu.Lock()
		defer mu.Unlock()
		s, ok := made[pageSize]
		if !ok {
			s = newSample(pageSize)
			made[pageSize] = s
		}
		return s
	}
}()

// What a sample is made by: trees of two levels at least, small and large nested buckets, long
// keys and separators, values in extents, free pages and a free log of several pages.
const sampleScript = `
update
ensure w /k0
load w /k0 k0*40 v1*80 300
ensure w /k1
put w /k1 k1 v1*10
put w /k1 k2*32768 v1*9000
put w /k1 k3*5000 v2*20000
ensure w /k1/k4
ensure w /k1/k4/k5
put w /k1/k4/k5 k6 v3*100
load w /k1/k4 p0*300 v4*30 120
ensure w /k2
setseq w /k2 77
ensure w /k3
load w /k3 k0*6000 v1*10 12
commit
update
deleterange w /k0 k100*40 k180*40
put w /k1 k7 v5*30000
delete w /k1 k3*5000
commit
update
put w /k0 k5*40 v6*70
commit`

func newSample(pageSize int) (s sample) {
	f := simfile.New(simfile.Options{})
	h := workload.NewHistory(model.Empty())
	c := workload.Config{History: h, Errors: foliotest.Errors}
	c.Open = foliotest.Opener(func() (*folio.DB, error) { return foliotest.Open(f, &folio.Options{PageSize: pageSize}) })
	if err := workload.Run(c, script(sampleScript)); err != nil {
		panic(err)
	}
	n, _ := f.Kill(simfile.Options{}).Size()
	s.image = make(image, n)
	f.Kill(simfile.Options{}).ReadAt(s.image, 0)
	s.parts = s.image.parts()
	s.state = h.Allowed()[0]
	tx, _ := model.FromState(s.state).Begin(false)
	s.digest, _ = workload.Digest(workload.AdaptTx(tx))
	return s
}

func TestSampleHasEverything(t *testing.T) {
	for _, size := range pageSizes {
		s := sampleOf(size)
		have := map[string]int{}
		for _, p := range s.parts {
			have[p.kind]++
		}
		for _, kind := range []string{"leaf", "branch", "extent", "log"} {
			if have[kind] == 0 && (size <= 16<<10 || kind != "branch") {
				t.Errorf("a sample with pages of %d has no %s", size, kind)
			}
		}
	}
}

var pageSizes = []int{4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10}

// exercise opens a file and does everything with it that a user may; nothing of it may panic,
// hang or eat memory. It returns the first error, and the digest of what it read.
func exercise(b []byte, o folio.Options) (digest uint64, err error) {
	timer := time.AfterFunc(time.Minute, func() { panic("a damaged file hangs") })
	defer timer.Stop()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	defer func() {
		if runtime.ReadMemStats(&after); after.TotalAlloc-before.TotalAlloc > 256<<20 {
			panic(fmt.Sprintf("a damaged file of %d bytes eats %d", len(b), after.TotalAlloc-before.TotalAlloc))
		}
	}()
	f := simfile.FromImage(b, simfile.Options{})
	defer f.Release()
	db, err := foliotest.Open(f, &o)
	if err != nil {
		return 0, err
	}
	defer db.Close() // may fail
	found := db.View(readAll)
	if found == nil { // else a walk to the end may take for ever
		err = db.View(func(tx *folio.Tx) (err error) {
			digest, err = workload.Digest(workload.AdaptTx(tx))
			return err
		})
	}
	checked := foliotest.Check(db)
	written := changeAll(db)
	return digest, errors.Join(err, found, checked, written)
}

// readAll reads in every way there is.
func readAll(tx *folio.Tx) error {
	n := 0
	var tooMuch error
	var walk func(b *folio.Bucket, depth int)
	walk = func(b *folio.Bucket, depth int) {
		var keys [][]byte
		for k, v := range b.Backward() {
			if n++; n > 20000 {
				tooMuch = errors.New("more pairs than the store has")
				return
			}
			keys = append(keys, k)
			if v == nil && depth < 100 {
				if c := b.Bucket(k); c != nil {
					walk(c, depth+1)
				}
			}
			b.Get(k)
			b.Rank(k)
		}
		b.Count()
		b.At(uint64(len(keys) / 2))
		b.At(b.Count() - 1)
		b.GetMany(keys, func(int, []byte) {})
		b.CountRange([]byte("k"), []byte("k1"))
		b.Stats()
	}
	for name := range topNames(tx) {
		walk(tx.Bucket(name), 0)
	}
	return errors.Join(tx.Err(), tooMuch)
}

// changeAll writes in every way there is; each in its own transaction.
func changeAll(db *folio.DB) (first error) {
	for _, change := range []func(tx *folio.Tx, b *folio.Bucket) error{
		func(tx *folio.Tx, b *folio.Bucket) error {
			return b.Put([]byte("k005"), bytes.Repeat([]byte("x"), 700))
		},
		func(tx *folio.Tx, b *folio.Bucket) error { return b.Put([]byte("new"), make([]byte, 30000)) },
		func(tx *folio.Tx, b *folio.Bucket) error {
			c := b.Cursor()
			for k, v := c.First(); k != nil; k, v = c.Next() {
				if v != nil {
					if err := c.Delete(); err != nil {
						return err
					}
				}
			}
			return nil
		},
		func(tx *folio.Tx, b *folio.Bucket) error {
			sp := tx.Savepoint()
			return errors.Join(b.DeleteRange([]byte("k1"), nil), sp.Rollback(), b.DeleteRange(nil, nil))
		},
		func(tx *folio.Tx, b *folio.Bucket) error { return tx.DeleteBucket([]byte("k001")) },
		func(tx *folio.Tx, b *folio.Bucket) error { return tx.MoveBucket([]byte("k003"), nil, b) },
	} {
		for _, name := range []string{"k000", "k001", "k003"} {
			err := db.Update(func(tx *folio.Tx) error {
				b := tx.Bucket([]byte(name))
				if b == nil {
					return tx.Err()
				}
				return change(tx, b)
			})
			if first == nil {
				first = err
			}
		}
	}
	return first
}

// mutate changes an image as data tells: five bytes for each change.
func mutate(b image, parts []part, data []byte) image {
	b = bytes.Clone(b)
	size := b.pageSize()
	for ; len(data) >= 5; data = data[5:] {
		at := int(data[0])%2*size + int(data[2])
		if p := int(data[0]); p > 1 && len(parts) > 0 {
			part := parts[p%len(parts)]
			at = int(part.pgno)*size + (int(data[1])<<8|int(data[2]))%(size*part.pages)
		}
		if at >= len(b) {
			continue
		}
		switch v := data[4]; data[3] % 5 {
		case 0:
			b[at] ^= v
		case 1:
			b[at] = v
		case 2:
			b[at] += v
		case 3: // a page in the place of another
			to, from := at/size*size, int(v)*size%len(b)
			copy(b[to:min(to+size, len(b))], bytes.Clone(b[from:min(from+size, len(b))]))
		case 4:
			b = b[:len(b)-int(v)*len(b)/512]
		}
	}
	return b
}

// A mutated store never crashes, hangs or eats memory; if no error tells of the mutation, all
// is read as it was written.
func FuzzOpen(f *testing.F) {
	f.Add([]byte{0, 0})
	f.Add([]byte{1, 0, 0, 0, 48, 1, 9})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < 2 || len(data) > 60 {
			return
		}
		s := sampleOf(pageSizes[int(data[0]>>4)%3])
		b := mutate(s.image, s.parts, data[2:])
		sealed := data[1]%2 == 1
		if sealed {
			b.seal(s.parts)
		}
		o := folio.Options{Verify: folio.Verify(data[0] % 3), ReadOnly: data[1]&2 != 0}
		digest, err := exercise(b, o)
		if err == nil && !sealed && o.Verify != folio.VerifyNever && digest != s.digest {
			t.Error("wrong data are read, and no error tells")
		}
	})
}

// Every field of every kind of page, with values at its limits, and right checksums.
func TestHostileFields(t *testing.T) {
	values := []byte{0, 1, 0xff}
	sizes := pageSizes[:1]
	s := sampleOf(sizes[0])
	seen := map[string]int{}
	for _, p := range s.parts {
		if seen[p.kind]++; seen[p.kind] > 1 || p.extent {
			continue
		}
		at := int(p.pgno) * s.pageSize()
		for _, off := range hostileOffsets(s.image[at : at+s.pageSize()]) {
			for _, v := range values {
				b := image(slices.Clone(s.image))
				b[at+off] = v
				b.seal(s.parts)
				exercise(b, folio.Options{Verify: folio.Verify(int(v) % 3)}) // errors are fine
			}
			if testing.Short() {
				break
			}
		}
	}
	for off := range 120 {
		for _, v := range values {
			b := image(slices.Clone(s.image))
			b[off], b[s.pageSize()+off] = v, v
			b.sealMetas(s.pageSize())
			exercise(b, folio.Options{})
		}
	}
}

// hostileOffsets returns the places of a page's header, first slots, and their cells' heads.
func hostileOffsets(p []byte) []int {
	var offs []int
	for i := range pageHeader + 8*6 {
		offs = append(offs, i)
	}
	slots := pageHeader + (int(le.Uint16(p[4:]))+7)&^7
	for i := range min(4, int(le.Uint16(p[2:]))) {
		for j := range 8 {
			offs = append(offs, slots+8*i+j)
		}
		if cell := int(le.Uint16(p[slots+8*i+4:])); cell+40 < len(p) {
			for j := range 40 {
				offs = append(offs, cell+j)
			}
		}
	}
	return offs
}

func TestTruncatedAtEveryPage(t *testing.T) {
	for _, size := range pageSizes[:3] {
		s := sampleOf(size)
		for n := 0; n < len(s.image); n += size {
			digest, err := exercise(s.image[:n], folio.Options{})
			switch {
			case n == 0 && err != nil:
				t.Errorf("an empty file: %v", err)
			case n > 0 && n < s.hwm()*size && !errors.Is(err, folio.ErrCorrupt):
				t.Errorf("a file of %d pages cut to %d: %v", s.hwm(), n/size, err)
			case n >= s.hwm()*size && (err != nil || digest != s.digest):
				t.Errorf("a file cut behind its last page: %v", err)
			}
		}
	}
}

// topNames returns the names of the top-level buckets.
func topNames(tx *folio.Tx) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		c := tx.Cursor()
		for k, _ := c.First(); k != nil && yield(k); k, _ = c.Next() {
		}
	}
}
