package folio

import "math/bits"

// A pageSet is a set of pages as a bitmap: adding and removing a page is one word, whatever
// the set's size. Stretches of chunkPages pages without any member take no memory. Its zero
// value is an empty set.
type pageSet struct {
	chunks []*pageChunk
	pages  uint64

	// No run is longer, and none of those that allocation likes best: see fitting.
	longest, longestNear uint32
}

const (
	chunkPages = 4096
	chunkWords = chunkPages / 64
)

type pageChunk struct {
	words [chunkWords]uint64
	n     int // pages in it
}

// word returns the bits of the 64 pages from page i*64 on.
func (s *pageSet) word(i int) uint64 {
	if k := i / chunkWords; k < len(s.chunks) && s.chunks[k] != nil {
		return s.chunks[k].words[i%chunkWords]
	}
	return 0
}

// eachWord calls fn for every word that r touches, with the bits of r in it,
// until fn returns false; it tells whether fn never did.
func (r run) eachWord(fn func(i int, mask uint64) bool) bool {
	for at, end := uint64(r.start), uint64(r.start)+uint64(r.n); at < end; {
		n := min(64-at%64, end-at)
		if !fn(int(at/64), ^uint64(0)>>(64-n)<<(at%64)) {
			return false
		}
		at += n
	}
	return true
}

// inOneWord returns the word that all of r lies in, and the bits of r in it; ok is false if there is
// none. Most runs are short, and this is much faster than eachWord.
func (r run) inOneWord() (i int, mask uint64, ok bool) {
	off := r.start % 64
	if r.n == 0 || r.n > 64-off {
		return 0, 0, false
	}
	return int(r.start / 64), ^uint64(0) >> (64 - r.n) << off, true
}

// add adds the pages of r; those that are in the set already change nothing.
func (s *pageSet) add(r run) {
	s.mark(r)
	n := s.runAround(r)
	s.longest, s.longestNear = max(s.longest, n), max(s.longestNear, n)
}

// forgetLongest is called when runs came that add was not told of.
func (s *pageSet) forgetLongest() { s.longest, s.longestNear = ^uint32(0), ^uint32(0) }

// mark is add for a set in which no run is looked for.
func (s *pageSet) mark(r run) {
	if i, mask, ok := r.inOneWord(); ok {
		s.markWord(i, mask)
		return
	}
	r.eachWord(func(i int, mask uint64) bool {
		s.markWord(i, mask)
		return true
	})
}

func (s *pageSet) markWord(i int, mask uint64) {
	c := s.chunk(i / chunkWords)
	w := &c.words[i%chunkWords]
	n := bits.OnesCount64(mask &^ *w)
	*w |= mask
	c.n += n
	s.pages += uint64(n)
}

func (s *pageSet) chunk(k int) *pageChunk {
	for k >= len(s.chunks) {
		s.chunks = append(s.chunks, nil)
	}
	if s.chunks[k] == nil {
		s.chunks[k] = &pageChunk{}
	}
	return s.chunks[k]
}

// runAround bounds the length of the run that r is part of. It does not look far: of what is
// longer than some chunks it only says so.
func (s *pageSet) runAround(r run) uint32 {
	const far = 4 * chunkWords
	n := uint64(r.n)
	below, above := uint64(r.start), uint64(r.end())
	for steps := 0; below > 0; steps++ {
		if steps == far {
			return ^uint32(0)
		}
		i, off := (below-1)/64, (below-1)%64
		k := uint64(bits.LeadingZeros64(^(s.word(int(i)) << (63 - off))))
		k = min(k, off+1)
		n += k
		if below -= k; k <= off {
			break
		}
	}
	for steps := 0; ; steps++ {
		if steps == far {
			return ^uint32(0)
		}
		i, off := above/64, above%64
		k := min(uint64(bits.TrailingZeros64(^(s.word(int(i)) >> off))), 64-off)
		n += k
		if above += k; k < 64-off {
			break
		}
	}
	return uint32(min(n, uint64(^uint32(0))))
}

// overlaps tells whether any page of r is in the set.
func (s *pageSet) overlaps(r run) bool {
	if i, mask, ok := r.inOneWord(); ok {
		return s.word(i)&mask != 0
	}
	return !r.eachWord(func(i int, mask uint64) bool { return s.word(i)&mask == 0 })
}

// holds tells whether every page of r is in the set.
func (s *pageSet) holds(r run) bool {
	if i, mask, ok := r.inOneWord(); ok {
		return s.word(i)&mask == mask
	}
	return r.eachWord(func(i int, mask uint64) bool { return s.word(i)&mask == mask })
}

// remove takes r out and tells whether all of it was there; if not, the set is unchanged.
func (s *pageSet) remove(r run) bool {
	if !s.holds(r) {
		return false
	}
	if i, mask, ok := r.inOneWord(); ok {
		s.clearWord(i, mask)
	} else {
		r.eachWord(func(i int, mask uint64) bool {
			s.clearWord(i, mask)
			return true
		})
	}
	s.pages -= uint64(r.n)
	return true
}

func (s *pageSet) clearWord(i int, mask uint64) {
	c := s.chunks[i/chunkWords]
	c.words[i%chunkWords] &^= mask
	c.n -= bits.OnesCount64(mask)
}

// others returns the pages of r that are not in the set.
func (s *pageSet) others(r run) pageSet {
	var out pageSet
	out.mark(r)
	for k, c := range out.chunks {
		if k >= len(s.chunks) || s.chunks[k] == nil || c == nil {
			continue
		}
		n := 0
		for i, w := range s.chunks[k].words {
			c.words[i] &^= w
			n += bits.OnesCount64(c.words[i])
		}
		out.pages -= uint64(c.n - n)
		c.n = n
	}
	return out
}

// countRuns is the number of runs in the set.
func (s *pageSet) countRuns() int {
	n, before := 0, uint64(0) // whether the page before a word is in the set
	for _, c := range s.chunks {
		if c == nil {
			before = 0
			continue
		}
		for _, w := range c.words {
			n += bits.OnesCount64(w &^ (w<<1 | before))
			before = w >> 63
		}
	}
	return n
}

// has tells whether all pages of r, or none of them, are in the set: in is what is asked for.
func (s *pageSet) has(r run, in bool) bool {
	if in {
		return s.holds(r)
	}
	return !s.overlaps(r)
}

// set puts the pages of r into the set, or takes them out, which are all not in it, or all in
// it.
func (s *pageSet) set(r run, in bool) {
	if in {
		s.mark(r)
	} else {
		s.remove(r)
	}
}

// next returns the first run at or after page from, as far as it is in [from, end).
func (s *pageSet) next(from, end uint32) (run, bool) {
	at := uint64(from)
	for at < uint64(end) {
		if k := int(at / chunkPages); k >= len(s.chunks) {
			return run{}, false
		} else if s.chunks[k] == nil || s.chunks[k].n == 0 {
			at = uint64(k+1) * chunkPages
			continue
		}
		w := s.word(int(at/64)) >> (at % 64)
		if w == 0 {
			at = at/64*64 + 64
			continue
		}
		at += uint64(bits.TrailingZeros64(w))
		break
	}
	if at >= uint64(end) {
		return run{}, false
	}
	start := at
	for at < uint64(end) {
		off := at % 64
		k := min(uint64(bits.TrailingZeros64(^(s.word(int(at/64)) >> off))), 64-off)
		if at += k; k < 64-off {
			break
		}
	}
	return run{uint32(start), uint32(min(at, uint64(end)) - start)}, true
}

// nextOf returns the first run of n pages or more at or after page from, as far as it is in
// [from, end). It looks at 64 pages at a time, for there may be thousands of runs that are too short.
func (s *pageSet) nextOf(n, from, end uint32) (run, bool) {
	const most = 64
	for at := from; at < end; {
		k := int(at / chunkPages)
		if k >= len(s.chunks) {
			break
		} else if s.chunks[k] == nil || s.chunks[k].n == 0 {
			at = uint32(k+1) * chunkPages
			continue
		}
		i := int(at / 64)
		starts := startsOf(min(n, most), s.word(i)>>(at%64)<<(at%64), s.word(i+1))
		if starts == 0 {
			at = uint32(i+1) * 64
			continue
		}
		r, ok := s.next(uint32(i)*64+uint32(bits.TrailingZeros64(starts)), end)
		if !ok || r.n >= n {
			return r, ok
		}
		at = r.end() + 1 // the page behind a run is not in the set
	}
	return run{}, false
}

// startsOf returns at which of 64 pages n adjacent ones begin, 64 at most; next are the pages that follow.
func startsOf(n uint32, pages, next uint64) uint64 {
	for have := uint32(1); have < n; {
		k := min(have, n-have)
		pages &= pages>>k | next<<(64-k)
		next &= next >> k // of a run across its end less is known than is asked for: it begins there
		have += k
	}
	return pages
}

// end is a page behind the last one.
func (s *pageSet) end() uint32 { return uint32(min(uint64(len(s.chunks))*chunkPages, maxPgno)) }

// fitting looks in these spans, in turn, for a run of n pages. Of the first few that have them
// it returns the shortest. What it does not find it need not look for again before pages are
// added: longest, if not nil, is one of the set's bounds of the runs in such spans.
func (s *pageSet) fitting(spans []run, n uint32, longest *uint32) (run, bool) {
	if longest != nil && n > *longest || uint64(n) > s.pages {
		return run{}, false
	}
	const few = 8
	var best run
	found := 0
	for _, span := range spans {
		for from := span.start; found < few; {
			r, ok := s.nextOf(n, from, span.end())
			if !ok {
				break
			}
			from = r.end()
			if found++; best.n == 0 || r.n < best.n {
				best = r
			}
			if r.n == n {
				found = few
			}
		}
	}
	if found == 0 {
		if longest != nil {
			*longest = n - 1
		}
		return run{}, false
	}
	return run{best.start, n}, true
}

// gather removes up to n pages that are in these spans, in turn.
func (s *pageSet) gather(spans []run, n uint32) []run {
	var got []run
	for _, span := range spans {
		for from := span.start; n > 0; {
			r, ok := s.next(from, span.end())
			if !ok {
				break
			}
			r.n = min(r.n, n)
			s.remove(r)
			got = append(got, r)
			n -= r.n
			from = r.end()
		}
	}
	return got
}

// countIn is the number of pages of r in the set.
func (s *pageSet) countIn(r run) uint32 {
	n := 0
	r.eachWord(func(i int, mask uint64) bool { n += bits.OnesCount64(s.word(i) & mask); return true })
	return uint32(n)
}

// endingAt returns the run that ends before page end.
func (s *pageSet) endingAt(end uint32) run {
	start := uint64(end)
	for start > 0 {
		i, off := (start-1)/64, (start-1)%64
		k := min(uint64(bits.LeadingZeros64(^(s.word(int(i)) << (63 - off)))), off+1)
		if start -= k; k <= off {
			break
		}
	}
	return run{uint32(start), uint32(uint64(end) - start)}
}

// runs returns the set in order.
func (s *pageSet) runs() []run {
	var rs []run
	for from := uint32(0); ; {
		r, ok := s.next(from, s.end())
		if !ok {
			return rs
		}
		rs = append(rs, r)
		from = r.end()
	}
}
