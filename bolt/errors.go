package bolt

import (
	goerrors "errors"

	"github.com/foliokv/folio"
	"github.com/foliokv/folio/bolt/errors"
)

// Errors of package errors, where each is described, under the names they had before they had
// a package.
//
// Deprecated: use package errors.
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
	ErrIncompatibleValue  = errors.ErrIncompatibleValue
)

// sentinels are the errors that callers compare with ==.
var sentinels = []error{
	folio.ErrDatabaseNotOpen, folio.ErrTimeout, folio.ErrTxNotWritable, folio.ErrTxClosed, folio.ErrDatabaseReadOnly,
	folio.ErrBucketNotFound, folio.ErrBucketExists, folio.ErrBucketNameRequired, folio.ErrKeyRequired, folio.ErrKeyTooLarge,
	folio.ErrValueTooLarge, folio.ErrMaxSizeReached, folio.ErrIncompatibleValue, folio.ErrSameBuckets, folio.ErrDifferentDB,
}

// plain takes what folio wrapped around an error that callers compare with == off it.
func plain(err error) error {
	if err == nil {
		return nil
	}
	for _, s := range sentinels {
		if goerrors.Is(err, s) {
			return s
		}
	}
	return err
}
