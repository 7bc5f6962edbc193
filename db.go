package folio

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/foliokv/folio/internal/backing"
	"github.com/foliokv/folio/mmapfile"
)

// A DB is an open store. All methods may be called by many goroutines at once.
type DB struct {
	name      string
	opts      Options
	readOnly  bool
	noBooks   bool  // read-only, and the free log could not be read
	onDisk    bool  // the file has a device below it, so room ahead of need pays
	volatile  bool  // read-only, and what the redo log tells is in memory only
	redoAfter int   // flushes of few pages before a redo log is made
	redoLeast int64 // its least length in bytes
	file      backing.File
	pageSize  int
	shift     uint // log2 of pageSize
	seed      uint64
	created   uint64

	published atomic.Pointer[snapshot] // what new readers see; nil once Close has begun
	latched   atomic.Pointer[latch]
	readers   *readerTable
	cold      atomic.Int32 // above zero: pages are evicted, see cold.go
	reading   atomic.Int32 // pages that are being read
	tidy      atomic.Bool  // the end of a reader may let something go: see sweep
	buffers   sync.Pool    // for reading pages
	handlers  handlerQueue
	events    eventQueue
	traces    *readerTraces // nil unless Options.TraceReaders

	order fifo   // the writers' turns
	meta  []byte // memory for the meta of the flush under way

	mu sync.Mutex
	writer
}

// A writer is what mu guards: the newest state, on its way to readers and to the disk.
type writer struct {
	m           *mapping // the newest
	retired     []retiredMapping
	alloc       *allocator
	dirty       dirtyTable
	kept        keptPages
	root        ref       // of the newest finished transaction
	head        *snapshot // the newest sealed state
	durable     *snapshot // of the last durable meta
	safe        *snapshot // the last durable state: that, or what the redo log made of it
	redo        redoLog
	slot        int // of the meta of durable
	flight      uint64
	log         freeLog
	delta       delta
	inUse       pageSet // pages that the newest sealed state reaches, except those of the free log
	group       *group
	ahead       []*group // sealed while a flush was under way, and waiting for the next
	logged      bool     // the free log says what is free in the newest sealed state
	handed      bool     // a member was told to start a flush, and has not yet
	expected    int      // members that the last flush let go, less those that joined since
	flying      int      // members of the groups that the flush under way is for
	fewestAhead int      // members from which on a group is sealed ahead
	active      *Tx
	next        uint64 // id of the next write transaction
	ended       uint64 // id of the last that ended
	scopes      uint64 // scopes opened so far

	counters

	split      pageSet // stretches of splitPiece bytes that splitPieces has seen
	size       int64   // of the file, as far as it was written
	grew       bool    // since the last flush
	full       bool    // the last attempt to grow the file failed
	unflushed  int64   // bytes written to the file since the last flush
	cleanSlots bool    // both slots hold the clean meta of durable
	flushing   bool
	changed    chan struct{} // closed when something a waiter waits for may have happened; nil without a waiter
	timer      *time.Timer   // of the background flush
	armed      bool
	closing    bool
	closed     chan struct{} // closed when Close is done; nil before Close

	inMemory residence
	sealer   sealer // scratch space, as what follows
	path     []step
	cells    []cell
	shared   []cell
	body     []byte
	refs     []ref

	spareScope    *scope // of a transaction that has ended
	spareGroup    *group
	spareFreed    []freedRun // of a group
	spareOps      []byte     // of a transaction that has ended
	spareGroupOps []byte
	states        []uint64 // that the last seal kept
}

// A retiredMapping is read through by snapshots up to last only.
type retiredMapping struct {
	*mapping
	last uint64
}

// Open opens the store in the file called path and creates it with this mode if it does not
// exist. It waits for the file's lock as long as Options.Timeout says. A nil *Options stands
// for the defaults.
//
// After a crash Open finds the newest state that is whole, and does again what a redo log tells of, at most 1 MiB of
// changes (a read-only open does so in memory); its cost follows the last flush
// and the free list, not the size of the store. That the directory lists the file is made durable by
// its creation and by the first commit after each Open, not by Open itself.
//
// Errors: ErrTimeout; ErrInvalid for a file that is no folio store; ErrVersionMismatch;
// ErrCorrupt if no whole state is found, if the newest is damaged and the redo log shows that it was durable, or, unless ReadOnly, its list of free pages is damaged; those of opening, locking and flushing the file. The
// file is left untouched then.
func Open(path string, mode os.FileMode, options *Options) (*DB, error) {
	opts := options.withDefaults()
	if !validPageSize(opts.PageSize) {
		return nil, fmt.Errorf("open %s: page size %d is not a power of two from %d to %d", path, opts.PageSize, minPageSize, maxPageSize)
	}
	f, err := openFile(path, mode, opts)
	if err != nil {
		return nil, err
	}
	return openOn(f, opts, true)
}

func openFile(path string, mode os.FileMode, opts Options) (backing.File, error) {
	flag := os.O_RDWR | os.O_CREATE
	if opts.ReadOnly {
		flag = os.O_RDONLY
	}
	f, err := opts.OpenFile(path, flag, mode)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		if err == nil {
			err = fmt.Errorf("open %s: %w: not a regular file", path, ErrInvalid)
		}
		return nil, err
	}
	timeout := opts.Timeout
	if timeout == 0 {
		timeout = -1
	}
	if err := mmapfile.LockHandle(f, !opts.ReadOnly, timeout); err != nil {
		f.Close()
		if errors.Is(err, mmapfile.ErrTimeout) {
			return nil, fmt.Errorf("open %s: the file is locked by another process or DB: %w", path, ErrTimeout)
		}
		return nil, err
	}
	return diskFile{f}, nil
}

// OpenMemory opens a new store without a file: the same in all respects, except that nothing
// is left when it is closed.
func OpenMemory(options *Options) (*DB, error) {
	opts := options.withDefaults()
	if !validPageSize(opts.PageSize) {
		return nil, fmt.Errorf("page size %d is not a power of two from %d to %d", opts.PageSize, minPageSize, maxPageSize)
	}
	return openOn(&memoryFile{}, opts, false)
}

func init() {
	backing.Open = func(f backing.File, options any) (any, error) {
		opts, _ := options.(*Options)
		return openOn(f, opts.withDefaults(), true)
	}
}

// openOn opens a store on a file that is locked, and closes the file if that fails.
func openOn(f backing.File, opts Options, onDisk bool) (*DB, error) {
	db := &DB{name: f.Name(), opts: opts, readOnly: opts.ReadOnly, onDisk: onDisk, file: f, readers: newReaderTable()}
	db.group, db.fewestAhead, db.redoAfter = new(group), fewestAhead, redoAfter
	db.redoLeast = redoLeast
	if t, ok := f.(backing.RedoTuner); ok {
		db.redoAfter, db.redoLeast = t.RedoLog()
	}
	db.handlers.init()
	db.events.init(opts.OnEvent)
	if opts.TraceReaders {
		db.traces = &readerTraces{open: map[*readerSlot]readerTrace{}}
	}
	if err := db.recover(); err != nil {
		if db.m != nil {
			db.m.m.Close()
		}
		f.Close()
		if errors.Is(err, fs.ErrPermission) {
			return nil, err
		}
		return nil, fmt.Errorf("open %s: %w", db.name, err)
	}
	return db, nil
}

// setPageSize fixes what follows from the page size.
func (db *DB) setPageSize(n int) {
	db.pageSize = n
	for db.shift = 0; 1<<db.shift < n; db.shift++ {
	}
	db.dirty.pageSize = n
	db.buffers.New = func() any { b := make([]byte, n); return &b }
}

func (db *DB) readBuffer() *[]byte     { return db.buffers.Get().(*[]byte) }
func (db *DB) putReadBuffer(b *[]byte) { db.buffers.Put(b) }

// Path returns the path the store was opened with, empty for one in memory.
func (db *DB) Path() string { return db.name }

// String returns a description for people.
func (db *DB) String() string { return fmt.Sprintf("DB<%q>", db.name) }

// IsReadOnly tells whether the store was opened read-only.
func (db *DB) IsReadOnly() bool { return db.readOnly }

// beginWrite waits for the writer's turn, or until cancel is closed.
func (db *DB) beginWrite(cancel <-chan struct{}) (*Tx, error) {
	if db.readOnly {
		return nil, ErrDatabaseReadOnly
	}
	both := &struct { // made before the turn comes, as nobody waits for it there
		Tx
		w writeTx
	}{}
	if !db.order.lock(cancel) {
		return nil, context.Canceled
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	err := error(nil)
	if db.closing {
		err = ErrDatabaseNotOpen
	} else if l := db.latched.Load(); l != nil {
		err = l.err
	}
	if err != nil {
		db.order.unlock()
		return nil, err
	}
	tx := &both.Tx
	tx.db, tx.m, tx.hwm, tx.writable = db, db.m, db.alloc.hwm, true
	tx.w = &both.w
	*tx.w = writeTx{id: db.next, base: db.head.txid, durability: db.opts.Durability, deletes: true, ops: db.spareOps}
	db.spareOps = nil
	tx.root = Bucket{tx: tx, root: db.root, writeBucket: &tx.w.root}
	db.next++
	db.begins++
	tx.openScope()
	db.active = tx
	return tx, nil
}

// UpdateContext is Update, except that it gives up waiting for its turn to write when ctx ends
// and returns the context's error. Once fn has begun ctx is not looked at.
func (db *DB) UpdateContext(ctx context.Context, fn func(*Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	tx, err := db.beginWrite(ctx.Done())
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	if err := tx.run(fn); err != nil {
		return err
	}
	return tx.commit()
}

// Close waits for all open transactions to end, flushes, and closes the file. It returns the
// error that the flush gave, or the one that latched the store. Calls after it, and those that
// wait in WaitDurable for a txid that never came, return ErrDatabaseNotOpen; a second Close
// returns nil.
func (db *DB) Close() error {
	db.order.lock(nil)
	db.mu.Lock()
	if db.closing {
		done := db.closed
		db.mu.Unlock()
		db.order.unlock()
		<-done
		return nil
	}
	db.closing = true
	db.closed = make(chan struct{})
	defer close(db.closed)
	defer db.events.drain()
	if db.timer != nil {
		db.timer.Stop()
	}
	db.mu.Unlock()
	db.order.unlock()

	err := db.flushAll()
	db.published.Store(nil)
	db.awaitReaders()
	db.mu.Lock()
	defer db.mu.Unlock()
	db.wakeWaiters()
	// Some systems do not cut a file that is mapped.
	unmapped := db.m.m.Close()
	for _, r := range db.retired {
		unmapped = errors.Join(unmapped, r.m.Close())
	}
	if err == nil {
		err = db.writeClean()
	}
	err = errors.Join(err, unmapped, db.file.Close())
	if err != nil {
		return fmt.Errorf("close %s: %w", db.name, err)
	}
	return nil
}

// flushAll makes everything durable and waits for flushes under way, also when latched.
func (db *DB) flushAll() error {
	if db.readOnly {
		return nil
	}
	dropped := false
	for {
		db.mu.Lock()
		if l := db.latched.Load(); l != nil && !db.flushing {
			db.mu.Unlock()
			return l.err
		}
		if !db.flushing && db.head.txid == db.durable.txid && !db.dropsRedo(&dropped) {
			db.mu.Unlock()
			return nil
		}
		if err := db.flushOrWait(nil); err != nil {
			return err
		}
	}
}

// dropsRedo tells whether one more transaction, an empty one, is needed for a file without a redo log
// that ends where its data do. The log is dropped by any meta while the store is being closed.
func (db *DB) dropsRedo(dropped *bool) bool {
	if db.redo.at.n == 0 {
		db.alloc.release(db.needed(nil))
		if !*dropped || db.alloc.free.endingAt(db.alloc.hwm).n == 0 {
			return false
		}
	}
	*dropped = db.redo.at.n > 0
	db.group.last, db.ended = db.next, db.next
	db.next++
	return true
}

// flushOrWait flushes what is sealed, or waits for a change while another flush is under way.
// It is called with mu and gives it up.
func (db *DB) flushOrWait(cancel <-chan struct{}) error {
	if !db.flushing {
		f := db.startFlush()
		db.mu.Unlock()
		db.finishFlush(&f)
		return f.err
	}
	return db.waitChange(cancel)
}

// waitChange gives up mu and waits for wakeWaiters.
func (db *DB) waitChange(cancel <-chan struct{}) error {
	changed := db.change()
	db.mu.Unlock()
	select {
	case <-changed:
		return nil
	case <-cancel:
		return context.Canceled
	}
}

// wakeWaiters is called with mu whenever something that a waiter waits for has changed.
func (db *DB) wakeWaiters() {
	if db.changed != nil {
		close(db.changed)
		db.changed = nil
	}
}

// change returns what the next wakeWaiters closes. It is called with mu.
func (db *DB) change() <-chan struct{} {
	if db.changed == nil {
		db.changed = make(chan struct{})
	}
	return db.changed
}

// awaitReaders waits until no read transaction is open.
func (db *DB) awaitReaders() {
	db.tidy.Store(true)
	for wait := time.Microsecond; db.readers.open() > 0; wait = min(2*wait, 5*time.Millisecond) {
		db.mu.Lock()
		changed := db.change()
		db.mu.Unlock()
		if db.readers.open() == 0 {
			return
		}
		select {
		case <-changed:
		case <-time.After(wait):
		}
	}
}

// writeClean marks the store as closed after all else is durable: the durable meta, clean,
// goes to the slot that does not hold it.
func (db *DB) writeClean() error {
	if db.readOnly || db.cleanSlots {
		return nil
	}
	end := db.durable.hwm
	if want := int64(end) << db.shift; db.size > want {
		if err := db.file.Truncate(want); err != nil {
			return err
		}
		db.grew = true
	}
	m := db.metaOf(db.durable, db.durable.txid)
	m.flags = metaClean | metaFlushed
	if err := writeFull(db.file, m.encode(), int64(1-db.slot)<<db.shift); err != nil {
		return err
	}
	return syncFile(db.file, db.grew)
}

// Sync makes every transaction committed before the call durable. With Durable transactions
// only there is nothing to wait for. It returns the error of a failed flush, and
// ErrDatabaseNotOpen.
func (db *DB) Sync() error {
	db.mu.Lock()
	target := db.ended
	db.mu.Unlock()
	return db.waitDurable(context.Background(), target)
}

// WaitDurable waits until the write transaction with this id (see Tx.ID), and all before it,
// are durable; it flushes them if no flush is under way. An id not reached yet is waited for.
// It returns the context's error when ctx ends, the error of a failed flush, and
// ErrDatabaseNotOpen if the store is closed before the id is reached.
func (db *DB) WaitDurable(ctx context.Context, txid int) error {
	return db.waitDurable(ctx, uint64(max(txid, 0)))
}

func (db *DB) waitDurable(ctx context.Context, txid uint64) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		db.mu.Lock()
		switch {
		case db.safeThrough() >= txid:
			db.mu.Unlock()
			return nil
		case db.latched.Load() != nil:
			db.mu.Unlock()
			return db.latched.Load().err
		case db.published.Load() == nil:
			db.mu.Unlock()
			return ErrDatabaseNotOpen
		}
		var err error
		if db.head.txid > db.safe.txid {
			err = db.flushOrWait(ctx.Done())
		} else {
			err = db.waitChange(ctx.Done())
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// safeThrough returns the newest id such that it and all before it are durable, or were
// rolled back, or changed nothing.
func (db *DB) safeThrough() uint64 {
	if db.head.txid == db.safe.txid && db.group.last == 0 {
		return max(db.safe.txid, db.ended)
	}
	return db.safe.txid
}

// waitMeta waits until this state, which is sealed, or a later one has a durable meta, so that what only
// an older one needs is free.
func (db *DB) waitMeta(txid uint64) error {
	for {
		db.mu.Lock()
		switch {
		case db.durable.txid >= txid:
			db.mu.Unlock()
			return nil
		case db.latched.Load() != nil:
			db.mu.Unlock()
			return db.latched.Load().err
		}
		db.redo.stop = true
		if err := db.flushOrWait(nil); err != nil {
			return err
		}
	}
}

// scheduleFlush sees to it that a Deferred state is flushed in time. It tells whether so much
// waits for the disk that the writer should wait too. It is called with mu.
func (db *DB) scheduleFlush() (over bool) {
	if !db.owesFlush() {
		return false // the commit failed, and its group was undone
	}
	if waiting := db.waitingBytes(); db.opts.FlushBytes > 0 && waiting >= db.opts.FlushBytes {
		if !db.flushing {
			f := db.startFlush()
			go func() {
				db.finishFlush(&f)
				db.logFlush(&f)
			}()
			return false
		}
		over = waiting >= 2*db.opts.FlushBytes
	}
	db.armFlush()
	return over
}

// owesFlush tells whether something sealed waits for a flush that can be made.
func (db *DB) owesFlush() bool {
	return !db.closing && !db.volatile && db.latched.Load() == nil && db.head.txid != db.safe.txid
}

// armFlush sees to it that there is a flush after FlushInterval. It is called with mu.
func (db *DB) armFlush() {
	if db.opts.FlushInterval > 0 && !db.armed && db.owesFlush() {
		db.armed = true
		db.timer = time.AfterFunc(db.opts.FlushInterval, db.backgroundFlush)
	}
}

// logFlush tells of a flush that failed and that nobody waited for.
func (db *DB) logFlush(f *flush) {
	if f.err != nil {
		db.opts.Logger.Error("folio: background flush", "path", db.name, "err", f.err)
	}
}

// awaitFlush waits for the end of the flush under way.
func (db *DB) awaitFlush() {
	db.mu.Lock()
	for n := db.flushes; db.flushing && db.flushes == n && db.latched.Load() == nil; {
		db.waitChange(nil)
		db.mu.Lock()
	}
	db.mu.Unlock()
}

func (db *DB) backgroundFlush() {
	db.mu.Lock()
	db.armed = false
	if !db.owesFlush() {
		db.mu.Unlock()
		return
	}
	if db.flushing {
		db.armFlush() // the flush under way may not cover the newest state
		db.mu.Unlock()
		return
	}
	f := db.startFlush()
	db.mu.Unlock()
	db.finishFlush(&f)
	db.logFlush(&f)
}

// sweep closes mappings that no snapshot is read through any more.
func (db *DB) sweep() {
	if !db.mu.TryLock() {
		return // whoever has it sweeps, or the next reader
	}
	defer db.mu.Unlock()
	if db.published.Load() == nil {
		db.wakeWaiters() // Close waits for readers
		return
	}
	db.closeRetired()
}

func (db *DB) closeRetired() {
	if len(db.retired) == 0 {
		db.tidy.Store(false)
		return
	}
	needed := db.needed(nil)
	keep := db.retired[:0]
	for _, r := range db.retired {
		inUse := db.active != nil || db.durable.m == r.mapping || db.safe.m == r.mapping || db.head.m == r.mapping || db.published.Load().m == r.mapping
		for _, txid := range needed {
			inUse = inUse || txid <= r.last && db.readBy(txid)
		}
		if inUse {
			keep = append(keep, r)
			continue
		}
		if err := r.m.Close(); err != nil {
			db.opts.Logger.Warn("folio: unmapping", "path", db.name, "err", err)
		}
	}
	clear(db.retired[len(keep):])
	db.retired = keep
	db.tidy.Store(len(keep) > 0)
}

// readBy tells whether an open read transaction sees this state.
func (db *DB) readBy(txid uint64) bool {
	found := false
	db.readers.each(func(t uint64) { found = found || t == txid })
	return found
}
