package main

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/foliokv/folio"
)

// Two buckets: jobs that wait, by number (8 bytes, big-endian), and jobs that somebody has taken,
// by the end of the lease (8 bytes, nanoseconds) and number. A lease that ended, as that of a
// process which was killed, makes the job wait again: a job may be done twice, never lost.
var (
	waiting = []byte("waiting")
	leased  = []byte("leased")
)

var errLeaseEnded = errors.New("the job took longer than its lease: somebody else may have it")

type queue struct {
	db    *folio.DB
	lease time.Duration
	now   func() time.Time
}

type job struct {
	lease   []byte // its key in leased
	payload []byte
}

// newQueue returns the queue in db. Leases of before are void: only one process has a store
// open for writing, so who held them is gone.
func newQueue(db *folio.DB, lease time.Duration, now func() time.Time) (*queue, error) {
	q := &queue{db, lease, now}
	return q, db.Update(func(tx *folio.Tx) error {
		for _, name := range [][]byte{waiting, leased} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return giveBack(tx, nil)
	})
}

// add puts jobs at the end of the queue, all or none.
func (q *queue) add(payloads ...[]byte) error {
	return q.db.Update(func(tx *folio.Tx) error {
		b := tx.Bucket(waiting)
		for _, p := range payloads {
			n, err := b.NextSequence()
			if err != nil {
				return err
			}
			if err := b.Put(binary.BigEndian.AppendUint64(nil, n), p); err != nil {
				return err
			}
		}
		return nil
	})
}

// take leases the first job that waits. It returns nil when none is left, not even a leased
// one; while others are at work it waits, for they may not finish. Taking by many goroutines
// costs few flushes: their transactions share them.
func (q *queue) take(ctx context.Context) (*job, error) {
	for {
		var j *job
		left := false
		err := q.db.UpdateContext(ctx, func(tx *folio.Tx) error {
			if err := giveBack(tx, timeKey(q.now())); err != nil {
				return err
			}
			key, payload := tx.Bucket(waiting).Cursor().First()
			left = key != nil || tx.Bucket(leased).Count() > 0
			if key == nil {
				return nil
			}
			// Slices of the store end with the transaction.
			j = &job{slices.Concat(timeKey(q.now().Add(q.lease)), key), slices.Clone(payload)}
			return errors.Join(tx.Bucket(leased).Put(j.lease, j.payload), tx.Bucket(waiting).Delete(key))
		})
		if err != nil || j != nil || !left {
			return j, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(min(q.lease, 50*time.Millisecond)):
		}
	}
}

// done ends a job for good.
func (q *queue) done(j *job) error {
	return q.db.Update(func(tx *folio.Tx) error {
		b := tx.Bucket(leased)
		if b.Get(j.lease) == nil {
			return errLeaseEnded
		}
		return b.Delete(j.lease)
	})
}

// giveBack makes jobs whose lease ended before a time wait again; nil: all.
func giveBack(tx *folio.Tx, before []byte) error {
	from, to := tx.Bucket(leased), tx.Bucket(waiting)
	for lease, payload := range from.Range(nil, before) {
		if err := to.Put(lease[8:], payload); err != nil {
			return err
		}
	}
	return from.DeleteRange(nil, before)
}

func timeKey(t time.Time) []byte { return binary.BigEndian.AppendUint64(nil, uint64(t.UnixNano())) }
