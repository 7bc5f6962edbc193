package bolt

import (
	"sync/atomic"
	"time"

	"github.com/foliokv/folio"
)

// Stats are figures of an open store. Counts are since Open.
type Stats struct {
	// TxStats sums up what transactions did.
	TxStats TxStats

	FreePageN     int // pages free for use
	PendingPageN  int // pages that will be free when no reader or flush needs them
	FreeAlloc     int // bytes of both
	FreelistInuse int // bytes of the pages that list them in the file

	TxN     int // read transactions begun
	OpenTxN int // read transactions open now
}

// Sub returns the counts since other was taken, and those figures that are no counts as they
// are; OpenTxN is left out. A nil other stands for zeros.
func (s *Stats) Sub(other *Stats) Stats {
	if other == nil {
		return *s
	}
	diff := *s
	diff.OpenTxN = 0
	diff.TxN -= other.TxN
	diff.TxStats = s.TxStats.Sub(&other.TxStats)
	return diff
}

// Stats returns the store's figures, zeros with Options.NoStatistics and before Open.
func (db *DB) Stats() Stats {
	if db.noStats || db.f == nil {
		return Stats{}
	}
	f := db.f.Stats()
	s := Stats{
		FreePageN:     f.FreePageN,
		PendingPageN:  f.PendingPageN,
		FreeAlloc:     (f.FreePageN + f.PendingPageN) * db.pageSize,
		FreelistInuse: f.FreeLogPageN * db.pageSize,
		TxN:           f.TxN,
		OpenTxN:       f.OpenTxN,
	}
	s.TxStats.add(&db.stats)
	pages := f.Written.Branch + f.Written.Leaf + f.Written.Extent + f.Written.FreeLog
	s.TxStats.PageCount, s.TxStats.PageAlloc = pages, pages*int64(db.pageSize)
	s.TxStats.Spill = f.Written.Branch + f.Written.Leaf
	s.TxStats.Write = pages + f.Written.Meta
	return s
}

// TxStats are figures of a transaction, or of all. Of a single transaction CursorCount and
// WriteTime are real; of all, PageCount, PageAlloc, Spill and Write are too, for transactions
// write pages together. The others are zero: nodes, rebalancing and splitting as bbolt has them
// do not exist.
type TxStats struct {
	PageCount int64 // pages of trees, values and the list of free pages that were written
	PageAlloc int64 // bytes of them

	CursorCount int64 // cursors created by Bucket.Cursor and Tx.Cursor

	NodeCount int64 // 0
	NodeDeref int64 // 0

	Rebalance     int64         // 0
	RebalanceTime time.Duration // 0

	Split     int64         // 0
	Spill     int64         // pages of trees that were written
	SpillTime time.Duration // 0

	Write     int64         // pages that were written
	WriteTime time.Duration // time spent in Tx.Commit, waiting for the flush included
}

// fields returns the figures in one order.
func (s *TxStats) fields() [12]*int64 {
	return [12]*int64{
		&s.PageCount, &s.PageAlloc, &s.CursorCount, &s.NodeCount, &s.NodeDeref,
		&s.Rebalance, (*int64)(&s.RebalanceTime),
		&s.Split, &s.Spill, (*int64)(&s.SpillTime),
		&s.Write, (*int64)(&s.WriteTime),
	}
}

func (s *TxStats) add(other *TxStats) {
	from := other.fields()
	for i, to := range s.fields() {
		if v := atomic.LoadInt64(from[i]); v != 0 {
			atomic.AddInt64(to, v)
		}
	}
}

// Sub returns the figures since other was taken.
func (s *TxStats) Sub(other *TxStats) TxStats {
	var diff TxStats
	now, before := s.fields(), other.fields()
	for i, to := range diff.fields() {
		*to = atomic.LoadInt64(now[i]) - atomic.LoadInt64(before[i])
	}
	return diff
}

func load(v *time.Duration) time.Duration { return time.Duration(atomic.LoadInt64((*int64)(v))) }

func add(v *time.Duration, delta time.Duration) time.Duration {
	return time.Duration(atomic.AddInt64((*int64)(v), int64(delta)))
}

// GetPageCount reads PageCount atomically.
func (s *TxStats) GetPageCount() int64 { return atomic.LoadInt64(&s.PageCount) }

// IncPageCount adds delta to PageCount atomically and returns the sum.
func (s *TxStats) IncPageCount(delta int64) int64 { return atomic.AddInt64(&s.PageCount, delta) }

// GetPageAlloc reads PageAlloc atomically.
func (s *TxStats) GetPageAlloc() int64 { return atomic.LoadInt64(&s.PageAlloc) }

// IncPageAlloc adds delta to PageAlloc atomically and returns the sum.
func (s *TxStats) IncPageAlloc(delta int64) int64 { return atomic.AddInt64(&s.PageAlloc, delta) }

// GetCursorCount reads CursorCount atomically.
func (s *TxStats) GetCursorCount() int64 { return atomic.LoadInt64(&s.CursorCount) }

// IncCursorCount adds delta to CursorCount atomically and returns the sum.
func (s *TxStats) IncCursorCount(delta int64) int64 { return atomic.AddInt64(&s.CursorCount, delta) }

// GetNodeCount reads NodeCount atomically.
func (s *TxStats) GetNodeCount() int64 { return atomic.LoadInt64(&s.NodeCount) }

// IncNodeCount adds delta to NodeCount atomically and returns the sum.
func (s *TxStats) IncNodeCount(delta int64) int64 { return atomic.AddInt64(&s.NodeCount, delta) }

// GetNodeDeref reads NodeDeref atomically.
func (s *TxStats) GetNodeDeref() int64 { return atomic.LoadInt64(&s.NodeDeref) }

// IncNodeDeref adds delta to NodeDeref atomically and returns the sum.
func (s *TxStats) IncNodeDeref(delta int64) int64 { return atomic.AddInt64(&s.NodeDeref, delta) }

// GetRebalance reads Rebalance atomically.
func (s *TxStats) GetRebalance() int64 { return atomic.LoadInt64(&s.Rebalance) }

// IncRebalance adds delta to Rebalance atomically and returns the sum.
func (s *TxStats) IncRebalance(delta int64) int64 { return atomic.AddInt64(&s.Rebalance, delta) }

// GetRebalanceTime reads RebalanceTime atomically.
func (s *TxStats) GetRebalanceTime() time.Duration { return load(&s.RebalanceTime) }

// IncRebalanceTime adds delta to RebalanceTime atomically and returns the sum.
func (s *TxStats) IncRebalanceTime(delta time.Duration) time.Duration {
	return add(&s.RebalanceTime, delta)
}

// GetSplit reads Split atomically.
func (s *TxStats) GetSplit() int64 { return atomic.LoadInt64(&s.Split) }

// IncSplit adds delta to Split atomically and returns the sum.
func (s *TxStats) IncSplit(delta int64) int64 { return atomic.AddInt64(&s.Split, delta) }

// GetSpill reads Spill atomically.
func (s *TxStats) GetSpill() int64 { return atomic.LoadInt64(&s.Spill) }

// IncSpill adds delta to Spill atomically and returns the sum.
func (s *TxStats) IncSpill(delta int64) int64 { return atomic.AddInt64(&s.Spill, delta) }

// GetSpillTime reads SpillTime atomically.
func (s *TxStats) GetSpillTime() time.Duration { return load(&s.SpillTime) }

// IncSpillTime adds delta to SpillTime atomically and returns the sum.
func (s *TxStats) IncSpillTime(delta time.Duration) time.Duration { return add(&s.SpillTime, delta) }

// GetWrite reads Write atomically.
func (s *TxStats) GetWrite() int64 { return atomic.LoadInt64(&s.Write) }

// IncWrite adds delta to Write atomically and returns the sum.
func (s *TxStats) IncWrite(delta int64) int64 { return atomic.AddInt64(&s.Write, delta) }

// GetWriteTime reads WriteTime atomically.
func (s *TxStats) GetWriteTime() time.Duration { return load(&s.WriteTime) }

// IncWriteTime adds delta to WriteTime atomically and returns the sum.
func (s *TxStats) IncWriteTime(delta time.Duration) time.Duration { return add(&s.WriteTime, delta) }

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

// Add adds other to s; the depth is the larger of the two.
func (s *BucketStats) Add(other BucketStats) {
	f := folio.BucketStats(*s)
	f.Add(folio.BucketStats(other))
	*s = BucketStats(f)
}

// Stats walks the bucket and returns its figures.
func (b *Bucket) Stats() BucketStats { return BucketStats(b.f.Stats()) }
