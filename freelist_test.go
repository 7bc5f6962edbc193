package folio

import (
	"bytes"
	"cmp"
	"math/rand/v2"
	"slices"
	"strings"
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
		free := newRunSet()
		replay := newLogReplay(free)
		if readRecords(logOf(records), replay) != nil {
			return
		}
		checkRuns(t, free.runs(), free.pages, replay.hwm)
		_, again := encodeLogSnapshot(minPageSize, replay.hwm, replay.free.runs())
		second := newLogReplay(newRunSet())
		for _, p := range again {
			if err := readRecords(p, second); err != nil {
				t.Fatalf("a snapshot of it: %v", err)
			}
		}
		if !slices.Equal(second.free.runs(), replay.free.runs()) || second.hwm != replay.hwm {
			t.Fatal("a snapshot of it gives another set")
		}
	})
}

// A list of more free runs than a page holds comes back from its pages; records that contradict
// what is before them are refused.
func TestFreeLogRecords(t *testing.T) {
	var free []run
	for i := range uint32(5000) {
		free = append(free, run{100 + 1000*i, 1 + i%900})
	}
	const hwm = 5_000_100
	w, pages := encodeLogSnapshot(minPageSize, hwm, free)
	if len(pages) < 3 || len(pages) > logSpace(minPageSize, len(free)) {
		t.Errorf("%d pages", len(pages))
	}
	replay := newLogReplay(newRunSet())
	for _, p := range pages {
		ok(t, readRecords(p, replay))
	}
	if !slices.Equal(replay.free.runs(), free) || replay.hwm != hwm || w.written == 0 {
		t.Errorf("other runs come back, below %d", replay.hwm)
	}
	for _, c := range []struct {
		want    string
		records []byte
	}{
		{"", []byte{logReset, 20, logFree, 2, 5, 3, 1, 1, logAlloc, 1, 6, 1, logHwm, 30, logHwm, 25}},
		{"number", []byte{logReset}},
		{"number", []byte{logReset, 0x80}},
		{"number", []byte{logReset, 20, logFree, 100}},
		{"number", []byte{logReset, 20, logFree, 1, 5}},
		{"number", []byte{logReset, 20, logFree, 1, 0x80, 0x80}},
		{"number", []byte{logReset, 20, logFree, 1, 5, 0}},
		{"record 9", []byte{logReset, 20, 9, 0}},
		{"high-water mark 1", []byte{logReset, 1}},
		{"high-water mark lowered to 10", []byte{logReset, 20, logHwm, 10}},
		{"pages 1 to 2", []byte{logReset, 20, logFree, 1, 1, 1}},
		{"pages 19 to 21 of 20", []byte{logReset, 20, logFree, 1, 19, 2}},
		{"freed twice", []byte{logReset, 20, logFree, 1, 5, 3, logFree, 1, 7, 1}},
		{"allocated twice", []byte{logReset, 20, logFree, 1, 5, 3, logAlloc, 1, 7, 2}},
	} {
		replay := newLogReplay(newRunSet())
		err := readRecords(logOf(c.records), replay)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("records % x: %v, want %q", c.records, err, c.want)
		}
	}
	p := logOf(nil)
	le.PutUint32(p[8:], minPageSize+1)
	if readRecords(p, replay) == nil {
		t.Error("records that end behind the page are read")
	}
}

// checkRuns checks that runs below hwm, which are count pages, are in order and do not touch.
func checkRuns(t *testing.T, rs []run, count uint64, hwm uint32) {
	t.Helper()
	end, pages := uint32(0), uint64(0)
	for _, r := range rs {
		if r.n == 0 || r.start < metaPages || end > 0 && r.start <= end || r.end() > hwm || r.end() < r.start {
			t.Fatalf("run %v after %d, of %d pages", r, end, hwm)
		}
		end = r.end()
		pages += uint64(r.n)
	}
	if count != pages {
		t.Fatalf("the set counts %d pages and has %d", count, pages)
	}
}

// A set of pages, for tests of both kinds.
type anySet interface {
	add(run)
	remove(run) bool
	overlaps(run) bool
	runs() []run
}

// Sets of pages agree with a plain array.
func TestSetsAgainstPages(t *testing.T) {
	for s := range uint64(50) {
		runs := newRunSet()
		testSet(t, rand.New(rand.NewPCG(*Seed, s)), runs, &runs.pages)
		pages := &pageSet{}
		testSet(t, rand.New(rand.NewPCG(*Seed, s)), pages, &pages.pages)
	}
}

func testSet(t *testing.T, r *rand.Rand, set anySet, pages *uint64) {
	{
		// The pages lie around the end of a pageSet's first chunk.
		const size = chunkPages + 200
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
			x := run{uint32(size - 400 + r.IntN(388)), uint32(1 + r.IntN(10))}
			n := count(x)
			if set.overlaps(x) != (n > 0) {
				t.Fatalf("seed %d: overlaps(%v) is wrong", *Seed, x)
			}
			switch op := r.IntN(3); {
			case op == 0: // a damaged file makes x overlap what is there
				set.add(x)
				mark(x, true)
			case op == 1:
				if set.remove(x) != (n == int(x.n)) {
					t.Fatalf("seed %d: remove(%v) is wrong", *Seed, x)
				} else if n == int(x.n) {
					mark(x, false)
				}
			case op == 2:
				if set, ok := set.(*pageSet); ok {
					testFinding(t, r, set, x.n)
					for _, y := range set.gather([]run{{x.start, size - x.start}, {0, x.start}}, x.n) {
						if count(y) != int(y.n) {
							t.Fatalf("seed %d: gather(%v) gives %v", *Seed, x, y)
						}
						mark(y, false)
					}
				}
			}
			checkRuns(t, set.runs(), *pages, size)
		}
		if n := count(run{0, size}); uint64(n) != *pages {
			t.Fatalf("seed %d: %d pages, not %d", *Seed, *pages, n)
		}
	}
}

// testFinding compares what a pageSet says of its runs with the list of them.
func testFinding(t *testing.T, r *rand.Rand, s *pageSet, n uint32) {
	t.Helper()
	longest := uint32(0)
	for _, x := range s.runs() {
		longest = max(longest, x.n)
		if got := s.endingAt(x.end()); got != x {
			t.Fatalf("endingAt(%d) is %v, not %v", x.end(), got, x)
		}
		if got, ok := s.next(x.start, x.start+n); !ok || got != (run{x.start, min(n, x.n)}) {
			t.Fatalf("next is %v, not %v", got, x)
		}
	}
	if min(s.longest, s.longestNear) < longest {
		t.Fatalf("a run of %d pages, said to be no longer than %d and %d", longest, s.longest, s.longestNear)
	}
	from, to := uint32(r.IntN(int(s.end())+1)), uint32(r.IntN(int(s.end())+1))
	want := run{}
	for x, ok := s.next(from, to); ok && want.n == 0; x, ok = s.next(x.end(), to) {
		if x.n >= n {
			want = x
		}
	}
	if got, ok := s.nextOf(n, from, to); got != want || ok != (want.n > 0) {
		t.Fatalf("the first run of %d pages in [%d, %d) is %v, not %v", n, from, to, got, want)
	}
	at := uint32(r.IntN(chunkPages))
	got, ok := s.fitting([]run{{at, s.end() - at}, {0, s.end()}}, n, &s.longest)
	if ok != (longest >= n) || ok && (got.n != n || !s.holds(got)) {
		t.Fatalf("fitting(%d) is %v, %v; the longest run has %d", n, got, ok, longest)
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
			checkRuns(t, a.free.runs(), a.free.pages, a.hwm)
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

// The first run of a length is found wherever it begins and ends, in one word or across several.
func TestFirstRunOfALength(t *testing.T) {
	for n := uint32(1); n <= 130; n++ {
		for start := uint32(3); start < 70; start++ {
			var s pageSet
			s.add(run{0, 1})
			s.add(run{start, n})
			for _, want := range []uint32{max(n, 2) - 1, n, n + 1} {
				if got, ok := s.nextOf(want, 1, s.end()); ok != (want <= n) || ok && got != (run{start, n}) {
					t.Fatalf("a run of %d pages in one of %d at %d: %v, %v", want, n, start, got, ok)
				}
			}
			if got, ok := s.nextOf(n, 1, start+n-1); ok {
				t.Fatalf("a run of %d pages that ends behind the last is found: %v", n, got)
			}
			if got, ok := s.nextOf(n, start+1, s.end()); ok {
				t.Fatalf("a run of %d pages that begins before the first is found: %v", n, got)
			}
		}
	}
}

// What becomes free in the nursery is nothing that a search outside it has to look for.
func TestNurseryStartsNoSearch(t *testing.T) {
	a := newAllocator(1000, 1000)
	for at := uint32(metaPages); at < 900; at += 4 {
		a.add(run{at, 1})
	}
	a.add(run{900, 64})
	a.addToNursery(run{900, 64})
	if r, ok := a.fitting(2, 0); ok {
		t.Fatalf("%v lies in the nursery", r)
	}
	a.free.remove(run{910, 6})
	a.add(run{910, 6})
	if a.free.longestNear != 1 {
		t.Errorf("runs of %d pages are looked for outside the nursery", a.free.longestNear)
	}
	a.add(run{403, 2})
	if r, ok := a.fitting(3, 0); !ok || r != (run{402, 3}) {
		t.Errorf("%v, %v, not the run that came", r, ok)
	}
	if r, ok := a.fitting(2, 0); ok {
		t.Fatalf("%v is left", r)
	}
	a.free.remove(run{960, 4})
	a.nursery = []run{{900, 62}}
	a.add(run{960, 4})
	if r, ok := a.fitting(2, 0); !ok || r != (run{962, 2}) {
		t.Errorf("%v, %v, not the run across the nursery's end", r, ok)
	}
}

// Groups that replace a part of the branches each find room for them in a few pieces: the sweep of the
// nursery comes back late enough that most of what stood there was replaced.
func TestNurseryIsMostlyFree(t *testing.T) {
	db, err := openOn(&memoryFile{}, (&Options{}).withDefaults(), true)
	ok(t, err)
	t.Cleanup(func() { db.Close() })
	db.mu.Lock()
	defer db.mu.Unlock()
	a := db.alloc
	a.hwm = 50_000
	a.add(run{30_000, 10_000})
	rng := rand.New(rand.NewPCG(*Seed, 0))
	const branches, changed, groups = 600, 60, 400
	var at [branches]uint32
	var waiting [3][]uint32 // for the next flushes
	pieces := 0
	for g := range groups {
		runs, err := db.allocateShortLived(changed, 0)
		ok(t, err)
		if g >= groups/2 {
			pieces += len(runs)
		}
		for _, old := range waiting[0] {
			a.add(run{old, 1})
		}
		waiting[0], waiting[1], waiting[2] = waiting[1], waiting[2], nil
		next := numbering{runs: runs}
		for range changed {
			b := &at[rng.IntN(branches)]
			if *b != 0 {
				waiting[2] = append(waiting[2], *b)
			}
			*b = next.next()
		}
	}
	perGroup := float64(pieces) / (groups / 2)
	t.Logf("%.1f pieces a group, %d pages are set apart", perGroup, a.nurserySize())
	if perGroup > 4 || a.nurserySize() > a.hwm/8 {
		t.Errorf("more than 4, or more than an eighth of %d", a.hwm)
	}
}

// newHoles returns a store, of which the test has the mutex until it ends, with every other three pages
// of 2,000 free, from page 100 to end.
func newHoles(t *testing.T, end uint32) *DB {
	t.Helper()
	db, err := openOn(&memoryFile{}, (&Options{}).withDefaults(), true)
	ok(t, err)
	t.Cleanup(func() { db.Close() })
	db.mu.Lock()
	t.Cleanup(db.mu.Unlock)
	db.alloc.hwm = 2000
	for at := uint32(100); at < end; at += 6 {
		db.alloc.add(run{at, 3})
	}
	return db
}

// Small groups go on where the last one found room.
func TestSmallGroupsSweep(t *testing.T) {
	db := newHoles(t, 700)
	a := db.alloc
	before := uint32(0)
	for range 20 {
		r, ok := db.allocateTogether(3, 0)
		if !ok || r.start <= before {
			t.Fatalf("%v, %v after page %d", r, ok, before)
		}
		a.add(r)
		before = r.start
	}
}

// Where much of the file is free, groups that do not clean take its lowest pages, so that data moves down.
// Those that do go on with the sweep, for which room was made.
func TestGroupsThatDoNotCleanMoveDown(t *testing.T) {
	for _, clearing := range []bool{false, true} {
		db := newHoles(t, 1900)
		a := db.alloc
		a.sweep, a.clearing = 700, clearing
		rs, err := db.place(onePiece+2, false, together)
		ok(t, err)
		want, sweep := uint32(100), uint32(700)
		if clearing {
			want, sweep = 700, rs[len(rs)-1].end()
		}
		if rs[0] != (run{want, 3}) || a.sweep != sweep {
			t.Errorf("clearing %v: %v, and then the sweep is at %d", clearing, rs, a.sweep)
		}
	}
}

// Where the file cannot grow, a run in the nursery serves a large value.
func TestNurseryIsNoObstacle(t *testing.T) {
	for _, looked := range []bool{false, true} {
		a := newAllocator(100, 100)
		a.free.add(run{10, 20})
		a.nursery = []run{{10, 20}}
		if looked {
			if r, ok := a.fitting(8, 0); ok {
				t.Fatalf("%v lies in the nursery", r)
			}
		}
		rs, err := a.contiguous(8, 0)
		if err != nil || len(rs) != 1 || rs[0] != (run{10, 8}) {
			t.Errorf("with the nursery looked around %v: %v, %v", looked, rs, err)
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
				if len(d.freed)+len(d.allocated) > r.IntN(20) {
					d.tidy()
				}
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

// A snapshot of the free log has room in its pages though they are taken out of what it lists, and
// fills them, so that the next commit does not write another.
func TestSnapshotSpace(t *testing.T) {
	r := rand.New(rand.NewPCG(*Seed, 1))
	for _, runs := range []int{0, 1, 100, 5_000, 100_000, 300_000} {
		for _, pageSize := range []int{minPageSize, maxPageSize} {
			set, at := newRunSet(), uint32(metaPages)
			for range runs {
				at += 1 + uint32(r.IntN(1+r.IntN(300)))
				n := 1 + uint32(r.IntN(1+r.IntN(4)))
				set.put(run{at, n})
				at += n
			}
			space := snapshotSpace(pageSize, at, set.runs())
			for i := 0; i < space && set.pages > 0; { // here and there, or from the start
				all := set.runs()
				for k := 0; k < len(all) && i < space; k += 1 + r.IntN(1+len(all)/space) {
					set.remove(run{all[k].start + all[k].n/2, 1})
					i++
				}
			}
			w, pages := encodeLogSnapshot(pageSize, at, set.runs())
			if len(pages) > space {
				t.Errorf("seed %d: %d runs take %d pages of %d", *Seed, runs, len(pages), space)
			}
			l := freeLog{chain: make([]ref, space), snapshot: w.written, records: w.written}
			if l.outgrown(pageSize) {
				t.Errorf("seed %d: a snapshot of %d runs in %d pages, %d bytes, is outgrown at once", *Seed, runs, space, w.written)
			}
		}
	}
}

// A delta that stays large is not tidied again with every commit.
func TestDeltaIsTidiedSeldom(t *testing.T) {
	var d delta
	times := 0
	for i := range uint32(1 << 19) {
		d.free(run{2 * i, 1})
		if d.grown() {
			d.tidy()
			times++
		}
	}
	if freed, _ := d.net(); len(freed) != 1<<19 || times > 4 || times < 2 {
		t.Errorf("%d runs, tidied %d times", len(freed), times)
	}
}

// The free log is written anew where its pages keep a file from being cut, but not with every commit.
func TestLogInTheWayIsDue(t *testing.T) {
	a := newAllocator(1000, 1000)
	l := freeLog{chain: []ref{{pgno: 10}, {pgno: 900}}, snapshot: 40_000, records: 50_001}
	check := func(what string, want bool) {
		t.Helper()
		if got := l.obstructs(a, 4096, false); got != want {
			t.Errorf("%s: %v", what, got)
		}
	}
	a.free.add(run{100, 300})
	check("a file with few holes", false)
	a.free.add(run{400, 500})
	check("one that should become shorter", true)
	l.records = 50_000
	check("soon after a snapshot", false)
	l.snapshot, l.records = 100, 4196
	check("soon after a short one", false)
	l.records = 4197
	check("a page after it", true)
	l.chain[1].pgno = a.bound() - 1
	check("a log where data moves to", false)
}

func TestSortNumbers(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	var spare []uint64
	for _, n := range []int{0, 1, 63, 64, 100, 4096, 4097, 100_000} {
		for _, low := range []int{0, 20, 33} {
			for wide := low; wide <= 64; wide += 11 { // bits
				ns := make([]uint64, n)
				for i := range ns {
					high := rng.Uint64() >> (64 - wide) >> low << low
					ns[i] = high | uint64(i)&(1<<low-1)
				}
				want := slices.Clone(ns)
				slices.SortStableFunc(want, func(a, b uint64) int { return cmp.Compare(a>>low, b>>low) })
				got := ns
				if got, spare = sortNumbers(ns, spare, low); !slices.Equal(got, want) {
					t.Errorf("%d numbers of %d bits are not in the order of their bits from %d on", n, wide, low)
				}
			}
		}
	}
}

// A nursery will do while three quarters of it are free; none will not.
func TestRoomyNursery(t *testing.T) {
	a := newAllocator(2000, 2000)
	check := func(what string, want bool) {
		t.Helper()
		if got := a.roomy(6); got != want {
			t.Errorf("%s: %v", what, got)
		}
	}
	check("no nursery", false)
	a.free.add(run{100, 100})
	a.addToNursery(run{100, 100})
	check("an empty one", true)
	a.free.remove(run{110, 25})
	check("a quarter is in use", true)
	a.free.remove(run{140, 1})
	check("more is in use", false)
	a = newAllocator(2000, 2000)
	a.free.add(run{100, 11})
	a.addToNursery(run{100, 11})
	check("a small one", false)
}
