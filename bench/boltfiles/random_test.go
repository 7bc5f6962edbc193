package boltfiles

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/foliokv/folio/internal/boltfile"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// What bbolt wrote, whatever it did to the file, is read as bbolt reads it.
func TestReadsWhatBoltWrote(t *testing.T) {
	for i := range *rounds {
		p := newProgram(*seed + uint64(i))
		path := filepath.Join(t.TempDir(), "bolt")
		for range 3 { // each time with other options
			edit(t, path, p.options(), p.run)
			compareFile(t, path)
		}
		if t.Failed() {
			t.Fatalf("with -seed %d", *seed+uint64(i))
		}
	}
}

// What the writer writes is whole to bbolt, holds the same, and can be changed by bbolt.
func TestBoltReadsWhatIsWritten(t *testing.T) {
	for i := range *rounds {
		p := newProgram(*seed + uint64(i))
		from := newFile(t, p.options(), p.run)
		to := filepath.Join(t.TempDir(), "copy")
		pageSize := 1024 << p.IntN(7)
		rewrite(t, from, to, pageSize)
		check(t, to)
		compareFile(t, to)
		compareFiles(t, from, to)
		p.pageSize = pageSize
		edit(t, to, p.options(), p.run)
		edit(t, to, nil, p.run) // with a free list again
		check(t, to)
		compareFile(t, to)
		if t.Failed() {
			t.Fatalf("with -seed %d", *seed+uint64(i))
		}
	}
}

// rewrite copies a file by boltfile's writer.
func rewrite(t *testing.T, from, to string, pageSize int) {
	t.Helper()
	file, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	view(t, from, func(tx *bbolt.Tx) error {
		w, err := boltfile.NewWriter(file, pageSize)
		if err != nil {
			return err
		}
		if err := copyBucket(w, tx.Cursor(), tx.Bucket); err != nil {
			return err
		}
		return w.Close()
	})
}

// compareFiles compares two files pair by pair, one read by bbolt.
func compareFiles(t *testing.T, byBolt, other string) {
	t.Helper()
	f, err := boltfile.Open(other, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	view(t, byBolt, func(tx *bbolt.Tx) error {
		return f.Guard(func() error { return compareBucket(f.NewWalk(), f.Root(), tx.Cursor(), tx.Bucket) })
	})
}

// A file that bbolt has open is in use, and one that only bbolt's readers have open is not.
func TestBoltsLock(t *testing.T) {
	path := newFile(t, nil, func(db *bbolt.DB) error {
		if f, err := boltfile.Open(db.Path(), 1); err != boltfile.ErrLocked {
			t.Errorf("a file open for writing opens: %v, %v", f, err)
		}
		return nil
	})
	view(t, path, func(tx *bbolt.Tx) error {
		f, err := boltfile.Open(path, 1)
		if err != nil {
			return err
		}
		return f.Close()
	})
	f, err := boltfile.Open(path, 1)
	if err != nil {
		t.Fatal(err)
	}
	if db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: 1}); err != bolterrors.ErrTimeout {
		t.Errorf("bbolt opens a file that is being read: %v, %v", db, err)
	}
	f.Close()
	edit(t, path, nil, func(*bbolt.DB) error { return nil })
}
