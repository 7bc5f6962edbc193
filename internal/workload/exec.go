package workload

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// A side is one of the two stores that run the same operations.
type side struct {
	db  Store
	txs map[int]*opened
	// errName gives an error the name by which the two sides are compared.
	errName func(error) string
}

// opened is an open transaction of a side, with what was got from it. Handles and cursors are
// kept and used again, as programs do.
type opened struct {
	tx      Tx
	saves   []saved
	buckets map[string]handle
	cursors map[int]*cursor
	moves   int // how often the transaction was changed
}

type saved struct {
	Savepoint
	at int
}

type handle struct {
	Bucket
	at int // the number of the operation that got it
}

type cursor struct {
	Cursor
	at    int
	lost  bool // on no pair: what Next and Prev give after a change is not promised then
	moves int
}

func newOpened(tx Tx) *opened {
	return &opened{tx: tx, buckets: map[string]handle{}, cursors: map[int]*cursor{}}
}

// forget drops the handles and cursors that were got at or after an operation.
func (o *opened) forget(at int) {
	for k, h := range o.buckets {
		if h.at >= at {
			delete(o.buckets, k)
		}
	}
	for k, c := range o.cursors {
		if c.at >= at {
			delete(o.cursors, k)
		}
	}
}

// bucket returns a bucket by its path, nil if there is none.
func (o *opened) bucket(p Path, at int) Bucket {
	if len(p) == 0 {
		return nil
	}
	name := p.String()
	if h, ok := o.buckets[name]; ok {
		return h.Bucket
	}
	last := p[len(p)-1].Bytes()
	var b Bucket
	if len(p) == 1 {
		b = o.tx.Bucket(last)
	} else if parent := o.bucket(p[:len(p)-1], at); parent != nil {
		b = parent.Bucket(last)
	}
	if b != nil {
		o.buckets[name] = handle{b, at}
	}
	return b
}

// A container is what buckets are created in: a bucket or, at the top, the transaction.
type container interface {
	CreateBucket(name []byte) (Bucket, error)
	CreateBucketIfNotExists(name []byte) (Bucket, error)
	DeleteBucket(name []byte) error
	Cursor() Cursor
}

// within returns the container that a path names; ok is false if it is missing.
func (o *opened) within(p Path, at int) (c container, ok bool) {
	if len(p) == 0 {
		return o.tx, true
	}
	if b := o.bucket(p, at); b != nil {
		return b, true
	}
	return nil, false
}

const missing = "no such bucket"

// exec performs operation number at on the side and returns what it gave, as text.
func (s *side) exec(op Op, at int, verbose bool) string {
	o := s.txs[op.Tx]
	switch op.Kind {
	case Save, Release, Undo:
		return s.savepoint(o, op, at)
	case Create, Ensure, Drop, Move:
		return s.structure(o, op, at)
	case Cursors, First, Last, Next, Prev, Seek, Remove:
		return s.cursor(o, op, at)
	case Sweep, Scatter:
		return s.walk(o, op, at)
	case Check:
		return s.check(o)
	}
	b := o.bucket(op.Path, at)
	if b == nil {
		return missing
	}
	switch op.Kind {
	case Put, PutReader, Load, Delete, DeleteRange, NextSeq, SetSeq:
		o.moves++
		return s.change(b, op)
	case All, Backward, Prefix, Range:
		return listing(sequence(b, op), verbose)
	}
	return query(b, op)
}

func (s *side) check(o *opened) string {
	var found []string
	for err := range o.tx.Check() {
		found = append(found, err.Error())
	}
	return "check: " + strings.Join(found, "; ")
}

func (s *side) savepoint(o *opened, op Op, at int) string {
	if op.Kind == Save {
		o.saves = append(o.saves, saved{o.tx.Savepoint(), at})
		return "ok"
	}
	if op.N < 0 || op.N >= len(o.saves) {
		return "no such savepoint"
	}
	sp := o.saves[op.N]
	if op.Kind == Release {
		return s.errName(sp.Release())
	}
	o.moves++
	err := sp.Rollback()
	if err == nil {
		o.forget(sp.at)
	}
	return s.errName(err)
}

// structure creates, deletes and moves buckets.
func (s *side) structure(o *opened, op Op, at int) string {
	if len(op.Path) == 0 {
		return missing
	}
	parent, name := op.Path[:len(op.Path)-1], op.Path[len(op.Path)-1].Bytes()
	in, ok := o.within(parent, at)
	if !ok {
		return missing
	}
	o.moves++
	switch op.Kind {
	case Create:
		b, err := in.CreateBucket(name)
		return s.made(o, op, at, b, err)
	case Ensure:
		b, err := in.CreateBucketIfNotExists(name)
		return s.made(o, op, at, b, err)
	case Drop:
		o.forget(0)
		return s.errName(in.DeleteBucket(name))
	}
	if _, ok := o.within(op.To, at); !ok {
		return missing
	}
	err := o.tx.MoveBucket(name, o.bucket(parent, at), o.bucket(op.To, at))
	o.forget(0)
	return s.errName(err)
}

func (s *side) made(o *opened, op Op, at int, b Bucket, err error) string {
	if err == nil {
		o.buckets[op.Path.String()] = handle{b, at}
	}
	return s.errName(err)
}

func (s *side) change(b Bucket, op Op) string {
	switch op.Kind {
	case Put:
		return s.errName(b.Put(op.Key.Bytes(), op.Value.Bytes()))
	case PutReader:
		return s.errName(putReader(b, op.Key.Bytes(), op.Value.Bytes()))
	case Load:
		return s.load(b, op)
	case Delete:
		return s.errName(b.Delete(op.Key.Bytes()))
	case DeleteRange:
		return s.errName(b.DeleteRange(op.Key.Bytes(), op.Hi.Bytes()))
	case SetSeq:
		return s.errName(b.SetSequence(uint64(op.N)))
	}
	n, err := b.NextSequence()
	return fmt.Sprint(n, " ", s.errName(err))
}

func putReader(b Bucket, key, value []byte) error {
	if p, ok := native(b).(readerPutter); ok {
		return p.PutReader(key, bytes.NewReader(value), int64(len(value)))
	}
	return b.Put(key, value)
}

func (s *side) load(b Bucket, op Op) string {
	if b.Count() != 0 {
		return "not empty"
	}
	keys := make([][]byte, op.N)
	for i := range keys {
		keys[i] = Blob{Shape: op.Key.Shape, ID: i, Len: op.Key.Len}.Bytes()
	}
	slices.SortFunc(keys, bytes.Compare)
	pairs := func(yield func(k, v []byte) bool) {
		for i, k := range slices.CompactFunc(keys, bytes.Equal) {
			if !yield(k, Value(op.Value.ID+i, op.Value.Len).Bytes()) {
				return
			}
		}
	}
	if l, ok := native(b).(loader); ok {
		return s.errName(l.Load(context.Background(), pairs))
	}
	for k, v := range pairs {
		if err := b.Put(k, v); err != nil {
			return s.errName(err)
		}
	}
	return "ok"
}

func query(b Bucket, op Op) string {
	switch op.Kind {
	case Get:
		return show(b.Get(op.Key.Bytes()))
	case GetMany:
		return getMany(b, op)
	case Seq:
		return fmt.Sprint(b.Sequence())
	case Count:
		return fmt.Sprint(b.Count())
	case CountRange:
		return fmt.Sprint(b.CountRange(op.Key.Bytes(), op.Hi.Bytes()))
	case Rank:
		return fmt.Sprint(b.Rank(op.Key.Bytes()))
	}
	return pair(b.At(uint64(op.N)))
}

func getMany(b Bucket, op Op) string {
	keys := make([][]byte, op.N)
	for i := range keys {
		k := op.Key
		k.ID += i
		keys[i] = k.Bytes()
	}
	got := make([]string, len(keys))
	fn := func(i int, v []byte) { got[i] += show(v) } // twice for one key would show
	if m, ok := native(b).(manyGetter); ok {
		m.GetMany(keys, fn)
	} else {
		for i, k := range keys {
			fn(i, b.Get(k))
		}
	}
	return strings.Join(got, " ")
}

func sequence(b Bucket, op Op) iter.Seq2[[]byte, []byte] {
	switch op.Kind {
	case Backward:
		return b.Backward()
	case Prefix:
		return b.Prefix(op.Key.Bytes())
	case Range:
		return b.Range(op.Key.Bytes(), op.Hi.Bytes())
	}
	return b.All()
}

// listing returns a digest of a sequence or, if verbose, the sequence.
func listing(pairs iter.Seq2[[]byte, []byte], verbose bool) string {
	var d digest
	var all []string
	n := 0
	for k, v := range pairs {
		n++
		d.pair(k, v)
		if verbose {
			all = append(all, pair(k, v))
		}
	}
	if verbose {
		return strings.Join(all, "\n")
	}
	return fmt.Sprintf("%d pairs, digest %x", n, d.sum)
}

func (s *side) cursor(o *opened, op Op, at int) string {
	if op.Kind == Cursors {
		in, ok := o.within(op.Path, at)
		if !ok {
			return missing
		}
		o.cursors[op.N] = &cursor{Cursor: in.Cursor(), at: at, lost: true, moves: o.moves}
		return "ok"
	}
	c := o.cursors[op.N]
	if c == nil {
		return "no such cursor"
	}
	if op.Kind == Remove {
		if c.lost {
			return "on no pair"
		}
		o.moves++
		return s.errName(c.Delete())
	}
	return c.move(op, o.moves)
}

// move moves the cursor. Where it is lost and the bucket may have changed since, Next and Prev
// go to an end.
func (c *cursor) move(op Op, moves int) string {
	var k, v []byte
	astray := c.lost && c.moves != moves
	relative := false
	switch {
	case op.Kind == First || op.Kind == Next && astray:
		k, v = c.First()
	case op.Kind == Last || op.Kind == Prev && astray:
		k, v = c.Last()
	case op.Kind == Seek:
		k, v = c.Seek(op.Key.Bytes())
	case op.Kind == Next:
		k, v = c.Next()
		relative = true
	default:
		k, v = c.Prev()
		relative = true
	}
	if k != nil || !relative { // Next at the last pair stays on that pair
		c.lost, c.moves = k == nil, moves
	}
	return pair(k, v)
}

// walk goes through a bucket by a cursor and changes it on the way.
func (s *side) walk(o *opened, op Op, at int) string {
	b := o.bucket(op.Path, at)
	if b == nil {
		return missing
	}
	o.moves++
	var d digest
	c := b.Cursor()
	n := 0
	for k, v := c.First(); k != nil && n < 5000; k, v = c.Next() {
		n++
		d.pair(k, v)
		if n%max(op.N, 2) != 0 || v == nil {
			continue
		}
		if err := disturb(b, c, op, k); err != nil {
			return fmt.Sprintf("%s at pair %d", s.errName(err), n)
		}
	}
	return fmt.Sprintf("%d pairs, digest %x", n, d.sum)
}

func disturb(b Bucket, c Cursor, op Op, key []byte) error {
	if op.Kind == Sweep {
		return c.Delete()
	}
	return b.Put(append(slices.Clone(key), op.Key.Bytes()...), op.Value.Bytes())
}

// show describes bytes shortly, nil as such.
func show(p []byte) string {
	switch {
	case p == nil:
		return "nil"
	case len(p) <= 40:
		return fmt.Sprintf("%q", p)
	}
	return fmt.Sprintf("%q... (%d bytes, %x)", p[:16], len(p), xxhash.Sum64(p))
}

func pair(k, v []byte) string { return show(k) + " = " + show(v) }
