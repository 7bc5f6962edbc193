package folio

import (
	"bytes"
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
		if !spaceFor(minPageSize, cells) {
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
			case !found && p.fits(i, c):
				p.insert(i, c)
				list = slices.Insert(list, at, pair{k, v})
			default: // out of room, or of another prefix: built anew
				cells := p.appendCells(nil, 0, p.count())
				if found {
					cells[i] = c
					list[at].v = v
				} else {
					cells = slices.Insert(cells, i, c)
					list = slices.Insert(list, at, pair{k, v})
				}
				if !spaceFor(len(p), cells) {
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
