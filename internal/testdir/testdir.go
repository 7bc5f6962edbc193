// Package testdir makes directories for the files of tests.
package testdir

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// New makes a directory that goes at the end of the test, with the files in it. It is
// testing.TB.TempDir without os.RemoveAll, which Wine 8 does not carry out.
func New(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "folio-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := remove(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func remove(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if e.IsDir() {
			err = errors.Join(err, remove(path))
		} else {
			err = errors.Join(err, os.Remove(path))
		}
	}
	return errors.Join(err, os.Remove(dir))
}
