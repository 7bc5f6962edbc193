package folio

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"github.com/foliokv/folio/internal/backing"
	"github.com/foliokv/folio/internal/backing/backingtest"
	"github.com/foliokv/folio/internal/testdir"
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
			return openDiskFile(t, filepath.Join(testdir.New(t), "file"))
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

// redb 516: pages beyond 4 GiB, in a file that is a hole up to there.
func TestSparseBeyond4GiB(t *testing.T) {
	if strconv.IntSize == 32 || runtime.GOARCH == "wasm" {
		t.Skip("a map of 4 GiB cannot be had")
	}
	path := filepath.Join(testdir.New(t), "store")
	open := func() *DB {
		db, err := Open(path, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	db := open()
	key := func(i int) []byte { return []byte{byte(i >> 8), byte(i)} }
	put := func(from, to, size int) {
		t.Helper()
		err := db.Update(func(tx *Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			for i := from; i < to && err == nil; i++ {
				err = b.Put(key(i), bytes.Repeat([]byte{byte(i)}, size))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	check := func() {
		t.Helper()
		err := db.View(func(tx *Tx) error {
			for i := range 2000 {
				v := tx.Bucket([]byte("b")).Get(key(i))
				if len(v) == 0 || len(bytes.Trim(v, string([]byte{byte(i)}))) > 0 {
					t.Fatalf("pair %d is lost", i)
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
	put(0, 1000, 300)
	reader, err := db.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	db.mu.Lock() // as if the reader saw 4 GiB of pages that were freed since
	a := db.alloc
	hole := run{a.hwm, 1<<20 + 100}
	a.skip(hole.end())
	a.free.remove(hole)
	a.pending[reader.snap.txid] = append(a.pending[reader.snap.txid], pendingRun{freedRun{hole, 0}, db.next})
	a.waiting += uint64(hole.n)
	db.mu.Unlock()
	put(1000, 2000, 300)
	put(500, 1500, 5000)
	if db.head.root.pgno < 1<<20 {
		t.Errorf("the root lies at %d", db.head.root.pgno)
	}
	check()
	if err := reader.Rollback(); err != nil {
		t.Fatal(err)
	}
	check()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open()
	check()
	put(0, 2000, 100)
	check()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
