package folio

import (
	"math"
	"math/bits"
	"slices"
	"time"
)

// Stats are figures of an open store. Counts are since Open.
type Stats struct {
	TxN         int       // read transactions begun
	OpenTxN     int       // read transactions open now
	WriteBeginN int       // write transactions begun
	WriteTxN    int       // write transactions committed, those that changed nothing included
	RollbackN   int       // write transactions rolled back, failed commits included
	SealN       int       // times that changed pages got their places, for one or more transactions
	FlushN      int       // flushes
	GroupSize   Histogram // transactions sealed together
	FlushTime   Histogram // microseconds from the write of a meta to the end of its flush

	PageN        int   // pages up to the high-water mark, the two meta pages included
	DataPageN    int   // pages of trees and values, those that transactions under way wrote included
	FreeLogPageN int   // pages of the list of free pages
	FreePageN    int   // pages free for use
	PendingPageN int   // pages that will be free when no reader or flush needs them
	KeptPageN    int   // pages of Deferred transactions that are in memory until the next flush
	FileSize     int64 // bytes

	BytesWritten int64      // bytes written to the file: all of Written
	Written      PageCounts // pages written, by kind

	Txid        int // the newest committed transaction
	DurableTxid int // the newest that is durable
	OldestTxid  int // the oldest state that a read transaction holds; 0: none

	// OldestAge is how long ago the oldest state held was replaced by a newer one, 0 if it was
	// not: its reader has been open for at least that long. With Options.TraceReaders it is how
	// long the reader has been open.
	OldestAge time.Duration

	// OldestBytes are the bytes of pages replaced since that the oldest state held still needs.
	OldestBytes int64
}

// PageCounts are numbers of pages by kind.
type PageCounts struct {
	Meta    int64
	Branch  int64
	Leaf    int64
	Extent  int64 // of large values and long keys
	FreeLog int64 // of the list of free pages
	Ahead   int64 // of zeros, room ahead of need
	Redo    int64 // of the redo log, which is written in blocks of 4 KiB: as many bytes, rounded up
}

func (c PageCounts) sum() int64 {
	return c.Meta + c.Branch + c.Leaf + c.Extent + c.FreeLog + c.Ahead + c.Redo
}

// add counts a page of a tree or of the free log.
func (c *PageCounts) add(p page) {
	switch p.kind() {
	case kindLeaf:
		c.Leaf++
	case kindBranch:
		c.Branch++
	case kindFreeLog:
		c.FreeLog++
	}
}

// A Histogram counts values by their size.
type Histogram struct {
	// Counts[0] are zeros, Counts[i] the values from 2^(i-1) up to 2^i - 1. The last has all
	// that are larger, too.
	Counts [32]int
	Sum    int64 // of all values
	Max    int64 // the largest value
}

func (h *Histogram) add(v int64) {
	h.Counts[min(bits.Len64(uint64(v)), len(h.Counts)-1)]++
	h.Sum += v
	h.Max = max(h.Max, v)
}

// N returns the number of values.
func (h Histogram) N() int {
	n := 0
	for _, c := range h.Counts {
		n += c
	}
	return n
}

// Quantile returns a bound that the share q of the values, from 0 to 1, does not exceed; it is
// less than twice the smallest such bound. Without values it returns 0.
func (h Histogram) Quantile(q float64) int64 {
	below, want := 0, int(math.Ceil(q*float64(h.N())))
	for i, c := range h.Counts {
		if below += c; c > 0 && below >= want {
			return min(int64(1)<<i-1, h.Max)
		}
	}
	return h.Max
}

// counters are what the writer counts for Stats.
type counters struct {
	moved                                      int // pages that groups moved out of the way
	begins, commits, rollbacks, seals, flushes int

	groups, flushTimes Histogram
	written            PageCounts  // but for the redo log
	redone             int64       // bytes of it
	past               []pastState // states published before, which may still be needed
}

// Stats returns the store's figures. It costs a look at every slot of the reader table, and
// while an old state is being read at every run of pages that waits.
func (db *DB) Stats() Stats {
	s := Stats{TxN: int(db.readers.begun()), OpenTxN: db.readers.open()}
	db.readers.each(func(txid uint64) {
		if s.OldestTxid == 0 || int(txid) < s.OldestTxid {
			s.OldestTxid = int(txid)
		}
	})
	db.mu.Lock()
	defer db.mu.Unlock()
	s.WriteBeginN, s.WriteTxN, s.RollbackN = db.begins, db.commits, db.rollbacks
	s.SealN, s.FlushN, s.GroupSize, s.FlushTime = db.seals, db.flushes, db.groups, db.flushTimes
	s.PageN, s.FreeLogPageN = int(db.alloc.hwm), len(db.log.chain)
	s.FreePageN, s.PendingPageN = int(db.alloc.free.pages), int(db.alloc.waiting)
	s.KeptPageN = int(db.kept.all.pages)
	s.DataPageN = s.PageN - metaPages - s.FreeLogPageN - s.FreePageN - s.PendingPageN
	s.FileSize, s.BytesWritten, s.Written = db.size, db.written.sum()<<db.shift+db.redone, db.written
	s.Written.Redo = (db.redone + int64(db.pageSize) - 1) >> db.shift
	s.Txid, s.DurableTxid = int(db.head.txid), int(db.safe.txid)
	s.OldestAge, s.OldestBytes = db.oldest(uint64(s.OldestTxid))
	return s
}

// oldest returns the age of a state that is being read and what it retains. It is called with
// mu.
func (db *DB) oldest(txid uint64) (age time.Duration, retained int64) {
	i := slices.IndexFunc(db.past, func(p pastState) bool { return p.txid == txid })
	if i >= 0 {
		age, retained = time.Since(db.past[i].replaced), db.retainedBy(txid)
	}
	if since, ok := db.traces.oldest(txid); ok {
		age = time.Since(since)
	}
	return age, retained
}

// Info describes a store.
type Info struct {
	Version  int // of the file format
	PageSize int // bytes
	Created  time.Time
}

// Info returns what does not change about the store.
func (db *DB) Info() *Info {
	return &Info{Version: metaVersion, PageSize: db.pageSize, Created: time.Unix(0, int64(db.created))}
}

// BucketStats are figures of a bucket and all those nested in it.
type BucketStats struct {
	BranchPageN     int // branch pages
	BranchOverflowN int // pages of extents that hold long separators
	LeafPageN       int // leaf pages
	LeafOverflowN   int // pages of extents that hold large values and long keys

	KeyN  int // keys, those of nested buckets and their names included
	Depth int // levels, those of the deepest nested bucket included

	BranchAlloc int // bytes of branch pages and their extents
	BranchInuse int // bytes of them in use
	LeafAlloc   int // bytes of leaf pages and their extents
	LeafInuse   int // bytes of them in use

	BucketN           int // buckets, this one included
	InlineBucketN     int // those that stand in their parents' pages, empty ones included
	InlineBucketInuse int // bytes they use there; also in LeafInuse
}

// Add adds o to s; the depth is the larger of the two.
func (s *BucketStats) Add(o BucketStats) {
	s.BranchPageN += o.BranchPageN
	s.BranchOverflowN += o.BranchOverflowN
	s.LeafPageN += o.LeafPageN
	s.LeafOverflowN += o.LeafOverflowN
	s.KeyN += o.KeyN
	s.Depth = max(s.Depth, o.Depth)
	s.BranchAlloc += o.BranchAlloc
	s.BranchInuse += o.BranchInuse
	s.LeafAlloc += o.LeafAlloc
	s.LeafInuse += o.LeafInuse
	s.BucketN += o.BucketN
	s.InlineBucketN += o.InlineBucketN
	s.InlineBucketInuse += o.InlineBucketInuse
}

// Stats walks the bucket, all its pages and those of the buckets in it, and returns its figures.
// Damage ends the walk and is told by Tx.Err.
func (b *Bucket) Stats() BucketStats {
	if !b.live() {
		return BucketStats{}
	}
	defer b.tx.leave(b.tx.enter(), nil)
	left := int(b.tx.hwm)
	if b.tx.writable {
		left += len(b.tx.db.dirty.pages)
	}
	s, err := b.stats(left)
	if err != nil {
		b.tx.fail(err)
	}
	return s
}

// A statsWalk is one Stats under way.
type statsWalk struct {
	left    int // pages that it may visit: in a damaged file they may lead to each other
	buckets []statsBucket
}

// A statsBucket is a bucket still to be walked, with the levels above it.
type statsBucket struct {
	b     *Bucket
	above int
}

func (b *Bucket) stats(left int) (all BucketStats, err error) {
	w := &statsWalk{left: left, buckets: []statsBucket{{b, 0}}}
	for err == nil && len(w.buckets) > 0 {
		last := len(w.buckets) - 1
		next := w.buckets[last]
		w.buckets = w.buckets[:last]
		var s BucketStats
		s, err = w.bucket(next)
		all.Add(s)
	}
	return all, err
}

// bucket returns the figures of one bucket, its depth with the levels above it.
func (w *statsWalk) bucket(at statsBucket) (BucketStats, error) {
	b := at.b
	s := BucketStats{BucketN: 1, Depth: at.above}
	p, err := b.rootPage()
	if p == nil {
		s.InlineBucketN, s.Depth = 1, 1 // its header is all there is
		return s, err
	}
	s.Depth += p.level() + 1
	if b.inline != nil {
		s.InlineBucketN, s.KeyN = 1, p.count()
		s.InlineBucketInuse = len(p)
		return s, nil
	}
	err = w.page(b, p, &s, s.Depth)
	return s, err
}

// page adds the figures of a page, and those below it in its bucket, which hangs with all its
// levels at this depth.
func (w *statsWalk) page(b *Bucket, p page, s *BucketStats, depth int) error {
	if w.left--; w.left < 0 {
		return corruptf(p.pgno(), "a bucket with more pages than the file has")
	}
	alloc, inuse, overflow := &s.LeafAlloc, &s.LeafInuse, &s.LeafOverflowN
	if p.level() > 0 {
		alloc, inuse, overflow = &s.BranchAlloc, &s.BranchInuse, &s.BranchOverflowN
		s.BranchPageN++
	} else {
		s.LeafPageN++
		s.KeyN += p.count()
	}
	*alloc += len(p)
	*inuse += p.used() + p.slotBase()
	addExtent := func(e extent) {
		n := int(e.pages(b.tx.db.pageSize))
		*overflow += n
		*alloc += n << b.tx.db.shift
		*inuse += int(e.length)
	}
	for i := range p.count() {
		if p.isLong(i) {
			_, e := p.longKey(i)
			addExtent(e)
		}
		if p.level() > 0 {
			c, err := b.tx.child(p, i)
			if err == nil {
				err = w.page(b, c, s, depth)
			}
			if err != nil {
				return err
			}
			continue
		}
		switch flags, v := p.payload(i); flags {
		case cellExtent:
			addExtent(getExtent(v))
		case cellBucket:
			if err := w.nested(b, p, i, v, s, depth); err != nil {
				return err
			}
		}
	}
	return nil
}

// nested adds the figures of the bucket in slot i of a leaf, or has it walked later.
func (w *statsWalk) nested(b *Bucket, p page, i int, header []byte, s *BucketStats, above int) error {
	name, err := p.key(i, b.tx)
	if err != nil {
		return err
	}
	c := b.open(name)
	if c == nil {
		c = &Bucket{tx: b.tx, parent: b}
		if err := c.setHeader(header); err != nil {
			return corruptf(p.pgno(), "bucket in slot %d: %v", i, err)
		}
	}
	next := statsBucket{c, above}
	if c.inline != nil || c.root.pgno == 0 {
		n, err := w.bucket(next)
		s.Add(n)
		return err
	}
	if len(w.buckets) > w.left {
		return corruptf(p.pgno(), "more buckets than the file has pages")
	}
	w.buckets = append(w.buckets, next)
	return nil
}
