package folio

import (
	"errors"
	"fmt"
	"io"
)

// The errors of folio. They are returned wrapped with what was being done: compare with
// errors.Is.
var (
	// ErrDatabaseNotOpen is returned when a DB is used before it is opened or after Close.
	ErrDatabaseNotOpen = errors.New("database not open")

	// ErrDatabaseReadOnly is returned when a write is asked of a store opened read-only.
	ErrDatabaseReadOnly = errors.New("database is in read-only mode")

	// ErrInvalid is returned when a file is not a folio store.
	ErrInvalid = errors.New("not a folio file")

	// ErrVersionMismatch is returned when a file has another format version, or needs a
	// feature that this version of folio does not know.
	ErrVersionMismatch = errors.New("file format version not supported")

	// ErrTimeout is returned when the file lock could not be had within Options.Timeout.
	ErrTimeout = errors.New("timeout")

	// ErrTxNotWritable is returned when a write is asked of a read transaction.
	ErrTxNotWritable = errors.New("tx not writable")

	// ErrTxClosed is returned when a transaction is used after Commit or Rollback.
	ErrTxClosed = errors.New("tx closed")

	// ErrBucketNotFound is returned when a bucket does not exist, or a write goes through a
	// nil *Bucket.
	ErrBucketNotFound = errors.New("bucket not found")

	// ErrBucketExists is returned when a bucket to be created exists.
	ErrBucketExists = errors.New("bucket already exists")

	// ErrBucketNameRequired is returned for an empty bucket name.
	ErrBucketNameRequired = errors.New("bucket name required")

	// ErrKeyRequired is returned for an empty key.
	ErrKeyRequired = errors.New("key required")

	// ErrKeyTooLarge is returned for a key or bucket name longer than MaxKeySize.
	ErrKeyTooLarge = errors.New("key too large")

	// ErrValueTooLarge is returned for a value longer than MaxValueSize.
	ErrValueTooLarge = errors.New("value too large")

	// ErrIncompatibleValue is returned when a key is used as a bucket or a bucket as a key.
	ErrIncompatibleValue = errors.New("incompatible value")

	// ErrSameBuckets is returned when a bucket is moved to where it is.
	ErrSameBuckets = errors.New("the source and target are the same bucket")

	// ErrDifferentDB is returned when a bucket is moved to another store or transaction.
	ErrDifferentDB = errors.New("the source and target buckets are in different database files")

	// ErrMaxSizeReached is returned when a transaction would grow the file past
	// Options.MaxSize, or past 2^31-1 pages.
	ErrMaxSizeReached = errors.New("database reached maximum size")

	// ErrSavepointClosed is returned when a savepoint is used after it was rolled back or
	// released, itself or by an outer one.
	ErrSavepointClosed = errors.New("savepoint closed")

	// ErrOutOfOrder is returned by Bucket.Load for a pair that does not follow the one
	// before it.
	ErrOutOfOrder = errors.New("key out of order")

	// ErrCorrupt is what every *CorruptError unwraps to.
	ErrCorrupt = errors.New("database corrupt")
)

// A CorruptError tells of damage: bytes in the file that are not what was written there.
type CorruptError struct {
	Pgno   uint32 // the damaged page, or the first page of a damaged extent
	Reason string
}

// Error tells the page and the reason.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("page %d: %s", e.Pgno, e.Reason)
}

// Unwrap returns ErrCorrupt.
func (e *CorruptError) Unwrap() error { return ErrCorrupt }

func corruptf(pgno uint32, format string, args ...any) error {
	return &CorruptError{Pgno: pgno, Reason: fmt.Sprintf(format, args...)}
}

// A readError is damage that may be none: the file could not be read. It wraps the
// *CorruptError and the cause.
type readError struct {
	*CorruptError
	cause error
}

func (e *readError) Unwrap() []error { return []error{e.CorruptError, e.cause} }

// unreadable returns the error for a page or extent that could not be read. That a file ends
// before it is damage like any other.
func unreadable(pgno uint32, what string, err error) error {
	e := &CorruptError{Pgno: pgno, Reason: fmt.Sprintf("%s: %v", what, err)}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return e
	}
	return &readError{e, err}
}
