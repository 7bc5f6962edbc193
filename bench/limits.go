package main

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"time"
)

// limits measures what no store can beat on this machine: a random get takes dependent loads, a
// load copies memory, a durable commit writes and flushes.
func limits(b *bench) ([]metric, error) {
	flush, err := b.flushLimit()
	if err != nil {
		return nil, err
	}
	memory := b.memoryLimit()
	return append(memory, flush), nil
}

// memoryLimit chases a random cycle through a buffer far larger than the caches.
func (b *bench) memoryLimit() []metric {
	const line = 8   // words
	lines := 1 << 22 // 256 MiB
	if b.n < 10_000 {
		lines = 1 << 12
	}
	words := make([]uint64, lines*line)
	order := permutation(b.random(0), lines)
	for i, at := range order {
		words[int(at)*line] = uint64(order[(i+1)%lines]) * line
	}
	ops := min(lines, 1<<20)

	start, at := time.Now(), uint64(0)
	for range ops {
		at = words[at]
	}
	dependent := time.Since(start)

	start = time.Now()
	var sum uint64
	for _, at := range order[:ops] {
		sum += words[int(at)*line]
	}
	independent := time.Since(start)
	words[at%line] = sum // used, so that neither loop is dropped

	src, dst := make([]byte, lines*line*4), make([]byte, lines*line*4)
	binary.LittleEndian.PutUint64(src, sum)
	copy(dst, src)
	start = time.Now()
	copy(dst, src)
	copied := time.Since(start)

	perOp := func(d time.Duration) float64 { return float64(d) / float64(ops) }
	return []metric{
		{name: "dependent load", unit: "ns", value: perOp(dependent), allocs: -1},
		{name: "independent load", unit: "ns", value: perOp(independent), allocs: -1},
		{name: "memcpy", unit: "GiB/s", value: float64(len(dst)) / copied.Seconds() / (1 << 30), allocs: -1},
	}
}

// flushLimit overwrites blocks that are already allocated, 16 KiB and a flush each.
func (b *bench) flushLimit() (metric, error) {
	const chunk, chunks = 16 << 10, 256
	f, err := os.Create(filepath.Join(b.dir, "flush"))
	if err != nil {
		return metric{}, err
	}
	buf := appendValue(nil, 0, 1, chunk)
	for i := range chunks {
		if _, err := f.WriteAt(buf, int64(i)*chunk); err != nil {
			return metric{}, errors.Join(err, f.Close())
		}
	}
	if err := f.Sync(); err != nil {
		return metric{}, errors.Join(err, f.Close())
	}
	var took latencies
	for start := time.Now(); time.Since(start) < b.budget; {
		before := time.Now()
		if _, err := f.WriteAt(buf, int64(took.total%chunks)*chunk); err != nil {
			return metric{}, errors.Join(err, f.Close())
		}
		if err := flushData(f); err != nil {
			return metric{}, errors.Join(err, f.Close())
		}
		took.add(time.Since(before))
	}
	mean := float64(took.length) / float64(took.total)
	return metric{name: "pwrite of 16 KiB and flush", unit: "ns", value: mean, allocs: -1}, f.Close()
}
