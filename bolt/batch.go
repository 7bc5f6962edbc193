package bolt

import (
	"sync"
	"time"
)

// A batch is a set of Batch calls that begin together.
type batch struct {
	calls int
	begin chan struct{} // closed when they may
	once  sync.Once
	timer *time.Timer
}

func (b *batch) start() { b.once.Do(func() { close(b.begin) }) }

// Batch is Update for many goroutines at once. Each call is a transaction of its own, and fn
// runs once; the calls share flushes.
//
// With the default MaxBatchSize and MaxBatchDelay a call does not wait for others: whatever
// runs at the same time is flushed together anyway. With other values calls wait until
// MaxBatchSize of them are there or MaxBatchDelay has passed since the first, as in bbolt.
func (db *DB) Batch(fn func(*Tx) error) error {
	if db.MaxBatchSize != defaultMaxBatchSize || db.MaxBatchDelay != defaultMaxBatchDelay {
		<-db.join().begin
	}
	return db.Update(fn)
}

// join adds a call to the open batch.
func (db *DB) join() *batch {
	db.batchMu.Lock()
	defer db.batchMu.Unlock()
	b := db.batch
	if b == nil {
		b = &batch{begin: make(chan struct{})}
		db.batch = b
		b.timer = time.AfterFunc(db.MaxBatchDelay, func() { db.leave(b) })
	}
	if b.calls++; b.calls >= db.MaxBatchSize {
		db.batch = nil
		b.timer.Stop()
		b.start()
	}
	return b
}

// leave begins a batch whose time has come.
func (db *DB) leave(b *batch) {
	db.batchMu.Lock()
	if db.batch == b {
		db.batch = nil
	}
	db.batchMu.Unlock()
	b.start()
}
