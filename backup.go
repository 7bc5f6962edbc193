package folio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"

	"github.com/foliokv/folio/mmapfile"
)

// This file makes copies of a snapshot while others read and write.

// CopyOptions are the options of Tx.WriteToContext, Tx.CopyFileContext and DB.CompactWith.
type CopyOptions struct {
	// Progress, if not nil, is called now and then by the goroutine that copies, with how
	// much of the work is done and how much there is, in bytes. done never falls, and is
	// total at the end of a call that succeeds.
	//
	// Where pages are copied, total is Tx.Size; done is at the half of it when all pages are
	// verified, before the first is written. Where contents are copied, total is the size of
	// the pages they stand in, so the steps are right and the end may come early.
	Progress func(done, total int64)
}

func (o CopyOptions) tell(done, total int64) {
	if o.Progress != nil {
		o.Progress(done, total)
	}
}

// WriteTo writes the state a read transaction sees to w, as a file that opens as a store of
// its own: exactly Size bytes. Every page in use is verified before the first byte is written,
// and compared with that when it is written; damage is a *CorruptError with the page. Pages
// that are not in use are written as zeros. It returns the bytes written; when it fails, what
// was written is no store. Other errors are those of w, ErrTxClosed, and that a write
// transaction cannot be written out.
func (tx *Tx) WriteTo(w io.Writer) (int64, error) {
	return tx.WriteToContext(context.Background(), w, CopyOptions{})
}

// WriteToContext is WriteTo with options; it ends early when ctx does, with the context's
// error.
func (tx *Tx) WriteToContext(ctx context.Context, w io.Writer, opts CopyOptions) (int64, error) {
	switch {
	case tx.ended.Load():
		return 0, ErrTxClosed
	case tx.writable:
		return 0, errors.New("only a read transaction can be written out")
	case tx.Err() != nil:
		return 0, tx.Err()
	}
	size := tx.Size()
	c := newChecker(tx, ctx, CheckOptions{Progress: func(done, _ int64) { opts.tell(done<<tx.db.shift/2, size) }})
	if err := c.reach(); err != nil {
		return 0, err
	}
	m, log := c.freshMeta()
	out := &copier{ctx: ctx, w: w, tell: func(n int64) { opts.tell(size/2+n/2, size) }}
	head := m.encode()
	out.write(head)
	out.write(head)
	out.pages(c, log)
	return out.n, out.err
}

// reach finds and verifies the pages in use, and remembers what they hold.
func (c *checker) reach() (err error) {
	var first error
	c.report = func(err error) {
		if first == nil {
			first = err
		}
	}
	defer c.tx.leave(c.tx.enter(), &err)
	c.sums = make([]uint64, c.tx.hwm/sumPages+1)
	if err := c.walk(); err != nil {
		return err
	}
	return first
}

// freshMeta returns a meta for the copy, and the pages of its free log by number. They stand
// in pages that are not in use: a page of the log lists some thousand runs of at least one
// page, so there is always room. Where nothing is free there is no log.
func (c *checker) freshMeta() (meta, map[uint32]page) {
	db, s := c.db, c.tx.snap
	m := meta{
		pageSize: db.pageSize, seed: db.seed, txid: s.txid, base: s.txid, root: s.root,
		hwm: s.hwm, flags: metaClean | metaFlushed, created: db.created,
	}
	free := c.unused()
	log := map[uint32]page{}
	if len(free) == 0 {
		return m, log
	}
	set := newRunSet()
	for _, r := range free {
		set.put(r)
	}
	own := takeFirst(set, uint32(logSpace(db.pageSize, len(free))))
	_, pages := encodeLogSnapshot(db.pageSize, s.hwm, set.runs())
	for i, pgno := range own {
		p := newLogPage(db.pageSize)
		if i < len(pages) {
			p = pages[i]
		}
		m.log.put(p[headerSize:])
		le.PutUint32(p[16:], pgno)
		le.PutUint64(p[24:], s.txid)
		m.log = ref{pgno: pgno, birth: s.txid, sum: checksum(db.seed, pgno, s.txid, p)}
		log[pgno] = p
	}
	return m, log
}

// unused returns the pages that are not in use.
func (c *checker) unused() []run {
	var free []run
	for i := uint32(metaPages); i < c.hwm; i++ {
		if c.isUsed(i) {
			continue
		}
		if k := len(free) - 1; k >= 0 && free[k].end() == i {
			free[k].n++
			continue
		}
		free = append(free, run{i, 1})
	}
	return free
}

// takeFirst removes the first n pages of a set.
func takeFirst(set *runSet, n uint32) []uint32 {
	var pgnos []uint32
	for n > 0 {
		r, ok := set.byPos.Min()
		if !ok {
			break
		}
		set.remove(run{r.start, 1})
		pgnos = append(pgnos, r.start)
		n--
	}
	return pgnos
}

// A copier writes and counts until the first error.
type copier struct {
	ctx  context.Context
	w    io.Writer
	tell func(n int64)
	n    int64
	err  error
}

func (o *copier) write(b []byte) {
	if o.err == nil {
		o.err = o.ctx.Err()
	}
	if o.err != nil || len(b) == 0 {
		return
	}
	n, err := o.w.Write(b)
	o.n += int64(n)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	o.err = err
	o.tell(o.n)
}

// copyChunk is the number of pages that are read and written together; it is a multiple of
// those that share a sum.
const copyChunk = 4 * sumPages

// pages writes all pages after the metas.
func (o *copier) pages(c *checker, log map[uint32]page) {
	size := uint32(c.db.pageSize)
	buf := make([]byte, copyChunk*size)
	for at := uint32(0); at < c.hwm && o.err == nil; at += copyChunk {
		b := buf[:min(copyChunk, c.hwm-at)*size]
		if o.err = c.readVerified(at, b); o.err != nil {
			return
		}
		for pgno, l := range log {
			if pgno >= at && pgno-at < copyChunk {
				copy(b[(pgno-at)*size:], l)
			}
		}
		if at == 0 {
			b = b[metaPages*size:]
		}
		o.write(b)
	}
}

// readVerified reads adjacent pages from at on: zeros for those not in use, and for the others
// what was verified.
func (c *checker) readVerified(at uint32, b []byte) error {
	if first, last := at/sumPages, (at+uint32(len(b)>>c.db.shift)-1)/sumPages; slices.Max(c.used[first:last+1]) == 0 {
		clear(b)
		return nil
	}
	// Before the file is read: they may go there meanwhile. Others may be of later states.
	kept := c.tx.m.keptIn(at, uint32(len(b)>>c.db.shift), c.isUsed)
	n, err := c.db.file.ReadAt(b, int64(at)<<c.db.shift)
	if err != nil && err != io.EOF {
		return fmt.Errorf("reading pages from %d: %w", at, err)
	}
	clear(b[n:]) // only pages that nobody uses may lie past the end of a file that was cut
	for _, k := range kept {
		copy(b[int(k.pgno-at)<<c.db.shift:], k.buf)
	}
	for from := at; len(b) > 0; from += sumPages {
		group := b[:min(len(b), sumPages<<c.db.shift)]
		b = b[len(group):]
		if c.sumOf(from, group) != c.sums[from/sumPages] {
			return c.changed(from)
		}
	}
	return nil
}

// sumOf clears the pages of a group that are not in use and returns the sum of the others.
func (c *checker) sumOf(from uint32, group []byte) (sum uint64) {
	for i := range uint32(len(group) >> c.db.shift) {
		p := group[i<<c.db.shift:][:c.db.pageSize]
		if c.isUsed(from + i) {
			sum += checksum(c.db.seed, from+i, 0, p)
		} else {
			clear(p)
		}
	}
	return sum
}

// changed returns the error of a group of pages that no longer reads as it was verified.
func (c *checker) changed(from uint32) error {
	if err := newChecker(c.tx, c.ctx, CheckOptions{}).reach(); err != nil {
		return err // with the page
	}
	return corruptf(from, "it, or one of the %d pages after it, did not read twice alike", sumPages-1)
}

// CopyFile writes the state a read transaction sees to a new file, durably; an existing file
// is replaced only when the copy is whole. Until then the copy is called path with ".part"
// after it, and is removed when CopyFile fails. See WriteTo.
func (tx *Tx) CopyFile(path string, mode os.FileMode) error {
	return tx.CopyFileContext(context.Background(), path, mode, CopyOptions{})
}

// CopyFileContext is CopyFile with options; it ends early when ctx does, with the context's
// error, and leaves no file then.
func (tx *Tx) CopyFileContext(ctx context.Context, path string, mode os.FileMode, opts CopyOptions) error {
	part := path + ".part"
	f, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	whole := false
	defer func() {
		if !whole { // also when Progress panics
			f.Close()
			os.Remove(part)
		}
	}()
	_, err = tx.WriteToContext(ctx, f, opts)
	if err == nil {
		err = mmapfile.SyncFull(f)
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		return fmt.Errorf("copying to %s: %w", path, err)
	}
	whole = true
	return mmapfile.SyncDir(filepath.Dir(path))
}

// Compact copies all buckets of the newest state to dst, which must be empty, in one
// transaction: pages are full and nothing is free there. It returns the context's error when
// ctx ends, and leaves dst empty after any error.
func (db *DB) Compact(ctx context.Context, dst *DB) error {
	return db.CompactWith(ctx, dst, CopyOptions{})
}

// CompactWith is Compact with options.
func (db *DB) CompactWith(ctx context.Context, dst *DB, opts CopyOptions) error {
	return db.View(func(src *Tx) error {
		s := db.Stats()
		c := &compaction{ctx: ctx, opts: opts, shift: db.shift}
		c.total = int64(max(s.PageN-s.FreePageN-s.PendingPageN-metaPages, 0)) << db.shift
		err := dst.UpdateContext(ctx, func(tx *Tx) error {
			if tx.root.Count() > 0 {
				return errors.New("compacting: the destination is not empty")
			}
			return c.bucket(&src.root, &tx.root)
		})
		if err == nil {
			opts.tell(c.total, c.total)
		}
		return err
	})
}

// A compaction is one Compact under way.
type compaction struct {
	ctx   context.Context
	opts  CopyOptions
	shift uint // of the source's pages

	done, told, total int64 // bytes
}

// bucket copies what is in from to the empty bucket to: first the values, then the nested
// buckets.
func (c *compaction) bucket(from, to *Bucket) error {
	if err := to.Load(c.ctx, c.values(from)); err != nil {
		return err
	}
	at := from.Cursor()
	for k, v := at.First(); k != nil; k, v = at.Next() {
		if v != nil {
			continue
		}
		nested := from.Bucket(k)
		if nested == nil {
			break // damage: Err tells
		}
		if err := c.ctx.Err(); err != nil {
			return err
		}
		dst, err := to.CreateBucket(k)
		if err != nil {
			return err
		}
		c.copied(len(k), bucketHeaderSize)
		if seq := nested.Sequence(); seq != 0 {
			if err := dst.SetSequence(seq); err != nil {
				return err
			}
		}
		if err := c.bucket(nested, dst); err != nil {
			return err
		}
	}
	return from.tx.Err()
}

// values is All without the nested buckets.
func (c *compaction) values(b *Bucket) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		for k, v := range b.All() {
			if v == nil {
				continue
			}
			if !yield(k, v) {
				return
			}
			c.copied(len(k), len(v))
		}
	}
}

// copied notes that a pair was copied, by the room that it has in the source.
func (c *compaction) copied(key, value int) {
	size := 1 << c.shift
	n := slotSize + leafKeyOff + key
	if n+value > maxCell(size) {
		value = (value + size - 1) &^ (size - 1)
	}
	c.done += int64(n + value)
	const step = 1 << 20
	if c.done-c.told >= step {
		c.told = c.done
		c.opts.tell(min(c.done, c.total), c.total)
	}
}
