// Package model is the oracle of folio's tests: the same operations with the same results and
// errors, on ordered maps in memory, as plainly as they can be written. It does no I/O, has no
// durability and no concurrency of its own.
//
// What must hold: a committed node is never changed. A transaction changes only nodes of its
// present scope, and Bucket.own is the one place where a node enters a scope, by a copy.
package model

import (
	"bytes"
	"sync"
	"sync/atomic"

	"github.com/google/btree"
)

// An item is a pair, or a nested bucket.
type item struct {
	key   []byte
	value []byte
	sub   *node // nil: a pair
}

func less(a, b item) bool { return bytes.Compare(a.key, b.key) < 0 }

// A node is a bucket's content in one state.
type node struct {
	items *btree.BTreeG[item]
	seq   uint64
	id    uint64 // of the bucket: every one created, and every one moved, has its own
	scope uint64 // the scope that may change this node
}

// cloning guards BTreeG.Clone, which changes the clone's origin; reading the origin meanwhile is
// safe.
var cloning sync.Mutex

// numbers counts scopes and buckets, of all stores: a state may go from one to another.
var numbers atomic.Uint64

func (n *node) clone(scope uint64) *node {
	cloning.Lock()
	defer cloning.Unlock()
	return &node{n.items.Clone(), n.seq, n.id, scope}
}

// A State is everything that a store holds at one moment. It is immutable and may be used by
// several goroutines.
type State struct{ root *node }

// Empty returns the state of a new store.
func Empty() State {
	return State{&node{items: btree.NewG(16, less)}}
}

// A DB is a store. It is for one goroutine at a time, but a read transaction may be used by
// another one than the writer.
type DB struct {
	mu    sync.Mutex
	state State
	txid  int
	open  bool
}

// New returns an empty store.
func New() *DB { return FromState(Empty()) }

// FromState returns a store that holds s.
func FromState(s State) *DB { return &DB{state: s, open: true, txid: 1} }

// State returns what is committed.
func (db *DB) State() State {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.state
}

// Begin starts a transaction. Two writable ones at once are a bug of the caller.
func (db *DB) Begin(writable bool) (*Tx, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if !db.open {
		return nil, ErrDatabaseNotOpen
	}
	tx := &Tx{db: db, root: db.state.root, writable: writable, id: db.txid}
	if writable {
		tx.id++
		tx.enterScope()
	}
	return tx, nil
}

// View runs fn in a read transaction.
func (db *DB) View(fn func(*Tx) error) error {
	tx, err := db.Begin(false)
	if err != nil {
		return err
	}
	defer tx.end()
	tx.managed = true
	return fn(tx)
}

// Update runs fn in a write transaction and commits it, unless fn fails or panics.
func (db *DB) Update(fn func(*Tx) error) error {
	tx, err := db.Begin(true)
	if err != nil {
		return err
	}
	defer tx.end()
	tx.managed = true
	if err := fn(tx); err != nil {
		return err
	}
	tx.managed = false
	return tx.Commit()
}

// Sync does nothing.
func (db *DB) Sync() error {
	if !db.open {
		return ErrDatabaseNotOpen
	}
	return nil
}

// Close ends the use of the store; State stays.
func (db *DB) Close() error {
	db.open = false
	return nil
}

// A Tx is a transaction.
type Tx struct {
	db       *DB
	root     *node
	id       int
	scope    uint64
	saved    []*Savepoint
	onCommit []func()
	writable bool
	managed  bool
	ended    bool
}

// enterScope makes what the transaction holds so far immutable.
func (tx *Tx) enterScope() { tx.scope = numbers.Add(1) }

func (tx *Tx) end() { tx.ended = true }

// writeErr tells why the transaction cannot write.
func (tx *Tx) writeErr() error {
	switch {
	case tx.ended:
		return ErrTxClosed
	case !tx.writable:
		return ErrTxNotWritable
	}
	return nil
}

// Commit makes the changes the state of the store.
func (tx *Tx) Commit() error {
	if tx.managed {
		panic("managed transaction: commit not allowed")
	}
	if err := tx.writeErr(); err != nil {
		return err
	}
	tx.end()
	tx.db.mu.Lock()
	tx.db.state, tx.db.txid = State{tx.root}, tx.id
	tx.db.mu.Unlock()
	for _, fn := range tx.onCommit {
		fn()
	}
	return nil
}

// Rollback forgets the changes.
func (tx *Tx) Rollback() error {
	if tx.managed {
		panic("managed transaction: rollback not allowed")
	}
	if tx.ended {
		return ErrTxClosed
	}
	tx.end()
	return nil
}

// OnCommit registers fn to run when the transaction has committed.
func (tx *Tx) OnCommit(fn func()) { tx.onCommit = append(tx.onCommit, fn) }

// Writable tells whether the transaction can write.
func (tx *Tx) Writable() bool { return tx.writable }

// ID returns the number of the state that the transaction reads, or will make.
func (tx *Tx) ID() int { return tx.id }

// Err returns nil: the model meets no damage.
func (tx *Tx) Err() error { return nil }

// Check finds nothing.
func (tx *Tx) Check() <-chan error {
	ch := make(chan error)
	close(ch)
	return ch
}

// State returns what the transaction sees now.
func (tx *Tx) State() State {
	if tx.writable {
		tx.enterScope()
	}
	return State{tx.root}
}

// top is the root as a bucket.
func (tx *Tx) top() *Bucket { return &Bucket{tx: tx} }

// Bucket returns a bucket of the root, or nil.
func (tx *Tx) Bucket(name []byte) *Bucket { return tx.top().Bucket(name) }

// CreateBucket creates a bucket in the root.
func (tx *Tx) CreateBucket(name []byte) (*Bucket, error) { return tx.top().CreateBucket(name) }

// CreateBucketIfNotExists returns a bucket of the root, created if need be.
func (tx *Tx) CreateBucketIfNotExists(name []byte) (*Bucket, error) {
	return tx.top().CreateBucketIfNotExists(name)
}

// DeleteBucket deletes a bucket of the root with all in it.
func (tx *Tx) DeleteBucket(name []byte) error { return tx.top().DeleteBucket(name) }

// MoveBucket moves a bucket from src to dst; nil stands for the root.
func (tx *Tx) MoveBucket(child []byte, src, dst *Bucket) error {
	if src == nil {
		src = tx.top()
	}
	if dst == nil {
		dst = tx.top()
	}
	return src.MoveBucket(child, dst)
}

// ForEach calls fn for each bucket of the root.
func (tx *Tx) ForEach(fn func(name []byte, b *Bucket) error) error {
	return tx.top().ForEach(func(k, _ []byte) error { return fn(k, tx.Bucket(k)) })
}

// Cursor returns a cursor over the root.
func (tx *Tx) Cursor() *Cursor { return tx.top().Cursor() }

// A Savepoint is a scope inside a transaction.
type Savepoint struct {
	tx       *Tx
	root     *node
	onCommit int
	depth    int
	ended    bool
}

// Savepoint opens a scope.
func (tx *Tx) Savepoint() *Savepoint {
	s := &Savepoint{tx: tx, root: tx.root, onCommit: len(tx.onCommit), depth: len(tx.saved)}
	tx.saved = append(tx.saved, s)
	tx.enterScope()
	return s
}

// Rollback makes everything as it was at the savepoint, and ends it and those inside it.
func (s *Savepoint) Rollback() error {
	if err := s.end(); err != nil {
		return err
	}
	s.tx.root, s.tx.onCommit = s.root, s.tx.onCommit[:s.onCommit]
	s.tx.enterScope()
	return nil
}

// Release keeps the changes, and ends the savepoint and those inside it.
func (s *Savepoint) Release() error { return s.end() }

func (s *Savepoint) end() error {
	if s.tx.ended {
		return ErrTxClosed
	}
	if s.ended {
		return ErrSavepointClosed
	}
	for _, inner := range s.tx.saved[s.depth:] {
		inner.ended = true
	}
	s.tx.saved = s.tx.saved[:s.depth]
	return nil
}
