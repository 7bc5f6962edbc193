package folio

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"
)

// CheckOptions are the options of Tx.CheckContext.
type CheckOptions struct {
	// Progress, if not nil, is called now and then with the pages visited and the pages of
	// the state, by the goroutine that checks. A check of a write transaction has none.
	Progress func(done, total int64)
}

// Check verifies the state the transaction sees by walking all of it: checksums, structure,
// the order and bounds of keys, levels, births, counts, the metas, the free log, and that each
// page is in use once, or free, or waiting to be. Each finding is sent as a *CorruptError, or
// another error if the file cannot be read; the channel is closed at the end and must be read
// until then. The transaction must stay open meanwhile.
func (tx *Tx) Check() <-chan error { return tx.CheckContext(context.Background(), CheckOptions{}) }

// CheckContext is Check with options; it ends early when ctx does, with the context's error as
// the last finding.
func (tx *Tx) CheckContext(ctx context.Context, opts CheckOptions) <-chan error {
	if tx.ended.Load() {
		return closedWith(ErrTxClosed)
	}
	if tx.writable {
		// The tree is the transaction's own and must not change while it is walked.
		var found []error
		tx.checkSync(ctx, opts, func(err error) { found = append(found, err) })
		return closedWith(found...)
	}
	ch := make(chan error, 16)
	go func() {
		defer close(ch)
		tx.checkSync(ctx, opts, func(err error) { ch <- err })
	}()
	return ch
}

func closedWith(errs ...error) <-chan error {
	ch := make(chan error, len(errs))
	for _, err := range errs {
		ch <- err
	}
	close(ch)
	return ch
}

// A checker is one check under way.
type checker struct {
	tx     *Tx
	db     *DB
	ctx    context.Context
	opts   CheckOptions
	report func(error)
	visit  func(r run, p page) // if not nil, sees what is in use; p is nil for an extent
	used   []uint64            // a bit for each page that is in use
	sums   []uint64            // if not nil, a sum over each sumPages pages that are in use
	nested []nestedRoot
	hwm    uint32
	done   *atomic.Int64 // pages claimed
	forked bool          // another goroutine than check's

	buffers *checkBuffers
}

// checkBuffers are what one goroutine uses again for every leaf.
type checkBuffers struct {
	leaf page
	keys [][]byte
}

// fork returns a checker for another goroutine, whose findings go to found.
func (c *checker) fork(found *[]error) *checker {
	f := *c
	f.forked, f.nested = true, nil
	f.report = func(err error) { *found = append(*found, err) }
	return &f
}

// A nestedRoot is a bucket that is still to be checked. Buckets may nest deeper, in a damaged
// file, than a stack would bear.
type nestedRoot struct {
	root  ref
	at    *place
	birth uint64 // of the page that its header stands in
}

// A place is a bucket on the way to what is being checked.
type place struct {
	up   *place
	name string
}

// String returns the path for a finding: the names of the innermost buckets.
func (at *place) String() string {
	const most = 8
	var names []string
	for ; at != nil; at = at.up {
		if len(names) == most {
			names = append(names, "...")
			break
		}
		names = append(names, strconv.Quote(at.name))
	}
	if len(names) == 0 {
		return ""
	}
	slices.Reverse(names)
	return "bucket " + strings.Join(names, ": ") + ": "
}

// sumPages is the number of pages that share a sum, and a word of the bitmap.
const sumPages = 64

func newChecker(tx *Tx, ctx context.Context, opts CheckOptions) *checker {
	return &checker{tx: tx, db: tx.db, ctx: ctx, opts: opts, done: new(atomic.Int64), buffers: new(checkBuffers)}
}

func (tx *Tx) checkSync(ctx context.Context, opts CheckOptions, report func(error)) {
	c := newChecker(tx, ctx, opts)
	c.report = report
	if err := c.run(); err != nil {
		report(err)
	}
}

func (c *checker) run() (err error) {
	defer c.tx.leave(c.tx.enter(), &err)
	if c.tx.writable {
		if err := c.tx.Err(); err != nil {
			return err
		}
		if err := c.tx.root.writeBack(); err != nil {
			return err
		}
	}
	c.slots()
	if err := c.walk(); err != nil {
		return err
	}
	c.space()
	return nil
}

// walk visits the whole tree.
func (c *checker) walk() error {
	c.cover(c.tx.hwm)
	c.bucket(c.tx.root.root, nil, mask48)
	for len(c.nested) > 0 && c.ctx.Err() == nil {
		last := len(c.nested) - 1
		n := c.nested[last]
		c.nested = c.nested[:last]
		c.tree(n.root, n.at, parent{-1, n.birth}, nil, nil)
	}
	return c.ctx.Err()
}

func (c *checker) isUsed(pgno uint32) bool { return c.used[pgno/64]>>(pgno%64)&1 != 0 }

// sum adds adjacent pages from pgno on, which were verified, to their sums.
func (c *checker) sum(pgno uint32, b []byte) {
	if c.sums == nil {
		return
	}
	for ; len(b) > 0; pgno, b = pgno+1, b[c.db.pageSize:] {
		atomic.AddUint64(&c.sums[pgno/sumPages], checksum(c.db.seed, pgno, 0, b[:c.db.pageSize]))
	}
}

// find reports damage of a page, and the bucket where it is.
func (c *checker) find(pgno uint32, at *place, format string, args ...any) {
	c.report(&CorruptError{Pgno: pgno, Reason: at.String() + fmt.Sprintf(format, args...)})
}

// mark notes that a run of pages is in use and tells whether it was not yet.
func (c *checker) mark(pgno, n uint32, at *place) bool {
	if pgno < metaPages || uint64(pgno)+uint64(n) > uint64(c.hwm) {
		c.find(pgno, at, "%d pages referred to, outside the %d pages of the state", n, c.hwm)
		return false
	}
	for i := pgno; i < pgno+n; i++ {
		bit := uint64(1) << (i % 64)
		if atomic.OrUint64(&c.used[i/64], bit)&bit != 0 {
			c.find(i, at, "is in use twice")
			return false
		}
	}
	if c.done.Add(int64(n))%1024 < int64(n) && !c.forked {
		c.tell()
	}
	return true
}

// tell calls the user's Progress. In a write transaction it cannot: the mutex is held.
func (c *checker) tell() {
	if c.opts.Progress == nil || c.tx.writable {
		return
	}
	c.tx.foreign = true
	c.opts.Progress(c.done.Load(), int64(c.hwm))
	c.tx.foreign = false
}

// slots checks the metas. A slot whose meta is not whole may be a commit that a crash cut
// short, unless the store was closed properly or just one bit is wrong.
func (c *checker) slots() {
	durable, flight := c.durableSlot()
	slots, err := readSlots(c.db.file)
	if err != nil {
		c.report(err)
		return
	}
	now, writing := c.durableSlot()
	if now != durable {
		return // they changed while being read
	}
	flight = flight || writing
	for i, s := range slots {
		if i != durable && flight {
			continue // it is being written
		}
		other := slots[1-i]
		closed := other.err == nil && other.meta.flags&metaClean != 0
		if s.err != nil && (i == durable || closed || c.oneBitWrong(i)) {
			c.find(uint32(i), nil, "meta: %v", s.err)
			continue
		}
		rest := make([]byte, c.db.pageSize-metaSize)
		if err := readFull(c.db.file, rest, int64(i)<<c.db.shift+metaSize); err != nil {
			c.report(err)
		} else if len(bytes.Trim(rest, "\x00")) > 0 {
			c.find(uint32(i), nil, "meta: bytes after it are not zero")
		}
	}
}

// durableSlot returns the slot of the durable meta, and whether the other is being written.
func (c *checker) durableSlot() (int, bool) {
	c.db.lockUnless(c.tx.writable)
	defer c.db.unlockUnless(c.tx.writable)
	return c.db.slot, c.db.flushing || c.db.flight != 0
}

func (db *DB) lockUnless(held bool) {
	if !held {
		db.mu.Lock()
	}
}

func (db *DB) unlockUnless(held bool) {
	if !held {
		db.mu.Unlock()
	}
}

// oneBitWrong tells whether a meta slot would be whole with one bit changed.
func (c *checker) oneBitWrong(slot int) bool {
	b := make([]byte, metaSize)
	if readFull(c.db.file, b, int64(slot)<<c.db.shift) != nil {
		return false
	}
	for i := range b {
		for bit := range 8 {
			b[i] ^= 1 << bit
			if le.Uint64(b[metaSumOff:]) == xxhash.Sum64(b[:metaSumOff]) {
				return true
			}
			b[i] ^= 1 << bit
		}
	}
	return false
}

// A parent is what a child must agree with.
type parent struct {
	level int // that the child must have, -1: any
	birth uint64
}

// bucket has the bucket with this root checked, whose header stands in a page of this birth.
func (c *checker) bucket(root ref, at *place, birth uint64) {
	if c.claim(root, at) {
		c.nested = append(c.nested, nestedRoot{root, at, birth})
	}
}

// claim marks the page of r and tells whether it is to be visited.
func (c *checker) claim(r ref, at *place) bool {
	return r.dirty() || r.pgno != 0 && c.mark(r.pgno, 1, at)
}

// tree checks the page of r, which is claimed, and all of its bucket below it, where keys must
// be in [lo, hi).
func (c *checker) tree(r ref, at *place, up parent, lo, hi []byte) {
	if c.ctx.Err() != nil {
		return
	}
	p, birth := c.read(r, at, up.level)
	if p == nil {
		return
	}
	switch {
	case up.level >= 0 && p.level() != up.level:
		c.find(r.pgno, at, "level %d below a page of level %d", p.level(), up.level+1)
		return
	case birth > up.birth:
		c.find(r.pgno, at, "birth %d is younger than its parent's, %d", birth, up.birth)
	}
	if n := p.total(); n != r.count {
		c.find(r.pgno, at, "%d entries below, the parent says %d", n, r.count)
	}
	if p.count() == 0 && !c.tx.writable {
		c.find(r.pgno, at, "has no entries")
	}
	c.cells(r.pgno, p, at)
	c.entries(r.pgno, p, at, parent{p.level() - 1, birth}, lo, hi)
}

// read returns the page of r if it is sound enough to look into.
func (c *checker) read(r ref, at *place, level int) (page, uint64) {
	if r.dirty() {
		if !c.tx.writable {
			c.find(0, at, "refers to a page that is not in the file, %#x", r.pgno)
			return nil, 0
		}
		return c.db.dirty.at(r.pgno).buf, mask48
	}
	p := c.buffer(level)
	if err := c.fetch(r, p); err != nil {
		c.damage(err, at)
		return nil, 0
	}
	c.sum(r.pgno, p)
	if c.visit != nil {
		c.visit(run{r.pgno, 1}, p)
	}
	return p, r.birth
}

// buffer returns memory for a page of this level. That of a leaf is used again for the next.
func (c *checker) buffer(level int) page {
	if level != 0 {
		return make(page, c.db.pageSize)
	}
	if c.buffers.leaf == nil {
		c.buffers.leaf = make(page, c.db.pageSize)
	}
	return c.buffers.leaf
}

// fetch reads the page of r into p and returns why it is not sound enough to look into.
func (c *checker) fetch(r ref, p page) error {
	db := c.db
	if kept := c.tx.m.keptPage(r); kept != nil {
		copy(p, kept)
	} else if err := readFull(db.file, p, int64(r.pgno)<<db.shift); err != nil {
		return corruptf(r.pgno, "cannot be read: %v", err)
	}
	if err := verifyPage(db.seed, r, p); err != nil {
		return err
	}
	if err := p.validate(); err != nil {
		return corruptf(r.pgno, "%v", err)
	}
	return nil
}

// damage reports an error of a page with its bucket.
func (c *checker) damage(err error, at *place) {
	var e *CorruptError
	if errors.As(err, &e) {
		c.find(e.Pgno, at, "%s", e.Reason)
		return
	}
	c.report(err)
}

// cells checks that the garbage of a page is what its cells leave; validate has seen that they
// do not overlap.
func (c *checker) cells(pgno uint32, p page, at *place) {
	size := 0
	for i := range p.count() {
		size += p.cellSize(i)
	}
	if want := len(p) - p.cellStart() - size; p.garbage() != want {
		c.find(pgno, at, "%d garbage bytes, the header says %d", want, p.garbage())
	}
}

// entries checks the keys of a page and what they lead to.
func (c *checker) entries(pgno uint32, p page, at *place, up parent, lo, hi []byte) {
	prev := lo
	first := 0
	if p.level() > 0 {
		first = 1
	}
	keys := c.keysOf(p)
	for i := first; i < p.count(); i++ {
		key, err := c.key(p, i, at, up)
		if err != nil {
			c.damage(err, at)
			return
		}
		keys[i] = key
		switch {
		case i == first && p.level() == 0 && lo != nil && bytes.Compare(key, lo) < 0,
			i == first && p.level() > 0 && lo != nil && bytes.Compare(key, lo) <= 0:
			c.find(pgno, at, "key %q in slot %d is below the page's separator", clip(key), i)
		case i > first && bytes.Compare(key, prev) <= 0:
			c.find(pgno, at, "key %q in slot %d is not above the one before it", clip(key), i)
		case !below(key, hi):
			c.find(pgno, at, "key %q in slot %d is not below the next separator", clip(key), i)
		}
		c.slotOf(pgno, p, i, key, at)
		prev = key
	}
	if p.level() > 0 {
		c.children(p, keys, at, up, lo, hi)
		return
	}
	for i := range p.count() {
		c.payload(pgno, p, i, keys[i], at, up)
	}
	c.buffers.keys = keys[:0]
}

// keysOf returns room for the keys of a page.
func (c *checker) keysOf(p page) [][]byte {
	keys := c.buffers.keys
	c.buffers.keys = nil // an inline bucket is checked while its leaf is
	if p.level() > 0 || cap(keys) < p.count() {
		return make([][]byte, p.count())
	}
	return keys[:p.count()]
}

// children checks what is below a branch with these keys.
func (c *checker) children(p page, keys [][]byte, at *place, up parent, lo, hi []byte) {
	bounds := func(i int) (l, h []byte) {
		l, h = lo, hi
		if i > 0 {
			l = keys[i]
		}
		if i+1 < p.count() {
			h = keys[i+1]
		}
		return l, h
	}
	if p.level() == 2 && !c.tx.writable && c.visit == nil {
		c.fanOut(p, at, up, bounds)
		return
	}
	for i := range p.count() {
		if r := p.ref(i); c.claim(r, at) {
			l, h := bounds(i)
			c.tree(r, at, up, l, h)
		}
	}
}

// A subtree is a child of a branch that is checked by another goroutine.
type subtree struct {
	c     *checker
	found []error
	done  chan struct{}
}

// fanOut checks the children of a branch of level 2 by as many goroutines as there are
// processors. Findings come in the order of the children all the same.
func (c *checker) fanOut(p page, at *place, up parent, bounds func(i int) (lo, hi []byte)) {
	all := make([]subtree, p.count())
	for i := range all {
		all[i] = subtree{c: c.fork(&all[i].found), done: make(chan struct{})}
	}
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(all)) {
		workers.Go(func() {
			var own checkBuffers
			for i := int(next.Add(1)) - 1; i < len(all); i = int(next.Add(1)) - 1 {
				all[i].c.buffers = &own
				if r := p.ref(i); all[i].c.claim(r, at) {
					lo, hi := bounds(i)
					all[i].c.tree(r, at, up, lo, hi)
				}
				close(all[i].done)
			}
		})
	}
	defer workers.Wait() // also when a report panics: nobody reads the file when check has ended
	for i := range all {
		<-all[i].done
		for _, err := range all[i].found {
			c.report(err)
		}
		c.nested = append(c.nested, all[i].c.nested...)
		c.tell()
	}
}

// slotOf checks that prefix and head are those of the key.
func (c *checker) slotOf(pgno uint32, p page, i int, key []byte, at *place) {
	pl := p.prefixLen()
	if len(key) < pl || !bytes.Equal(key[:pl], p[headerSize:headerSize+pl]) {
		c.find(pgno, at, "key %q in slot %d lacks the page's prefix", clip(key), i)
		return
	}
	if h := le.Uint32(p.slot(i)); h != head(key[pl:]) {
		c.find(pgno, at, "head of slot %d is %#x, its key's is %#x", i, h, head(key[pl:]))
	}
}

func clip(key []byte) []byte { return key[:min(len(key), 40)] }

// key returns the whole key in slot i and checks the extent of a long one.
func (c *checker) key(p page, i int, at *place, up parent) ([]byte, error) {
	if !p.isLong(i) {
		return p.storedKey(i), nil
	}
	inline, e := p.longKey(i)
	var key []byte
	if !c.extent(e, at, up, func(b []byte) { key = append(key, b...) }) {
		return nil, corruptf(e.pgno, "the key in slot %d of page %d is lost", i, p.pgno())
	}
	key = key[:e.length]
	if !bytes.HasPrefix(key, inline) {
		return nil, corruptf(e.pgno, "the long key in slot %d of page %d begins with other bytes", i, p.pgno())
	}
	return key, nil
}

// extent checks the pages of an extent and tells whether they are sound. visit, if not nil,
// sees them.
func (c *checker) extent(e extent, at *place, up parent, visit func(b []byte)) bool {
	if e.birth > up.birth {
		c.find(e.pgno, at, "birth %d of the extent is younger than its page's, %d", e.birth, up.birth)
	}
	if !c.mark(e.pgno, e.pages(c.db.pageSize), at) {
		return false
	}
	if c.visit != nil {
		c.visit(run{e.pgno, e.pages(c.db.pageSize)}, nil)
	}
	err := c.db.verifyExtent(c.db.file, e, func(pgno uint32, b []byte) error {
		c.sum(pgno, b)
		if visit != nil {
			visit(b)
		}
		return c.ctx.Err()
	})
	if err != nil && c.ctx.Err() == nil {
		c.damage(err, at)
	}
	return err == nil
}

// payload checks what the leaf cell in slot i, with this key, holds.
func (c *checker) payload(pgno uint32, p page, i int, key []byte, at *place, up parent) {
	switch flags, v := p.payload(i); flags {
	case cellExtent:
		c.extent(getExtent(v), at, up, nil)
	case cellBucket:
		name := &place{at, string(clip(key))}
		var b Bucket
		if err := b.setHeader(v); err != nil {
			c.find(pgno, name, "%v", err)
			return
		}
		if b.inline == nil {
			c.bucket(b.root, name, up.birth)
			if b.root.pgno == 0 && b.root.count != 0 {
				c.find(pgno, name, "an empty bucket with a count of %d", b.root.count)
			}
			return
		}
		if uint64(b.inline.count()) != b.root.count {
			c.find(pgno, name, "%d entries in the inline bucket, the header says %d", b.inline.count(), b.root.count)
		}
		c.cells(pgno, b.inline, name)
		c.entries(pgno, b.inline, name, up, nil, nil)
	}
}

// An account is where the writer says pages are, besides in the tree.
type account struct {
	txid   uint64 // of the newest sealed state
	free   []run
	others []run // pending, freed by transactions not sealed, of the free log
	allocs []run // allocated by transactions not sealed
	hwm    uint32
}

// account takes the books. It is called with mu.
func (db *DB) account() account {
	a := account{txid: db.head.txid, free: db.alloc.free.runs(), hwm: db.alloc.hwm}
	for _, waiting := range db.alloc.pending {
		for _, p := range waiting {
			a.others = append(a.others, p.run)
		}
	}
	for _, r := range db.log.chain {
		a.others = append(a.others, run{r.pgno, 1})
	}
	if db.redo.at.n > 0 {
		a.others = append(a.others, db.redo.at)
	}
	a.allocs = slices.Clone(db.group.allocs)
	if tx := db.active; tx != nil {
		for _, s := range tx.w.scopes {
			a.allocs = append(a.allocs, s.allocs.runs()...)
		}
	}
	return a
}

// space checks that pages in use, free and pending partition the file.
func (c *checker) space() {
	c.db.lockUnless(c.tx.writable)
	a := c.db.account()
	var freed []freedRun
	if c.tx.writable {
		freed = append(freed, c.db.group.freed...)
		for _, s := range c.tx.w.scopes {
			freed = append(freed, s.freed...)
		}
	}
	durable := c.db.durable
	c.db.unlockUnless(c.tx.writable)
	switch {
	case c.db.noBooks: // logOnDisk says why
	case c.tx.writable:
		for _, f := range freed {
			a.others = append(a.others, f.run)
		}
		c.partition(a, nil)
	case a.txid == c.tx.snap.txid:
		c.partition(a, a.allocs)
	default:
		c.disjoint(a.free)
	}
	if !c.tx.writable && durable.txid == c.tx.snap.txid {
		c.logOnDisk(durable)
	}
}

// partition checks that every page is in use, or in one of the books, once.
func (c *checker) partition(a account, allocs []run) {
	have := slices.Clone(c.used)
	for len(have) < int(a.hwm/64)+1 {
		have = append(have, 0)
	}
	for _, rs := range [][]run{a.free, a.others, allocs} {
		for _, r := range rs {
			for i := r.start; i < r.end(); i++ {
				if i >= a.hwm {
					c.find(i, nil, "in the books, past the high-water mark %d", a.hwm)
					return
				}
				if have[i/64]>>(i%64)&1 != 0 {
					c.find(i, nil, "is in use, and free or waiting to be")
				}
				have[i/64] |= 1 << (i % 64)
			}
		}
	}
	for i := uint32(metaPages); i < a.hwm; i++ {
		if have[i/64]>>(i%64)&1 == 0 {
			c.find(i, nil, "is neither in use nor free")
		}
	}
}

// disjoint checks that no free page is in use.
func (c *checker) disjoint(free []run) {
	for _, r := range free {
		for i := r.start; i < min(r.end(), c.hwm); i++ {
			if c.isUsed(i) {
				c.find(i, nil, "is in use by an older state, and free")
			}
		}
	}
}

// cover raises the high-water mark: the log of a state that was sealed before it was flushed
// lies behind the pages that its readers see.
func (c *checker) cover(hwm uint32) {
	c.hwm = max(c.hwm, hwm)
	if n := int(c.hwm/64) + 1; n > len(c.used) {
		c.used = append(c.used, make([]uint64, n-len(c.used))...)
	}
}

// logOnDisk checks that the free log of the durable state says that exactly what it does not
// reach is free.
func (c *checker) logOnDisk(s *snapshot) {
	c.cover(s.hwm)
	m := meta{log: s.log, hwm: s.hwm}
	pages, err := c.db.readLog(m)
	if err != nil {
		c.damage(err, nil)
		return
	}
	for _, l := range pages {
		if !c.mark(l.r.pgno, 1, nil) {
			return
		}
	}
	free, _, err := c.db.replayLog(m)
	if err != nil {
		c.damage(err, nil)
		return
	}
	books := account{free: free.runs(), hwm: s.hwm}
	if redo := runOf(s.redo); redo.n > 0 {
		books.others = []run{redo}
	}
	c.partition(books, nil)
}
