package workload

import (
	"fmt"
	"sync"

	"github.com/foliokv/folio/internal/model"
)

// A History knows which states a store may be found in after a crash at this moment: the last
// one that is acknowledged, and those begun later. Run keeps it up to date; a crash test asks
// it, from the hook before an operation on the file for instance. It may be used by several
// goroutines.
type History struct {
	mu     sync.Mutex
	states []past // the acknowledged one, then the ones begun later, in order
	first  int    // the number of states[0]
	acked  int    // how many times one was acknowledged
}

type past struct {
	model.State
	digest uint64
	summed bool
}

// NewHistory returns a history that begins with s, which is durable.
func NewHistory(s model.State) *History {
	return &History{states: []past{{State: s}}}
}

// Begin notes that s is about to be committed: from now on it may be found. It returns a number
// for Ack. The runner calls it, as do tests that commit by themselves.
func (h *History) Begin(s model.State) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.states = append(h.states, past{State: s})
	return h.first + len(h.states) - 1
}

// Ack notes that state n is acknowledged as durable: none begun before it may be found.
func (h *History) Ack(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n > h.first {
		h.states = h.states[n-h.first:]
		h.first = n
	}
	h.acked++
}

// Last returns the number of the state that was last acknowledged.
func (h *History) Last() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.first
}

// Acked returns how many times a state was acknowledged.
func (h *History) Acked() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.acked
}

// Reset notes that the store is in state s, durably, and no other.
func (h *History) Reset(s model.State) {
	h.Ack(h.Begin(s))
}

// Allowed returns the states that may be found, the acknowledged one first.
func (h *History) Allowed() []model.State {
	h.mu.Lock()
	defer h.mu.Unlock()
	states := make([]model.State, len(h.states))
	for i, p := range h.states {
		states[i] = p.State
	}
	return states
}

// Match returns the state that tx shows. If it shows none of those allowed, the error tells how
// it differs from each.
func (h *History) Match(tx Tx) (model.State, error) {
	sum, err := Digest(tx)
	if err != nil {
		return model.State{}, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := len(h.states) - 1; i >= 0; i-- {
		p := &h.states[i]
		if !p.summed {
			p.digest, p.summed = digestState(p.State), true
		}
		if p.digest == sum {
			return p.State, nil
		}
	}
	return model.State{}, h.noMatch(tx)
}

func (h *History) noMatch(tx Tx) error {
	err := fmt.Errorf("the store is in none of %d allowed states", len(h.states))
	for i, p := range h.states {
		err = fmt.Errorf("%w\nstate %d: %v", err, i, DiffState(tx, p.State))
	}
	return err
}
