package folio

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
)

// The two ways to replay a free log agree on what is free and on what is damage, whichever
// the high-water marks choose.
func TestReplayOnABitmap(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	whole, damaged, wide := 0, 0, 0
	for range 3000 {
		pages, hwm := randomLog(rng)
		want := newLogReplay(newRunSet())
		werr := replayInto(pages, want)
		free, top, err := replayPages(pages, hwm)
		if (err == nil) != (werr == nil) || err != nil && err.Error() != werr.Error() {
			t.Fatalf("%v instead of %v", err, werr)
		}
		quick := newLogReplay(&freeBitmap{})
		quick.limit = uint64(hwm)*4 + 1<<20
		_ = replayInto(pages, quick)
		switch {
		case quick.wide:
			wide++
		case err != nil:
			damaged++
		default:
			whole++
		}
		if err == nil && (top != want.hwm || !slices.Equal(free.runs(), want.free.runs()) || free.countRuns() != len(free.runs())) {
			t.Fatalf("free %v below %d instead of %v below %d", free.runs(), top, want.free.runs(), want.hwm)
		}
		if err == nil {
			all := run{metaPages, top - metaPages}
			others := free.others(all)
			if others.pages+free.pages != uint64(all.n) || others.countIn(all) != uint32(others.pages) {
				t.Fatalf("%d pages are free, %d are not, of %d", free.pages, others.pages, all.n)
			}
			for _, r := range others.runs() {
				if free.overlaps(r) {
					t.Fatalf("%v is among those that are not free: %v", r, free.runs())
				}
			}
		}
	}
	if whole < 300 || damaged < 300 || wide < 100 {
		t.Errorf("%d logs were whole, %d damaged, %d of a longer file", whole, damaged, wide)
	}
}

// randomLog returns pages of records, most of which fit those before them.
func randomLog(rng *rand.Rand) (pages []logPage, hwm uint32) {
	hwm = metaPages
	var free pageSet
	for range 1 + rng.IntN(3) {
		var b []byte
		for range rng.IntN(12) {
			switch k := rng.IntN(10); {
			case k == 0:
				hwm, free = metaPages+rng.Uint32N(500), pageSet{}
				b = binary.AppendUvarint(append(b, logReset), uint64(hwm))
			case k == 1 && rng.IntN(8) == 0:
				// A file that was long, and was cut again at once.
				b = binary.AppendUvarint(append(b, logHwm), 1<<30)
				b = binary.AppendUvarint(append(b, logHwm), uint64(hwm))
			case k < 4:
				more := hwm + rng.Uint32N(200)
				free.mark(run{hwm, more - hwm})
				hwm = more
				b = binary.AppendUvarint(append(b, logHwm), uint64(hwm))
			default:
				tag, from := byte(logFree), metaPages+rng.Uint32N(hwm)
				r := run{from, 1 + rng.Uint32N(20)}
				if rng.IntN(30) > 0 {
					// One that fits, if it is found.
					for try := 0; try < 20 && (r.end() > hwm || free.overlaps(r)); try++ {
						r = run{metaPages + rng.Uint32N(hwm), 1 + rng.Uint32N(20)}
					}
				}
				if found, ok := free.next(from, hwm); ok && rng.IntN(2) == 0 {
					tag, r = logAlloc, found
					free.remove(r)
				} else {
					free.mark(r)
				}
				b = binary.AppendUvarint(append(b, tag), 1)
				b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(r.start)), uint64(r.n))
			}
		}
		pages = append(pages, logPage{ref{pgno: 7}, logOf(b)})
	}
	return pages, hwm
}
