package bolt

import (
	"encoding/binary"
	goerrors "errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/foliokv/folio"
	"github.com/foliokv/folio/bolt/errors"
)

// Defaults of DB.MaxBatchSize, DB.MaxBatchDelay and DB.AllocSize.
const (
	defaultMaxBatchSize  = 1000
	defaultMaxBatchDelay = 10 * time.Millisecond
	defaultAllocSize     = 16 << 20
)

// A DB is an open store. All methods may be called by many goroutines at once. The zero DB is
// not open: its methods return ErrDatabaseNotOpen.
type DB struct {
	stats TxStats // of transactions that ended; first, so that it is aligned on 32-bit machines

	// StrictMode checks the whole store after every commit and panics if it finds anything. It
	// is for looking for defects: a commit then costs a walk over the store.
	StrictMode bool

	// NoSync acknowledges a transaction, and shows it to readers, before it is on disk; it is
	// flushed within a tenth of a second, by Sync, or by Close. A crash may lose the newest such
	// transactions, also one of the process alone; it never damages the store. Commit looks at
	// it.
	NoSync bool

	// NoFreelistSync changes nothing. See Options.
	NoFreelistSync bool

	// FreelistType changes nothing. See Options.
	FreelistType FreelistType

	// NoGrowSync changes nothing. See Options.
	NoGrowSync bool

	// PreLoadFreelist lets Tx.Page work in a store opened read-only; it is always set in others.
	PreLoadFreelist bool

	// MmapFlags changes nothing. See Options.
	MmapFlags int

	// MaxBatchSize is the number of calls of Batch that are begun together, by default 1000. See
	// Batch. It must not be changed while Batch runs.
	MaxBatchSize int

	// MaxBatchDelay is the longest that a call of Batch waits for others, by default 10 ms. See
	// Batch. It must not be changed while Batch runs.
	MaxBatchDelay time.Duration

	// AllocSize changes nothing: how far the file grows ahead of need follows its size.
	AllocSize int

	// MaxSize is Options.MaxSize. Changing it changes nothing.
	MaxSize int

	// Mlock changes nothing. See Options.
	Mlock bool

	f        *folio.DB
	path     string
	pageSize int
	readOnly bool
	closed   atomic.Bool
	logger   Logger
	noStats  bool

	batchMu sync.Mutex
	batch   *batch
}

// Open opens the store in the file called path and creates it with this mode if it does not
// exist. Nil options stand for DefaultOptions. It waits for the file's lock as long as
// Options.Timeout says; a second Open of a file that is open waits too, in the same process
// and in others.
//
// Errors: ErrTimeout; ErrInvalid for a file that is no folio store (for one of bbolt an error
// that says how to import it, and wraps ErrInvalid); ErrVersionMismatch; ErrChecksum for a store
// without a whole state; those of the system. The file is left untouched then.
func Open(path string, mode os.FileMode, options *Options) (*DB, error) {
	if options == nil {
		options = DefaultOptions
	}
	db := &DB{
		NoSync:          options.NoSync,
		NoFreelistSync:  options.NoFreelistSync,
		FreelistType:    options.FreelistType,
		NoGrowSync:      options.NoGrowSync,
		PreLoadFreelist: options.PreLoadFreelist || !options.ReadOnly,
		MmapFlags:       options.MmapFlags,
		MaxBatchSize:    defaultMaxBatchSize,
		MaxBatchDelay:   defaultMaxBatchDelay,
		AllocSize:       defaultAllocSize,
		MaxSize:         options.MaxSize,
		Mlock:           options.Mlock,
		readOnly:        options.ReadOnly,
		logger:          options.Logger,
		noStats:         options.NoStatistics,
	}
	db.Logger().Infof("Opening %s with mode %s and options %s", path, mode, options)
	f, err := folio.Open(path, mode, options.folio())
	if err != nil {
		db.Logger().Errorf("Opening %s failed: %v", path, err)
		return nil, openError(path, err)
	}
	db.f, db.path, db.pageSize = f, f.Path(), f.Info().PageSize
	db.Logger().Infof("Opened %s", path)
	return db, nil
}

// openError returns the error that Open gives for one of the engine.
func openError(path string, err error) error {
	head := make([]byte, 4096+20)
	size := int64(-1)
	if f, openErr := os.Open(path); openErr == nil {
		n, _ := io.ReadFull(f, head)
		head = head[:n]
		if info, statErr := f.Stat(); statErr == nil {
			size = info.Size()
		}
		f.Close()
	}
	switch {
	case goerrors.Is(err, folio.ErrInvalid) && isBbolt(head):
		return fmt.Errorf("%s is a file of bbolt: kvcli import-bolt %s NEW.folio makes a folio store of it: %w", path, path, errors.ErrInvalid)
	case goerrors.Is(err, folio.ErrInvalid):
		return errors.ErrInvalid
	case goerrors.Is(err, folio.ErrVersionMismatch):
		return errors.ErrVersionMismatch
	case goerrors.Is(err, folio.ErrCorrupt) && size >= 0 && size < 2*4096:
		return fmt.Errorf("file size too small %d: %w", size, errors.ErrChecksum)
	case goerrors.Is(err, folio.ErrCorrupt):
		return errors.ErrChecksum
	}
	return plain(err)
}

// isBbolt tells whether a file that begins with head is one of bbolt: its two first pages have
// a magic number behind their headers, in the byte order of the machine that wrote it.
func isBbolt(head []byte) bool {
	const magic, at = 0xED0CDAED, 16
	for _, page := range []int{0, 4096} {
		if len(head) < page+at+4 {
			return false
		}
		b := head[page+at:]
		if binary.LittleEndian.Uint32(b) == magic || binary.BigEndian.Uint32(b) == magic {
			return true
		}
	}
	return false
}

// isOpen tells whether transactions can begin.
func (db *DB) isOpen() bool { return db.f != nil && !db.closed.Load() }

// Close waits for all open transactions to end, flushes, and closes the file. A second Close
// returns nil.
func (db *DB) Close() error {
	if db.f == nil {
		return nil
	}
	err := db.f.Close()
	db.closed.Store(true)
	return plain(err)
}

// Path returns the path of the open file, empty after Close.
func (db *DB) Path() string {
	if !db.isOpen() {
		return ""
	}
	return db.path
}

// String returns a description for people.
func (db *DB) String() string { return fmt.Sprintf("DB<%q>", db.Path()) }

// GoString returns a description for people who write Go.
func (db *DB) GoString() string { return fmt.Sprintf("bolt.DB{path:%q}", db.Path()) }

// IsReadOnly tells whether the store was opened read-only.
func (db *DB) IsReadOnly() bool { return db.readOnly }

// Logger returns Options.Logger, or one that drops everything.
func (db *DB) Logger() Logger {
	if db == nil || db.logger == nil {
		return discardLogger
	}
	return db.logger
}

// Info describes an open store.
type Info struct {
	Data     uintptr // 0: the pages in memory are not bbolt's
	PageSize int     // bytes
}

// Info returns the store's description. It panics if the store is not open.
func (db *DB) Info() *Info {
	assert(db.isOpen(), "database file isn't correctly mapped")
	return &Info{PageSize: db.pageSize}
}

// Begin starts a transaction. Write transactions wait for each other; read transactions wait
// for nobody and nobody for them. Each must end with Commit or Rollback; an open read
// transaction keeps the pages it sees from being used again.
func (db *DB) Begin(writable bool) (*Tx, error) {
	if writable && db.readOnly {
		return nil, errors.ErrDatabaseReadOnly
	}
	if db.f == nil {
		return nil, errors.ErrDatabaseNotOpen
	}
	f, err := db.f.Begin(writable)
	if err != nil {
		return nil, plain(err)
	}
	return db.newTx(f, writable), nil
}

// View runs fn in a read transaction and returns its error, or that of damage that fn met.
// Commit or Rollback inside fn panics.
func (db *DB) View(fn func(*Tx) error) error {
	if db.f == nil {
		return errors.ErrDatabaseNotOpen
	}
	return db.manage(fn, false, db.f.View)
}

// Update runs fn in a write transaction and commits it. When fn returns an error, which Update
// returns, or panics, its changes are dropped. Commit or Rollback inside fn panics. Concurrent
// calls run one after the other and share flushes.
func (db *DB) Update(fn func(*Tx) error) error {
	if db.readOnly {
		return errors.ErrDatabaseReadOnly
	}
	if db.f == nil {
		return errors.ErrDatabaseNotOpen
	}
	return db.manage(fn, true, db.f.Update)
}

// manage runs fn by View or Update of the engine.
func (db *DB) manage(fn func(*Tx) error, writable bool, run func(func(*folio.Tx) error) error) error {
	var tx *Tx
	var own error // of fn
	defer func() {
		if tx != nil {
			tx.close()
		}
	}()
	err := run(func(f *folio.Tx) error {
		tx = db.newTx(f, writable)
		tx.managed = true
		own = fn(tx)
		if writable && own == nil {
			tx.beforeCommit()
		}
		return own
	})
	if own != nil {
		return own
	}
	if err != nil {
		return plain(err)
	}
	if writable {
		tx.afterCommit()
	}
	return nil
}

// Sync makes every transaction committed before the call durable. It is of use after
// transactions with NoSync.
func (db *DB) Sync() error {
	if db.f == nil {
		return errors.ErrDatabaseNotOpen
	}
	err := db.f.Sync()
	if err != nil {
		db.Logger().Errorf("Syncing %s on %s failed: %v", db.path, runtime.GOOS, err)
	}
	return plain(err)
}

// strict checks the store after a commit.
func (db *DB) strict() {
	tx, err := db.Begin(false)
	if err != nil {
		return // it was closed meanwhile
	}
	defer tx.Rollback()
	var found []string
	for err := range tx.Check() {
		found = append(found, err.Error())
	}
	if len(found) > 0 {
		panic("check fail: " + strings.Join(found, "\n"))
	}
}

// assert panics as bbolt does for what must not be done.
func assert(ok bool, message string) {
	if !ok {
		panic("assertion failed: " + message)
	}
}
