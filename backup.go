package folio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"github.com/foliokv/folio/mmapfile"
)

// This file makes copies of a snapshot while others read and write.

// WriteTo writes the state a read transaction sees to w, as a file that opens as a store of
// its own: exactly Size bytes. Every page in use is verified on the way; damage is an error.
// Pages that are not in use are written as zeros.
func (tx *Tx) WriteTo(w io.Writer) (int64, error) {
	if tx.ended.Load() {
		return 0, ErrTxClosed
	}
	if tx.writable {
		return 0, errors.New("only a read transaction can be written out")
	}
	c := &checker{tx: tx, db: tx.db, ctx: context.Background()}
	if err := c.reach(); err != nil {
		return 0, err
	}
	m, log := c.freshMeta()
	out := &copier{w: w}
	head := m.encode()
	out.write(head)
	out.write(head)
	out.pages(c, log)
	return out.n, out.err
}

// reach finds and verifies the pages in use.
func (c *checker) reach() (err error) {
	defer c.tx.leave(c.tx.enter(), &err)
	var first error
	c.report = func(err error) {
		if first == nil {
			first = err
		}
	}
	c.hwm = c.tx.hwm
	c.used = make([]uint64, c.hwm/64+1)
	c.tree(c.tx.root.root, nil, noParent, nil, nil)
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
		if c.used[i/64]>>(i%64)&1 != 0 {
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
	w   io.Writer
	n   int64
	err error
}

func (o *copier) write(b []byte) {
	if o.err != nil {
		return
	}
	n, err := o.w.Write(b)
	o.n += int64(n)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	o.err = err
}

// pages writes all pages after the metas.
func (o *copier) pages(c *checker, log map[uint32]page) {
	const chunk = 256
	size := uint32(c.db.pageSize)
	buf := make([]byte, chunk*size)
	for at := uint32(metaPages); at < c.hwm && o.err == nil; at += chunk {
		n := min(chunk, c.hwm-at)
		b := buf[:n*size]
		k, err := c.db.file.ReadAt(b, int64(at)<<c.db.shift)
		if err != nil && err != io.EOF {
			o.err = fmt.Errorf("reading pages from %d: %w", at, err)
			return
		}
		for i := at; i < at+n; i++ {
			p := b[(i-at)*size:][:size]
			if l, ok := log[i]; ok {
				copy(p, l)
			} else if c.used[i/64]>>(i%64)&1 == 0 {
				clear(p)
			} else if int64(k) < int64(i-at+1)*int64(size) {
				// Only pages that nobody uses may lie past the end of a file that was cut.
				o.err = fmt.Errorf("reading page %d: %w", i, io.ErrUnexpectedEOF)
				return
			}
		}
		o.write(b)
	}
}

// CopyFile writes the state a read transaction sees to a new file, durably; an existing file
// is replaced only when the copy is whole. See WriteTo.
func (tx *Tx) CopyFile(path string, mode os.FileMode) error {
	part := path + ".part"
	f, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = tx.WriteTo(f)
	if err == nil {
		err = mmapfile.SyncFull(f)
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		os.Remove(part)
		return fmt.Errorf("copying to %s: %w", path, err)
	}
	return nil
}

// Compact copies all buckets of the newest state to dst, which must be empty, in one
// transaction: pages are full and nothing is free there. It returns the context's error when
// ctx ends, and leaves dst empty after any error.
func (db *DB) Compact(ctx context.Context, dst *DB) error {
	return db.View(func(src *Tx) error {
		return dst.UpdateContext(ctx, func(tx *Tx) error {
			if tx.root.Count() > 0 {
				return errors.New("compacting: the destination is not empty")
			}
			return copyBucket(ctx, &src.root, &tx.root)
		})
	})
}

// copyBucket copies what is in from to the empty bucket to: first the values, then the nested
// buckets.
func copyBucket(ctx context.Context, from, to *Bucket) error {
	if err := to.Load(ctx, from.values()); err != nil {
		return err
	}
	c := from.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if v != nil {
			continue
		}
		nested := from.Bucket(k)
		if nested == nil {
			break // damage: Err tells
		}
		dst, err := to.CreateBucket(k)
		if err != nil {
			return err
		}
		if seq := nested.Sequence(); seq != 0 {
			if err := dst.SetSequence(seq); err != nil {
				return err
			}
		}
		if err := copyBucket(ctx, nested, dst); err != nil {
			return err
		}
	}
	return from.tx.Err()
}

// values is All without the nested buckets.
func (b *Bucket) values() iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		for k, v := range b.All() {
			if v != nil && !yield(k, v) {
				return
			}
		}
	}
}
