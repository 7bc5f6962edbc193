package main

import (
	"math/bits"
	"time"
)

// latencies is a histogram of durations, exact to about 3 %.
type latencies struct {
	count  [64 * latencySteps]uint64
	total  uint64
	length time.Duration // sum
}

const latencySteps = 32

func (l *latencies) add(d time.Duration) {
	l.count[latencyBucket(uint64(max(d, 1)))]++
	l.total++
	l.length += d
}

func latencyBucket(ns uint64) int {
	exp := bits.Len64(ns) - 1
	return exp*latencySteps + int((ns-1<<exp)*latencySteps>>exp)
}

func (l *latencies) merge(o *latencies) {
	for i, c := range o.count {
		l.count[i] += c
	}
	l.total += o.total
	l.length += o.length
}

// quantile returns the lower edge, in nanoseconds, of the bucket that holds it.
func (l *latencies) quantile(q float64) float64 {
	rank := uint64(q * float64(l.total))
	for i, c := range l.count {
		if rank < c {
			exp, step := i/latencySteps, i%latencySteps
			return float64(uint64(1)<<exp) * (1 + float64(step)/latencySteps)
		}
		rank -= c
	}
	return 0
}
