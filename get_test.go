package folio_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/foliokv/folio"
	"github.com/foliokv/folio/internal/testdir"
)

// A Get on another goroutine than View's is guarded by itself; both find the same.
func TestGetOnAnotherGoroutine(t *testing.T) {
	db, err := folio.Open(filepath.Join(testdir.New(t), "db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Update(func(tx *folio.Tx) error {
		b, err := tx.CreateBucket([]byte("b"))
		for i := range 2000 {
			err = errors.Join(err, b.Put(fmt.Appendf(nil, "%06d", 2*i), fmt.Appendf(nil, "v%d", i)))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	err = db.View(func(tx *folio.Tx) error {
		b := tx.Bucket([]byte("b"))
		for i := range 2000 {
			key, absent := fmt.Appendf(nil, "%06d", 2*i), fmt.Appendf(nil, "%06d", 2*i+1)
			want := fmt.Sprintf("v%d", i)
			done := make(chan string)
			go func() { done <- string(b.Get(key)) }()
			if there := <-done; there != want || string(b.Get(key)) != want {
				t.Fatalf("%s: %q there, %q here", key, there, b.Get(key))
			}
			if v := b.Get(absent); v != nil {
				t.Fatalf("%s: %q", absent, v)
			}
		}
		for err := range tx.Check() {
			t.Error(err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
