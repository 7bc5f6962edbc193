package bolt

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/foliokv/folio"
	"github.com/foliokv/folio/bolt/errors"
	"github.com/foliokv/folio/bolt/internal/common"
	"github.com/foliokv/folio/internal/pageinfo"
)

// A Tx is a transaction. A read transaction sees the state that was the newest when it began; a
// write transaction sees its own changes on top of all before it. Keys and values that it
// returns are valid until it ends, also after further writes, and must not be changed.
//
// A write transaction must be used by one goroutine at a time. A read transaction may be read
// by several, each with cursors of its own.
type Tx struct {
	stats TxStats // first, so that it is aligned on 32-bit machines

	// WriteFlag changes nothing: copies are read through the file that is open.
	WriteFlag int

	f        *folio.Tx
	db       *DB // nil after the end
	writable bool
	managed  bool // inside View or Update
	handlers []func()
	root     *Bucket
	opened   map[*folio.Bucket]*Bucket // by a write transaction: a handle is the same each time
}

func (db *DB) newTx(f *folio.Tx, writable bool) *Tx {
	return &Tx{f: f, db: db, writable: writable}
}

// close ends the wrapper of a transaction that the engine has ended.
func (tx *Tx) close() {
	if tx.db == nil {
		return
	}
	if !tx.db.noStats {
		tx.db.stats.add(&tx.stats)
	}
	tx.db = nil
	tx.opened = nil
}

// ID returns the transaction's id: of a read transaction, that of the last transaction it sees.
// It is -1 after the end.
func (tx *Tx) ID() int {
	if tx == nil || tx.db == nil {
		return -1
	}
	return tx.f.ID()
}

// DB returns the store, nil after the transaction ended.
func (tx *Tx) DB() *DB { return tx.db }

// Size returns the size in bytes of the state the transaction sees, as WriteTo writes it.
func (tx *Tx) Size() int64 { return tx.f.Size() }

// Writable tells whether the transaction can write.
func (tx *Tx) Writable() bool { return tx.writable }

// Stats returns what the transaction did so far. See TxStats.
func (tx *Tx) Stats() TxStats { return tx.stats }

// OnCommit adds a function to be called after the transaction committed. Functions run in the
// order they were added, before the call that commits returns; they may start transactions.
func (tx *Tx) OnCommit(fn func()) { tx.handlers = append(tx.handlers, fn) }

// Commit ends a write transaction and makes its changes visible and, without DB.NoSync,
// durable. It returns ErrTxClosed, ErrTxNotWritable, ErrMaxSizeReached, the system's error, or
// that of damage the transaction met; the changes are not made then. Inside Update it panics.
func (tx *Tx) Commit() error {
	assert(!tx.managed, "managed tx commit not allowed")
	if tx.db == nil {
		return errors.ErrTxClosed
	}
	if !tx.writable {
		return errors.ErrTxNotWritable
	}
	tx.beforeCommit()
	start := time.Now()
	err := tx.f.Commit()
	tx.stats.IncWriteTime(time.Since(start))
	db := tx.db
	tx.close()
	if err != nil {
		db.Logger().Errorf("Committing failed: %v", err)
		return plain(err)
	}
	tx.committed(db)
	return nil
}

// beforeCommit gives the engine what it must know to commit.
func (tx *Tx) beforeCommit() {
	if tx.db.NoSync {
		tx.f.SetDurability(folio.Deferred)
	}
}

// afterCommit ends a managed transaction that the engine has committed.
func (tx *Tx) afterCommit() {
	db := tx.db
	tx.close()
	tx.committed(db)
}

func (tx *Tx) committed(db *DB) {
	if db.StrictMode {
		db.strict()
	}
	for _, fn := range tx.handlers {
		fn()
	}
}

// Rollback ends a transaction and drops its changes. It returns ErrTxClosed, or, from a read
// transaction, the error of damage that it met. Inside View and Update it panics.
func (tx *Tx) Rollback() error {
	assert(!tx.managed, "managed tx rollback not allowed")
	if tx.db == nil {
		return errors.ErrTxClosed
	}
	var met error
	if !tx.writable {
		met = tx.f.Err()
	}
	err := tx.f.Rollback()
	tx.close()
	if met != nil {
		return met
	}
	return plain(err)
}

// rootBucket returns the bucket of the top-level buckets.
func (tx *Tx) rootBucket() *Bucket {
	if tx.writable && tx.root != nil {
		return tx.root
	}
	b := &Bucket{tx: tx, f: tx.f.Cursor().Bucket(), FillPercent: DefaultFillPercent}
	b.InBucket = &b.header
	if tx.writable {
		tx.root = b
	}
	return b
}

// Cursor returns a cursor over the names of the top-level buckets; its values are nil.
func (tx *Tx) Cursor() *Cursor { return tx.rootBucket().Cursor() }

// Bucket returns the top-level bucket called name, nil if there is none.
func (tx *Tx) Bucket(name []byte) *Bucket { return tx.handle(tx.f.Bucket(name)) }

// CreateBucket creates a top-level bucket. See Bucket.CreateBucket.
func (tx *Tx) CreateBucket(name []byte) (*Bucket, error) {
	return tx.created(tx.f.CreateBucket(name))
}

// CreateBucketIfNotExists returns the top-level bucket called name and creates it if need be.
func (tx *Tx) CreateBucketIfNotExists(name []byte) (*Bucket, error) {
	return tx.created(tx.f.CreateBucketIfNotExists(name))
}

// DeleteBucket deletes a top-level bucket. See Bucket.DeleteBucket.
func (tx *Tx) DeleteBucket(name []byte) error { return tx.rootBucket().DeleteBucket(name) }

// MoveBucket moves the bucket called child from src to dst; nil stands for the top level. See
// Bucket.MoveBucket.
func (tx *Tx) MoveBucket(child []byte, src *Bucket, dst *Bucket) error {
	if src == nil {
		src = tx.rootBucket()
	}
	if dst == nil {
		dst = tx.rootBucket()
	}
	return src.MoveBucket(child, dst)
}

// ForEach calls fn for every top-level bucket in order of their names and stops at the first
// error, which it returns.
func (tx *Tx) ForEach(fn func(name []byte, b *Bucket) error) error {
	return plain(tx.f.ForEach(func(name []byte, b *folio.Bucket) error { return fn(name, tx.handle(b)) }))
}

// Inspect returns how the top-level buckets, and all below them, are nested.
func (tx *Tx) Inspect() BucketStructure { return tx.rootBucket().Inspect() }

// Copy writes the store to w.
//
// Deprecated: use WriteTo.
func (tx *Tx) Copy(w io.Writer) error {
	_, err := tx.WriteTo(w)
	return err
}

// WriteTo writes the state the transaction sees to w, as a file that opens as a store of its
// own: exactly Size bytes. Every page in use is verified on the way. A write transaction
// writes the state before its changes.
func (tx *Tx) WriteTo(w io.Writer) (n int64, err error) {
	if tx.db == nil {
		return 0, errors.ErrTxClosed
	}
	err = tx.reading(func(f *folio.Tx) error {
		n, err = f.WriteTo(w)
		return err
	})
	if err != nil && n < int64(tx.db.pageSize) {
		err = fmt.Errorf("meta 0 copy: %w", err)
	}
	return n, err
}

// CopyFile writes the state the transaction sees to a new file, durably; an existing file is
// replaced only when the copy is whole. See WriteTo.
func (tx *Tx) CopyFile(path string, mode os.FileMode) error {
	return tx.reading(func(f *folio.Tx) error { return f.CopyFile(path, mode) })
}

// reading calls fn with a read transaction.
func (tx *Tx) reading(fn func(f *folio.Tx) error) error {
	if tx.db == nil {
		return errors.ErrTxClosed
	}
	if !tx.writable {
		return fn(tx.f)
	}
	return tx.db.f.View(fn)
}

// Page describes a page of the state the transaction sees, nil for one past its end. Its type
// is "meta", "branch", "leaf", "freelist" (of the free log), "value" (of a large value or key)
// or "free", and the number of its entries that of keys or of children. It returns
// ErrTxClosed, ErrFreePagesNotLoaded, or that of damage; it walks the whole store.
func (tx *Tx) Page(id int) (*common.PageInfo, error) {
	if tx.db == nil {
		return nil, errors.ErrTxClosed
	}
	if id < 0 || int64(id) >= tx.Size()/int64(tx.db.pageSize) {
		return nil, nil
	}
	if !tx.db.PreLoadFreelist {
		return nil, errors.ErrFreePagesNotLoaded
	}
	info, err := pageinfo.Of(tx.f, uint32(id))
	if err != nil {
		return nil, err
	}
	return &common.PageInfo{ID: id, Type: info.Type, Count: info.Count, OverflowCount: info.Overflow}, nil
}
