package boltfile_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/foliokv/folio/internal/boltfile"
)

var (
	seed   = flag.Uint64("seed", 1, "of random tests")
	rounds = flag.Int("rounds", 300, "of random tests")
)

const (
	branch = 1
	leaf   = 2
)

// A forged file has pages of 1 KiB that a test fills as it likes.
type forged struct {
	pages [][]byte
	data  []byte
}

// forge makes a file of n pages whose root is page 2.
func forge(n int) *forged {
	f := &forged{data: make([]byte, n*1024)}
	for i := range n {
		f.pages = append(f.pages, f.data[i*1024:(i+1)*1024])
	}
	f.meta(2, n)
	return f
}

func (f *forged) meta(root, pages int) {
	for i := range 2 {
		b := f.pages[i][16:]
		le := binary.LittleEndian
		le.PutUint32(b, 0xED0CDAED)
		le.PutUint32(b[4:], 2)
		le.PutUint32(b[8:], 1024)
		le.PutUint64(b[16:], uint64(root))
		le.PutUint64(b[40:], uint64(pages))
		h := fnv.New64a()
		h.Write(b[:56])
		le.PutUint64(b[56:], h.Sum64())
	}
}

// header writes a page's header.
func (f *forged) header(n int, flags uint16, count int, overflow uint32) {
	b := f.pages[n]
	le := binary.LittleEndian
	le.PutUint64(b, uint64(n))
	le.PutUint16(b[8:], flags)
	le.PutUint16(b[10:], uint16(count))
	le.PutUint32(b[12:], overflow)
}

// leaf fills a page with pairs; names that begin with a slash are buckets whose root is the
// number that is their value.
func (f *forged) leaf(n int, pairs ...string) {
	f.header(n, leaf, len(pairs)/2, 0)
	b := f.pages[n]
	at := 16 + 16*len(pairs)/2
	for i := 0; i < len(pairs); i += 2 {
		key, value := []byte(pairs[i]), []byte(pairs[i+1])
		flags := int64(0)
		if key[0] == '/' {
			var root uint64
			fmt.Sscan(pairs[i+1], &root)
			value = binary.LittleEndian.AppendUint64(nil, root)
			value = append(value, make([]byte, 8)...)
			flags = 1
		}
		f.element(n, i/2, flags, int64(at-16-8*i), int64(len(key)), int64(len(value)))
		at += copy(b[at:], key)
		at += copy(b[at:], value)
	}
}

// element writes one of a leaf.
func (f *forged) element(n, i int, numbers ...int64) {
	for j, number := range numbers {
		binary.LittleEndian.PutUint32(f.pages[n][16+16*i+4*j:], uint32(number))
	}
}

// branch fills a page with keys and children.
func (f *forged) branch(n int, keys []string, children ...uint64) {
	f.header(n, branch, len(keys), 0)
	at := 16 + 16*len(keys)
	for i, key := range keys {
		f.element(n, i, int64(at-16-16*i), int64(len(key)))
		binary.LittleEndian.PutUint64(f.pages[n][16+16*i+8:], children[i])
		at += copy(f.pages[n][at:], key)
	}
}

// All that can be wrong in a page is told, with the page.
func TestDamageIsTold(t *testing.T) {
	// good is a root, a bucket with a branch over two leaves, and a page that nobody uses.
	good := func() *forged {
		f := forge(8)
		f.leaf(2, "/b", "3")
		f.branch(3, []string{"a", "m"}, 4, 5)
		f.leaf(4, "a", "1", "b", "2")
		f.leaf(5, "m", "3", "n", "4")
		return f
	}
	for _, test := range []struct {
		name   string
		change func(f *forged)
		want   string // nothing: there is no damage
	}{
		{"nothing", func(f *forged) {}, ""},
		{"an empty leaf", func(f *forged) { f.header(5, leaf, 0, 0) }, ""},
		{"root is a meta", func(f *forged) { f.meta(1, 8) }, "page 1: no such page: the file has pages 2 to 7"},
		{"root is outside", func(f *forged) { f.meta(9, 8) }, "page 9: no such page"},
		{"more pages than the file has", func(f *forged) { f.meta(9, 10) }, "page 9: it lies past the end of the file"},
		{"far outside", func(f *forged) { f.branch(3, []string{"a", "m"}, 4, 1<<63) }, "no such page"},
		{"child is a meta", func(f *forged) { f.branch(3, []string{"a", "m"}, 0, 5) }, "page 0: no such page"},
		{"another number", func(f *forged) { f.pages[4][0] = 6 }, "page 4: it says that it is page 6"},
		{"a free list", func(f *forged) { f.header(4, 0x10, 2, 0) }, "page 4: flags 0x10"},
		{"both flags", func(f *forged) { f.header(4, 3, 2, 0) }, "page 4: flags 0x3"},
		{"overflow past the end", func(f *forged) { f.header(5, leaf, 2, 3) }, "page 5: 3 pages of overflow do not fit"},
		{"overflow without end", func(f *forged) { f.header(5, leaf, 2, 1<<32-1) }, "page 5: 4294967295 pages of overflow"},
		{"overflow over others", func(f *forged) { f.header(4, leaf, 2, 1) }, "page 5: it is used twice"},
		{"a count that lies", func(f *forged) { f.header(4, leaf, 65535, 0) }, "page 4: 65535 elements do not fit"},
		{"a branch's count that lies", func(f *forged) { f.header(3, branch, 64, 0) }, "page 3: 64 elements do not fit"},
		{"an element past the end", func(f *forged) { f.element(4, 1, 0, 990, 10, 10) }, "page 4: element 1 lies outside"},
		{"sizes that wrap around", func(f *forged) { f.element(4, 1, 0, 1<<32-1, 1<<32-1, 1<<32-1) }, "page 4: element 1 lies outside"},
		{"a separator outside", func(f *forged) { f.element(3, 1, 1<<31, 1) }, "page 3: the key of element 1 lies outside"},
		{"separators that overlap", func(f *forged) { f.element(3, 0, 32, 2); f.leaf(4, "b", "1") }, "page 3: element 1 overlaps another"},
		{"elements that overlap", func(f *forged) { f.element(4, 0, 0, 32, 1, 9) }, "page 4: element 1 overlaps another"},
		{"an element over the elements", func(f *forged) { f.element(4, 0, 0, 8, 1, 1) }, "page 4: element 0 overlaps another"},
		{"an empty key", func(f *forged) { f.element(4, 0, 0, 32, 0, 1) }, "page 4: key 0 is empty"},
		{"unknown flags", func(f *forged) { f.element(4, 0, 2, 32, 1, 1) }, "page 4: flags 0x2 of element 0"},
		{"keys that do not rise", func(f *forged) { f.leaf(4, "b", "", "a", "") }, "page 4: key 1 is not above"},
		{"equal keys", func(f *forged) { f.leaf(4, "a", "", "a", "") }, "page 4: key 1 is not above"},
		{"keys that fall from leaf to leaf", func(f *forged) { f.leaf(5, "a1", "") }, "page 5: key 0 is not above"},
		{"a key before its separator", func(f *forged) { f.leaf(5, "l", "", "n", "") }, "page 5: its first key lies before"},
		{"a key behind its separator", func(f *forged) { f.leaf(4, "a", "", "m", "") }, "page 4: its last key lies behind"},
		{"separators that do not rise", func(f *forged) { f.branch(3, []string{"m", "a"}, 4, 5) }, "page 3: key 0 is not below"},
		{"a child twice", func(f *forged) { f.branch(3, []string{"a", "m"}, 4, 4) }, "page 4: it is used twice"},
		{"a cycle", func(f *forged) { f.branch(3, []string{"a", "m"}, 4, 3) }, "page 3: it is used twice"},
		{"a bucket in itself", func(f *forged) { f.branch(3, []string{"/", "m"}, 4, 5); f.leaf(4, "/a", "3") }, "page 3: it is used twice"},
		{"a bucket that is its own root", func(f *forged) { f.leaf(2, "/b", "3", "/c", "2") }, "page 2: it is used twice"},
		{"two buckets of one tree", func(f *forged) { f.leaf(2, "/b", "3", "/c", "3") }, "page 3: it is used twice"},
		{"a bucket too short", func(f *forged) { f.element(2, 0, 1, 16, 2, 15) }, "page 2: a bucket of 15 bytes"},
		{"an inline bucket that is none", func(f *forged) { f.leaf(2, "/b", "0") }, "page 2: a bucket inside it is not a leaf"},
		{"a branch without children", func(f *forged) { f.header(3, branch, 0, 0) }, "page 3: a branch without elements"},
	} {
		f := good()
		test.change(f)
		got := ""
		file, err := boltfile.New(f.data)
		if err == nil {
			_, err = list(file)
		}
		if err != nil {
			got = err.Error()
		}
		damage := (*boltfile.DamageError)(nil)
		if !strings.Contains(got, test.want) || (test.want == "") != (err == nil) || err != nil && !errors.As(err, &damage) {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// A tower of branches ends, and so do buckets in buckets.
func TestDepthIsBounded(t *testing.T) {
	f := forge(200)
	f.leaf(2, "/b", "3")
	for n := 3; n < 199; n++ {
		f.branch(n, []string{"a"}, uint64(n+1))
	}
	f.leaf(199, "a", "")
	file, err := boltfile.New(f.data)
	if err == nil {
		_, err = list(file)
	}
	if err == nil || !strings.Contains(err.Error(), "deeper than 64 pages") {
		t.Errorf("a tower of branches: %v", err)
	}
	const n = boltfile.MaxNesting + 10
	f = forge(n)
	for n := 2; n < len(f.pages)-1; n++ {
		f.leaf(n, "/b", fmt.Sprint(n+1))
	}
	f.leaf(n-1, "a", "")
	if file, err = boltfile.New(f.data); err == nil {
		_, err = list(file)
	}
	if err == nil || !strings.Contains(err.Error(), "more than 4096 buckets lie in each other") {
		t.Errorf("buckets in buckets: %v", err)
	}
}

// Many ways that lead to the same pages do not make a walk long.
func TestWorkIsBounded(t *testing.T) {
	f := forge(60)
	for n := 2; n < 59; n++ {
		var pairs []string
		for i := range 20 {
			pairs = append(pairs, fmt.Sprintf("/%02d", i), fmt.Sprint(n+1))
		}
		f.leaf(n, pairs...)
	}
	f.leaf(59, "a", "")
	file, err := boltfile.New(f.data)
	if err != nil {
		t.Fatal(err)
	}
	pairs := file.NewWalk()
	if err := listBuckets(new(strings.Builder), 0, pairs, file.NewWalk(), file.Root()); err == nil {
		t.Error("no error")
	}
	if pairs.Visited() > int64(len(f.data)) {
		t.Errorf("it read %d bytes", pairs.Visited())
	}
}

// Whatever is wrong in a file, reading it ends, without a panic.
func TestDamagedGoldenFiles(t *testing.T) {
	for _, g := range goldens[1:3] {
		whole := golden(t, g.name)
		r := rand.New(rand.NewPCG(*seed, 0))
		for range *rounds {
			data := bytes.Clone(whole)
			for range 1 + r.IntN(3) {
				// Mostly what says what there is: the beginning of a page.
				at := r.IntN(len(data)/g.pageSize)*g.pageSize + r.IntN(1+r.IntN(g.pageSize))
				switch r.IntN(3) {
				case 0:
					data[at] = byte(r.Uint32())
				case 1:
					data[at] ^= 1 << r.IntN(8)
				default:
					copy(data[at:], whole[r.IntN(len(whole)-16):][:1+r.IntN(16)])
				}
			}
			data = data[:len(data)-r.IntN(2)*r.IntN(len(data))]
			walkAll(data)
		}
	}
}

// walkAll reads all that data says it has.
func walkAll(data []byte) {
	if f, err := boltfile.New(data); err == nil {
		touchAll(f.NewWalk(), f.Root())
	}
}

// touched keeps what touchAll reads from being optimized away.
var touched byte

func touchAll(walk *boltfile.Walk, b boltfile.Bucket) {
	s := walk.Scan(b)
	for s.Next() {
		touched ^= s.Key()[0]
		if s.Value() == nil {
			touchAll(walk, s.Bucket())
		} else if n := len(s.Value()); n > 0 {
			touched ^= s.Value()[n-1]
		}
	}
}

// No bytes make the reader panic, or work without end.
func FuzzBoltFile(f *testing.F) {
	f.Add(written(f))
	small := forge(6)
	small.leaf(2, "/b", "3")
	small.branch(3, []string{"a", "m"}, 4, 5)
	small.leaf(4, "a", "1", "b", "2")
	small.leaf(5, "m", "3", "n", "4")
	f.Add(small.data)
	f.Fuzz(func(t *testing.T, data []byte) {
		walkAll(data)
		// With metas that are whole, the rest decides.
		if len(data) >= 4096 {
			data = bytes.Clone(data)
			whole := forge(2)
			whole.meta(2, len(data)/1024)
			copy(data, whole.data)
			walkAll(data)
		}
	})
}
