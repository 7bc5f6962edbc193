// Package bbolt has the API of go.etcd.io/bbolt and stores in folio's files: with
//
//	replace go.etcd.io/bbolt => PATH/bolt/dropin
//
// in its go.mod a program that uses bbolt runs on folio unchanged. Everything here is
// github.com/foliokv/folio/bolt under another name; look there for what it does, and how it
// differs from bbolt.
package bbolt

import (
	"os"

	"github.com/foliokv/folio/bolt"
	"github.com/foliokv/folio/bolt/errors"
)

// Limits of a pair, in bytes, and the FillPercent of a bucket until it is set.
const (
	MaxKeySize         = bolt.MaxKeySize
	MaxValueSize       = bolt.MaxValueSize
	DefaultFillPercent = bolt.DefaultFillPercent
)

// Names of representations of the list of free pages.
const (
	FreelistArrayType = bolt.FreelistArrayType
	FreelistMapType   = bolt.FreelistMapType
)

// The types of package bolt.
type (
	DB              = bolt.DB
	Tx              = bolt.Tx
	Bucket          = bolt.Bucket
	Cursor          = bolt.Cursor
	Options         = bolt.Options
	FreelistType    = bolt.FreelistType
	Info            = bolt.Info
	Stats           = bolt.Stats
	TxStats         = bolt.TxStats
	BucketStats     = bolt.BucketStats
	BucketStructure = bolt.BucketStructure
	Logger          = bolt.Logger
	DefaultLogger   = bolt.DefaultLogger
	CheckOption     = bolt.CheckOption
	KVStringer      = bolt.KVStringer
)

// The errors of package bolt.
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

// DefaultOptions are what Open uses for nil options.
var DefaultOptions = bolt.DefaultOptions

// Open opens the store in the file called path. See bolt.Open.
func Open(path string, mode os.FileMode, options *Options) (*DB, error) {
	if options == nil {
		options = DefaultOptions
	}
	return bolt.Open(path, mode, options)
}

// Compact copies all that is in src to dst. See bolt.Compact.
func Compact(dst, src *DB, txMaxSize int64) error { return bolt.Compact(dst, src, txMaxSize) }

// WithKVStringer sets how keys are shown in findings. See bolt.WithKVStringer.
func WithKVStringer(kvStringer KVStringer) CheckOption { return bolt.WithKVStringer(kvStringer) }

// WithPageId sets the page from which to check. See bolt.WithPageId.
func WithPageId(pageId uint64) CheckOption { return bolt.WithPageId(pageId) }

// HexKVStringer returns a KVStringer that gives hexadecimal digits.
func HexKVStringer() KVStringer { return bolt.HexKVStringer() }
