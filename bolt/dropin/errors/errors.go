// Package errors holds the errors of package bbolt. Each is described in
// github.com/foliokv/folio/bolt/errors, and is the same value.
package errors

import "github.com/foliokv/folio/bolt/errors"

// The errors of package bbolt.
var (
	ErrDatabaseNotOpen    = errors.ErrDatabaseNotOpen
	ErrInvalid            = errors.ErrInvalid
	ErrInvalidMapping     = errors.ErrInvalidMapping
	ErrVersionMismatch    = errors.ErrVersionMismatch
	ErrChecksum           = errors.ErrChecksum
	ErrTimeout            = errors.ErrTimeout
	ErrTxNotWritable      = errors.ErrTxNotWritable
	ErrTxClosed           = errors.ErrTxClosed
	ErrDatabaseReadOnly   = errors.ErrDatabaseReadOnly
	ErrFreePagesNotLoaded = errors.ErrFreePagesNotLoaded
	ErrBucketNotFound     = errors.ErrBucketNotFound
	ErrBucketExists       = errors.ErrBucketExists
	ErrBucketNameRequired = errors.ErrBucketNameRequired
	ErrKeyRequired        = errors.ErrKeyRequired
	ErrKeyTooLarge        = errors.ErrKeyTooLarge
	ErrValueTooLarge      = errors.ErrValueTooLarge
	ErrMaxSizeReached     = errors.ErrMaxSizeReached
	ErrIncompatibleValue  = errors.ErrIncompatibleValue
	ErrSameBuckets        = errors.ErrSameBuckets
	ErrDifferentDB        = errors.ErrDifferentDB
)
