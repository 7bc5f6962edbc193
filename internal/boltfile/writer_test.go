package boltfile_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/foliokv/folio/internal/boltfile"
	"github.com/foliokv/folio/internal/testdir"
	"github.com/foliokv/folio/mmapfile"
)

// newWriter returns a writer to a new file, and how to read it.
func newWriter(t *testing.T, pageSize int) (*boltfile.Writer, func() *boltfile.File) {
	path := filepath.Join(testdir.New(t), "bolt")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	w, err := boltfile.NewWriter(file, pageSize)
	if err != nil {
		t.Fatal(err)
	}
	return w, func() *boltfile.File {
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := boltfile.New(data)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
}

// What is written is read again: keys and values of all sizes beside each other, buckets at any place.
func TestWritesWhatItReads(t *testing.T) {
	for _, pageSize := range []int{1024, 4096, 65536} {
		w, reopen := newWriter(t, pageSize)
		check := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		keyOf := func(i int) []byte {
			return append(fmt.Appendf(nil, "%05d", i), make([]byte, i%7*i%boltfile.MaxKeySize/4)...)
		}
		valueOf := func(i int) []byte { return make([]byte, i*i%(3*pageSize)) }
		const n = 300
		for b := range 3 {
			check(w.Begin([]byte{byte(b + 1)}, uint64(b)))
			for i := range n {
				if i%30 == b {
					check(w.Begin(append(keyOf(i), 'b'), 7))
					for j := range i / 3 {
						check(w.Put(keyOf(j), nil))
					}
					check(w.End())
					continue
				}
				check(w.Put(keyOf(i), valueOf(i)))
			}
			check(w.End())
		}
		f := reopen()
		walk := f.NewWalk()
		top := walk.Scan(f.Root())
		for b := range 3 {
			if !top.Next() || !bytes.Equal(top.Key(), []byte{byte(b + 1)}) || top.Bucket().Sequence != uint64(b) {
				t.Fatalf("bucket %d: %q, %v", b, top.Key(), top.Err())
			}
			s := walk.Scan(top.Bucket())
			for i := range n {
				if !s.Next() {
					t.Fatalf("no entry %d: %v", i, s.Err())
				}
				if i%30 != b {
					if !bytes.Equal(s.Key(), keyOf(i)) || !bytes.Equal(s.Value(), valueOf(i)) {
						t.Fatalf("entry %d is %.9q: %d bytes", i, s.Key(), len(s.Value()))
					}
					continue
				}
				inner := walk.Scan(s.Bucket())
				for j := range i / 3 {
					if !inner.Next() || !bytes.Equal(inner.Key(), keyOf(j)) || inner.Value() == nil {
						t.Fatalf("entry %d of bucket %d: %v", j, i, inner.Err())
					}
				}
				if inner.Next() || inner.Err() != nil {
					t.Fatalf("more in bucket %d: %v", i, inner.Err())
				}
			}
			if s.Next() || s.Err() != nil {
				t.Fatal("more entries", s.Err())
			}
		}
		if top.Next() || top.Err() != nil {
			t.Fatal("more buckets", top.Err())
		}
	}
}

// written is a small file with something of everything.
func written(t testing.TB) []byte {
	t.Helper()
	file, err := os.Create(filepath.Join(testdir.New(t), "bolt"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w, err := boltfile.NewWriter(file, 1024)
	if err != nil {
		t.Fatal(err)
	}
	w.Begin([]byte("a"), 1)
	w.Begin([]byte("inline"), 2)
	w.Put([]byte("key"), []byte("value"))
	w.End()
	for i := range 30 {
		w.Put(fmt.Appendf(nil, "key %02d", i), make([]byte, 50))
	}
	w.Put([]byte("large"), make([]byte, 1500))
	w.End()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestWriterTakesEmptyStore(t *testing.T) {
	_, reopen := newWriter(t, 4096)
	if got, err := list(reopen()); got != "" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// What bbolt would not take is refused, and so is all that follows.
func TestWriterRefuses(t *testing.T) {
	if strconv.IntSize == 32 {
		t.Skip("there is no room for the largest value")
	}
	large, err := mmapfile.Anonymous(boltfile.MaxValueSize + 1) // takes no memory until it is touched
	if err != nil {
		t.Skip(err)
	}
	defer large.Close()
	huge := large.Bytes()
	for _, test := range []struct {
		name string
		do   func(w *boltfile.Writer) error
		want string
	}{
		{"a pair at the top", func(w *boltfile.Writer) error { w.End(); return w.Put([]byte("k"), nil) }, "outside of all buckets"},
		{"an empty key", func(w *boltfile.Writer) error { return w.Put(nil, nil) }, "no empty keys"},
		{"an empty name", func(w *boltfile.Writer) error { return w.Begin(nil, 0) }, "no empty keys"},
		{"a long key", func(w *boltfile.Writer) error { return w.Put(huge[:boltfile.MaxKeySize+1], nil) }, "a key of 32769 bytes"},
		{"a large value", func(w *boltfile.Writer) error { return w.Put([]byte("k"), huge) }, "a value of 2147483647 bytes"},
		{"keys that fall", func(w *boltfile.Writer) error { w.Put([]byte("b"), nil); return w.Put([]byte("a"), nil) }, "do not rise"},
		{"a key twice", func(w *boltfile.Writer) error { w.Put([]byte("b"), nil); return w.Begin([]byte("b"), 0) }, "do not rise"},
		{"no bucket to end", func(w *boltfile.Writer) error { w.End(); return w.End() }, "no bucket is open"},
		{"a bucket left open", func(w *boltfile.Writer) error { return w.Close() }, "a bucket is open"},
		{"deep buckets", func(w *boltfile.Writer) error {
			for range boltfile.MaxNesting - 1 {
				if err := w.Begin([]byte("b"), 0); err != nil {
					return err
				}
			}
			return w.Begin([]byte("b"), 0)
		}, "more than 4096 buckets"},
	} {
		w, _ := newWriter(t, 4096)
		if err := w.Begin([]byte("bucket"), 0); err != nil {
			t.Fatal(err)
		}
		if err := test.do(w); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
		if err := w.Close(); err == nil {
			t.Errorf("%s: the file can be ended all the same", test.name)
		}
	}
	for _, size := range []int{0, 512, 4097, 1 << 17} {
		if _, err := boltfile.NewWriter(nil, size); err == nil {
			t.Errorf("pages of %d bytes", size)
		}
	}
}
