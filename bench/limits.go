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
	flushes, err := b.flushLimits()
	if err != nil {
		return nil, err
	}
	return append(b.memoryLimit(), flushes...), nil
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

// flushLimits overwrites blocks that are already allocated, with a flush each time: what a small
// commit writes, and 128 pages in one piece and in many.
func (b *bench) flushLimits() (found []metric, err error) {
	const page, room = 4 << 10, 8 << 20
	f, err := os.Create(filepath.Join(b.dir, "flush"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	buf := appendValue(nil, 0, 1, room)
	if _, err := f.Write(buf); err != nil {
		return nil, err
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	for _, l := range []struct {
		name                string
		size, pieces, apart int
	}{
		{"pwrite of 16 KiB and flush", 4 * page, 1, 4 * page},
		{"pwrite of 128 pages in a row and flush", 128 * page, 1, 128 * page},
		{"pwrites of 128 pages apart and flush", page, 128, room / 128},
	} {
		at := 0
		var took latencies
		for start := time.Now(); time.Since(start) < b.budget; {
			before := time.Now()
			for range l.pieces {
				if _, err := f.WriteAt(buf[:l.size], int64(at)); err != nil {
					return nil, err
				}
				at = (at + l.apart) % room
			}
			if err := flushData(f); err != nil {
				return nil, err
			}
			took.add(time.Since(before))
		}
		mean := float64(took.length) / float64(took.total)
		found = append(found, metric{name: l.name, unit: "ns", value: mean, allocs: -1})
	}
	return found, nil
}
