package compat

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
)

// A program is a sequence of operations that a seed draws one by one; what each gave is a line
// of its record. As long as two stores give the same, the same operations are drawn for both.
//
// It stays within what bbolt defines, or does in one way only:
//
//   - A bucket that the transaction has not changed may be iterated while pairs are deleted
//     through the cursor; in others the cursor seeks again after a deletion.
//   - After deletions a bucket is not walked backwards until the next transaction: bbolt may
//     stop at a leaf that became empty.
//   - A bucket is moved only if the transaction has changed nothing in it, and not into itself:
//     bbolt loses what was changed, and the bucket.
//   - Values are not nil: bbolt returns nil for them in the same transaction, and an empty value
//     in later ones.
//   - A bucket is not used through handles from before it was deleted or moved.
type program[D dbAPI[T], T txAPI[D, T, B, C], B bucketAPI[T, B, C], C cursorAPI[B]] struct {
	*store[D, T, B]
	rnd     *rand.Rand
	dir     string
	record  []string
	db      D
	options settings
	files   int
	tx      T // the write transaction, if any
	readers []T
	changed map[string]bool // buckets the transaction changed, by path
	cut     map[string]bool // buckets it deleted from
	commits int             // that OnCommit told of
}

const maxReaders = 3

// run runs a program of n operations and returns its record.
func run[D dbAPI[T], T txAPI[D, T, B, C], B bucketAPI[T, B, C], C cursorAPI[B]](s *store[D, T, B], seed uint64, n int, dir string) []string {
	p := &program[D, T, B, C]{store: s, rnd: rand.New(rand.NewPCG(seed, 8)), dir: dir}
	p.options.noSync = seed%8 != 0
	p.openFile()
	for range n {
		p.step()
	}
	p.finish()
	return p.record
}

func (p *program[D, T, B, C]) say(format string, args ...any) {
	p.record = append(p.record, fmt.Sprintf(format, args...))
}

func (p *program[D, T, B, C]) path() string { return filepath.Join(p.dir, fmt.Sprint("db", p.files)) }

func (p *program[D, T, B, C]) openFile() {
	db, err := p.open(p.path(), p.options)
	p.db = db
	p.say("open read-only %t: %s", p.options.readOnly, p.name(err))
}

// chance tells whether something that happens once in n times happens now.
func (p *program[D, T, B, C]) chance(n int) bool { return p.rnd.IntN(n) == 0 }

// step does one operation.
func (p *program[D, T, B, C]) step() {
	var none T
	switch {
	case p.tx != none:
		p.write()
	case p.options.readOnly && p.chance(6):
		p.reopen(false)
	default:
		p.idle()
	}
}

// idle does an operation outside write transactions.
func (p *program[D, T, B, C]) idle() {
	switch p.rnd.IntN(16) {
	case 0, 1, 2, 3, 4, 5:
		p.begin()
	case 6, 7:
		p.beginRead()
	case 8, 9, 10:
		p.readHeld()
	case 11:
		p.endRead()
	case 12:
		p.managed()
	case 13:
		p.misuse()
	case 14:
		p.view()
	case 15:
		switch p.rnd.IntN(6) {
		case 0:
			p.reopen(true)
		case 1:
			p.reopen(false)
		case 2:
			p.copyAll()
		case 3:
			p.say("sync: %s", p.name(p.db.Sync()))
		default:
			p.view()
		}
	}
}

func (p *program[D, T, B, C]) begin() {
	tx, err := p.db.Begin(true)
	p.say("begin: %s", p.name(err))
	if err != nil {
		return
	}
	p.tx, p.changed, p.cut = tx, map[string]bool{}, map[string]bool{}
	p.say("writable %t, db %t", tx.Writable(), tx.DB() == p.db)
	if p.chance(3) {
		tx.OnCommit(func() { p.commits++ })
	}
}

func (p *program[D, T, B, C]) beginRead() {
	if len(p.readers) == maxReaders {
		p.endRead()
	}
	tx, err := p.db.Begin(false)
	p.say("begin read: %s", p.name(err))
	if err == nil {
		p.readers = append(p.readers, tx)
	}
}

func (p *program[D, T, B, C]) endRead() {
	if len(p.readers) == 0 {
		return
	}
	i := p.rnd.IntN(len(p.readers))
	tx := p.readers[i]
	p.readers = slices.Delete(p.readers, i, i+1)
	b, _ := p.pick(tx)
	c := tx.Cursor()
	if p.chance(3) {
		p.say("commit read: %s", p.name(tx.Commit()))
	}
	p.say("end read: %s", p.name(tx.Rollback()))
	p.afterEnd(tx, b, c)
}

// afterEnd uses a transaction that has ended.
func (p *program[D, T, B, C]) afterEnd(tx T, b B, c C) {
	var noBucket B
	var noDB D
	p.say("ended: %s %s, id %d, db %t", p.name(tx.Rollback()), p.name(tx.Commit()), tx.ID(), tx.DB() == noDB)
	p.say("ended: next panics with %v", panicOf(func() { c.Next() }))
	p.say("ended: delete at cursor %s", p.name(c.Delete()))
	if b == noBucket {
		return
	}
	_, created := b.CreateBucket([]byte("x"))
	_, ifNot := b.CreateBucketIfNotExists([]byte("x"))
	_, sequence := b.NextSequence()
	p.say("ended: put %s, delete %s, create %s %s, drop %s, sequence %s %s, walk %s %s, move %s",
		p.name(b.Put([]byte("x"), []byte("y"))), p.name(b.Delete([]byte("x"))), p.name(created), p.name(ifNot),
		p.name(b.DeleteBucket([]byte("x"))), p.name(sequence), p.name(b.SetSequence(1)),
		p.name(b.ForEach(nil)), p.name(b.ForEachBucket(nil)), p.name(b.MoveBucket([]byte("x"), b)))
}

func panicOf(fn func()) (r any) {
	defer func() { r = recover() }()
	fn()
	return nil
}

func (p *program[D, T, B, C]) end() {
	var none T
	tx := p.tx
	b, _ := p.pick(tx)
	c := tx.Cursor()
	if p.chance(4) {
		p.say("rollback: %s", p.name(tx.Rollback()))
	} else {
		p.say("commit: %s", p.name(tx.Commit()))
	}
	p.tx = none
	p.say("committed with handler: %d", p.commits)
	p.afterEnd(tx, b, c)
}

// reopen closes and opens the store.
func (p *program[D, T, B, C]) reopen(readOnly bool) {
	for len(p.readers) > 0 {
		p.endRead()
	}
	p.say("close: %s, again: %s, path %q", p.name(p.db.Close()), p.name(p.db.Close()), p.db.Path())
	_, begun := p.db.Begin(p.chance(2))
	p.say("closed: begin %s, view %s", p.name(begun), p.name(p.db.View(func(T) error { return nil })))
	p.options.readOnly = readOnly
	p.openFile()
	p.say("read-only %t", p.db.IsReadOnly())
}

// copyAll compacts the store into a new file and goes on in that.
func (p *program[D, T, B, C]) copyAll() {
	for len(p.readers) > 0 {
		p.endRead()
	}
	if p.options.readOnly {
		return
	}
	old := p.db
	p.files++
	p.openFile()
	limit := int64(p.rnd.IntN(3) * 4000)
	p.say("compact by %d: %s", limit, p.name(p.compact(p.db, old, limit)))
	p.say("close the old: %s, exists %t", p.name(old.Close()), fileExists(p.path()))
	p.dump("compacted")
}

var errOwn = errors.New("the program's own")

// managed runs Update or Batch.
func (p *program[D, T, B, C]) managed() {
	how, update := "update", p.db.Update
	if p.chance(2) {
		how, update = "batch", p.db.Batch
	}
	outcome := p.rnd.IntN(6)
	seed := p.rnd.Uint64()
	fn := func(tx T) error {
		// bbolt's Batch calls fn again after an error, so it must draw the same again.
		own := *p
		own.record, own.rnd = nil, rand.New(rand.NewPCG(seed, 9))
		own.tx, own.changed, own.cut = tx, map[string]bool{}, map[string]bool{}
		for range 3 {
			own.change()
		}
		if outcome < 4 {
			p.record = append(p.record, own.record...)
		}
		switch outcome {
		case 4:
			return errOwn
		case 5:
			panic("the program's own panic")
		}
		return nil
	}
	var err error
	r := panicOf(func() { err = update(fn) })
	p.say("%s: %v, panic %v", how, err == errOwn || err == nil, r)
	if err != errOwn {
		p.say("%s: %s", how, p.name(err))
	}
}

// misuse does what must not be done.
func (p *program[D, T, B, C]) misuse() {
	p.say("commit in view panics with %v", panicOf(func() { p.db.View(func(tx T) error { return tx.Commit() }) }))
	p.say("rollback in view panics with %v", panicOf(func() { p.db.View(func(tx T) error { return tx.Rollback() }) }))
	p.say("view returns %v", p.db.View(func(T) error { return errOwn }))
	p.say("panic in view: %v", panicOf(func() { p.db.View(func(T) error { panic("own") }) }))
	if p.options.readOnly {
		_, err := p.db.Begin(true)
		p.say("begin %s, update %s", p.name(err), p.name(p.db.Update(func(T) error { return nil })))
		return
	}
	p.say("commit in update panics with %v", panicOf(func() { p.db.Update(func(tx T) error { return tx.Commit() }) }))
	p.say("rollback in update panics with %v", panicOf(func() { p.db.Update(func(tx T) error { return tx.Rollback() }) }))
	p.say("empty update: %s", p.name(p.db.Update(func(T) error { return nil })))
}

func (p *program[D, T, B, C]) view() {
	err := p.db.View(func(tx T) error {
		p.look(tx)
		return nil
	})
	p.say("view: %s", p.name(err))
}

func (p *program[D, T, B, C]) readHeld() {
	if len(p.readers) > 0 {
		p.look(p.readers[p.rnd.IntN(len(p.readers))])
	}
}

// look reads in a read transaction, and tries to write.
func (p *program[D, T, B, C]) look(tx T) {
	b, path := p.pick(tx)
	var none B
	if b == none {
		p.names(tx)
		return
	}
	p.read(b, path, true)
	if p.chance(4) {
		p.say("%s has %s", path, p.shape(b))
		p.say("structure: %s", p.inspect(tx))
	}
	if p.chance(3) {
		_, created := b.CreateBucket([]byte("x"))
		_, sequence := b.NextSequence()
		_, top := tx.CreateBucketIfNotExists([]byte("x"))
		p.say("writes in a read transaction: %s %s %s %s %s %s %s", p.name(b.Put([]byte("x"), nil)), p.name(b.Delete([]byte("x"))),
			p.name(created), p.name(sequence), p.name(top), p.name(tx.DeleteBucket([]byte("x"))), p.name(b.SetSequence(3)))
	}
}

// names lists the top-level buckets.
func (p *program[D, T, B, C]) names(tx T) {
	var out []string
	err := tx.ForEach(func(name []byte, b B) error {
		out = append(out, fmt.Sprintf("%s/%d", brief(name), b.Sequence()))
		return nil
	})
	p.say("buckets: %s %v", p.name(err), out)
	c := tx.Cursor()
	k, v := c.First()
	p.say("first bucket %s %t", brief(k), v == nil)
}

// brief shows bytes of any length in a few characters; nil and empty differ.
func brief(b []byte) string {
	switch {
	case b == nil:
		return "nil"
	case len(b) <= 12:
		return fmt.Sprintf("%q", b)
	}
	return fmt.Sprintf("%q+%d#%08x", b[:6], len(b), crc32.ChecksumIEEE(b))
}

// key draws a key or a bucket's name.
func (p *program[D, T, B, C]) key() []byte {
	switch p.rnd.IntN(40) {
	case 0:
		return []byte(strings.Repeat(string(rune('a'+p.rnd.IntN(3))), 200+p.rnd.IntN(3000)))
	case 1:
		return bytes.Repeat([]byte{byte(p.rnd.IntN(256))}, 1+p.rnd.IntN(3))
	}
	return fmt.Appendf(nil, "k%02d", p.rnd.IntN(70))
}

// badKey draws a key that is refused.
func (p *program[D, T, B, C]) badKey() []byte {
	switch p.rnd.IntN(3) {
	case 0:
		return nil
	case 1:
		return []byte{}
	}
	return make([]byte, 32769)
}

func (p *program[D, T, B, C]) value() []byte {
	n := p.rnd.IntN(60)
	switch p.rnd.IntN(12) {
	case 0:
		n = 0
	case 1:
		n = p.rnd.IntN(2000)
	case 2:
		n = p.rnd.IntN(20000)
	}
	v := make([]byte, n)
	for i := range v {
		v[i] = byte(p.rnd.IntN(4) + i)
	}
	return v
}

// pick walks from the top to a bucket and returns it with its path, or no bucket.
func (p *program[D, T, B, C]) pick(tx T) (B, string) {
	var none B
	name := fmt.Appendf(nil, "top%d", p.rnd.IntN(3))
	b, path := tx.Bucket(name), string(name)
	for b != none && p.chance(2) {
		name := p.nestedName(b)
		child := b.Bucket(name)
		if child == none {
			break
		}
		b, path = child, path+"/"+string(name)
	}
	return b, path
}

// nestedName draws the name of a nested bucket, if there are any.
func (p *program[D, T, B, C]) nestedName(b B) []byte {
	var names [][]byte
	b.ForEachBucket(func(k []byte) error {
		names = append(names, bytes.Clone(k))
		return nil
	})
	if len(names) == 0 {
		return p.key()
	}
	return names[p.rnd.IntN(len(names))]
}

// write does an operation in the write transaction.
func (p *program[D, T, B, C]) write() {
	switch p.rnd.IntN(14) {
	case 0:
		p.end()
	case 1:
		p.readHeld()
	case 2, 3:
		b, path := p.pick(p.tx)
		var none B
		if b == none {
			p.names(p.tx)
			return
		}
		p.read(b, path, !p.cut[path])
	default:
		p.change()
	}
}

// change changes something in the write transaction.
func (p *program[D, T, B, C]) change() {
	b, path := p.pick(p.tx)
	var none B
	if b == none || p.chance(25) {
		p.top()
		return
	}
	switch p.rnd.IntN(20) {
	case 0, 1, 2, 3, 4, 5:
		k, v := p.key(), p.value()
		p.say("put %s %s %s: %s", path, brief(k), brief(v), p.name(p.put(b, path, k, v)))
	case 6, 7:
		k := p.key()
		p.cut[path] = true
		p.changed[path] = true
		p.say("delete %s %s: %s", path, brief(k), p.name(b.Delete(k)))
	case 8:
		for i := range 20 + p.rnd.IntN(60) {
			k := fmt.Appendf(nil, "n%03d", i*7%100)
			if err := p.put(b, path, k, p.value()); err != nil {
				p.say("put %s: %s", k, p.name(err))
			}
		}
	case 9, 10:
		p.create(b, path)
	case 11:
		p.drop(b, path)
	case 12:
		p.move(b, path)
	case 13:
		p.sequence(b, path)
	case 14, 15:
		p.deleteWalking(b, path)
	case 16:
		p.deleteSeeking(b, path)
	case 17:
		p.refused(b, path)
	case 18:
		p.slices(b, path)
	case 19:
		p.stopWalking(b, path)
	}
}

func (p *program[D, T, B, C]) put(b B, path string, k, v []byte) error {
	p.changed[path] = true
	return b.Put(k, v)
}

// top creates, deletes or moves a top-level bucket.
func (p *program[D, T, B, C]) top() {
	name := fmt.Appendf(nil, "top%d", p.rnd.IntN(3))
	switch p.rnd.IntN(8) {
	case 0:
		p.forget(string(name))
		p.say("drop %s: %s", name, p.name(p.tx.DeleteBucket(name)))
	case 1:
		_, err := p.tx.CreateBucket(name)
		p.say("create %s: %s", name, p.name(err))
	case 2:
		_, err := p.tx.CreateBucket(nil)
		p.say("create without a name: %s, drop: %s", p.name(err), p.name(p.tx.DeleteBucket([]byte("none"))))
	default:
		b, err := p.tx.CreateBucketIfNotExists(name)
		p.say("create %s if need be: %s", name, p.name(err))
		p.say("the same handle: %t, %t", err != nil || b == p.tx.Bucket(name), err != nil || b.Tx() == p.tx && b.Writable())
	}
}

func (p *program[D, T, B, C]) create(b B, path string) {
	k := p.key()
	p.changed[path] = true
	var c B
	var err error
	if p.chance(2) {
		c, err = b.CreateBucket(k)
	} else {
		c, err = b.CreateBucketIfNotExists(k)
	}
	p.say("create %s/%s: %s", path, brief(k), p.name(err))
	if err == nil {
		below := path + "/" + string(k)
		p.say("put in it: %s", p.name(p.put(c, below, p.key(), p.value())))
		p.say("the same handle: %t", c == b.Bucket(k))
	}
}

// forget takes a bucket and all below it out of the books.
func (p *program[D, T, B, C]) forget(path string) {
	for _, set := range []map[string]bool{p.changed, p.cut} {
		for q := range set {
			if q == path || strings.HasPrefix(q, path+"/") {
				delete(set, q)
			}
		}
	}
}

func (p *program[D, T, B, C]) drop(b B, path string) {
	k := p.nestedName(b)
	err := b.DeleteBucket(k)
	p.say("drop %s/%s: %s", path, brief(k), p.name(err))
	p.changed[path], p.cut[path] = true, true
	if err == nil {
		p.forget(path + "/" + string(k))
	}
}

// touched tells whether the transaction changed a bucket or one below it.
func (p *program[D, T, B, C]) touched(path string) bool {
	for q := range p.changed {
		if q == path || strings.HasPrefix(q, path+"/") {
			return true
		}
	}
	return false
}

func (p *program[D, T, B, C]) move(b B, path string) {
	dst, to := p.pick(p.tx)
	k := p.nestedName(b)
	below := path + "/" + string(k)
	if p.touched(below) || to == below || strings.HasPrefix(to, below+"/") {
		return
	}
	var err error
	if isNone(dst) || p.chance(2) {
		err = p.tx.MoveBucket(k, b, dst)
	} else {
		err = b.MoveBucket(k, dst)
	}
	p.say("move %s to %s: %s", brief([]byte(below)), brief([]byte(to)), p.name(err))
	p.changed[path], p.changed[to] = true, true
	if err == nil {
		p.cut[path] = true
		p.changed[to+"/"+string(k)] = true // so that it is not moved again
	}
}

func (p *program[D, T, B, C]) sequence(b B, path string) {
	p.changed[path] = true
	if p.chance(4) {
		p.say("set sequence of %s: %s", path, p.name(b.SetSequence(p.rnd.Uint64())))
	}
	n, err := b.NextSequence()
	p.say("sequence of %s: %d %s, %d", path, n, p.name(err), b.Sequence())
}

// deleteWalking deletes some of the pairs that a cursor comes by.
func (p *program[D, T, B, C]) deleteWalking(b B, path string) {
	if p.changed[path] {
		p.deleteSeeking(b, path)
		return
	}
	c := b.Cursor()
	p.say("cursor of the bucket: %t", c.Bucket() == b)
	k, v := c.First()
	if p.chance(2) {
		k, v = c.Seek(p.key())
	}
	var seen []string
	for n := 0; k != nil && n < 80; n++ {
		line := brief(k) + "=" + brief(v)
		if p.chance(2) {
			line += " " + p.name(c.Delete())
		}
		seen = append(seen, line)
		k, v = c.Next()
	}
	p.changed[path], p.cut[path] = true, true
	p.say("walk and delete %s: %v", path, seen)
}

// deleteSeeking deletes pairs and seeks again after each.
func (p *program[D, T, B, C]) deleteSeeking(b B, path string) {
	c := b.Cursor()
	var seen []string
	k, v := c.Seek(p.key())
	for n := 0; k != nil && n < 10; n++ {
		err := c.Delete()
		seen = append(seen, brief(k)+"="+brief(v)+" "+p.name(err))
		at := bytes.Clone(k)
		k, v = c.Seek(at)
		if err != nil {
			k, v = c.Next()
		}
	}
	p.changed[path], p.cut[path] = true, true
	p.say("delete and seek %s: %v", path, seen)
}

// refused does what a bucket refuses.
func (p *program[D, T, B, C]) refused(b B, path string) {
	k := p.badKey()
	nested := p.nestedName(b)
	whole := !p.cut[path] // else bbolt may look for an empty name in an empty leaf
	p.changed[path], p.cut[path] = true, true
	p.say("put %d: %s, delete: %s", len(k), p.name(b.Put(k, []byte("v"))), p.name(b.Delete(k)))
	p.say("get a bucket: %s, put over it: %s, delete it: %s", brief(b.Get(nested)), p.name(b.Put(nested, []byte("v"))), p.name(b.Delete(nested)))
	if len(k) == 0 && whole {
		_, err := b.CreateBucket(k)
		_, ifNot := b.CreateBucketIfNotExists(k)
		p.say("create without a name: %s %s, drop: %s", p.name(err), p.name(ifNot), p.name(b.DeleteBucket(k)))
		p.say("bucket without a name: %t, get %s", isNone(b.Bucket(k)), brief(b.Get(k)))
	}
	pair, _ := b.Cursor().First()
	pair = bytes.Clone(pair)
	if pair != nil && b.Get(pair) != nil {
		_, err := b.CreateBucket(pair)
		_, ifNot := b.CreateBucketIfNotExists(pair)
		p.say("bucket over a pair: %s %s %s %s", p.name(err), p.name(ifNot), p.name(b.DeleteBucket(pair)), p.name(b.MoveBucket(pair, b)))
	}
}

func isNone[B comparable](b B) bool {
	var none B
	return b == none
}

// slices holds on to what was returned while other things change.
func (p *program[D, T, B, C]) slices(b B, path string) {
	k := p.key()
	if b.Bucket(k) != *new(B) {
		return
	}
	before := b.Get(k)
	was := bytes.Clone(before)
	ck, cv := b.Cursor().First()
	wasK, wasV := bytes.Clone(ck), bytes.Clone(cv)
	for range 5 {
		p.put(b, path, fmt.Appendf(nil, "s%d", p.rnd.IntN(20)), p.value())
	}
	p.say("put %s again: %s", brief(k), p.name(p.put(b, path, k, p.value())))
	p.say("slices intact: %t", bytes.Equal(before, was) && bytes.Equal(ck, wasK) && bytes.Equal(cv, wasV))
}

// stopWalking ends walks with an error.
func (p *program[D, T, B, C]) stopWalking(b B, path string) {
	n := 0
	err := b.ForEach(func(k, v []byte) error {
		if n++; n > 3 {
			return errOwn
		}
		return nil
	})
	p.say("walk %s: stopped %t after %d", path, err == errOwn, n)
	err = b.ForEachBucket(func(k []byte) error { return errOwn })
	p.say("walk buckets of %s: stopped %t", path, err == errOwn)
}

// read reads a bucket in one of many ways, forwards only unless back is set.
func (p *program[D, T, B, C]) read(b B, path string, back bool) {
	switch p.rnd.IntN(6) {
	case 0, 1:
		k := p.key()
		p.say("get %s %s: %s, bucket %t", path, brief(k), brief(b.Get(k)), b.Bucket(k) != *new(B))
	case 2:
		p.walk(b, path)
	case 3:
		k, v := b.Cursor().Seek(p.key())
		p.say("seek in %s: %s=%s", path, brief(k), brief(v))
	case 4:
		if back {
			p.wander(b, path)
			return
		}
		p.walk(b, path)
	case 5:
		var names []string
		err := b.ForEachBucket(func(k []byte) error {
			names = append(names, brief(k))
			return nil
		})
		p.say("buckets of %s: %s %v, sequence %d", path, p.name(err), names, b.Sequence())
	}
}

func (p *program[D, T, B, C]) walk(b B, path string) {
	sum := crc32.NewIEEE()
	n := 0
	err := b.ForEach(func(k, v []byte) error {
		n++
		fmt.Fprintf(sum, "%d %s %t %s;", len(k), k, v == nil, v)
		return nil
	})
	p.say("walk %s: %s %d %08x", path, p.name(err), n, sum.Sum32())
}

// wander moves a cursor to and fro, past both ends too.
func (p *program[D, T, B, C]) wander(b B, path string) {
	c := b.Cursor()
	var seen []string
	for i := range 12 {
		var k, v []byte
		how := p.rnd.IntN(8)
		if i == 0 {
			how = p.rnd.IntN(3) // from nowhere there is nowhere to go
		}
		switch how {
		case 0:
			k, v = c.First()
		case 1:
			k, v = c.Last()
		case 2:
			k, v = c.Seek(p.key())
		case 3, 4, 5:
			k, v = c.Next()
		default:
			k, v = c.Prev()
		}
		seen = append(seen, fmt.Sprintf("%d:%s=%s", how, brief(k), brief(v)))
	}
	p.say("wander in %s: %v", path, seen)
}

// dump records all that is in the store.
func (p *program[D, T, B, C]) dump(why string) {
	err := p.db.View(func(tx T) error {
		sum := crc32.NewIEEE()
		err := tx.ForEach(func(name []byte, b B) error {
			fmt.Fprintf(sum, "%s %d{", name, b.Sequence())
			return p.dumpBucket(sum, b)
		})
		p.say("%s: %s %08x, check %v", why, p.name(err), sum.Sum32(), p.check(tx))
		return nil
	})
	p.say("%s: %s", why, p.name(err))
}

func (p *program[D, T, B, C]) dumpBucket(sum interface{ Write([]byte) (int, error) }, b B) error {
	err := b.ForEach(func(k, v []byte) error {
		if v != nil {
			fmt.Fprintf(sum, "%d %s=%s;", len(k), k, v)
			return nil
		}
		c := b.Bucket(k)
		fmt.Fprintf(sum, "%d %s %d{", len(k), k, c.Sequence())
		return p.dumpBucket(sum, c)
	})
	fmt.Fprint(sum, "}")
	return err
}

// finish ends all transactions and compares what is in the store, before and after it is
// opened again.
func (p *program[D, T, B, C]) finish() {
	if !isNone(p.tx) {
		p.end()
	}
	for len(p.readers) > 0 {
		p.endRead()
	}
	p.dump("end")
	p.reopen(true)
	p.dump("opened again")
	p.say("close: %s", p.name(p.db.Close()))
}
