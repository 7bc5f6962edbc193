package folio

import (
	"math/rand"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// Turns come in the order of asking, whoever gives up waiting, and at whatever moment.
func TestFifo(t *testing.T) {
	var l fifo
	for range 10 {
		if !l.lock(nil) {
			t.Fatal("a lock that nobody holds is not had")
		}
		var got []int
		var wg sync.WaitGroup
		gone := make(chan struct{})
		for i := range 20 {
			wg.Go(func() {
				if i%3 == 1 {
					if l.lock(gone) {
						t.Error("who gave up has the lock")
					}
					return
				}
				l.lock(nil)
				got = append(got, i)
				l.unlock()
			})
			eventually(t, func() bool { return l.length() == i+1 })
		}
		close(gone)
		eventually(t, func() bool { return l.length() == 13 })
		l.unlock()
		wg.Wait()
		for i := 1; i < len(got); i++ {
			if got[i] < got[i-1] {
				t.Fatalf("turns in the order %v", got)
			}
		}
		if len(got) != 13 || l.waited() {
			t.Fatalf("%d turns; somebody waits: %v", len(got), l.waited())
		}
	}
}

// The turn of a waiter who gives up at the moment when it comes is passed on, and what he waited with serves
// others.
func TestFifoTurnOfWhoGivesUp(t *testing.T) {
	var l fifo
	var holders, turns atomic.Int32
	var wg sync.WaitGroup
	for id := range 8 {
		rng := rand.New(rand.NewSource(int64(id)))
		wg.Go(func() {
			for range 3000 {
				var cancel chan struct{}
				if rng.Intn(2) == 0 {
					cancel = make(chan struct{})
					close(cancel)
				}
				if !l.lock(cancel) {
					continue
				}
				if holders.Add(1) != 1 {
					t.Error("two hold the lock")
				}
				turns.Add(1)
				runtime.Gosched() // the others ask now
				holders.Add(-1)
				l.unlock()
			}
		})
	}
	wg.Wait()
	if turns.Load() < 8*1000 || l.waited() || l.held {
		t.Errorf("%d turns, waited for %v, held %v", turns.Load(), l.waited(), l.held)
	}
	for _, c := range l.spare {
		if len(c) > 0 {
			t.Error("a channel for use again has a value")
		}
	}
	if len(l.spare) == 0 || len(l.spare) > 8 {
		t.Errorf("%d channels for use again", len(l.spare))
	}
}
