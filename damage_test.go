package folio

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/foliokv/folio/internal/simfile"
)

// Files that are wrong though every checksum is right, as a defect of a writer would leave
// them, and files with a damaged page: what Check says of them, and what every call does.

// A forgery is a closed store whose pages can be changed with checksums that fit.
type forgery struct {
	t     *testing.T
	image []byte
	seed  uint64
	at    map[uint32]refAt // of pages and extents
	m     meta
}

// A refAt is where the ref to a page stands, and the birth it has there.
type refAt struct {
	pgno   uint32 // of the page it stands in, 0: the meta
	off    int    // in that page
	birth  uint64
	extent int // length, 0: a page
}

// sample makes a store with two levels of branches, large values, long keys, and buckets of all
// sorts.
func sample(t *testing.T) *forgery {
	t.Helper()
	f := simfile.New(simfile.Options{})
	db := openSim(t, f, nil)
	ok(t, db.Update(inB(func(b *Bucket) error {
		for i := range 6000 {
			ok(t, b.Put(fmt.Appendf(nil, "key%04d", i), make([]byte, 100)))
		}
		return nil
	})))
	ok(t, db.Update(func(tx *Tx) error {
		b, err := tx.CreateBucket([]byte("c"))
		ok(t, err)
		ok(t, b.Put([]byte("large"), make([]byte, 10_000)))
		ok(t, b.Put(bytes.Repeat([]byte("long"), 1000), []byte("value")))
		inline, err := b.CreateBucket([]byte("inline"))
		ok(t, err)
		ok(t, inline.Put([]byte("k"), []byte("v")))
		_, err = b.CreateBucket([]byte("empty"))
		return err
	}))
	ok(t, db.Update(inB(func(b *Bucket) error { return b.DeleteRange([]byte("key3"), []byte("key4")) })))
	ok(t, db.Close())
	f = f.Kill(simfile.Options{})
	size, err := f.Size()
	ok(t, err)
	s := &forgery{t: t, image: make([]byte, size), at: map[uint32]refAt{}}
	_, err = f.ReadAt(s.image, 0)
	ok(t, err)
	s.m, err = decodeMeta(s.image[:metaSize])
	ok(t, err)
	s.seed = s.m.seed
	s.tree(s.m.root, refAt{0, 48, s.m.root.birth, 0})
	for r, up := s.m.log, (refAt{0, 72, s.m.log.birth, 0}); r.pgno != 0; {
		s.at[r.pgno] = up
		up = refAt{pgno: r.pgno, off: headerSize}
		r = getRef(s.page(r.pgno)[headerSize:])
		up.birth = r.birth
	}
	return s
}

// clone returns a copy to be changed.
func (s *forgery) clone(t *testing.T) *forgery {
	c := *s
	c.t, c.image = t, slices.Clone(s.image)
	return &c
}

func (s *forgery) page(pgno uint32) page {
	return s.image[int(pgno)*DefaultPageSize:][:DefaultPageSize]
}

// tree notes where the refs of a tree stand.
func (s *forgery) tree(r ref, at refAt) {
	if r.pgno == 0 {
		return
	}
	s.at[r.pgno] = at
	p := s.page(r.pgno)
	for i := range p.count() {
		key := p.keyOff(i)
		if p.isLong(i) {
			e := getExtent(p[key:])
			s.at[e.pgno] = refAt{r.pgno, key, e.birth, int(e.length)}
		}
		if p.level() > 0 {
			s.tree(p.ref(i), refAt{r.pgno, p.cellOff(i), p.ref(i).birth, 0})
			continue
		}
		payload := key + keySpace(int(le.Uint16(p.slot(i)[6:])))
		switch p[p.cellOff(i)] {
		case cellExtent:
			e := getExtent(p[payload:])
			s.at[e.pgno] = refAt{r.pgno, payload, e.birth, int(e.length)}
		case cellBucket:
			root := getRef(p[payload:])
			s.tree(root, refAt{r.pgno, payload, root.birth, 0})
		}
	}
}

// find returns the page of a key, this many levels above its leaf, and the slot that leads to it.
func (s *forgery) find(level int, bucket, key string) (p page, i int) {
	p, i = s.descend(s.m.root, 0, bucket)
	_, header := p.payload(i)
	return s.descend(getRef(header), level, key)
}

func (s *forgery) descend(r ref, level int, key string) (p page, i int) {
	for {
		p = s.page(r.pgno)
		i, found, err := p.search([]byte(key), noKeys{})
		ok(s.t, err)
		if p.level() > 0 && !found {
			i--
		}
		if p.level() == level {
			return p, i
		}
		r = p.ref(i)
	}
}

// seal gives a page or extent that was changed its checksum, and all above it theirs.
func (s *forgery) seal(pgno uint32) {
	for at := s.at[pgno]; ; pgno, at = at.pgno, s.at[at.pgno] {
		b, sum := s.image[int(pgno)*DefaultPageSize:][:DefaultPageSize], at.off+16
		if at.extent > 0 {
			b, sum = s.image[int(pgno)*DefaultPageSize:][:(at.extent+DefaultPageSize-1)/DefaultPageSize*DefaultPageSize], at.off+14
		}
		le.PutUint64(s.page(at.pgno)[sum:], checksum(s.seed, pgno, at.birth, b))
		if at.pgno == 0 {
			break
		}
	}
	m := s.m
	m.root, m.log = getRef(s.image[48:]), getRef(s.image[72:])
	for slot := range metaPages {
		copy(s.image[slot*DefaultPageSize:], m.encode())
	}
}

func (s *forgery) open(o *Options) *DB {
	s.t.Helper()
	return openSim(s.t, simfile.FromImage(slices.Clone(s.image), simfile.Options{}), o)
}

// findings returns what Check says, a line each.
func findings(t *testing.T, db *DB) string {
	t.Helper()
	var all strings.Builder
	ok(t, db.View(func(tx *Tx) error {
		for err := range tx.Check() {
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("%v is no CorruptError", err)
			}
			fmt.Fprintln(&all, err)
		}
		return nil
	}))
	return all.String()
}

// Check finds each kind of damage that has checksums in order, and names the page and bucket.
func TestCheckFindsWhatChecksumsDoNot(t *testing.T) {
	original := sample(t)
	db := original.open(nil)
	sound(t, db)
	ok(t, db.Close())
	for _, c := range []struct {
		name   string
		change func(s *forgery) (pgno uint32)
		want   string // with %d for the page
	}{
		{"garbage", func(s *forgery) uint32 {
			p, _ := s.find(0, "b", "key0100")
			le.PutUint32(p[12:], 7)
			return p.pgno()
		}, `page %d: bucket "b": 0 garbage bytes, the header says 7`},
		{"order", func(s *forgery) uint32 {
			p, i := s.find(0, "b", "key0100")
			p[p.keyOff(i)+6] = '9' // becomes key0109
			return p.pgno()
		}, `page %d: bucket "b": head of slot`},
		{"order and heads", func(s *forgery) uint32 {
			p, i := s.find(0, "b", "key0100")
			for j := range slotSize {
				a, b := p.slot(i), p.slot(i+1)
				a[j], b[j] = b[j], a[j]
			}
			return p.pgno()
		}, `page %d: bucket "b": key "key0100" in slot`},
		{"above the next separator", func(s *forgery) uint32 {
			p, i := s.find(1, "b", "key0100")
			low, key := s.page(p.ref(i-1).pgno), s.page(p.ref(i).pgno)
			lowRef, ref := p.ref(i-1), p.ref(i)
			lowRef.count, ref.count = ref.count, lowRef.count
			p.setRef(i-1, ref)
			p.setRef(i, lowRef)
			s.at[low.pgno()], s.at[key.pgno()] = s.at[key.pgno()], s.at[low.pgno()]
			return p.pgno()
		}, `is not below the next separator`},
		{"below the separator", func(s *forgery) uint32 {
			p, i := s.find(1, "b", "key0100")
			off := p.keyOff(i) + len(p.storedKey(i)) - 1
			p[off]++
			le.PutUint32(p.slot(i), head(p.storedKey(i)[p.prefixLen():]))
			return p.pgno()
		}, `is below the page's separator`},
		{"prefix", func(s *forgery) uint32 {
			p, _ := s.find(0, "b", "key0100")
			p[headerSize] ^= 1
			return p.pgno()
		}, `page %d: bucket "b": key "key00`},
		{"count", func(s *forgery) uint32 {
			p, i := s.find(1, "b", "key0100")
			p.addCount(i, 1)
			return p.pgno()
		}, `entries below, the parent says`},
		{"level", func(s *forgery) uint32 {
			p, i := s.find(2, "b", "key0100")
			leaf, _ := s.find(0, "b", "key0100")
			at := s.at[leaf.pgno()]
			r := getRef(s.page(at.pgno)[at.off:])
			p.setRef(i, r)
			return p.pgno()
		}, `level 0 below a page of level 2`},
		{"a page outside of the state", func(s *forgery) uint32 {
			p, i := s.find(1, "b", "key0100")
			le.PutUint32(p[p.cellOff(i):], s.m.hwm+5)
			return p.pgno()
		}, `bucket "b": 1 pages referred to, outside the`},
		{"a page twice", func(s *forgery) uint32 {
			p, i := s.find(1, "b", "key0100")
			p.setRef(i, p.ref(i-1))
			return p.pgno()
		}, `is in use twice`},
		{"a page by nobody", func(s *forgery) uint32 {
			p, i := s.find(1, "b", "key0100")
			p.setRef(i, p.ref(i-1))
			return p.pgno()
		}, `is neither in use nor free`},
		{"an empty leaf", func(s *forgery) uint32 {
			p, _ := s.find(0, "b", "key0100")
			p.remove(0, p.count())
			return p.pgno()
		}, `page %d: bucket "b": has no entries`},
		{"a birth above the parent's", func(s *forgery) uint32 {
			p, i := s.find(1, "b", "key0100")
			leaf := p.ref(i).pgno
			birth := p.birth() + 1
			le.PutUint64(s.page(leaf)[24:], birth)
			r := p.ref(i)
			r.birth = birth
			p.setRef(i, r)
			s.at[leaf] = refAt{p.pgno(), p.cellOff(i), birth, 0}
			return leaf
		}, `is younger than its parent's`},
		{"count of an empty bucket", func(s *forgery) uint32 {
			p, i := s.find(0, "c", "empty")
			_, v := p.payload(i)
			v[10] = 3
			return p.pgno()
		}, `page %d: bucket "c": "empty": an empty bucket with a count of 3`},
		{"count of an inline bucket", func(s *forgery) uint32 {
			p, i := s.find(0, "c", "inline")
			_, v := p.payload(i)
			v[10] = 3
			return p.pgno()
		}, `page %d: bucket "c": "inline": 1 entries in the inline bucket, the header says 3`},
		{"flags of a bucket", func(s *forgery) uint32 {
			p, i := s.find(0, "c", "inline")
			_, v := p.payload(i)
			v[32] = 8
			return p.pgno()
		}, `page %d: bucket "c": "inline": bucket flags 0x8`},
		{"an inline bucket in an inline bucket", func(s *forgery) uint32 {
			p, i := s.find(0, "c", "inline")
			_, v := p.payload(i)
			in := page(v[bucketHeaderSize:])
			in[in.cellOff(0)] = cellBucket
			return p.pgno()
		}, `page %d: bucket "c": "inline": `},
		{"the beginning of a long key", func(s *forgery) uint32 {
			p, _ := s.find(0, "c", "large")
			for i := range p.count() {
				if p.isLong(i) {
					inline, _ := p.longKey(i)
					inline[longInline-1] ^= 1
				}
			}
			return p.pgno()
		}, `begins with other bytes`},
		{"an extent outside of the state", func(s *forgery) uint32 {
			p, i := s.find(0, "c", "large")
			_, v := p.payload(i)
			le.PutUint32(v, s.m.hwm-1)
			return p.pgno()
		}, `3 pages referred to, outside the`},
		{"an extent younger than its page", func(s *forgery) uint32 {
			p, i := s.find(0, "c", "large")
			_, v := p.payload(i)
			e := getExtent(v)
			at := s.at[e.pgno]
			e.birth = p.birth() + 1
			e.put(v)
			at.birth = e.birth
			s.at[e.pgno] = at
			return e.pgno
		}, `of the extent is younger than its page's`},
		{"bytes behind a meta", func(s *forgery) uint32 {
			p, _ := s.find(0, "c", "large")
			return p.pgno()
		}, `page 1: meta: bytes after it are not zero`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := original.clone(t)
			at := map[uint32]refAt{}
			for pgno, r := range s.at {
				at[pgno] = r
			}
			s.at = at
			pgno := c.change(s)
			s.seal(pgno)
			if strings.HasPrefix(c.name, "bytes behind") {
				s.image[DefaultPageSize+metaSize+10] = 1
			}
			want := c.want
			if strings.Contains(want, "%d") {
				want = fmt.Sprintf(want, pgno)
			}
			db := s.open(&Options{ReadOnly: true})
			if got := findings(t, db); !strings.Contains(got, want) {
				t.Errorf("check finds\n%swant\n%s", got, want)
			}
			ok(t, db.Close())
		})
	}
}

// What a damaged file does to each call: reads find nothing and Tx.Err tells the page, writes
// return the error. The transaction ends with it, and the store goes on.
func TestEveryCallTellsOfDamage(t *testing.T) {
	key := []byte("key0100")
	none := func(v []byte, _ ...any) bool { return v == nil }
	pairs := func(seq func(func(k, v []byte) bool)) bool {
		for range seq {
			return false
		}
		return true
	}
	reads := map[string]func(b *Bucket) (nothing bool){
		"Get":         func(b *Bucket) bool { return b.Get(key) == nil },
		"Bucket":      func(b *Bucket) bool { return b.Bucket(key) == nil },
		"At":          func(b *Bucket) bool { k, v := b.At(100); return k == nil && v == nil },
		"Rank":        func(b *Bucket) bool { return b.Rank(key) == 0 },
		"CountRange":  func(b *Bucket) bool { return b.CountRange(key, nil) == 0 },
		"CountRange2": func(b *Bucket) bool { return b.CountRange(nil, key) == 0 },
		"GetMany": func(b *Bucket) (nothing bool) {
			b.GetMany([][]byte{key}, func(_ int, v []byte) { nothing = none(v) })
			return nothing
		},
		"Seek":   func(b *Bucket) bool { k, _ := b.Cursor().Seek(key); return none(k) },
		"Range":  func(b *Bucket) bool { return pairs(b.Range(key, nil)) },
		"Prefix": func(b *Bucket) bool { return pairs(b.Prefix(key)) },
		"Stats":  func(b *Bucket) bool { b.Stats(); return true },
		"All": func(b *Bucket) bool {
			n := 0
			for range b.All() {
				n++
			}
			return n <= 100
		},
		"Backward": func(b *Bucket) bool {
			n := 0
			for range b.Backward() {
				n++
			}
			return n < 6000-1000-100
		},
		"ForEach": func(b *Bucket) bool { return errors.Is(b.ForEach(func(_, _ []byte) error { return nil }), ErrCorrupt) },
	}
	other := []byte("c")
	writes := map[string]func(b *Bucket) error{
		"Put":          func(b *Bucket) error { return b.Put(key, nil) },
		"Put large":    func(b *Bucket) error { return b.Put(key, make([]byte, 50_000)) },
		"PutReader":    func(b *Bucket) error { return b.PutReader(key, strings.NewReader("v"), 1) },
		"Delete":       func(b *Bucket) error { return b.Delete(key) },
		"DeleteRange":  func(b *Bucket) error { return b.DeleteRange(key, []byte("key0200")) },
		"DeleteRange2": func(b *Bucket) error { return b.DeleteRange(nil, nil) },
		"CreateBucket": func(b *Bucket) error { _, err := b.CreateBucket(key); return err },
		"CreateBucketIfNotExists": func(b *Bucket) error {
			_, err := b.CreateBucketIfNotExists(key)
			return err
		},
		"DeleteBucket":    func(b *Bucket) error { return b.DeleteBucket(key) },
		"MoveBucket":      func(b *Bucket) error { return b.MoveBucket(key, b.Tx().Bucket(other)) },
		"MoveBucket to":   func(b *Bucket) error { return b.Tx().Bucket(other).MoveBucket([]byte("inline"), b) },
		"Tx.DeleteBucket": func(b *Bucket) error { return b.Tx().DeleteBucket([]byte("b")) },
	}
	for level := range 3 {
		s := sample(t)
		p, _ := s.find(level, "b", string(key))
		p[DefaultPageSize-1] ^= 1
		damaged := func(err error) bool {
			var e *CorruptError
			return errors.As(err, &e) && e.Pgno == p.pgno()
		}
		for name, read := range reads {
			db := s.open(&Options{ReadOnly: true})
			err := db.View(func(tx *Tx) error {
				if !read(tx.Bucket([]byte("b"))) {
					t.Errorf("%s finds something below page %d of level %d", name, p.pgno(), level)
				}
				if !damaged(tx.Err()) {
					t.Errorf("%s leaves Err %v", name, tx.Err())
				}
				return nil
			})
			if !damaged(err) {
				t.Errorf("View with %s returns %v", name, err)
			}
			ok(t, db.Close())
		}
		for name, write := range writes {
			if level == 0 && name == "MoveBucket to" {
				continue // it lands in another leaf
			}
			db := s.open(nil)
			if err := db.Update(func(tx *Tx) error { return write(tx.Bucket([]byte("b"))) }); !damaged(err) {
				t.Errorf("%s returns %v with a damaged page of level %d", name, err, level)
			}
			ok(t, db.Update(func(tx *Tx) error { return tx.Bucket(other).Put([]byte("k"), nil) }))
			ok(t, db.Close())
		}
	}
}
