package folio_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/foliokv/folio"
	"github.com/foliokv/folio/internal/foliotest"
	"github.com/foliokv/folio/internal/testdir"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		*folio.Rounds = 1
	}
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("runtime.handleEvent")) // js waits for events there
}

// open opens a store in a file of its own; close checks and closes it at the end of the test.
func open(t testing.TB, o *folio.Options) *folio.DB {
	t.Helper()
	return openAt(t, filepath.Join(testdir.New(t), "store"), o)
}

func openAt(t testing.TB, path string, o *folio.Options) *folio.DB {
	t.Helper()
	db, err := folio.Open(path, 0o600, o)
	must(t, err)
	t.Cleanup(func() {
		if db.View(func(*folio.Tx) error { return nil }) == nil {
			foliotest.MustClose(t, db)
		}
	})
	return db
}

func must(t testing.TB, err error) {
	t.Helper()
	foliotest.Must(t, err)
}

// update and view run fn in a transaction that must succeed, on the bucket "b".
func update(t testing.TB, db *folio.DB, fn func(b *folio.Bucket) error) {
	t.Helper()
	must(t, db.Update(func(tx *folio.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte("b"))
		if err != nil {
			return err
		}
		return fn(b)
	}))
}

func view(t testing.TB, db *folio.DB, fn func(b *folio.Bucket) error) {
	t.Helper()
	must(t, db.View(func(tx *folio.Tx) error { return fn(tx.Bucket([]byte("b"))) }))
}

// fill puts n pairs with values of a size into the bucket "b".
func fill(t testing.TB, db *folio.DB, n, size int) {
	t.Helper()
	update(t, db, func(b *folio.Bucket) error {
		for i := range n {
			if err := b.Put(foliotest.Key(i), value(i, size)); err != nil {
				return err
			}
		}
		return nil
	})
}

// value returns n bytes that depend on i.
func value(i, n int) []byte {
	v := make([]byte, n)
	for j := range v {
		v[j] = byte(i*31 + j)
	}
	return v
}

func fileSize(t testing.TB, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	return info.Size()
}
