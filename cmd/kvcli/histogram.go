package main

import (
	"fmt"
	"io"
	"math/bits"
	"strings"
	"time"
)

// A histogram counts durations in buckets that are at most 1/16 wide of what they hold.
type histogram struct {
	counts [64 * subBuckets]uint64
	n      uint64
	max    time.Duration
}

const subBuckets = 16

func (h *histogram) record(d time.Duration) {
	d = max(d, 0)
	h.counts[bucketOf(d)]++
	h.n++
	h.max = max(h.max, d)
}

func (h *histogram) merge(other *histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.n += other.n
	h.max = max(h.max, other.max)
}

// bucketOf is the index of a duration's bucket: its highest bit, then the four bits below.
func bucketOf(d time.Duration) int {
	n := uint64(d)
	if n < subBuckets {
		return int(n)
	}
	shift := bits.Len64(n) - 5
	return (shift+1)*subBuckets + int(n>>shift)&(subBuckets-1)
}

// bucketEnd is the shortest duration behind the bucket with that index.
func bucketEnd(index int) time.Duration {
	shift, sub := index/subBuckets, index%subBuckets
	if shift == 0 {
		return time.Duration(sub + 1)
	}
	return time.Duration(subBuckets+sub+1) << (shift - 1)
}

// percentile is a duration that at least that part of all do not exceed.
func (h *histogram) percentile(part float64) time.Duration {
	var seen uint64
	for i, n := range h.counts {
		if seen += n; n > 0 && float64(seen) >= part*float64(h.n) {
			return min(bucketEnd(i), h.max)
		}
	}
	return h.max
}

// print draws the histogram: one line for each doubling of the duration.
func (h *histogram) print(w io.Writer) {
	var doublings [64]uint64
	var most uint64
	for i, n := range h.counts {
		doublings[i/subBuckets] += n
		most = max(most, doublings[i/subBuckets])
	}
	for i, n := range doublings {
		if n == 0 {
			continue
		}
		const width = 50
		bar := strings.Repeat("#", int((n*width+most-1)/most))
		fmt.Fprintf(w, "  < %-10v %10d %s\n", threeDigits(bucketEnd(i*subBuckets+subBuckets-1)), n, bar)
	}
}
