// Package foliotest is what the tests of folio, inside the repository's root and outside, have
// in common: folio under the workloads of package workload, on a simulated file.
package foliotest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/foliokv/folio"
	"github.com/foliokv/folio/internal/backing"
	"github.com/foliokv/folio/internal/workload"
)

// Errors are folio's sentinels by the names that package model gives them.
var Errors = map[string]error{
	"ErrDatabaseNotOpen": folio.ErrDatabaseNotOpen, "ErrTxNotWritable": folio.ErrTxNotWritable,
	"ErrTxClosed": folio.ErrTxClosed, "ErrBucketNotFound": folio.ErrBucketNotFound,
	"ErrBucketExists": folio.ErrBucketExists, "ErrBucketNameRequired": folio.ErrBucketNameRequired,
	"ErrKeyRequired": folio.ErrKeyRequired, "ErrKeyTooLarge": folio.ErrKeyTooLarge,
	"ErrValueTooLarge": folio.ErrValueTooLarge, "ErrIncompatibleValue": folio.ErrIncompatibleValue,
	"ErrSameBuckets": folio.ErrSameBuckets, "ErrDifferentDB": folio.ErrDifferentDB,
	"ErrSavepointClosed": folio.ErrSavepointClosed,
}

// Open opens a store on a file that is not the operating system's.
func Open(f backing.File, o *folio.Options) (*folio.DB, error) {
	if s, ok := f.(interface{ Opened() backing.File }); ok {
		f = s.Opened()
	}
	db, err := backing.Open(f, o)
	if err != nil {
		return nil, err
	}
	return db.(*folio.DB), nil
}

// Opener returns what a workload.Config wants: open opens a store anew at each call.
func Opener(open func() (*folio.DB, error)) func() (workload.Store, error) {
	return func() (workload.Store, error) {
		db, err := open()
		if err != nil {
			return nil, err
		}
		return workload.Adapt(db), nil
	}
}

// Check verifies the whole store and returns what it finds.
func Check(db *folio.DB) error {
	var found []error
	err := db.View(func(tx *folio.Tx) error {
		for err := range tx.Check() {
			found = append(found, err)
		}
		return nil
	})
	return errors.Join(append(found, err)...)
}

// MustCheck ends the test if Check finds anything.
func MustCheck(t testing.TB, db *folio.DB) {
	t.Helper()
	if err := Check(db); err != nil {
		t.Fatalf("check: %v", err)
	}
}

// MustClose checks the store, closes it, and ends the test if either fails.
func MustClose(t testing.TB, db *folio.DB) {
	t.Helper()
	MustCheck(t, db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// Must ends the test on an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Key is a key that sorts as its number.
func Key(i int) []byte { return fmt.Appendf(nil, "key%08d", i) }
