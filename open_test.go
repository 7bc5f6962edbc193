package folio_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/foliokv/folio"
	"github.com/foliokv/folio/internal/foliotest"
	"github.com/foliokv/folio/internal/testdir"
	"github.com/foliokv/folio/mmapfile"
)

// storeBytes returns the file of a small store of two metas and some pages.
func storeBytes(t *testing.T, o *folio.Options) []byte {
	t.Helper()
	path := filepath.Join(testdir.New(t), "store")
	db, err := folio.Open(path, 0o600, o)
	must(t, err)
	fill(t, db, 300, 50)
	fill(t, db, 300, 60)
	foliotest.MustClose(t, db)
	b, err := os.ReadFile(path)
	must(t, err)
	return b
}

// patched returns a copy of a store with both metas changed and their checksums made good.
func patched(store []byte, change func(meta []byte)) []byte {
	b := bytes.Clone(store)
	for _, meta := range [][]byte{b[:512], b[4096:][:512]} {
		change(meta)
		binary.LittleEndian.PutUint64(meta[504:], xxhash.Sum64(meta[:504]))
	}
	return b
}

func TestOpenRefusesWhatIsNotAStore(t *testing.T) {
	store := storeBytes(t, nil)
	u32 := func(off int, v uint32) func([]byte) {
		return func(meta []byte) { binary.LittleEndian.PutUint32(meta[off:], v) }
	}
	random := bytes.Repeat([]byte("not a store, but text of some length. "), 1000)
	for _, c := range []struct {
		name    string
		content []byte
		want    error
	}{
		{"text", random, folio.ErrInvalid},
		{"short text", []byte("hello"), folio.ErrInvalid},
		{"one byte", []byte{7}, folio.ErrInvalid},
		{"zeros, then text", append(make([]byte, 8192), random...), folio.ErrInvalid},
		{"many zeros", make([]byte, 1<<20), folio.ErrInvalid},
		{"other version", patched(store, u32(8, 2)), folio.ErrVersionMismatch},
		{"other version, other checksum", func() []byte {
			b := patched(store, u32(8, 2))
			b[504]++
			b[4096+504]++
			return b
		}(), folio.ErrVersionMismatch},
		{"unknown required feature", patched(store, u32(16, 1<<7)), folio.ErrVersionMismatch},
		{"absurd page size", patched(store, u32(12, 12345)), folio.ErrCorrupt},
		{"other page size", patched(store, u32(12, 16384)), folio.ErrCorrupt},
		{"high-water mark past the end", patched(store, u32(96, 1<<30)), folio.ErrCorrupt},
		{"root past the end", patched(store, u32(48, 1<<30)), folio.ErrCorrupt},
		{"both metas damaged", func() []byte {
			b := bytes.Clone(store)
			b[100]++
			b[4196]++
			return b
		}(), folio.ErrCorrupt},
		{"cut in half", store[:len(store)/2/4096*4096], folio.ErrCorrupt},
		{"cut after the metas", store[:8192], folio.ErrCorrupt},
		{"cut in a meta", store[:300], folio.ErrCorrupt},
		{"cut between the metas", store[:4096], folio.ErrCorrupt},
	} {
		for _, readOnly := range []bool{false, true} {
			t.Run(c.name, func(t *testing.T) {
				path := filepath.Join(testdir.New(t), "file")
				must(t, os.WriteFile(path, c.content, 0o600))
				db, err := folio.Open(path, 0o600, &folio.Options{ReadOnly: readOnly})
				if err == nil {
					db.Close()
				}
				if !errors.Is(err, c.want) {
					t.Fatalf("read-only %v: Open gives %v, want %v", readOnly, err, c.want)
				}
				if !strings.Contains(err.Error(), path) {
					t.Errorf("the error does not name the file: %v", err)
				}
				after, err := os.ReadFile(path)
				must(t, err)
				if !bytes.Equal(after, c.content) {
					t.Error("Open changed the file")
				}
			})
		}
	}
}

func TestOpenErrors(t *testing.T) {
	dir := testdir.New(t)
	if _, err := folio.Open(dir, 0o600, nil); err == nil {
		t.Error("a directory opens")
	}
	if _, err := folio.Open(dir, 0o600, &folio.Options{ReadOnly: true}); !errors.Is(err, folio.ErrInvalid) {
		t.Errorf("a directory opened read-only gives %v", err)
	}
	if _, err := folio.Open(filepath.Join(dir, "no", "where"), 0o600, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing directory gives %v", err)
	}
	if _, err := folio.Open(filepath.Join(dir, "missing"), 0o600, &folio.Options{ReadOnly: true}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file opened read-only gives %v", err)
	}
	for _, size := range []int{-1, 1, 2048, 5000, 128 << 10} {
		if _, err := folio.Open(filepath.Join(dir, "new"), 0o600, &folio.Options{PageSize: size}); err == nil {
			t.Errorf("a page size of %d is accepted", size)
		}
		if _, err := folio.OpenMemory(&folio.Options{PageSize: size}); err == nil {
			t.Errorf("a page size of %d is accepted in memory", size)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "new")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a refused page size leaves a file")
	}
}

func TestOpenWithoutPermission(t *testing.T) {
	path := filepath.Join(testdir.New(t), "store")
	must(t, os.WriteFile(path, storeBytes(t, nil), 0o000))
	db, err := folio.Open(path, 0o600, nil)
	if err == nil {
		must(t, db.Close())
	}
	if os.Geteuid() == 0 || runtime.GOOS == "windows" && err == nil {
		t.Skip("root, and Wine, may open everything")
	}
	if !errors.Is(err, fs.ErrPermission) {
		t.Errorf("a file without permission gives %v", err)
	}
}

func TestOpenFileOption(t *testing.T) {
	var names []string
	o := &folio.Options{OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
		names = append(names, name)
		return os.OpenFile(name, flag, mode)
	}}
	path := filepath.Join(testdir.New(t), "store")
	db := openAt(t, path, o)
	if len(names) != 1 || names[0] != path || db.Path() != path {
		t.Errorf("OpenFile was called with %q", names)
	}
	o.OpenFile = func(string, int, os.FileMode) (*os.File, error) { return nil, fs.ErrPermission }
	if _, err := folio.Open(path, 0o600, o); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("the error of OpenFile comes back as %v", err)
	}
}

func TestEmptyFileOpensAsNew(t *testing.T) {
	for _, content := range [][]byte{nil, make([]byte, 4096), make([]byte, 8192)} {
		path := filepath.Join(testdir.New(t), "store")
		must(t, os.WriteFile(path, content, 0o600))
		if _, err := folio.Open(path, 0o600, &folio.Options{ReadOnly: true}); !errors.Is(err, folio.ErrInvalid) {
			t.Errorf("%d zeros opened read-only give %v", len(content), err)
		}
		db := openAt(t, path, nil)
		fill(t, db, 10, 10)
		foliotest.MustClose(t, db)
	}
}

func TestPageSizeCountsAtCreationOnly(t *testing.T) {
	for _, size := range []int{4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10} {
		path := filepath.Join(testdir.New(t), "store")
		db := openAt(t, path, &folio.Options{PageSize: size})
		fill(t, db, 1000, 100)
		foliotest.MustClose(t, db)
		db = openAt(t, path, &folio.Options{PageSize: 4 << 10})
		fill(t, db, 2000, 100)
		if n := fileSize(t, path); n%int64(size) != 0 {
			t.Errorf("a file with pages of %d has %d bytes", size, n)
		}
		foliotest.MustClose(t, db)
	}
}

func TestLock(t *testing.T) {
	path := filepath.Join(testdir.New(t), "store")
	db := openAt(t, path, nil)
	for _, o := range []*folio.Options{{Timeout: 20 * time.Millisecond}, {Timeout: 20 * time.Millisecond, ReadOnly: true}} {
		begun := time.Now()
		if _, err := folio.Open(path, 0o600, o); !errors.Is(err, folio.ErrTimeout) {
			t.Fatalf("a second open gives %v", err)
		}
		if time.Since(begun) < 20*time.Millisecond {
			t.Error("the time-out was not waited for")
		}
	}
	got := make(chan error)
	go func() {
		second, err := folio.Open(path, 0o600, nil)
		if err == nil {
			err = second.Close()
		}
		got <- err
	}()
	foliotest.MustClose(t, db)
	must(t, <-got)
	one := openAt(t, path, &folio.Options{ReadOnly: true, Timeout: time.Second})
	two := openAt(t, path, &folio.Options{ReadOnly: true, Timeout: time.Second})
	if _, err := folio.Open(path, 0o600, &folio.Options{Timeout: time.Millisecond}); !errors.Is(err, folio.ErrTimeout) {
		t.Fatalf("an open for writing beside readers gives %v", err)
	}
	foliotest.MustClose(t, one)
	foliotest.MustClose(t, two)
}

func TestReadOnly(t *testing.T) {
	path := filepath.Join(testdir.New(t), "store")
	content := storeBytes(t, nil)
	must(t, os.WriteFile(path, content, 0o400))
	db := openAt(t, path, &folio.Options{ReadOnly: true})
	if !db.IsReadOnly() {
		t.Error("IsReadOnly is false")
	}
	if _, err := db.Begin(true); !errors.Is(err, folio.ErrDatabaseReadOnly) {
		t.Errorf("Begin(true) gives %v", err)
	}
	if err := db.Update(func(*folio.Tx) error { return nil }); !errors.Is(err, folio.ErrDatabaseReadOnly) {
		t.Errorf("Update gives %v", err)
	}
	view(t, db, func(b *folio.Bucket) error {
		if b.Count() != 300 {
			t.Errorf("Count is %d", b.Count())
		}
		return nil
	})
	foliotest.MustClose(t, db)
	after, err := os.ReadFile(path)
	must(t, err)
	if !bytes.Equal(after, content) {
		t.Error("a read-only open changed the file")
	}
}

// A meta that was not closed properly opens read-only as well.
func TestReadOnlyAfterKill(t *testing.T) {
	path := filepath.Join(testdir.New(t), "store")
	db := openAt(t, path, nil)
	fill(t, db, 300, 50)
	content, err := os.ReadFile(path)
	must(t, err)
	copied := filepath.Join(testdir.New(t), "copy")
	must(t, os.WriteFile(copied, content, 0o600))
	ro := openAt(t, copied, &folio.Options{ReadOnly: true})
	view(t, ro, func(b *folio.Bucket) error {
		if b.Count() != 300 {
			t.Errorf("Count is %d", b.Count())
		}
		return nil
	})
}

// When the file is cut while it is open, calls return ErrCorrupt and the process lives.
func TestFileTruncatedWhileOpen(t *testing.T) {
	if os.Getenv("MMAPFILE_EMULATOR") != "" {
		t.Skip("faults have no addresses in some emulators")
	}
	if !mmapfile.CanReserve {
		t.Skip("a file that is mapped cannot be cut short here, or is not mapped")
	}
	for _, o := range []*folio.Options{nil, {Verify: folio.VerifyNever}, {Verify: folio.VerifyAlways}} {
		path := filepath.Join(testdir.New(t), "store")
		db, err := folio.Open(path, 0o600, o)
		must(t, err)
		fill(t, db, 20000, 100)
		view(t, db, func(b *folio.Bucket) error { // all pages are verified now
			for range b.All() {
			}
			return nil
		})
		begun, err := db.Begin(false)
		must(t, err)
		name, _ := begun.Cursor().First() // it lies in the mapping
		var kept []byte
		err = db.View(func(tx *folio.Tx) error {
			b := tx.Bucket([]byte("b"))
			kept = b.Get(foliotest.Key(12345))
			must(t, os.Truncate(path, 8192))
			b.Get(foliotest.Key(54))
			return nil
		})
		if !errors.Is(err, folio.ErrCorrupt) {
			t.Errorf("Get in View gives %v", err)
		}
		if begun.Bucket(name) != nil || !errors.Is(begun.Err(), folio.ErrCorrupt) {
			t.Errorf("Bucket by a name that is gone leaves %v", begun.Err())
		}
		must(t, begun.Rollback())
		err = db.View(func(tx *folio.Tx) error {
			tx.Bucket(name)
			return nil
		})
		if !errors.Is(err, folio.ErrCorrupt) {
			t.Errorf("Bucket in View, by a name that is gone, gives %v", err)
		}
		err = db.View(func(tx *folio.Tx) error {
			if n := len(kept); n != 100 || kept[0] == kept[1] { // touches the mapping in the closure
				t.Error("the value is gone, and no fault")
			}
			return nil
		})
		if !errors.Is(err, folio.ErrCorrupt) {
			t.Errorf("a fault in a closure of View gives %v", err)
		}
		err = db.Update(func(tx *folio.Tx) error { return tx.Bucket([]byte("b")).Put(foliotest.Key(1), nil) })
		if !errors.Is(err, folio.ErrCorrupt) && !errors.Is(err, folio.ErrBucketNotFound) {
			t.Errorf("Update gives %v", err)
		}
		err = db.Update(func(tx *folio.Tx) error {
			for k := range tx.Bucket([]byte("b")).All() {
				_ = k[0]
			}
			return nil
		})
		if !errors.Is(err, folio.ErrCorrupt) {
			t.Errorf("iteration in Update gives %v", err)
		}
		if foliotest.Check(db) == nil {
			t.Error("Check finds nothing")
		}
		db.Close() // may fail
	}
}
