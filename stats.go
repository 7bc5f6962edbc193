package folio

import "time"

// Stats are counters of an open store.
type Stats struct {
	TxN      int // read transactions begun since Open
	OpenTxN  int // read transactions open now
	WriteTxN int // write transactions committed since Open
	SealN    int // times that pages were written for one or more transactions
	FlushN   int // flushes

	PageN        int   // pages up to the high-water mark, the two meta pages included
	FreePageN    int   // pages free for use
	PendingPageN int   // pages that will be free when no reader or flush needs them
	FileSize     int64 // bytes
	BytesWritten int64 // bytes of pages and values written since Open

	Txid        int // the newest committed transaction
	DurableTxid int // the newest that is durable
	OldestTxid  int // the oldest state that a read transaction holds; 0: none
}

// Stats returns the store's counters.
func (db *DB) Stats() Stats {
	s := Stats{TxN: int(db.readers.begun()), OpenTxN: db.readers.open()}
	db.readers.each(func(txid uint64) {
		if s.OldestTxid == 0 || int(txid) < s.OldestTxid {
			s.OldestTxid = int(txid)
		}
	})
	db.mu.Lock()
	defer db.mu.Unlock()
	s.WriteTxN, s.SealN, s.FlushN = db.commits, db.seals, db.flushes
	s.PageN = int(db.alloc.hwm)
	s.FreePageN, s.PendingPageN = int(db.alloc.free.pages), int(db.alloc.waiting)
	s.FileSize, s.BytesWritten = db.size, db.written
	s.Txid, s.DurableTxid = int(db.head.txid), int(db.durable.txid)
	return s
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
	InlineBucketN     int // those that stand in their parents' pages
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

// Stats walks the bucket and returns its figures.
func (b *Bucket) Stats() BucketStats {
	if !b.live() {
		return BucketStats{}
	}
	defer b.tx.leave(b.tx.enter(), nil)
	left := int(b.tx.hwm)
	if b.tx.writable {
		left += len(b.tx.db.dirty.pages)
	}
	s, err := b.stats(&left)
	if err != nil {
		b.tx.fail(err)
	}
	return s
}

// stats takes the pages it visits off left, as in a damaged file they may lead to each other.
func (b *Bucket) stats(left *int) (BucketStats, error) {
	s := BucketStats{BucketN: 1}
	p, err := b.rootPage()
	if p == nil {
		return s, err
	}
	if b.inline != nil {
		s.InlineBucketN, s.KeyN, s.Depth = 1, p.count(), 1
		s.InlineBucketInuse = len(p)
		return s, nil
	}
	var nested BucketStats
	err = b.pageStats(p, &s, &nested, left)
	s.Depth = p.level() + 1
	depth := s.Depth + nested.Depth
	s.Add(nested)
	s.Depth = depth
	return s, err
}

func (b *Bucket) pageStats(p page, s, nested *BucketStats, left *int) error {
	if *left--; *left < 0 {
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
				err = b.pageStats(c, s, nested, left)
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
			n, err := b.nestedStats(p, i, v, left)
			if err != nil {
				return err
			}
			nested.Add(n)
		}
	}
	return nil
}

// nestedStats returns the figures of the bucket in slot i of a leaf.
func (b *Bucket) nestedStats(p page, i int, header []byte, left *int) (BucketStats, error) {
	name, err := p.key(i, b.tx)
	if err != nil {
		return BucketStats{}, err
	}
	if c := b.children[string(name)]; c != nil {
		return c.stats(left)
	}
	c := &Bucket{tx: b.tx, parent: b}
	if err := c.setHeader(header); err != nil {
		return BucketStats{}, corruptf(p.pgno(), "bucket in slot %d: %v", i, err)
	}
	return c.stats(left)
}
