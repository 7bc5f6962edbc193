package model

import "errors"

// The errors that folio's operations give, by the names that folio gives them; the text of each
// is its name.
var (
	ErrDatabaseNotOpen    = errors.New("ErrDatabaseNotOpen")
	ErrTxNotWritable      = errors.New("ErrTxNotWritable")
	ErrTxClosed           = errors.New("ErrTxClosed")
	ErrBucketNotFound     = errors.New("ErrBucketNotFound")
	ErrBucketExists       = errors.New("ErrBucketExists")
	ErrBucketNameRequired = errors.New("ErrBucketNameRequired")
	ErrKeyRequired        = errors.New("ErrKeyRequired")
	ErrKeyTooLarge        = errors.New("ErrKeyTooLarge")
	ErrValueTooLarge      = errors.New("ErrValueTooLarge")
	ErrIncompatibleValue  = errors.New("ErrIncompatibleValue")
	ErrSameBuckets        = errors.New("ErrSameBuckets")
	ErrDifferentDB        = errors.New("ErrDifferentDB")
	ErrSavepointClosed    = errors.New("ErrSavepointClosed")
)

// ErrMoveIntoSelf is the error for moving a bucket into itself or below itself. The store's own
// error for it has no name that is promised.
var ErrMoveIntoSelf = errors.New("bucket moved into itself")

// The limits of keys, and of names of buckets, and of values, in bytes.
const (
	MaxKeySize   = 32768
	MaxValueSize = 1<<31 - 1
)
