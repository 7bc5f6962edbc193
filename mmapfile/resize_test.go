package mmapfile_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/foliokv/folio/mmapfile"
)

func wantSize(t *testing.T, f *mmapfile.File, length int, size int64) {
	t.Helper()
	got, err := f.Size()
	if f.Len() != length || len(f.Bytes()) != length || cap(f.Bytes()) != length || got != size || err != nil {
		t.Errorf("length %d, capacity %d, size %d, %v; want %d and %d", f.Len(), cap(f.Bytes()), got, err, length, size)
	}
}

func TestResize(t *testing.T) {
	path := tempPath(t, "0123456789")
	f := open(t, path, mmapfile.ReadWrite)
	for _, size := range []int{10, 11, 300_000, 300_001, 70_000, 5, 4096, 65_536, 1, 0, 0, 3} {
		if err := f.Resize(int64(size)); err != nil {
			t.Fatalf("%d: %v", size, err)
		}
		wantSize(t, f, size, int64(size))
		for i, c := range f.Bytes() {
			want := byte(0)
			if i == 0 && size > 0 {
				want = '0'
			}
			if i > 0 && c != 0 && c != byte('0'+i) || i == 0 && c != want && c != 0 {
				t.Fatalf("size %d: byte %d is %q", size, i, c)
			}
		}
		if size > 0 {
			f.Bytes()[size-1] = 0
		}
	}
	if err := f.Flush(); err != nil {
		t.Error(err)
	}
	wantFile(t, path, "\x00\x00\x00")
}

func TestResizeKeepsContent(t *testing.T) {
	path := tempPath(t, "content")
	f := open(t, path, mmapfile.ReadWrite)
	f.Bytes()[0] = 'C'
	if err := f.Resize(100_000); err != nil {
		t.Fatal(err)
	}
	if string(f.Bytes()[:8]) != "Content\x00" {
		t.Errorf("%q", f.Bytes()[:8])
	}
	f.Bytes()[99_999] = 'e'
	if err := f.Resize(3); err != nil {
		t.Fatal(err)
	}
	if err := f.Resize(5); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, "Con\x00\x00")
}

func TestResizeMovesPosition(t *testing.T) {
	f := openTemp(t, "0123456789", mmapfile.ReadWrite)
	f.Seek(8, io.SeekStart)
	for size, want := range map[int64]int64{20: 8, 9: 8} {
		if err := f.Resize(size); err != nil || f.Tell() != want {
			t.Errorf("at %d, %v", f.Tell(), err)
		}
	}
	if err := f.Resize(4); err != nil || f.Tell() != 4 {
		t.Errorf("at %d, %v", f.Tell(), err)
	}
	if _, err := f.ReadByte(); err != io.EOF {
		t.Error(err)
	}
	if err := f.Resize(0); err != nil || f.Tell() != 0 {
		t.Errorf("at %d, %v", f.Tell(), err)
	}
}

func TestResizeRefused(t *testing.T) {
	for _, access := range []mmapfile.Access{mmapfile.ReadOnly, mmapfile.Copy} {
		path := tempPath(t, "0123456789")
		f := open(t, path, access)
		for _, size := range []int64{5, 10, 20, 0} {
			wantError(t, access.String(), f.Resize(size), mmapfile.ErrReadOnly)
		}
		wantSize(t, f, 10, 10)
	}
	path := tempPath(t, "0123456789")
	f := open(t, path, mmapfile.ReadWrite)
	f.Seek(5, io.SeekStart)
	wantError(t, "negative", f.Resize(-1), mmapfile.ErrOutOfRange)
	for _, size := range []int64{math.MaxInt64, int64(tooMuch(t))} {
		if err := f.Resize(size); err == nil {
			t.Fatalf("resized to %d", size)
		}
		wantSize(t, f, 10, 10)
		if string(f.Bytes()) != "0123456789" || f.Tell() != 5 {
			t.Errorf("%q, at %d after a failure", f.Bytes(), f.Tell())
		}
	}
	f.Bytes()[0] = 'x'
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, "x123456789")
}

func TestResizeParts(t *testing.T) {
	content := strings.Repeat("0123456789", 20_000)
	file := tempFile(t, []byte(content))
	part := func(offset int64, length int) *mmapfile.File {
		t.Helper()
		f, err := mmapfile.Map(file, offset, length, mmapfile.ReadWrite)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	for _, f := range []*mmapfile.File{part(0, 100), part(100, 100), part(199_000, 999)} {
		for _, size := range []int64{0, 50, 300_000} {
			wantError(t, "in the middle", f.Resize(size), mmapfile.ErrOutOfRange)
		}
		f.Close()
	}
	tail := part(150_005, 0)
	if err := tail.Resize(100_000); err != nil {
		t.Fatal(err)
	}
	wantSize(t, tail, 100_000, 250_005)
	if string(tail.Bytes()[:10]) != "5678901234" {
		t.Errorf("%q", tail.Bytes()[:10])
	}
	if err := tail.Resize(3); err != nil {
		t.Fatal(err)
	}
	wantSize(t, tail, 3, 150_008)
	if err := tail.Resize(0); err != nil {
		t.Fatal(err)
	}
	wantSize(t, tail, 0, 150_005)
	tail.Close()
	wantFile(t, file.Name(), content[:150_005])
}

// A file that was made longer by others is not cut back by a map that does not know of it.
func TestResizeLeavesOthersData(t *testing.T) {
	path := tempPath(t, "0123456789")
	f := open(t, path, mmapfile.ReadWrite)
	g, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if _, err := g.WriteString("more"); err != nil {
		t.Fatal(err)
	}
	wantError(t, "would cut", f.Resize(12), mmapfile.ErrOutOfRange)
	wantSize(t, f, 10, 14)
	if err := f.Resize(14); err != nil {
		t.Fatal(err)
	}
	if string(f.Bytes()) != "0123456789more" {
		t.Errorf("%q", f.Bytes())
	}
}

func TestResizeAnonymousKeepsContent(t *testing.T) {
	f, err := mmapfile.Anonymous(10)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	copy(f.Bytes(), "0123456789")
	wantError(t, "negative", f.Resize(-1), mmapfile.ErrOutOfRange)
	if err := f.Resize(int64(tooMuch(t))); err == nil {
		t.Error("got all memory there is")
	}
	if err := errors.Join(f.Resize(4), f.Resize(100_000)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(f.Bytes(), append([]byte("0123"), make([]byte, 99_996)...)) {
		t.Errorf("begins with %q", f.Bytes()[:10])
	}
}
