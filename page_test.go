package folio

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cespare/xxhash/v2"
)

// noKeys fetches long keys from nowhere.
type noKeys struct{}

func (noKeys) loadKey(e extent) ([]byte, error) { return nil, corruptf(e.pgno, "no long keys here") }

// touchAll calls every method that reads a valid page.
func touchAll(p page) {
	p.total()
	p.used()
	p.room()
	for i := range p.count() {
		if p.count() > 0 && p.level() == 0 {
			p.payload(i)
		} else {
			p.ref(i)
		}
		p.cell(i)
		k := p.storedKey(i)
		p.search(k, noKeys{})
		p.search(append(bytes.Clone(k), 0), noKeys{})
		p.child(k, noKeys{})
	}
	p.search(nil, noKeys{})
	p.search([]byte("zzz"), noKeys{})
}

// Whatever bytes pass validate can be searched and read; a page rebuilt from its cells has the
// same cells and passes too.
func FuzzPage(f *testing.F) {
	for _, n := range []int{0, 1, 5, 60} {
		f.Add([]byte(samplePage(n, 0)))
		f.Add([]byte(samplePage(n+1, 1)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p := page(b)
		if len(b) > minPageSize || p.validate() != nil {
			return
		}
		touchAll(p)
		cells := p.appendCells(nil, 0, p.count())
		if !spaceFor(minPageSize, p.level(), cells) {
			return
		}
		again := make(page, minPageSize)
		again.fill(p.level(), cells)
		if p.level() == 0 && p.prefixLen() == 0 && again.prefixLen() == 0 {
			if err := again.validate(); err != nil {
				t.Fatalf("rebuilt: %v", err)
			}
		}
	})
}

// samplePage returns a page with n entries.
func samplePage(n, level int) page {
	p := make(page, minPageSize)
	var cells []cell
	for i := range n {
		k := storedKey{bytes: []byte{'k', byte(i / 16), byte(i % 16)}}
		body := appendLeafCell(nil, cellInline, k, bytes.Repeat([]byte{byte(i)}, i%9))
		if level > 0 {
			body = appendBranchCell(nil, ref{pgno: uint32(i + 2), birth: 1, count: 7}, k)
		}
		cells = append(cells, cell{k.bytes, k.klen(), body})
	}
	p.fill(level, cells)
	return p
}

// A page whose prefix was changed in place is as one that was built with it.
func TestSetPrefix(t *testing.T) {
	const longest = 13
	for level := range 2 {
		var cells []cell
		for i := range 20 {
			k := storedKey{bytes: fmt.Appendf(nil, "common prefix%d%s", i, "abcdef"[:i%6])}
			body := appendLeafCell(nil, cellInline, k, bytes.Repeat([]byte{byte(i)}, i))
			if level > 0 {
				body = appendBranchCell(nil, ref{pgno: uint32(i + 2), birth: 1, count: 7}, k)
			}
			cells = append(cells, cell{k.bytes, k.klen(), body})
		}
		slices.SortFunc(cells, func(a, b cell) int { return bytes.Compare(a.key, b.key) })
		for from := range longest + 1 {
			for to := range longest + 1 {
				p, want := make(page, minPageSize), make(page, minPageSize)
				p.fillWith(level, cells, from)
				want.fillWith(level, cells, to)
				p.setPrefix(to)
				end := p.slotBase() + p.count()*slotSize
				if !bytes.Equal(p[:end], want[:end]) || !bytes.Equal(p[p.cellStart():], want[want.cellStart():]) {
					t.Fatalf("level %d: a prefix of %d made one of %d is not as if it had been built so", level, from, to)
				}
			}
		}
	}
	short := []cell{leafCell("aaaa", cellInline, ""), leafCell("b", cellInline, ""), leafCell("aaab", cellInline, "")}
	p := make(page, minPageSize)
	p.fillWith(0, short, 0)
	p.setPrefix(commonPrefix(0, short)) // of the first and the last, as in a page that somebody made up
}

// Random inserts, replacements and removals on a page agree with a sorted list.
func TestPageAgainstList(t *testing.T) {
	type pair struct{ k, v []byte }
	for s := range uint64(100) {
		r := rand.New(rand.NewPCG(*Seed, s))
		p := make(page, minPageSize)
		p.fill(0, nil)
		var list []pair
		for range 300 {
			k := make([]byte, 1+r.IntN(12))
			for i := range k {
				k[i] = "ab\x00\xff"[r.IntN(4)]
			}
			v := bytes.Repeat([]byte{byte(r.Uint32())}, r.IntN(40))
			c := cell{k, len(k), appendLeafCell(nil, cellInline, storedKey{bytes: k}, v)}
			at, found := slices.BinarySearchFunc(list, k, func(x pair, k []byte) int { return bytes.Compare(x.k, k) })
			i, hit, err := p.search(k, noKeys{})
			if err != nil || i != at || hit != found {
				t.Fatalf("seed %d: search(%q) is %d, %v, %v; want %d, %v", *Seed, k, i, hit, err, at, found)
			}
			switch {
			case found && r.IntN(2) == 0:
				p.remove(i, i+1)
				list = slices.Delete(list, at, at+1)
			case found && p.room() >= len(c.body):
				p.replace(i, c)
				list[at].v = v
			case !found && p.fits(c):
				p.insert(i, c)
				list = slices.Insert(list, at, pair{k, v})
			default: // out of room: built anew
				cells := p.appendCells(nil, 0, p.count())
				if found {
					cells[i] = c
					list[at].v = v
				} else {
					cells = slices.Insert(cells, i, c)
					list = slices.Insert(list, at, pair{k, v})
				}
				if !spaceFor(len(p), 0, cells) {
					cells, list = cells[:len(cells)/2], list[:len(list)/2]
				}
				next := make(page, len(p))
				next.fill(0, cells)
				p = next
			}
			if err := p.validate(); err != nil {
				t.Fatalf("seed %d: %v", *Seed, err)
			}
		}
		for i, x := range list {
			if _, v := p.payload(i); !bytes.Equal(p.storedKey(i), x.k) || !bytes.Equal(v, x.v) {
				t.Fatalf("seed %d: slot %d has %q, want %q", *Seed, i, p.storedKey(i), x.k)
			}
		}
	}
}

// A flipped bit anywhere in a page changes its checksum.
func TestChecksumSeesEveryBit(t *testing.T) {
	p := samplePage(20, 0)
	want := checksum(7, 3, 9, p)
	for i := range p {
		p[i] ^= 1 << (i % 8)
		if checksum(7, 3, 9, p) == want {
			t.Fatalf("a flipped bit in byte %d is not seen", i)
		}
		p[i] ^= 1 << (i % 8)
	}
	if checksum(8, 3, 9, p) == want || checksum(7, 4, 9, p) == want || checksum(7, 3, 10, p) == want || xxhash.Sum64(p) == want {
		t.Error("seed, page number or birth does not count")
	}
}

// search agrees with a search one by one, whatever the keys have in common and however many
// share a head.
func TestSearchAgainstOneByOne(t *testing.T) {
	rng := rand.New(rand.NewPCG(*Seed, 0))
	for range 300 {
		alphabet := 1 + rng.IntN(4)
		prefix := bytes.Repeat([]byte("p"), rng.IntN(40))
		random := func() []byte {
			k := bytes.Clone(prefix)
			for range 1 + rng.IntN(12) {
				k = append(k, byte(rng.IntN(alphabet))<<6)
			}
			return k
		}
		var keys [][]byte
		for range 1 + rng.IntN(400) {
			keys = append(keys, random())
		}
		slices.SortFunc(keys, bytes.Compare)
		keys = slices.CompactFunc(keys, bytes.Equal)
		for level := range 2 {
			var cells []cell
			for i, k := range keys {
				sk := storedKey{bytes: k}
				body := appendLeafCell(nil, cellInline, sk, nil)
				if level > 0 {
					body = appendBranchCell(nil, ref{pgno: uint32(2 + i)}, sk)
				}
				cells = append(cells, cell{k, len(k), body})
			}
			p := make(page, maxPageSize)
			p.fill(level, cells)
			if err := p.validate(); err != nil {
				t.Fatal(err)
			}
			for range 100 {
				key := random()
				switch rng.IntN(4) {
				case 0:
					key = keys[rng.IntN(len(keys))]
				case 1:
					key = key[:rng.IntN(len(key)+1)]
				case 2:
					key[rng.IntN(len(key))]++
				}
				first := min(level, len(keys))
				want := first
				for want < len(keys) && bytes.Compare(keys[want], key) < 0 {
					want++
				}
				found := want < len(keys) && bytes.Equal(keys[want], key)
				if i, f, err := p.search(key, noKeys{}); i != want || f != found || err != nil {
					t.Fatalf("level %d, %d keys, %q: slot %d, %v, %v instead of %d, %v", level, len(keys), key, i, f, err, want, found)
				}
			}
		}
	}
}

func TestCommonLen(t *testing.T) {
	const n = 40
	a := bytes.Repeat([]byte{0xa5}, n)
	for la := range n {
		for lb := range n {
			b := bytes.Clone(a[:lb])
			if got := commonLen(a[:la], b); got != min(la, lb) {
				t.Fatalf("of %d and %d equal bytes: %d", la, lb, got)
			}
			for at := range lb {
				for bit := range 8 {
					b[at] ^= 1 << bit
					if got := commonLen(a[:la], b); got != min(la, at) {
						t.Fatalf("of %d and %d bytes that differ at %d: %d", la, lb, at, got)
					}
					b[at] ^= 1 << bit
				}
			}
		}
	}
}
