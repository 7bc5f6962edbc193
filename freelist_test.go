package folio

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
)

// logOf returns a page of the free log with these records.
func logOf(records []byte) page {
	p := newLogPage(minPageSize)
	n := copy(p[logRecords:], records)
	le.PutUint32(p[8:], uint32(logRecords+n))
	return p
}

// Any bytes as records of the free log give an error or a set of runs inside the file that
// neither overlap nor touch.
func FuzzFreelist(f *testing.F) {
	_, pages := encodeLogSnapshot(minPageSize, 100, []run{{3, 5}, {20, 1}, {50, 50}})
	f.Add(bytes.Clone(pages[0][logRecords:le.Uint32(pages[0][8:])]))
	f.Add([]byte{logReset, 20, logFree, 1, 5, 3, logAlloc, 1, 6, 1, logHwm, 30})
	f.Fuzz(func(t *testing.T, records []byte) {
		if len(records) > minPageSize-logRecords {
			return
		}
		replay := logReplay{free: newRunSet(), hwm: metaPages}
		if readRecords(logOf(records), &replay) != nil {
			return
		}
		checkRuns(t, replay.free, replay.hwm)
		_, again := encodeLogSnapshot(minPageSize, replay.hwm, replay.free.runs())
		second := logReplay{free: newRunSet(), hwm: metaPages}
		for _, p := range again {
			if err := readRecords(p, &second); err != nil {
				t.Fatalf("a snapshot of it: %v", err)
			}
		}
		if !slices.Equal(second.free.runs(), replay.free.runs()) || second.hwm != replay.hwm {
			t.Fatal("a snapshot of it gives another set")
		}
	})
}

func checkRuns(t *testing.T, s *runSet, hwm uint32) {
	t.Helper()
	end, pages := uint32(0), uint64(0)
	for _, r := range s.runs() {
		if r.n == 0 || r.start < metaPages || end > 0 && r.start <= end || r.end() > hwm || r.end() < r.start {
			t.Fatalf("run %v after %d, of %d pages", r, end, hwm)
		}
		end = r.end()
		pages += uint64(r.n)
	}
	if s.pages != pages {
		t.Fatalf("the set counts %d pages and has %d", s.pages, pages)
	}
	if s.byLen != nil && s.byLen.Len() != s.byPos.Len() {
		t.Fatalf("%d runs by position, %d by length", s.byPos.Len(), s.byLen.Len())
	}
}

// A run set agrees with a plain set of pages.
func TestRunSetAgainstPages(t *testing.T) {
	const size = 200
	for s := range uint64(50) {
		r := rand.New(rand.NewPCG(*Seed, s))
		set := newRunSet()
		var has [size]bool
		count := func(x run) (n int) {
			for _, b := range has[x.start:x.end()] {
				if b {
					n++
				}
			}
			return n
		}
		mark := func(x run, v bool) {
			for i := x.start; i < x.end(); i++ {
				has[i] = v
			}
		}
		for range 500 {
			x := run{uint32(2 + r.IntN(size-12)), uint32(1 + r.IntN(10))}
			n := count(x)
			if set.overlaps(x) != (n > 0) {
				t.Fatalf("seed %d: overlaps(%v) is wrong", *Seed, x)
			}
			switch op := r.IntN(3); {
			case op == 0 && n == 0:
				set.add(x)
				mark(x, true)
			case op == 1:
				if set.remove(x) != (n == int(x.n)) {
					t.Fatalf("seed %d: remove(%v) is wrong", *Seed, x)
				} else if n == int(x.n) {
					mark(x, false)
				}
			case op == 2:
				if y, ok := set.take(x.n); ok {
					if y.n != x.n || count(y) != int(y.n) {
						t.Fatalf("seed %d: take(%d) gives %v", *Seed, x.n, y)
					}
					mark(y, false)
				}
			}
			checkRuns(t, set, size)
		}
		if n := count(run{0, size}); uint64(n) != set.pages {
			t.Fatalf("seed %d: %d pages, not %d", *Seed, set.pages, n)
		}
	}
}

// The allocator gives no page out twice, and none that a needed state reaches.
func TestAllocatorAgainstStates(t *testing.T) {
	for s := range uint64(50) {
		r := rand.New(rand.NewPCG(*Seed, s))
		a := newAllocator(metaPages, 500)
		type owned struct {
			run
			birth uint64
		}
		var live []owned
		type past struct {
			txid uint64
			has  []owned
		}
		var states []past // that readers hold
		durable := past{txid: 1}
		for txid := uint64(2); txid < 300; txid++ {
			needed := []uint64{durable.txid}
			for _, p := range states {
				needed = append(needed, p.txid)
			}
			slices.Sort(needed)
			needed = slices.Compact(needed)
			a.release(needed)
			var freed []freedRun
			for i := 0; i < len(live); i++ {
				if r.IntN(3) == 0 {
					freed = append(freed, freedRun{live[i].run, live[i].birth})
					live = slices.Delete(live, i, i+1)
					i--
				}
			}
			var got []run
			for range r.IntN(4) {
				n := uint32(1 + r.IntN(6))
				alloc := a.scattered
				if r.IntN(2) == 0 {
					alloc = a.contiguous
				}
				rs, err := alloc(n, 0)
				if err != nil {
					continue // full
				}
				got = append(got, rs...)
			}
			for _, x := range got {
				for _, p := range append(states, durable) {
					for _, o := range p.has {
						if x.start < o.end() && o.start < x.end() {
							t.Fatalf("seed %d: transaction %d gets pages %v, which state %d reaches", *Seed, txid, x, p.txid)
						}
					}
				}
				live = append(live, owned{x, txid})
			}
			a.retire(freed, txid, needed)
			checkRuns(t, a.free, a.hwm)
			used := uint64(0)
			for _, o := range live {
				used += uint64(o.n)
			}
			if uint64(a.hwm)-metaPages != used+a.free.pages+a.waiting {
				t.Fatalf("seed %d: %d pages used, %d free, %d waiting of %d", *Seed, used, a.free.pages, a.waiting, a.hwm)
			}
			now := past{txid, slices.Clone(live)}
			if r.IntN(2) == 0 {
				durable = now
			}
			if r.IntN(3) == 0 {
				states = append(states, durable)
			}
			if len(states) > 0 && r.IntN(3) == 0 {
				i := r.IntN(len(states))
				states = slices.Delete(states, i, i+1)
			}
		}
	}
}

// A delta's net change is that of its pages one by one.
func TestDelta(t *testing.T) {
	for s := range uint64(200) {
		r := rand.New(rand.NewPCG(*Seed, s))
		var before, now [100]bool // free
		for i := range before {
			before[i] = r.IntN(2) == 0
		}
		now = before
		var d delta
		for range 60 {
			at := uint32(2 + r.IntN(90))
			n := uint32(1)
			for n < 8 && now[at+n] == now[at] {
				n++
			}
			x := run{at, n}
			if now[at] {
				d.alloc(x)
			} else {
				d.free(x)
			}
			for i := x.start; i < x.end(); i++ {
				now[i] = !now[i]
			}
			if r.IntN(10) == 0 {
				d.tidy(r.IntN(20))
			}
		}
		freed, allocated := d.net()
		for _, x := range freed {
			for i := x.start; i < x.end(); i++ {
				if before[i] {
					t.Fatalf("seed %d: page %d is freed though free", *Seed, i)
				}
				before[i] = true
			}
		}
		for _, x := range allocated {
			for i := x.start; i < x.end(); i++ {
				if !before[i] {
					t.Fatalf("seed %d: page %d is allocated though not free", *Seed, i)
				}
				before[i] = false
			}
		}
		if before != now {
			t.Fatalf("seed %d: the net change gives another set", *Seed)
		}
	}
}
