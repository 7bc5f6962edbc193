package fuzz

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/foliokv/folio"
	"github.com/foliokv/folio/internal/foliotest"
	"github.com/foliokv/folio/internal/simfile"
)

// One flipped bit in any page is reported by Check with the page's number, and by reads that
// touch the page.
func TestBitFlips(t *testing.T) {
	for _, size := range pageSizes {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			s := sampleOf(size)
			r := rand.New(rand.NewPCG(*seed, uint64(size)))
			n := 0
			for _, p := range s.parts {
				for i := range p.pages {
					for range flips(p.pages) {
						at := (int(p.pgno)+i)*size + r.IntN(size)
						flip(t, s, p, at, r.IntN(8))
						n++
					}
				}
			}
			for slot := range 2 { // a meta slot is a page too
				for range 20 {
					flipMeta(t, s, slot, slot*size+r.IntN(metaSize), r.IntN(8))
				}
				flipMeta(t, s, slot, slot*size+metaSize+r.IntN(size-metaSize), r.IntN(8))
			}
			t.Logf("seed %d: %d bits flipped in %d pages and extents", *seed, n, len(s.parts))
		})
	}
}

// flips is how many bits are tried in each page.
func flips(pages int) int {
	if pages > 1 {
		return 1
	}
	return 3
}

func flipped(s sample, at, bit int) []byte {
	b := bytes.Clone(s.image)
	b[at] ^= 1 << bit
	return b
}

func flip(t *testing.T, s sample, p part, at, bit int) {
	t.Helper()
	what := fmt.Sprintf("bit %d of byte %d of page %d (%s)", bit, at%s.pageSize(), at/s.pageSize(), p.kind)
	db, err := foliotest.Open(simfile.FromImage(flipped(s, at, bit), simfile.Options{}), nil)
	if p.kind == "log" { // opening needs it
		names(t, what+": Open", err, p.pgno)
		return
	}
	if err != nil {
		t.Errorf("%s: Open gives %v", what, err)
		return
	}
	defer db.Close()
	names(t, what+": Check", foliotest.Check(db), p.pgno)
	names(t, what+": reading", db.View(readAll), p.pgno)
	err = db.Update(func(tx *folio.Tx) error { return readAll(tx) })
	names(t, what+": reading in Update", err, p.pgno)
}

// names wants err to name the damaged page.
func names(t *testing.T, what string, err error, pgno uint32) {
	t.Helper()
	var corrupt *folio.CorruptError
	if !errors.Is(err, folio.ErrCorrupt) || !errors.As(err, &corrupt) || corrupt.Pgno != pgno {
		t.Errorf("%s gives %v, want page %d", what, err, pgno)
	}
}

func flipMeta(t *testing.T, s sample, slot, at, bit int) {
	t.Helper()
	db, err := foliotest.Open(simfile.FromImage(flipped(s, at, bit), simfile.Options{}), nil)
	if err != nil {
		t.Errorf("a flipped bit in meta %d: Open gives %v", slot, err)
		return
	}
	defer db.Close()
	names(t, fmt.Sprintf("bit %d of byte %d of meta %d: Check", bit, at, slot), foliotest.Check(db), uint32(slot))
	if err := db.View(readAll); err != nil {
		t.Errorf("a flipped bit in meta %d: reading gives %v", slot, err)
	}
}

// A child that is younger than its parent is reported, though all checksums are right.
func TestChildYoungerThanItsParent(t *testing.T) {
	s := sampleOf(4096)
	n := 0
	for _, p := range s.parts {
		if p.kind == "log" || len(p.refs) > 1 {
			continue // the root is as old as the state
		}
		b := image(bytes.Clone(s.image))
		birth := p.refs[0] + 4
		if p.extent {
			birth += 4
		}
		b[birth+3] = 1 // some 16 million transactions ahead
		if !p.extent {
			b[int(p.pgno)*4096+24+3] = 1
		}
		b.seal(s.parts)
		db, err := foliotest.Open(simfile.FromImage(b, simfile.Options{}), nil)
		foliotest.Must(t, err)
		names(t, fmt.Sprintf("a %s younger than its parent: Check", p.kind), foliotest.Check(db), p.pgno)
		db.Close()
		n++
	}
	if n < 20 {
		t.Errorf("only %d children", n)
	}
}
