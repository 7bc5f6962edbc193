package main

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/foliokv/folio"
)

// A bucket for each series: the time (8 bytes, nanoseconds since 1970, big-endian so that keys
// are in order of time) to the number (8 bytes). Times before 1970 cannot be recorded.
type recorder struct {
	db   *folio.DB
	keep time.Duration
}

func key(t time.Time) []byte { return binary.BigEndian.AppendUint64(nil, uint64(max(t.UnixNano(), 0))) }

func timeOf(key []byte) time.Time { return time.Unix(0, int64(binary.BigEndian.Uint64(key))) }

// add records a number. A second one at the same nanosecond takes the place of the first.
func (r recorder) add(name string, at time.Time, value float64) error {
	return r.db.Update(func(tx *folio.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte(name))
		if err != nil {
			return err
		}
		return b.Put(key(at), binary.BigEndian.AppendUint64(nil, math.Float64bits(value)))
	})
}

// A point is the mean of the n numbers of a step.
type point struct {
	from time.Time
	n    int
	mean float64
}

// means returns the steps between two times, the second exclusive, that have numbers.
func (r recorder) means(name string, from, to time.Time, step time.Duration) (points []point, err error) {
	err = r.db.View(func(tx *folio.Tx) error {
		b := tx.Bucket([]byte(name))
		if b == nil {
			return folio.ErrBucketNotFound
		}
		var sum float64
		for k, v := range b.Range(key(from), key(to)) {
			start := from.Add(timeOf(k).Sub(from).Truncate(step))
			if len(points) == 0 || !points[len(points)-1].from.Equal(start) {
				points, sum = append(points, point{from: start}), 0
			}
			p := &points[len(points)-1]
			sum += math.Float64frombits(binary.BigEndian.Uint64(v))
			p.n++
			p.mean = sum / float64(p.n)
		}
		return nil
	})
	return points, err
}

// forget removes what is too old from every series. It drops whole subtrees of the store: what
// it costs depends on the pages at the edge, not on how much goes.
func (r recorder) forget(now time.Time) error {
	return r.db.Update(func(tx *folio.Tx) error {
		return tx.ForEach(func(_ []byte, series *folio.Bucket) error {
			return series.DeleteRange(nil, key(now.Add(-r.keep)))
		})
	})
}
