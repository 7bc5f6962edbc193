package folio

import (
	"log/slog"
	"os"
	"time"
)

// MaxKeySize is the length of the longest key and bucket name, in bytes.
const MaxKeySize = 32768

// MaxValueSize is the length of the longest value, in bytes.
const MaxValueSize = 1<<31 - 1

// DefaultPageSize is the page size of a store created without Options.PageSize.
const DefaultPageSize = 4096

// Options are the knobs of a store. The zero value, and a nil *Options, are good defaults.
type Options struct {
	// ReadOnly opens the file without ever writing to it, with a lock that other read-only
	// opens share. The file must exist.
	ReadOnly bool

	// Previous, with ReadOnly, opens the state of the older of the two metas: the one before
	// the last that was made durable. Pages of it may have been used again since; reading
	// those gives ErrCorrupt. After a proper close both metas are of one state, and so is what
	// is opened. If there is no older meta that is valid, Open returns ErrCorrupt.
	Previous bool

	// Timeout is how long Open waits for the file lock that another process, or another DB
	// of this one, holds; past it Open returns ErrTimeout. The default 0 waits for ever.
	Timeout time.Duration

	// PageSize is the page size in bytes of a store that Open creates: a power of two from
	// 4096 to 65536, by default DefaultPageSize. An existing store keeps its own. Larger pages
	// make trees flatter and small commits dearer.
	PageSize int

	// MaxSize is the size in bytes that the file may not pass, by default none. A transaction
	// that would need more fails with ErrMaxSizeReached. Some pages are kept back so that
	// deletes still succeed then (see docs/operations.md).
	MaxSize int64

	// Durability says when a transaction is acknowledged, by default Durable. A transaction
	// can choose for itself with Tx.SetDurability.
	Durability Durability

	// FlushInterval is how long after a Deferred commit its flush begins, by default
	// DefaultFlushInterval. Negative: only DB.Sync, DB.WaitDurable, Close and FlushBytes flush.
	FlushInterval time.Duration

	// FlushBytes begins the flush of Deferred commits as soon as this many bytes wait for it, by default DefaultFlushBytes; negative: no such bound. It bounds what
	// opening after a crash has to verify.
	FlushBytes int64

	// DirtyLimit is about how many bytes of changed pages a transaction keeps in memory, by
	// default DefaultDirtyLimit. Past it, pages that it has not touched lately are written
	// early, to free places of the file, and read back if needed again. As much again may be
	// taken by what Deferred transactions changed until it is flushed, and once more while a
	// flush is under way.
	DirtyLimit int64

	// Verify says when the checksum of a page is compared, by default VerifyOnce.
	Verify Verify

	// Logger gets events that no call returns: an older state taken at opening, a file opened
	// read-only for its features, a failed background flush, the end of writing after a failed
	// flush. By default nothing is logged.
	Logger *slog.Logger

	// OnEvent is called with what happens to the store and no call returns: see Event, and
	// LogEvents for a function that logs it. Calls come one after the other, on a goroutine of
	// their own without any lock of the store; the function may use the store, but not close it,
	// for Close waits until every event is delivered. When it is so slow that 256 events wait,
	// more are dropped. By default there is none.
	OnEvent func(Event)

	// SlowFlush is how long a flush takes to be an EventSlowFlush, by default
	// DefaultSlowFlush. Negative: every flush is one.
	SlowFlush time.Duration

	// LongReader is how long a state that was replaced is read to be an EventLongReader, by
	// default DefaultLongReader. Negative: as soon as a commit finds it.
	LongReader time.Duration

	// TraceReaders remembers when and where each read transaction began, for EventLongReader
	// and Stats.OldestAge. It costs each read transaction a lock and a walk of the stack,
	// some microseconds; off, the default, it costs nothing.
	TraceReaders bool

	// OpenFile opens the file, by default os.OpenFile.
	OpenFile func(name string, flag int, mode os.FileMode) (*os.File, error)
}

// Defaults of Options.
const (
	DefaultFlushInterval = 100 * time.Millisecond
	DefaultFlushBytes    = 64 << 20
	DefaultDirtyLimit    = 64 << 20
	DefaultSlowFlush     = time.Second
	DefaultLongReader    = time.Minute
)

// Durability says when a transaction is acknowledged.
type Durability int

const (
	// Durable acknowledges a transaction, and shows it to readers, when it is on disk: it
	// survives any crash. Transactions that run at the same time share one flush.
	Durable Durability = iota

	// Deferred acknowledges and shows a transaction at once and flushes in the background. A
	// crash of the machine, or of the process before the flush, may lose the newest such
	// transactions, whole and in order; it never damages the store. DB.Sync and
	// DB.WaitDurable wait for the flush.
	Deferred
)

// Verify says when a page's checksum is compared.
type Verify int

const (
	// VerifyOnce compares it when this process first touches the page.
	VerifyOnce Verify = iota

	// VerifyAlways compares it at every touch, so that a read costs the checksum of each page on
	// its way. It sees memory and files that change under a running process.
	VerifyAlways

	// VerifyNever compares no checksums while reading. Structure is still checked, so damage
	// cannot crash the process, but it may give wrong answers. Recovery and Check compare them
	// all the same.
	VerifyNever
)

func (o *Options) withDefaults() Options {
	var opts Options
	if o != nil {
		opts = *o
	}
	if opts.PageSize == 0 {
		opts.PageSize = DefaultPageSize
	}
	if opts.FlushInterval == 0 {
		opts.FlushInterval = DefaultFlushInterval
	}
	if opts.FlushBytes == 0 {
		opts.FlushBytes = DefaultFlushBytes
	}
	if opts.DirtyLimit <= 0 {
		opts.DirtyLimit = DefaultDirtyLimit
	}
	if opts.SlowFlush == 0 {
		opts.SlowFlush = DefaultSlowFlush
	}
	if opts.LongReader == 0 {
		opts.LongReader = DefaultLongReader
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.OpenFile == nil {
		opts.OpenFile = os.OpenFile
	}
	return opts
}
