package workload

import (
	"errors"
	"fmt"
	"strings"

	"github.com/foliokv/folio/internal/model"
)

// A Config says what to run operations on, and how.
type Config struct {
	// Open opens the store: at the start and for each Reopen.
	Open func() (Store, error)

	// State is what the store holds at the start; the zero value is an empty store. If there
	// is a History it must allow just this state.
	State model.State

	// Errors are the store's sentinels by the names that package model gives them. Without it
	// all errors are taken for alike.
	Errors map[string]error

	// History, if set, is kept up to date, for crash tests.
	History *History

	// Deferred: a commit is acknowledged as durable by Sync and Reopen only.
	Deferred bool

	// OnFault, if set, is told of every error that is none of Errors, and the run goes on: such
	// an operation must have changed nothing, or its transaction must not commit. Without it
	// such an error ends the run.
	OnFault func(error)

	// CheckAll runs Tx.Check and compares the whole content after every transaction, not only
	// at the end.
	CheckAll bool

	// KeepOpen leaves the store open at the end.
	KeepOpen bool

	// Seed is named in reports; it decides nothing.
	Seed uint64
}

// A Mismatch is the first difference between the store and the model.
type Mismatch struct {
	At   int // the number of the operation; len(Ops) for the comparison at the end
	Ops  []Op
	Seed uint64
	Err  error
}

// Error tells the difference, the seed, and the operations up to it, as a script.
func (m *Mismatch) Error() string {
	upto := m.Ops[:min(m.At+1, len(m.Ops))]
	return fmt.Sprintf("seed %d, operation %d of %d: %v\n%s", m.Seed, m.At, len(m.Ops), m.Err, Format(upto))
}

// Unwrap returns the difference alone.
func (m *Mismatch) Unwrap() error { return m.Err }

// Run performs the operations on a store and on the model and compares what they give; at the
// end it checks the store and compares all content. It returns nil or a *Mismatch.
func Run(c Config, ops []Op) error {
	if c.State == (model.State{}) {
		c.State = model.Empty()
	}
	if c.History == nil {
		c.History = NewHistory(c.State)
	}
	r := &runner{c: c, ops: ops, committed: c.History.Last()}
	r.store.errName = r.storeErr
	r.setModel(c.State)
	err := r.run()
	if err == nil {
		return nil
	}
	if errors.Is(err, errEnd) {
		r.endReads() // errors have no one to go to
		return nil
	}
	return &Mismatch{At: max(0, r.next-1), Ops: ops, Seed: c.Seed, Err: err}
}

type runner struct {
	c     Config
	ops   []Op
	next  int
	model *model.DB
	ref   side // the model
	store side

	write  *model.Tx // the model's write transaction
	fault  error     // the last error of the store that is no sentinel
	dead   bool      // the write transaction has met an error and cannot commit
	spoilt bool      // an operation of many steps failed in their midst: the end must be a rollback

	begun     int // the history's number of the state announced last
	committed int // and of the state committed last
}

var (
	errEnd  = errors.New("the run ends here")       // after a fault past which nothing can be told
	errFail = errors.New("the closure's error")     // what Fail and Rollback return from a closure
	errStop = errors.New("stopped by a difference") // what a closure returns after one
)

func (r *runner) setModel(s model.State) {
	r.model = model.FromState(s)
	r.ref = side{db: Adapt(r.model), txs: map[int]*opened{}, errName: r.modelErr}
	r.store.txs = map[int]*opened{}
}

// modelErr names an error of the model.
func (r *runner) modelErr(err error) string {
	switch {
	case err == nil:
		return "ok"
	case r.c.Errors == nil:
		return "an error"
	}
	return err.Error()
}

// storeErr names an error of the store as the model names its own.
func (r *runner) storeErr(err error) string {
	if err == nil {
		return "ok"
	}
	for name, e := range r.c.Errors {
		if errors.Is(err, e) {
			return name
		}
	}
	if r.c.Errors == nil && r.c.OnFault == nil {
		return "an error"
	}
	r.fault = err
	return fmt.Sprintf("an unexpected error: %v", err)
}

// faulted tells whether err is a fault to be borne with, and reports it.
func (r *runner) faulted(err error) bool {
	if err == nil || r.c.OnFault == nil {
		return false
	}
	r.c.OnFault(err)
	return true
}

func (r *runner) run() error {
	if err := r.open(); err != nil {
		return err
	}
	for r.next < len(r.ops) {
		if err := r.outer(r.take()); err != nil {
			return r.afterwards(err)
		}
	}
	r.next = len(r.ops) + 1
	if err := r.finish(); err != nil {
		return r.afterwards(err)
	}
	return nil
}

// afterwards forgives a difference if a flush in the background has failed: reads go back to
// the last durable state then, which the runner does not know.
func (r *runner) afterwards(err error) error {
	if errors.Is(err, errEnd) || !r.c.Deferred || r.c.OnFault == nil || r.store.db == nil {
		return err
	}
	r.endReads()
	if probe := r.store.db.Update(func(Tx) error { return nil }); r.faulted(probe) {
		return errEnd
	}
	return err
}

func (r *runner) take() Op {
	r.next++
	return r.ops[r.next-1]
}

func (r *runner) open() error {
	db, err := r.c.Open()
	if err != nil && r.faulted(err) {
		db, err = r.c.Open()
		if r.faulted(err) {
			return errEnd
		}
	}
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	r.store.db = db
	return nil
}

// outer performs an operation outside a write transaction.
func (r *runner) outer(op Op) error {
	switch op.Kind {
	case Update:
		return r.update()
	case Begin:
		return r.begin()
	case Sync:
		return r.sync()
	case Reopen:
		return r.reopen()
	}
	return r.inner(op)
}

// inner performs an operation that may stand inside a write transaction.
func (r *runner) inner(op Op) error {
	switch op.Kind {
	case Read:
		return r.read(op.N)
	case EndRead:
		return r.endRead(op.N)
	case Update, Begin, Commit, Rollback, Fail, Panic, Sync, Reopen:
		return nil // not the place for it
	}
	return r.compare(op)
}

// compare performs an operation on both sides.
func (r *runner) compare(op Op) error {
	if r.ref.txs[op.Tx] == nil || r.store.txs[op.Tx] == nil || (r.dead || r.spoilt) && op.Tx == 0 {
		return nil
	}
	if (op.Kind == Save || op.Kind == Undo || op.Kind == Release) && op.Tx != 0 {
		return nil
	}
	if op.Kind == DeleteRange && r.dropsBuckets(op) {
		r.forget(op.Tx)
	}
	r.fault = nil
	at := r.next - 1
	got := r.store.exec(op, at, false)
	if r.fault != nil && !op.intoSelf() && r.faulted(r.fault) {
		r.spoilt = r.spoilt || op.Kind == Load || op.Kind == Sweep || op.Kind == Scatter
		return r.passOver(op.Tx)
	}
	want := r.ref.exec(op, at, false)
	if got == want || op.intoSelf() && got != "ok" && want != "ok" {
		return nil
	}
	if err := r.store.txs[op.Tx].tx.Err(); r.faulted(err) {
		return r.passOver(op.Tx)
	}
	if op.Kind >= All && op.Kind <= Range {
		got, want = r.store.exec(op, at, true), r.ref.exec(op, at, true)
	}
	return fmt.Errorf("%v gives\n\t%s\nand should give\n\t%s", op, got, want)
}

// intoSelf tells whether a bucket is moved into itself or below: the error for that has no name.
func (op Op) intoSelf() bool {
	return op.Kind == Move && strings.HasPrefix(op.To.String()+"/", op.Path.String()+"/")
}

// passOver goes on after a fault: the model has not performed the operation.
func (r *runner) passOver(tx int) error {
	o := r.store.txs[tx]
	r.forget(tx)
	r.ref.txs[tx].moves = o.moves
	if o.tx.Err() == nil {
		return nil
	}
	if tx == 0 {
		r.dead = true
		return nil
	}
	return r.endRead(tx)
}

func (r *runner) forget(tx int) {
	r.store.txs[tx].forget(0)
	r.ref.txs[tx].forget(0)
}

// dropsBuckets tells whether there is a nested bucket in the range.
func (r *runner) dropsBuckets(op Op) bool {
	b := r.ref.txs[op.Tx].bucket(op.Path, r.next-1)
	if b == nil {
		return false
	}
	for _, v := range b.Range(op.Key.Bytes(), op.Hi.Bytes()) {
		if v == nil {
			return true
		}
	}
	return false
}

// enter opens the write transaction of the model beside the store's.
func (r *runner) enter(tx Tx) error {
	var err error
	if r.write, err = r.model.Begin(true); err != nil {
		return err
	}
	r.ref.txs[0], r.store.txs[0] = newOpened(AdaptTx(r.write)), newOpened(tx)
	r.dead, r.spoilt = false, false
	return nil
}

// leave forgets the write transaction.
func (r *runner) leave() {
	delete(r.ref.txs, 0)
	delete(r.store.txs, 0)
}

// body performs the operations of a write transaction and returns how it ends.
func (r *runner) body() (Kind, error) {
	for r.next < len(r.ops) {
		op := r.take()
		switch op.Kind {
		case Commit, Rollback, Fail, Panic:
			return r.ending(op.Kind), nil
		}
		if err := r.inner(op); err != nil {
			return Rollback, err
		}
	}
	return r.ending(Commit), nil
}

func (r *runner) ending(end Kind) Kind {
	if r.spoilt && end == Commit {
		return Fail
	}
	return end
}

// update runs a write transaction as a closure of DB.Update.
func (r *runner) update() error {
	var end Kind
	var stop error
	calls := 0
	thrown, err := caught(func() error {
		return r.store.db.Update(func(tx Tx) error {
			calls++
			if stop = r.enter(tx); stop == nil {
				end, stop = r.body()
			}
			return r.closing(end, stop)
		})
	})
	if stop != nil {
		return stop
	}
	if calls == 0 && r.faulted(err) {
		return r.skip()
	}
	if calls != 1 {
		return fmt.Errorf("Update ran its closure %d times and returned %v", calls, err)
	}
	switch {
	case (end == Panic) != (thrown == errFail):
		return fmt.Errorf("a closure that ended with %v: Update panicked with %v", end, thrown)
	case end == Panic, end != Commit && errors.Is(err, errFail):
		return r.ended(false, nil)
	case end != Commit && !r.dead:
		return fmt.Errorf("Update returned %v, not the closure's error", err)
	}
	return r.ended(end == Commit, err)
}

// closing is what the closure of an Update does at last.
func (r *runner) closing(end Kind, stop error) error {
	switch {
	case stop != nil:
		return errStop
	case end == Panic:
		panic(errFail)
	case end != Commit:
		return errFail
	}
	r.announce()
	return nil
}

// caught runs fn and returns what it panicked with and its error.
func caught(fn func() error) (thrown any, err error) {
	defer func() {
		if thrown = recover(); thrown != nil && thrown != errFail {
			panic(thrown)
		}
	}()
	return nil, fn()
}

// announce tells the history that the state of the transaction may be found from now on.
func (r *runner) announce() {
	if !r.dead {
		r.begun = r.c.History.Begin(r.write.State())
	}
}

// begin runs a write transaction between Begin and Commit or Rollback.
func (r *runner) begin() error {
	tx, err := r.store.db.Begin(true)
	if err != nil {
		if r.faulted(err) {
			return r.skip()
		}
		return fmt.Errorf("begin: %w", err)
	}
	if err := r.enter(tx); err != nil {
		return err
	}
	end, err := r.body()
	if err != nil {
		tx.Rollback() // the difference is what matters
		return err
	}
	if end != Commit {
		err := tx.Rollback()
		if err != nil && !r.faulted(err) {
			return fmt.Errorf("rollback: %w", err)
		}
		return r.ended(false, nil)
	}
	r.announce()
	return r.ended(true, tx.Commit())
}

// skip passes over the operations of a transaction that could not begin.
func (r *runner) skip() error {
	if r.c.Deferred {
		return errEnd
	}
	for r.next < len(r.ops) {
		switch op := r.take(); op.Kind {
		case Commit, Rollback, Fail, Panic:
			return nil
		}
	}
	return nil
}

// ended takes a write transaction's end over to the model: err is what Commit or Update gave.
func (r *runner) ended(commit bool, err error) error {
	r.leave()
	if !commit || err != nil {
		r.write.Rollback()
		if commit && r.dead || r.faulted(err) {
			return r.afterFault()
		}
		if commit {
			return fmt.Errorf("commit: %w", err)
		}
		return r.checkAll()
	}
	if r.dead {
		return errors.New("a transaction with an error was committed")
	}
	if err := r.write.Commit(); err != nil {
		return err
	}
	r.committed = r.begun
	if !r.c.Deferred {
		r.ack()
	}
	return r.checkAll()
}

// ack notes that what is committed is durable.
func (r *runner) ack() { r.c.History.Ack(r.committed) }

// afterFault: a deferred store may have gone back to its last durable state.
func (r *runner) afterFault() error {
	if r.c.Deferred {
		return errEnd
	}
	return nil
}

func (r *runner) checkAll() error {
	if !r.c.CheckAll {
		return nil
	}
	return r.verify()
}

// verify checks the store and compares all its content with the model's.
func (r *runner) verify() error {
	return r.view(func(tx Tx) error {
		for err := range tx.Check() {
			return fmt.Errorf("check: %w", err)
		}
		return DiffState(tx, r.model.State())
	})
}

// view runs fn in a read transaction. An error of the file that is borne with is none.
func (r *runner) view(fn func(Tx) error) error {
	err := r.viewOnce(fn)
	if err != nil && r.c.OnFault != nil { // it may have met a fault that comes once
		return r.viewOnce(fn)
	}
	return err
}

func (r *runner) viewOnce(fn func(Tx) error) error {
	var found, sticky error
	err := r.store.db.View(func(tx Tx) error {
		found, sticky = fn(tx), tx.Err()
		return nil
	})
	if r.faulted(sticky) || r.faulted(err) {
		return nil
	}
	return errors.Join(found, sticky, err)
}

func (r *runner) read(n int) error {
	if n < 1 || r.store.txs[n] != nil {
		return nil
	}
	tx, err := r.store.db.Begin(false)
	if err != nil {
		if r.faulted(err) {
			return nil
		}
		return fmt.Errorf("begin of a read transaction: %w", err)
	}
	ref, err := r.ref.db.Begin(false)
	r.store.txs[n], r.ref.txs[n] = newOpened(tx), newOpened(ref)
	return err
}

func (r *runner) endRead(n int) error {
	o := r.store.txs[n]
	if n < 1 || o == nil {
		return nil
	}
	r.ref.txs[n].tx.Rollback()
	delete(r.store.txs, n)
	delete(r.ref.txs, n)
	if err := o.tx.Rollback(); err != nil && !r.faulted(err) {
		return fmt.Errorf("end of a read transaction: %w", err)
	}
	return nil
}

func (r *runner) endReads() error {
	var all error
	for n := range r.store.txs {
		all = errors.Join(all, r.endRead(n))
	}
	return all
}

func (r *runner) sync() error {
	if err := r.store.db.Sync(); err != nil {
		if r.faulted(err) {
			return r.afterFault()
		}
		return fmt.Errorf("sync: %w", err)
	}
	r.ack()
	return nil
}

// reopen closes the store and opens it again; what it holds then is durable.
func (r *runner) reopen() error {
	if err := r.endReads(); err != nil {
		return err
	}
	if err := r.store.db.Close(); err != nil {
		if !r.faulted(err) {
			return fmt.Errorf("close: %w", err)
		}
	} else {
		r.ack()
	}
	r.store.db = nil
	if err := r.open(); err != nil {
		return err
	}
	return r.recovered()
}

// recovered finds out which of the allowed states the store is in after it was opened.
func (r *runner) recovered() error {
	var found model.State
	err := r.view(func(tx Tx) (err error) {
		found, err = r.c.History.Match(tx)
		return err
	})
	if err != nil {
		return fmt.Errorf("after opening again: %w", err)
	}
	if found == (model.State{}) {
		return errEnd // the file cannot be read
	}
	r.c.History.Reset(found)
	r.committed = r.c.History.Last()
	r.setModel(found)
	return nil
}

func (r *runner) finish() error {
	if err := r.endReads(); err != nil {
		return err
	}
	if err := r.verify(); err != nil {
		return err
	}
	if r.c.KeepOpen {
		return nil
	}
	err := r.store.db.Close()
	if err == nil {
		r.ack()
	}
	if err != nil && !r.faulted(err) {
		return fmt.Errorf("close: %w", err)
	}
	return nil
}
