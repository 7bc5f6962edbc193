// Package errors holds the errors of package bolt. Those that folio has too are the same
// values, so errors.Is holds with either name.
package errors

import (
	"errors"

	"github.com/foliokv/folio"
)

// Errors of opening and using a DB.
var (
	// ErrDatabaseNotOpen is returned when a DB is used before it is opened or after Close.
	ErrDatabaseNotOpen = folio.ErrDatabaseNotOpen

	// ErrInvalid is returned when a file is not a folio store. For a file of bbolt the error
	// says how to import it, and wraps this one.
	ErrInvalid = errors.New("invalid database")

	// ErrInvalidMapping is never returned: a store that cannot be mapped does not open, with
	// the system's error.
	ErrInvalidMapping = errors.New("database isn't correctly mapped")

	// ErrVersionMismatch is returned when a file has another version of folio's format.
	ErrVersionMismatch = errors.New("version mismatch")

	// ErrChecksum is returned when no whole state is found in a store that is to be opened.
	ErrChecksum = errors.New("checksum error")

	// ErrTimeout is returned when the file lock could not be had within Options.Timeout.
	ErrTimeout = folio.ErrTimeout
)

// Errors of beginning and ending transactions.
var (
	// ErrTxNotWritable is returned when a write is asked of a read transaction.
	ErrTxNotWritable = folio.ErrTxNotWritable

	// ErrTxClosed is returned when a transaction is used after Commit or Rollback.
	ErrTxClosed = folio.ErrTxClosed

	// ErrDatabaseReadOnly is returned when a write transaction is asked of a store opened
	// read-only.
	ErrDatabaseReadOnly = folio.ErrDatabaseReadOnly

	// ErrFreePagesNotLoaded is returned by Tx.Page of a store opened read-only without
	// PreLoadFreelist.
	ErrFreePagesNotLoaded = errors.New("free pages are not pre-loaded")
)

// Errors of buckets, keys and values.
var (
	// ErrBucketNotFound is returned when a bucket does not exist.
	ErrBucketNotFound = folio.ErrBucketNotFound

	// ErrBucketExists is returned when a bucket to be created exists.
	ErrBucketExists = folio.ErrBucketExists

	// ErrBucketNameRequired is returned for an empty name of a bucket to be created.
	ErrBucketNameRequired = folio.ErrBucketNameRequired

	// ErrKeyRequired is returned for an empty key.
	ErrKeyRequired = folio.ErrKeyRequired

	// ErrKeyTooLarge is returned for a key or bucket name longer than MaxKeySize.
	ErrKeyTooLarge = folio.ErrKeyTooLarge

	// ErrValueTooLarge is returned for a value longer than MaxValueSize.
	ErrValueTooLarge = folio.ErrValueTooLarge

	// ErrMaxSizeReached is returned when a transaction would grow the file past
	// Options.MaxSize.
	ErrMaxSizeReached = folio.ErrMaxSizeReached

	// ErrIncompatibleValue is returned when a key is used as a bucket or a bucket as a key.
	ErrIncompatibleValue = folio.ErrIncompatibleValue

	// ErrSameBuckets is returned when a bucket is moved to where it is, or into itself.
	ErrSameBuckets = folio.ErrSameBuckets

	// ErrDifferentDB is returned when a bucket is moved to another store or transaction.
	ErrDifferentDB = folio.ErrDifferentDB
)
