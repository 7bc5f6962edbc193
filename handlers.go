package folio

import (
	"bytes"
	"runtime"
	"slices"
	"sync"
	"time"
)

// A handlerQueue runs commit handlers in commit order, one transaction's at a time.
type handlerQueue struct {
	mu       sync.Mutex
	moved    sync.Cond
	waiting  []*Tx         // committed, their handlers not yet run, in commit order
	runner   string        // the goroutine that runs handlers
	txid     uint64        // of the transaction whose handlers run
	patience time.Duration // after which a wait is an EventHandlerWait
}

// handlerPatience is longer than handlers should take.
const handlerPatience = time.Second

func (q *handlerQueue) init() { q.moved.L, q.patience = &q.mu, handlerPatience }

// queue gives the transaction its place. It is called in commit order.
func (q *handlerQueue) queue(tx *Tx) {
	if len(tx.w.handlers) == 0 {
		return
	}
	q.mu.Lock()
	q.waiting = append(q.waiting, tx)
	q.mu.Unlock()
}

// cancel gives the place up.
func (q *handlerQueue) cancel(tx *Tx) {
	q.mu.Lock()
	q.waiting = slices.DeleteFunc(q.waiting, func(o *Tx) bool { return o == tx })
	q.moved.Broadcast()
	q.mu.Unlock()
}

// runHandlers runs the transaction's commit handlers in its turn. A transaction that commits
// inside a handler, on its goroutine, has its turn at once: the handler waits for it.
func (tx *Tx) runHandlers() {
	if len(tx.w.handlers) == 0 {
		return
	}
	q := &tx.db.handlers
	self := goroutine()
	q.mu.Lock()
	nested := q.runner == self
	if !nested {
		q.awaitTurn(tx)
		q.runner, q.txid = self, tx.w.id
	}
	q.waiting = slices.DeleteFunc(q.waiting, func(o *Tx) bool { return o == tx })
	q.mu.Unlock()
	defer func() {
		if nested {
			return
		}
		q.mu.Lock()
		q.runner = ""
		q.moved.Broadcast()
		q.mu.Unlock()
	}()
	for _, fn := range tx.w.handlers {
		fn()
	}
}

// awaitTurn waits until the handlers of the transactions before tx have run. It is called with
// mu.
func (q *handlerQueue) awaitTurn(tx *Tx) {
	busy := func() bool {
		return q.runner != "" || slices.Contains(q.waiting, tx) && q.waiting[0] != tx
	}
	if !busy() {
		return
	}
	over := false
	timer := time.AfterFunc(q.patience, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if over {
			return
		}
		e := EventHandlerWait{Txid: int(tx.w.id)}
		if q.runner != "" {
			e.Running = int(q.txid)
		}
		tx.db.events.add(e)
	})
	for busy() {
		q.moved.Wait()
	}
	over = true
	timer.Stop()
}

// goroutine names the calling goroutine, as its stack trace does.
func goroutine() string {
	var buf [32]byte
	b := buf[:runtime.Stack(buf[:], false)]
	b = bytes.TrimPrefix(b, []byte("goroutine "))
	id, _, _ := bytes.Cut(b, []byte(" "))
	return string(id)
}
