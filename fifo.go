package folio

import "sync"

// A fifo is a lock that is had in the order of asking, and that one can stop waiting for.
type fifo struct {
	mu     sync.Mutex
	held   bool
	turn   chan struct{}   // of the holder, if it had to wait
	queue  []chan struct{} // each gets a value when it is that waiter's turn
	served int             // waiters at the front of queue that had their turn
	spare  []chan struct{} // empty, of waiters that are gone
}

// lock waits for the caller's turn. It returns false when cancel was closed first.
func (l *fifo) lock(cancel <-chan struct{}) bool {
	l.mu.Lock()
	if !l.held {
		l.held = true
		l.mu.Unlock()
		return true
	}
	turn := l.enqueue()
	l.mu.Unlock()
	if cancel == nil { // a select takes longer
		<-turn
		return true
	}
	select {
	case <-turn:
		return true
	case <-cancel:
		return l.leave(turn)
	}
}

func (l *fifo) enqueue() (turn chan struct{}) {
	if k := len(l.spare) - 1; k >= 0 {
		turn, l.spare = l.spare[k], l.spare[:k]
	} else {
		turn = make(chan struct{}, 1)
	}
	l.queue = append(l.queue, turn)
	return turn
}

func (l *fifo) recycle(turn chan struct{}) {
	const most = 256
	if len(l.spare) < most {
		l.spare = append(l.spare, turn)
	}
}

// leave takes a waiter out of the queue. Its turn may have come at the same moment: then it is
// passed on.
func (l *fifo) leave(turn chan struct{}) bool {
	l.mu.Lock()
	for i := l.served; i < len(l.queue); i++ {
		if l.queue[i] == turn {
			l.queue = append(l.queue[:i], l.queue[i+1:]...)
			l.recycle(turn)
			l.mu.Unlock()
			return false
		}
	}
	l.mu.Unlock()
	<-turn
	l.unlock()
	return false
}

// waited tells whether anybody waits for a turn.
func (l *fifo) waited() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.served < len(l.queue)
}

func (l *fifo) unlock() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.turn != nil {
		l.recycle(l.turn)
		l.turn = nil
	}
	if l.served == len(l.queue) {
		l.held, l.queue, l.served = false, l.queue[:0], 0
		return
	}
	l.turn = l.queue[l.served]
	l.turn <- struct{}{}
	l.queue[l.served] = nil
	l.served++
	if l.served > 64 && l.served > len(l.queue)/2 {
		l.queue = append(l.queue[:0], l.queue[l.served:]...)
		l.served = 0
	}
}
