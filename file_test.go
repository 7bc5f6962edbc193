package folio

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/foliokv/folio/internal/backing"
	"github.com/foliokv/folio/internal/backing/backingtest"
)

func openDiskFile(t *testing.T, path string) backing.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return diskFile{f}
}

func TestDiskFile(t *testing.T) {
	backingtest.Run(t, backingtest.Suite{
		Open: func(t *testing.T) backing.File {
			return openDiskFile(t, filepath.Join(t.TempDir(), "file"))
		},
		Reopen: func(t *testing.T, f backing.File) backing.File { return openDiskFile(t, f.Name()) },
	})
}

func TestMemoryFile(t *testing.T) {
	backingtest.Run(t, backingtest.Suite{
		Open:      func(*testing.T) backing.File { return &memoryFile{} },
		Snapshots: true,
	})
}

// A sparseFile leaves holes where zeros are written.
type sparseFile struct{ backing.File }

func (f sparseFile) WriteAt(p []byte, off int64) (int, error) {
	size, err := f.Size()
	if err != nil || len(bytes.Trim(p, "\x00")) > 0 || off < size {
		return f.File.WriteAt(p, off)
	}
	return len(p), f.Truncate(off + int64(len(p)))
}

func (f sparseFile) WriteVec(bufs [][]byte, off int64) (n int, err error) {
	for _, b := range bufs {
		k, err := f.WriteAt(b, off+int64(n))
		if n += k; err != nil {
			return n, err
		}
	}
	return n, nil
}

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// redb 516: pages beyond 4 GiB, in a file that has holes.
func TestSparseBeyond4GiB(t *testing.T) {
	if testing.Short() {
		t.Skip("reads gigabytes of zeros")
	}
	path := filepath.Join(t.TempDir(), "store")
	open := func() *DB {
		db, err := openOn(sparseFile{openDiskFile(t, path)}, (*Options)(nil).withDefaults(), true)
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	db := open()
	const size = 1500 << 20
	put := func(key string, fn func(b *Bucket) error) {
		t.Helper()
		err := db.Update(func(tx *Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			if err != nil {
				return err
			}
			return fn(b)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"x", "y", "z"} {
		put(key, func(b *Bucket) error { return b.PutReader([]byte(key), zeroReader{}, size) })
	}
	put("small", func(b *Bucket) error {
		for i := range 2000 {
			if err := b.Put([]byte{byte(i >> 8), byte(i)}, bytes.Repeat([]byte{byte(i)}, 300)); err != nil {
				return err
			}
		}
		return nil
	})
	if db.head.hwm < 1<<20 {
		t.Errorf("%d pages are in use only", db.head.hwm)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open()
	err := db.View(func(tx *Tx) error {
		b := tx.Bucket([]byte("b"))
		for i := range 2000 {
			if !bytes.Equal(b.Get([]byte{byte(i >> 8), byte(i)}), bytes.Repeat([]byte{byte(i)}, 300)) {
				t.Fatalf("pair %d is lost", i)
			}
		}
		if n := len(b.Get([]byte("z"))); n != size {
			t.Errorf("the large value has %d bytes", n)
		}
		for err := range tx.Check() {
			t.Error(err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
