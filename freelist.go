package folio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/google/btree"
)

// This file is the space of the file: which pages are free, which wait, and the free log that
// keeps it across a restart. What must hold:
//
//   - Pages in use, free, pending, and allocated by the open transaction partition
//     [2, high-water mark) exactly.
//   - A page born in b and freed by f is allocated again only when no needed state s has
//     b <= s < f.
//   - On disk everything that a commit does not reach is free.

// A run is n adjacent pages from start on.
type run struct{ start, n uint32 }

func (r run) end() uint32 { return r.start + r.n }

// A runSet is a set of pages as runs that neither overlap nor touch, small where it has few of
// them. Its zero value is an empty set.
type runSet struct {
	byPos *btree.BTreeG[run]
	pages uint64
}

func newRunSet() *runSet {
	return &runSet{byPos: btree.NewG(32, func(a, b run) bool { return a.start < b.start })}
}

func (s *runSet) put(r run) {
	if s.byPos == nil {
		*s = *newRunSet()
	}
	s.byPos.ReplaceOrInsert(r)
	s.pages += uint64(r.n)
}

func (s *runSet) drop(r run) {
	s.byPos.Delete(r)
	s.pages -= uint64(r.n)
}

// around returns the last run that starts at or before pgno, and the first after it.
func (s *runSet) around(pgno uint32) (before, after run) {
	if s.pages == 0 {
		return run{}, run{}
	}
	s.byPos.DescendLessOrEqual(run{start: pgno}, func(r run) bool { before = r; return false })
	s.byPos.AscendGreaterOrEqual(run{start: pgno + 1}, func(r run) bool { after = r; return false })
	return before, after
}

// overlaps tells whether any page of r is in the set.
func (s *runSet) overlaps(r run) bool {
	before, after := s.around(r.start)
	return before.n > 0 && before.end() > r.start || after.n > 0 && after.start < r.end()
}

// add joins r with its neighbours. Only a damaged file, in which two places refer to the same
// pages, makes r overlap the set.
func (s *runSet) add(r run) {
	before, after := s.around(r.start)
	if before.end() > r.start {
		in := min(before.end(), r.end()) - r.start
		if r = (run{r.start + in, r.n - in}); r.n > 0 {
			s.add(r)
		}
		return
	}
	if after.n > 0 && after.start < r.end() {
		rest := run{after.start, r.end() - after.start}
		s.add(run{r.start, after.start - r.start})
		s.add(rest)
		return
	}
	if before.n > 0 && before.end() == r.start {
		s.drop(before)
		r = run{before.start, before.n + r.n}
	}
	if after.n > 0 && r.end() == after.start {
		s.drop(after)
		r.n += after.n
	}
	s.put(r)
}

// remove takes r out and tells whether all of it was there; if not, the set is unchanged.
func (s *runSet) remove(r run) bool {
	in, _ := s.around(r.start)
	if in.n == 0 || in.end() < r.end() {
		return false
	}
	s.drop(in)
	if in.start < r.start {
		s.put(run{in.start, r.start - in.start})
	}
	if r.end() < in.end() {
		s.put(run{r.end(), in.end() - r.end()})
	}
	return true
}

// runs returns the set in order.
func (s *runSet) runs() []run {
	if s.pages == 0 {
		return nil
	}
	rs := make([]run, 0, s.byPos.Len())
	s.byPos.Ascend(func(r run) bool { rs = append(rs, r); return true })
	return rs
}

// A freedRun is pages that a transaction took out of the tree.
type freedRun struct {
	run
	birth uint64
}

// A pendingRun waits until no needed state s has birth <= s < freed.
type pendingRun struct {
	freedRun
	freed uint64
}

// An allocator is the space of the file in memory. The writer's mutex guards it.
//
// Pages that are written together should lie together: a disk pays for each piece of a flush,
// hardly for its length. So allocation sweeps over the file: each begins where the last one
// ended, where pages have had the longest time to be freed. And what lives for a few commits
// only (branches, the free log) has a part of the file to itself, the nursery, which is mostly
// free, so that it does not tear holes between leaves. (Log-structured file systems do both.)
type allocator struct {
	free     pageSet
	pending  map[uint64][]pendingRun // by the newest needed state that pins them
	waiting  uint64                  // pages in pending
	hwm      uint32                  // high-water mark: pages from here on were never used
	maxPages uint32                  // hwm may not pass it
	sweep    uint32                  // where the next allocation begins to look
	pace     float64                 // pages that it goes on with a group, lately
	nursery  []run                   // in order
	nurse    uint32                  // sweep of the nursery
	clearing bool                    // groups move pages out of the way of the sweep
	turn     int                     // the end of a run of it that was used last for a small group
	emptying run                     // a part of it that was not free when it became one
	noted    uint32                  // bound of the sweep to which free.longestNear applies
	spans    []run                   // scratch space, as are nursed and bits
	nursed   []run
	bits     []uint64
	list     []pendingRun
	retained func(run) // is told of pages that wait
	released func(run) // and of those that need not, or no longer
}

func newAllocator(hwm, maxPages uint32) *allocator {
	return &allocator{pending: map[uint64][]pendingRun{}, hwm: hwm, maxPages: maxPages, retained: func(run) {}, released: func(run) {}}
}

// bound is where the sweep turns: the end of the file, or where so much is free that data should
// move down, the end of what will do for it.
func (a *allocator) bound() uint32 {
	if !a.sparse() {
		return a.hwm
	}
	held := a.hwm - uint32(a.free.pages)
	return min(a.hwm, max(held+held/2, metaPages))
}

// near returns what the sweep comes by, outside the nursery: from the sweep to its bound, which it
// returns, too, and from the start to the sweep. The slice is good until the next call of a
// function that returns such spans.
func (a *allocator) near() (spans []run, bound uint32) {
	bound = a.bound()
	if a.sweep >= bound {
		a.sweep = 0
	}
	a.spans = a.appendOutside(a.spans[:0], run{a.sweep, bound - a.sweep})
	a.spans = a.appendOutside(a.spans, run{0, a.sweep})
	return a.spans, bound
}

// around returns the file outside the nursery: what is near, and then what lies behind the bound.
func (a *allocator) around() []run {
	spans, bound := a.near()
	a.spans = a.appendOutside(spans, run{bound, a.hwm - bound})
	return a.spans
}

// appendOutside appends the parts of r that are not in the nursery.
func (a *allocator) appendOutside(spans []run, r run) []run {
	at := r.start
	for _, o := range a.nursery {
		if o.end() <= at || o.start >= r.end() {
			continue
		}
		if o.start > at {
			spans = append(spans, run{at, o.start - at})
		}
		at = o.end()
	}
	if at < r.end() {
		spans = append(spans, run{at, r.end() - at})
	}
	return spans
}

// inNursery returns the nursery, from its sweep on and then up to there. The slice is good until the next
// call.
func (a *allocator) inNursery() []run {
	spans := a.nursed[:0]
	for _, r := range a.nursery {
		if mid := max(r.start, min(a.nurse, r.end())); mid < r.end() {
			spans = append(spans, run{mid, r.end() - mid})
		}
	}
	for _, r := range a.nursery {
		if mid := max(r.start, min(a.nurse, r.end())); r.start < mid {
			spans = append(spans, run{r.start, mid - r.start})
		}
	}
	a.nursed = spans
	return spans
}

// contiguous allocates n adjacent pages, and leaves keep pages free if it can grow instead.
func (a *allocator) contiguous(n uint32, keep uint64) ([]run, error) {
	r, ok := a.fitting(n, keep)
	if !ok {
		r, ok = a.fittingAnywhere(n, keep)
	}
	if ok {
		return []run{r}, nil
	}
	r, err := a.grow(n, keep)
	if err != nil && len(a.nursery) > 0 {
		a.giveUpNursery()
		return a.contiguous(n, keep)
	}
	return []run{r}, err
}

// giveUpNursery makes the nursery a part of the file like others.
func (a *allocator) giveUpNursery() {
	if len(a.nursery) > 0 {
		a.nursery, a.emptying = nil, run{}
		a.free.forgetLongest()
	}
}

// fitting allocates n adjacent free pages if there are, near the sweep, and keep are left.
func (a *allocator) fitting(n uint32, keep uint64) (run, bool) {
	if a.free.pages < uint64(n)+keep {
		return run{}, false
	}
	const slack = 64 // pages by which the bound may rise before all is looked at again
	spans, bound := a.near()
	// A run that the sweep stood in when it was looked for counts as two; that is not noticed either until something
	// longer is freed, or the bound rises.
	if bound > a.noted+slack {
		a.free.longestNear = ^uint32(0)
	}
	looks := n <= a.free.longestNear
	r, ok := a.free.fitting(spans, n, &a.free.longestNear)
	if ok {
		a.free.remove(r)
	} else if looks {
		a.noted = bound
	}
	return r, ok
}

// fittingAnywhere is fitting for what cannot be had near: runs behind the bound, or across it or
// the sweep.
func (a *allocator) fittingAnywhere(n uint32, keep uint64) (run, bool) {
	if a.free.pages < uint64(n)+keep {
		return run{}, false
	}
	a.spans = a.appendOutside(a.spans[:0], run{0, a.hwm})
	r, ok := a.free.fitting(a.spans, n, &a.free.longest)
	if ok {
		a.free.remove(r)
	}
	return r, ok
}

// grow allocates n adjacent pages at the end, beginning with the free ones there unless fewer
// than keep would be left.
func (a *allocator) grow(n uint32, keep uint64) (run, error) {
	start := a.hwm
	last := a.free.endingAt(a.hwm)
	if a.free.pages >= uint64(last.n)+keep && !a.inside(last) {
		start = last.start
	}
	if uint64(start)+uint64(n) > uint64(a.maxPages) {
		return run{}, ErrMaxSizeReached
	}
	if start < a.hwm {
		a.free.remove(last)
	}
	r := run{start, n}
	if r.end() < a.hwm {
		a.free.add(run{r.end(), a.hwm - r.end()})
	}
	a.hwm = max(a.hwm, r.end())
	return r, nil
}

// inside tells whether r touches the nursery.
func (a *allocator) inside(r run) bool {
	return slices.ContainsFunc(a.nursery, func(o run) bool { return o.n > 0 && r.start < o.end() && o.start < r.end() })
}

// scattered allocates n pages in ascending order, adjacent where that is to be had, and leaves
// keep pages free if it can grow instead. Where much of the file is free it takes the lowest
// pages, so that data moves down and the tail can be cut off.
func (a *allocator) scattered(n uint32, keep uint64) ([]run, error) {
	if a.sparse() {
		sweep := a.sweep // of small groups, which goes on
		a.sweep = 0
		got, err := a.gather(n, keep)
		a.sweep = sweep
		return got, err
	}
	return a.firstFit(n, keep)
}

// firstFit allocates n pages as one run, or else as they come.
func (a *allocator) firstFit(n uint32, keep uint64) ([]run, error) {
	if r, ok := a.fitting(n, keep); ok {
		a.sweep = r.end()
		return []run{r}, nil
	}
	return a.gather(n, keep)
}

// sparse tells whether so much is free that data should move down.
func (a *allocator) sparse() bool { return a.free.pages > uint64(a.hwm)*2/5 }

// gather allocates n pages as they come from the sweep on.
func (a *allocator) gather(n uint32, keep uint64) ([]run, error) {
	var got []run
	if a.free.pages > keep {
		most := uint32(min(uint64(n), a.free.pages-keep))
		if got = a.free.gather(a.around(), most); len(got) > 0 {
			a.sweep = got[len(got)-1].end()
		}
		left := most
		for _, r := range got {
			left -= r.n
		}
		if left > 0 {
			got = append(got, a.free.gather(a.inNursery(), left)...)
		}
		n -= most
	}
	if n > 0 {
		r, err := a.grow(n, keep)
		if err != nil {
			a.giveBack(got)
			return nil, err
		}
		got = append(got, r)
	}
	return joinRuns(got), nil
}

// fromNursery allocates up to n pages of the nursery, together if it can.
func (a *allocator) fromNursery(n uint32) []run {
	spans := a.inNursery()
	for _, span := range spans {
		if r, ok := a.free.nextOf(n, span.start, span.end()); ok {
			r.n = n
			a.free.remove(r)
			a.nurse = r.end()
			return []run{r}
		}
	}
	got := a.free.gather(spans, n)
	if len(got) > 0 {
		a.nurse = got[len(got)-1].end()
	}
	return got
}

// slide allocates leaves and others as one run at an end of a run of the nursery, which loses
// the leaves. Each end has its turn, for what was put there the last time is not free so soon.
func (a *allocator) slide(leaves, others uint32) (l, o run, ok bool) {
	n := leaves + others
	for range 2 * len(a.nursery) {
		a.turn = (a.turn + 1) % (2 * len(a.nursery))
		r := &a.nursery[a.turn/2]
		switch {
		case r.n < n:
		case a.turn%2 == 0 && a.free.remove(run{r.start, n}):
			l, o = run{r.start, leaves}, run{r.start + leaves, others}
			r.start, r.n = r.start+leaves, r.n-leaves
			return l, o, true
		case a.turn%2 == 1 && a.free.remove(run{r.end() - n, n}):
			l, o = run{r.end() - leaves, leaves}, run{r.end() - n, others}
			r.n -= leaves
			return l, o, true
		}
	}
	return run{}, run{}, false
}

// addToNursery makes free pages a part of the nursery. Runs that have become too short for use
// leave it.
func (a *allocator) addToNursery(r run) {
	a.nursery = slices.DeleteFunc(a.nursery, func(r run) bool { return r.n < shortNursery })
	a.nursery = joinRuns(append(a.nursery, r))
	a.free.forgetLongest()
}

// nurseryStep is how many pages are added to the nursery for small groups at a time.
const nurseryStep = 64

// shortNursery is the length from which on a run is of use in the nursery.
const shortNursery = 8

func (a *allocator) nurserySize() uint32 {
	n := uint32(0)
	for _, r := range a.nursery {
		n += r.n
	}
	return n
}

// nurseryBits returns the pages of the nursery as bits, from that of a first page on. The last word is
// zero, so that it can be read for pages elsewhere. The slice is good until the next call.
func (a *allocator) nurseryBits() (set []uint64, first uint32) {
	words := 0
	if k := len(a.nursery); k > 0 {
		first = a.nursery[0].start &^ 63
		words = int((a.nursery[k-1].end() - first + 63) / 64)
	}
	a.bits = append(a.bits[:0], make([]uint64, words+1)...)
	for _, r := range a.nursery {
		r.eachWord(func(i int, mask uint64) bool {
			a.bits[i-int(first/64)] |= mask
			return true
		})
	}
	return a.bits, first
}

// emptiest returns those n adjacent pages, near the sweep and outside the nursery, of which most are
// free. There are none while what it returned last is not half free yet.
func (a *allocator) emptiest(n uint32) (best run, ok bool) {
	if a.free.countIn(a.emptying) < a.emptying.n/2 {
		return run{}, false
	}
	most := uint32(0)
	for at, bound := uint32(metaPages), a.bound(); uint64(at)+uint64(n) <= uint64(bound); at += n {
		r := run{at, n}
		if free := a.free.countIn(r); free > most && !a.inside(r) {
			best, most, ok = r, free, true
		}
	}
	a.emptying = best
	return best, ok
}

// nurseryFree is the number of free pages of the nursery.
func (a *allocator) nurseryFree() uint32 {
	n := uint32(0)
	for _, r := range a.nursery {
		n += a.free.countIn(r)
	}
	return n
}

// roomy tells whether the nursery will do for allocations of n pages. They want three quarters of it
// empty: its sweep comes back late then, and finds few pages that have not been replaced. And it is
// not to be too small for those of it that live longer than others.
func (a *allocator) roomy(n uint32) bool {
	return a.nurseryFree() >= max(a.nurserySize()*3/4, 2*n, min(nurseryStep, a.hwm/8)/2)
}

// wantsNursery returns how many pages to add to the nursery for allocations of n pages, 0 for none.
func (a *allocator) wantsNursery(n uint32) uint32 {
	if a.roomy(n) {
		return 0
	}
	size := a.nurserySize()
	step := max(8*n, size/2, min(nurseryStep, a.hwm/8))
	if size+step > a.hwm/8 || uint64(a.hwm)+uint64(step) > uint64(a.maxPages) {
		return 0
	}
	return step
}

// worthGrowing tells whether n pages, to be written at once and then flushed, should rather go
// to the end of the file than into holes: as long as at most a third of the file is free. The
// more of it is free, the more holes lie side by side when the sweep comes by.
func (a *allocator) worthGrowing(n uint32) bool {
	used := a.used()
	return uint64(a.hwm)+uint64(n) <= used+used/2 && uint64(a.hwm)+uint64(n) <= uint64(a.maxPages)
}

// used is the number of pages that are neither free nor wait.
func (a *allocator) used() uint64 { return uint64(a.hwm) - a.free.pages - a.waiting }

// unusedPages is how many pages could be allocated before hwm reaches maxPages.
func (a *allocator) unusedPages() uint64 {
	return a.free.pages + uint64(max(a.maxPages, a.hwm)-a.hwm)
}

// skip makes the pages up to end, which were never used, free.
func (a *allocator) skip(end uint32) {
	if end > a.hwm {
		a.free.add(run{a.hwm, end - a.hwm})
		a.hwm = end
	}
}

func (a *allocator) giveBack(rs []run) {
	for _, r := range rs {
		a.add(r)
	}
}

// add makes pages free.
func (a *allocator) add(r run) {
	near := a.free.longestNear
	a.free.add(r)
	if a.free.longestNear > near && slices.ContainsFunc(a.nursery, func(o run) bool { return o.start <= r.start && r.end() <= o.end() }) {
		a.free.longestNear = near // it is not to be had there
	}
}

// retire makes the pages that transaction f freed wait for the needed states, or free where
// none needs them. needed is sorted.
func (a *allocator) retire(freed []freedRun, f uint64, needed []uint64) {
	for _, r := range freed {
		a.wait(pendingRun{r, f}, needed)
	}
}

// wait makes p wait for the newest state that needs it, or makes it free.
func (a *allocator) wait(p pendingRun, needed []uint64) {
	i, _ := slices.BinarySearch(needed, p.freed)
	if i == 0 || needed[i-1] < p.birth {
		a.add(p.run)
		a.released(p.run)
		return
	}
	list, found := a.pending[needed[i-1]]
	if !found {
		list, a.list = a.list[:0], nil
	}
	a.pending[needed[i-1]] = append(list, p)
	a.retained(p.run)
	a.waiting += uint64(p.n)
}

// release frees what waited for states that are needed no more. States only leave: a new one
// is always the newest, so a page looked at once is pinned by nothing older than its pin.
func (a *allocator) release(needed []uint64) {
	for s, waiting := range a.pending {
		if _, found := slices.BinarySearch(needed, s); found {
			continue
		}
		delete(a.pending, s)
		for _, p := range waiting {
			a.waiting -= uint64(p.n)
			a.wait(p, needed)
		}
		if cap(waiting) <= 4096 {
			a.list = waiting
		}
	}
}

// trim lowers the high-water mark past free pages at the end. Where data moves down the nursery may
// not stand in the way.
func (a *allocator) trim() {
	last := a.free.endingAt(a.hwm)
	if a.inside(last) && a.sparse() {
		a.giveUpNursery()
	}
	for _, o := range a.nursery { // which stays
		if start := min(max(last.start, o.end()), last.end()); o.n > 0 && o.start < last.end() {
			last = run{start, last.end() - start}
		}
	}
	if last.n > 0 {
		a.free.remove(last)
		a.hwm = last.start
	}
}

// unused returns every run that is free or pending, and those of extra, in order and joined:
// what is free on disk.
func (a *allocator) unused(extra []run) []run {
	for _, waiting := range a.pending {
		for _, p := range waiting {
			extra = append(extra, p.run)
		}
	}
	extra = joinRuns(extra)
	// The rest, most by far, is in order.
	rs := make([]run, 0, a.free.countRuns()+len(extra))
	for from := uint32(0); ; {
		r, ok := a.free.next(from, a.free.end())
		for len(extra) > 0 && (!ok || extra[0].start < r.start) {
			rs, extra = appendRun(rs, extra[0]), extra[1:]
		}
		if !ok {
			return rs
		}
		rs = appendRun(rs, r)
		from = r.end()
	}
}

// appendRun appends a run to those before it, joined to the last if it follows at once.
func appendRun(rs []run, r run) []run {
	if k := len(rs) - 1; k >= 0 && rs[k].end() == r.start {
		rs[k].n += r.n
		return rs
	}
	return append(rs, r)
}

func joinRuns(rs []run) []run {
	slices.SortFunc(rs, func(a, b run) int { return int(a.start) - int(b.start) })
	out := rs[:0]
	for _, r := range rs {
		out = appendRun(out, r)
	}
	return out
}

// A delta is what became free on disk, and what was allocated, since the log was last written,
// in any order. What was allocated and freed again cancels out.
type delta struct {
	freed, allocated []run
	tidied           int // runs that were left when it was tidied last

	edges, spare []uint64 // scratch space of net, as is out
	out          [2][]run
}

func (d *delta) free(r run)  { d.freed = append(d.freed, r) }
func (d *delta) alloc(r run) { d.allocated = append(d.allocated, r) }

// A deltaMark is a delta's length, to return to.
type deltaMark struct{ freed, allocated int }

func (d *delta) mark() deltaMark { return deltaMark{len(d.freed), len(d.allocated)} }

func (d *delta) reset(m deltaMark) {
	d.freed, d.allocated = d.freed[:m.freed], d.allocated[:m.allocated]
	d.tidied = min(d.tidied, m.freed+m.allocated)
}

// grown tells whether a delta should be tidied between flushes: it has many runs, and twice as
// many as were left the last time, so that each run is looked at a few times at most.
func (d *delta) grown() bool {
	const many = 1 << 16
	return len(d.freed)+len(d.allocated) > max(many, 2*d.tidied)
}

// tidy reduces a delta to its net change.
func (d *delta) tidy() {
	freed, allocated := d.net()
	d.freed, d.allocated = append(d.freed[:0], freed...), append(d.allocated[:0], allocated...)
	d.tidied = len(d.freed) + len(d.allocated)
}

// net returns the net change: runs that became free, and runs that are so no longer. The slices are good
// until the next call.
func (d *delta) net() (freed, allocated []run) {
	// An edge is a page number, and whether the runs become more or fewer there: as one number it
	// sorts fast.
	edges := d.edges[:0]
	for _, r := range d.freed {
		edges = append(edges, uint64(r.start)<<1|1, uint64(r.end())<<1)
	}
	for _, r := range d.allocated {
		edges = append(edges, uint64(r.end())<<1|1, uint64(r.start)<<1)
	}
	edges, d.spare = sortNumbers(edges, d.spare, 0)
	freed, allocated = d.out[0][:0], d.out[1][:0]
	sum, from := 0, uint32(0)
	for i := 0; i < len(edges); {
		at, was := uint32(edges[i]>>1), sum
		for ; i < len(edges) && uint32(edges[i]>>1) == at; i++ {
			sum += int(edges[i]&1)*2 - 1
		}
		if sum == was {
			continue
		}
		switch {
		case was > 0:
			freed = append(freed, run{from, at - from})
		case was < 0:
			allocated = append(allocated, run{from, at - from})
		}
		from = at
	}
	d.edges, d.out = edges, [2][]run{freed, allocated}
	const most = 1 << 14 // longer lists are left to the garbage collector
	if cap(edges) > most {
		d.edges, d.spare, d.out = nil, nil, [2][]run{}
	}
	return freed, allocated
}

// sortNumbers sorts numbers by their bits from bit low on, by digits: those of a group in half of the time
// that comparing them takes, millions in a sixth. Numbers that are alike there must be in order already. It uses
// spare, of any length, and returns what is spare then.
func sortNumbers(ns, spare []uint64, low int) (sorted, unused []uint64) {
	const few, some = 64, 1 << 12
	if len(ns) < few {
		slices.Sort(ns)
		return ns, spare
	}
	differ := uint64(0)
	for _, n := range ns {
		differ |= n ^ ns[0]
	}
	digit := 8
	if len(ns) > some {
		digit = 11
	}
	spare = slices.Grow(spare[:0], len(ns))[:len(ns)]
	for ; differ>>low != 0; low += digit {
		var counts [1 << 11]uint32
		next, mask := counts[:1<<digit], uint64(1)<<digit-1
		for _, n := range ns {
			next[n>>low&mask]++
		}
		at := uint32(0)
		for d, n := range next {
			next[d], at = at, at+n
		}
		for _, n := range ns {
			d := n >> low & mask
			spare[next[d]] = n
			next[d]++
		}
		ns, spare = spare, ns
	}
	return ns, spare
}

// The free log is a chain of pages, newest first: each begins with a ref to the one before
// it, and the oldest starts with a reset. Without any page nothing is free. A page of it:
//
//	 0                     32          56
//	+---------------------+-----------+---------+---------+-- ...
//	| header, kind 3      | ref of    | record  | record  |
//	| cellStart: end of   | the page  |         |         |
//	| records             | before    |         |         |
//	+---------------------+-----------+---------+---------+-- ...
//
// Records are applied oldest page first, each from its start:
//
//	logReset  hwm           nothing is free, the high-water mark is hwm
//	logHwm    hwm           a higher mark: the pages between are free; a lower one: cut off
//	logFree   k, k runs     these become free
//	logAlloc  k, k runs     these are no longer free
//
// The tag is a byte, all numbers are uvarints; a run is the distance of its start from the end
// of the run before it in the same record (the first: from 0), and its length.
const (
	logReset = 1 + iota
	logHwm
	logFree
	logAlloc

	logRecords = headerSize + refSize
	maxRunSize = 2 * binary.MaxVarintLen32
	logSlack   = 64 // room for the tags and numbers of one page's records
)

// A freeLog is what the writer remembers of the chain on disk. It is a value: a commit makes
// the next one, and keeps it only when it was written.
type freeLog struct {
	head     ref    // newest page; pgno 0: nothing is free
	tail     page   // contents of the newest page
	chain    []ref  // all pages, oldest first
	snapshot int    // bytes of records up to the end of the last full snapshot
	records  int    // bytes of records in all
	hwm      uint32 // after the last record
	spare    logSpare
}

// A logSpare is memory for the next log, of the one before.
type logSpare struct {
	page  page // for the newest page; or nil
	chain []ref
	pages []page // a list; of the log's pages it holds none
}

// A logWriter spreads records over pages.
type logWriter struct {
	pageSize int
	done     []page
	cur      page
	at       int
	written  int
}

func (w *logWriter) open(p page, at int) { w.cur, w.at = p, at }

func newLogPage(pageSize int) page { return beginLogPage(make(page, pageSize)) }

func beginLogPage(zero page) page {
	zero[0] = kindFreeLog
	le.PutUint32(zero[8:], logRecords)
	return zero
}

func (w *logWriter) need(n int) {
	if w.at+n > w.pageSize {
		w.close()
		w.open(newLogPage(w.pageSize), logRecords)
	}
}

func (w *logWriter) close() {
	le.PutUint32(w.cur[8:], uint32(w.at))
	w.done = append(w.done, w.cur)
}

func (w *logWriter) mark(tag byte, hwm uint32) {
	w.need(1 + binary.MaxVarintLen32)
	w.cur[w.at] = tag
	n := 1 + binary.PutUvarint(w.cur[w.at+1:], uint64(hwm))
	w.at += n
	w.written += n
}

// runs writes the runs, as many to a record as the page has room for.
func (w *logWriter) runs(tag byte, rs []run) {
	const recordHead = 1 + binary.MaxVarintLen32
	for len(rs) > 0 {
		w.need(recordHead + maxRunSize)
		k := min(len(rs), (w.pageSize-w.at-recordHead)/maxRunSize)
		from := w.at
		w.cur[w.at] = tag
		w.at += 1 + binary.PutUvarint(w.cur[w.at+1:], uint64(k))
		end := uint32(0)
		for _, r := range rs[:k] {
			w.at += binary.PutUvarint(w.cur[w.at:], uint64(r.start-end))
			w.at += binary.PutUvarint(w.cur[w.at:], uint64(r.n))
			end = r.end()
		}
		w.written += w.at - from
		rs = rs[k:]
	}
}

// logSpace bounds the pages that records of so many runs take.
func logSpace(pageSize, runs int) int {
	const perRecord = 1 + binary.MaxVarintLen32
	space := pageSize - logRecords - logSlack
	return (runs*maxRunSize+3*perRecord)/(space-maxRunSize-perRecord) + 1
}

// encode returns the pages that add a delta to the log: the newest page rewritten with it, or
// new ones to follow it. The delta includes what the log itself frees and allocates.
func (l *freeLog) encode(pageSize int, replaceTail bool, hwm uint32, freed, allocated []run) (logWriter, []page) {
	w := logWriter{pageSize: pageSize, done: l.spare.pages[:0]}
	p := l.spare.page
	if l.spare.page = nil; p == nil {
		p = make(page, pageSize)
	}
	if replaceTail {
		copy(p, l.tail)
		w.open(p, int(le.Uint32(p[8:])))
	} else {
		clear(p)
		w.open(beginLogPage(p), logRecords)
	}
	if hwm > l.hwm {
		w.mark(logHwm, hwm)
	}
	w.runs(logFree, freed)
	if hwm < l.hwm { // what is cut off may have been freed just now: the state of the old log need not be one that lasted
		w.mark(logHwm, hwm)
	}
	w.runs(logAlloc, allocated)
	w.close()
	return w, w.done
}

func encodeLogSnapshot(pageSize int, hwm uint32, free []run) (logWriter, []page) {
	w := logWriter{pageSize: pageSize}
	w.open(newLogPage(pageSize), logRecords)
	w.mark(logReset, hwm)
	w.runs(logFree, free)
	w.close()
	return w, w.done
}

// snapshotSpace bounds the pages that a snapshot of what is free takes, its own pages taken out of
// that. They part few runs: an eighth more than is needed now is plenty. To count with the longest
// records only would leave most of each page empty, and make the next snapshot due at once.
func snapshotSpace(pageSize int, hwm uint32, free []run) int {
	_, pages := encodeLogSnapshot(pageSize, hwm, free)
	n := len(pages) + len(pages)/8 + 2
	return min(n, logSpace(pageSize, len(free)+n))
}

// fitsTail tells whether a delta of so many runs goes into the newest page.
func (l *freeLog) fitsTail(pageSize, runs int) bool {
	return l.tail != nil && int(le.Uint32(l.tail[8:]))+runs*maxRunSize+logSlack <= pageSize
}

// outgrown tells whether a fresh snapshot is due: there is none, or the deltas take more than
// it did.
func (l *freeLog) outgrown(pageSize int) bool {
	return len(l.chain) == 0 || l.records-l.snapshot > max(l.snapshot, 4*pageSize) || len(l.chain) > 64 && l.records < len(l.chain)*pageSize/4
}

// obstructs tells whether pages of the log keep a sparse file from being cut, and it has grown by
// a quarter and a page since the last snapshot, or is written seldom: then the next one is due before
// it is outgrown.
func (l *freeLog) obstructs(a *allocator, pageSize int, seldom bool) bool {
	if !a.sparse() || !seldom && l.records-l.snapshot <= max(l.snapshot/4, pageSize) {
		return false
	}
	bound := a.bound()
	return slices.ContainsFunc(l.chain, func(r ref) bool { return r.pgno >= bound })
}

// A logVisitor takes the records of a page of the free log in order.
type logVisitor interface {
	// mark takes a logReset or a logHwm.
	mark(tag byte, hwm uint64) error
	// runs takes the runs of a logFree or a logAlloc one by one.
	run(tag byte, r run) error
}

// readRecords gives v the records of a page of the free log.
func readRecords(p page, v logVisitor) error {
	end := int(le.Uint32(p[8:]))
	if end < logRecords || end > len(p) {
		return fmt.Errorf("free log: records end at %d", end)
	}
	b := p[logRecords:end]
	for len(b) > 0 {
		tag := b[0]
		k, n := binary.Uvarint(b[1:])
		if n <= 0 {
			return errLogNumber
		}
		b = b[1+n:]
		var err error
		switch tag {
		case logReset, logHwm:
			err = v.mark(tag, k)
		case logFree, logAlloc:
			b, err = readRuns(tag, k, b, v)
		default:
			err = fmt.Errorf("free log: record %d", tag)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

var errLogNumber = errors.New("free log: number cut off or too large")

// readRuns gives v the k runs at the beginning of b, and returns what follows them.
func readRuns(tag byte, k uint64, b []byte, v logVisitor) ([]byte, error) {
	if k > uint64(len(b)) {
		return b, errLogNumber
	}
	end := uint64(0)
	for range k {
		gap, n := binary.Uvarint(b)
		if n <= 0 {
			return b, errLogNumber
		}
		length, m := binary.Uvarint(b[n:])
		if m <= 0 {
			return b, errLogNumber
		}
		b = b[n+m:]
		if gap >= dirtyBit || length == 0 || length >= dirtyBit {
			return b, errLogNumber
		}
		start := end + gap
		end = start + length
		if start < 2 || end > maxPgno {
			return b, fmt.Errorf("free log: pages %d to %d", start, end)
		}
		if err := v.run(tag, run{uint32(start), uint32(length)}); err != nil {
			return b, err
		}
	}
	return b, nil
}

// A freeSet is what a logReplay applies a chain to: a runSet, or a bitmap.
type freeSet interface {
	add(r run)
	remove(r run) bool
	overlaps(r run) bool
	runs() []run
	clear()
}

func (s *runSet) clear() { *s = *newRunSet() }

// A freeBitmap is a pageSet in which no run is looked for while it is filled.
type freeBitmap struct{ pageSet }

func (s *freeBitmap) add(r run) { s.mark(r) }
func (s *freeBitmap) clear()    { s.pageSet = pageSet{} }

// A logReplay applies a chain to an empty set.
type logReplay struct {
	free  freeSet
	hwm   uint32
	limit uint64 // of the high-water mark; 0: none
	wide  bool   // the limit was passed
}

func newLogReplay(free freeSet) *logReplay { return &logReplay{free: free, hwm: metaPages} }

func (l *logReplay) mark(tag byte, v uint64) error {
	l.wide = l.limit > 0 && v > l.limit
	if l.wide || v < metaPages || v >= dirtyBit {
		return fmt.Errorf("free log: high-water mark %d", v)
	}
	hwm := uint32(v)
	switch {
	case tag == logReset:
		l.free.clear()
	case hwm > l.hwm:
		l.free.add(run{l.hwm, hwm - l.hwm})
	case hwm < l.hwm && !l.free.remove(run{hwm, l.hwm - hwm}):
		return fmt.Errorf("free log: high-water mark lowered to %d past pages in use", hwm)
	}
	l.hwm = hwm
	return nil
}

func (l *logReplay) run(tag byte, r run) error {
	switch {
	case r.end() > l.hwm:
		return fmt.Errorf("free log: pages %d to %d of %d", r.start, r.end(), l.hwm)
	case tag == logFree && l.free.overlaps(r):
		return fmt.Errorf("free log: pages from %d freed twice", r.start)
	case tag == logFree:
		l.free.add(r)
	case !l.free.remove(r):
		return fmt.Errorf("free log: pages from %d allocated twice", r.start)
	}
	return nil
}
