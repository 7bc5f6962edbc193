package workload

import (
	"errors"
	"fmt"
	"math/rand/v2"
)

// GenerateBody returns about n operations for the inside of one write transaction; they depend on
// the seed alone.
func GenerateBody(seed uint64, n int, p Profile) []Op {
	r := rand.New(rand.NewPCG(seed, 0xB0D7))
	g := generator{p: p, draw: r.IntN, known: map[string]bool{}, writing: true}
	for len(g.ops) < n {
		if g.draw(16) < 11 {
			g.operation(g.pick(p.Changes), 0)
		} else {
			g.operation(g.pick(p.Queries), 0)
		}
	}
	return g.ops
}

// A Trace is what operations gave in a write transaction that others run beside, to be compared
// later with what they give in the model, when it is known what came before.
type Trace struct {
	ops   []Op
	got   []string
	fault map[int]int // operations that met a fault and did nothing, and how often the transaction was changed till then
}

// Record performs operations in a transaction of the store; sentinels are the store's, as in
// Config. Before each it calls between. An operation that fails with another error is passed
// over if the transaction can go on; else Record returns that error. fault, if not nil, is told
// of each such error, and ends the recording by an error of its own.
func Record(tx Tx, sentinels map[string]error, ops []Op, between func(), fault func(error) error) (*Trace, error) {
	t := &Trace{fault: map[int]int{}}
	r := runner{c: Config{Errors: sentinels}}
	s := side{txs: map[int]*opened{0: newOpened(tx)}, errName: r.storeErr}
	for i, op := range ops {
		between()
		r.fault = nil
		got := s.exec(op, i, false)
		t.ops, t.got = append(t.ops, op), append(t.got, got)
		s.afterwards(op)
		if err := tx.Err(); err != nil {
			return nil, errors.Join(err, fault(err))
		}
		if r.fault == nil || op.intoSelf() {
			continue
		}
		if err := fault(r.fault); err != nil {
			return nil, err
		}
		if op.Kind == Sweep || op.Kind == Scatter {
			return nil, r.fault // it has done a part
		}
		s.txs[0].forget(0)
		t.fault[i] = s.txs[0].moves
	}
	return t, nil
}

// afterwards forgets handles of buckets that an operation may have deleted.
func (s *side) afterwards(op Op) {
	if op.Kind == DeleteRange {
		s.txs[0].forget(0)
	}
}

// Replay performs the operations in a transaction of the model and returns the first difference.
func (t *Trace) Replay(tx Tx) error {
	r := runner{c: Config{Errors: map[string]error{}}}
	s := side{txs: map[int]*opened{0: newOpened(tx)}, errName: r.modelErr}
	for i, op := range t.ops {
		if moves, ok := t.fault[i]; ok {
			s.txs[0].forget(0)
			s.txs[0].moves = moves
			continue
		}
		want := s.exec(op, i, false)
		s.afterwards(op)
		if got := t.got[i]; got != want && !(op.intoSelf() && got != "ok" && want != "ok") {
			return fmt.Errorf("operation %d, %v, gave\n\t%s\nand should give\n\t%s\nafter\n%s", i, op, got, want, Format(t.ops[:i]))
		}
	}
	return nil
}
