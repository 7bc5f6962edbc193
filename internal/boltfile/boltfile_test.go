package boltfile_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/foliokv/folio/internal/boltfile"
	"github.com/foliokv/folio/internal/testdir"
	"github.com/foliokv/folio/mmapfile"
)

// The files in testdata were written by bbolt, by bench/boltfiles, which also says what is in them.
var goldens = []struct {
	name     string
	pageSize int
}{
	{"empty", 4096}, {"page1k", 1024}, {"page4k", 4096}, {"page16k", 16384}, {"page64k", 65536}, {"nofreelist", 4096},
}

// golden returns a file that bbolt wrote.
func golden(t testing.TB, name string) []byte {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name+".bolt.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// goldenList says what is in a file that bbolt wrote.
func goldenList(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// list says what is in a file, in the form that bench/boltfiles has.
func list(f *boltfile.File) (string, error) {
	var b strings.Builder
	err := listBuckets(&b, 0, f.NewWalk(), f.NewWalk(), f.Root())
	return b.String(), err
}

func listBuckets(b *strings.Builder, depth int, pairs, nested *boltfile.Walk, in boltfile.Bucket) error {
	s := nested.Scan(in)
	for s.Next() {
		if s.Value() != nil {
			continue
		}
		n, hash := 0, fnv.New64a()
		inner := pairs.Scan(s.Bucket())
		for inner.Next() {
			if inner.Value() != nil {
				n++
				fmt.Fprintf(hash, "%q %q\n", inner.Key(), inner.Value())
			}
		}
		if inner.Err() != nil {
			return inner.Err()
		}
		fmt.Fprintf(b, "%s%q sequence %d, %d pairs, %016x\n",
			strings.Repeat("  ", depth), s.Key(), s.Bucket().Sequence, n, hash.Sum64())
		if err := listBuckets(b, depth+1, pairs, nested, s.Bucket()); err != nil {
			return err
		}
	}
	return s.Err()
}

func TestReadsGoldenFiles(t *testing.T) {
	for _, g := range goldens {
		t.Run(g.name, func(t *testing.T) {
			data := golden(t, g.name)
			path := filepath.Join(testdir.New(t), "bolt")
			if err := os.WriteFile(path, data, 0o400); err != nil {
				t.Fatal(err)
			}
			long := time.Now().Add(-time.Hour)
			if err := os.Chtimes(path, long, long); err != nil {
				t.Fatal(err)
			}
			before, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			f, err := boltfile.Open(path, time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if f.PageSize() != g.pageSize || f.ValidMetas() != 2 {
				t.Errorf("page size %d, %d metas", f.PageSize(), f.ValidMetas())
			}
			var got string
			err = f.Guard(func() (err error) {
				got, err = list(f)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if want := goldenList(t, g.name); got != want {
				t.Errorf("in the file is\n%s, not\n%s", got, want)
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
			after, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, data) || !before.ModTime().Equal(after.ModTime()) {
				t.Error("reading changed the file")
			}
		})
	}
}

// With a damaged meta the other one counts, wherever it is.
func TestOneMetaIsEnough(t *testing.T) {
	for _, g := range goldens {
		for slot := range 2 {
			data := golden(t, g.name)
			data[slot*g.pageSize+16+20]++
			f, err := boltfile.New(data)
			if err != nil {
				t.Fatalf("%s without meta %d: %v", g.name, slot, err)
			}
			if f.PageSize() != g.pageSize || f.Txid()%2 == uint64(slot) || f.ValidMetas() != 1 {
				t.Errorf("%s without meta %d: page size %d, txid %d, %d metas", g.name, slot, f.PageSize(), f.Txid(), f.ValidMetas())
			}
			// The state before the last transaction: its pages may be in use anew, but for the empty file.
			if _, err := list(f); err != nil && (g.name == "empty" || f.Txid() == newest(t, g.name)) {
				t.Errorf("%s without meta %d: %v", g.name, slot, err)
			}
		}
	}
}

func newest(t *testing.T, name string) uint64 {
	f, err := boltfile.New(golden(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return f.Txid()
}

func TestRefusesOtherFiles(t *testing.T) {
	reversed := golden(t, "page4k")
	for _, at := range []int{16, 4096 + 16} {
		copy(reversed[at:], []byte{0xED, 0x0C, 0xDA, 0xED})
	}
	version := golden(t, "page4k")
	for _, at := range []int{16, 4096 + 16} {
		version[at+4] = 3
	}
	damaged := golden(t, "page4k")
	for _, at := range []int{16, 4096 + 16} {
		damaged[at+60]++
	}
	for _, test := range []struct {
		name string
		data []byte
		want error
	}{
		{"nothing", nil, boltfile.ErrInvalid},
		{"short", golden(t, "empty")[:79], boltfile.ErrInvalid},
		{"zeros", make([]byte, 1<<16), boltfile.ErrInvalid},
		{"text", bytes.Repeat([]byte("text"), 1<<12), boltfile.ErrInvalid},
		{"big-endian", reversed, boltfile.ErrByteOrder},
		{"another version", version, boltfile.ErrVersion},
	} {
		if _, err := boltfile.New(test.data); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
		path := filepath.Join(testdir.New(t), "file")
		if err := os.WriteFile(path, test.data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := boltfile.Open(path, time.Second); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
	damage := (*boltfile.DamageError)(nil)
	if _, err := boltfile.New(damaged); !errors.As(err, &damage) {
		t.Errorf("with both metas damaged: %v", err)
	}
	if _, err := boltfile.Open(testdir.New(t), time.Second); !errors.Is(err, boltfile.ErrInvalid) {
		t.Errorf("a directory: %v", err)
	}
	if _, err := boltfile.Open(filepath.Join(testdir.New(t), "none"), time.Second); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// A file that another has locked for writing is in use; readers share it.
func TestLocked(t *testing.T) {
	path := filepath.Join(testdir.New(t), "bolt")
	if err := os.WriteFile(path, golden(t, "empty"), 0o600); err != nil {
		t.Fatal(err)
	}
	writer, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	const lockByte = 1<<64 - 1
	if err := mmapfile.LockHandleAt(writer, lockByte, true, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := boltfile.Open(path, time.Millisecond); !errors.Is(err, boltfile.ErrLocked) {
		t.Fatalf("a locked file: %v", err)
	}
	writer.Close()
	var files [2]*boltfile.File
	for i := range files {
		if files[i], err = boltfile.Open(path, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range files {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A file that is cut short while it is read is an error.
func TestCutShort(t *testing.T) {
	if os.Getenv("MMAPFILE_EMULATOR") != "" {
		t.Skip("faults have no addresses in some emulators")
	}
	path := filepath.Join(testdir.New(t), "bolt")
	if err := os.WriteFile(path, golden(t, "page4k"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := boltfile.Open(path, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Truncate(path, 4096); err != nil {
		t.Skip("a mapped file cannot be cut here:", err)
	}
	err = f.Guard(func() error {
		_, err := list(f)
		return err
	})
	if err == nil {
		t.Error("no error")
	}
}
