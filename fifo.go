package folio

import "sync"

// A fifo is a lock that is had in the order of asking, and that one can stop waiting for.
type fifo struct {
	mu     sync.Mutex
	held   bool
	queue  []chan struct{} // closed when it is that waiter's turn
	served int             // waiters at the front of queue that had their turn
}

// lock waits for the caller's turn. It returns false when cancel was closed first.
func (l *fifo) lock(cancel <-chan struct{}) bool {
	l.mu.Lock()
	if !l.held {
		l.held = true
		l.mu.Unlock()
		return true
	}
	turn := make(chan struct{})
	l.queue = append(l.queue, turn)
	l.mu.Unlock()
	select {
	case <-turn:
		return true
	case <-cancel:
		return l.leave(turn)
	}
}

// leave takes a waiter out of the queue. Its turn may have come at the same moment: then it is
// passed on.
func (l *fifo) leave(turn chan struct{}) bool {
	l.mu.Lock()
	for i := l.served; i < len(l.queue); i++ {
		if l.queue[i] == turn {
			l.queue = append(l.queue[:i], l.queue[i+1:]...)
			l.mu.Unlock()
			return false
		}
	}
	l.mu.Unlock()
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
	if l.served == len(l.queue) {
		l.held, l.queue, l.served = false, l.queue[:0], 0
		return
	}
	close(l.queue[l.served])
	l.queue[l.served] = nil
	l.served++
	if l.served > 64 && l.served > len(l.queue)/2 {
		l.queue = append(l.queue[:0], l.queue[l.served:]...)
		l.served = 0
	}
}
