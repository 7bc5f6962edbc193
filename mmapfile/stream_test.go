package mmapfile_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/foliokv/folio/mmapfile"
)

func TestConformsToReader(t *testing.T) {
	content := strings.Repeat("a line of text\n", 1000)
	for _, access := range modes {
		if err := iotest.TestReader(openTemp(t, content, access), []byte(content)); err != nil {
			t.Errorf("%v: %v", access, err)
		}
	}
}

func TestReadBytes(t *testing.T) {
	f := openTemp(t, "ab", mmapfile.ReadOnly)
	wantError(t, "unread at the start", f.UnreadByte(), mmapfile.ErrOutOfRange)
	for _, want := range []byte("ab") {
		if c, err := f.ReadByte(); c != want || err != nil {
			t.Errorf("%q, %v; want %q", c, err, want)
		}
	}
	if _, err := f.ReadByte(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	if err := f.UnreadByte(); err != nil || f.Tell() != 1 {
		t.Errorf("unread: at %d, %v", f.Tell(), err)
	}
	if c, err := f.ReadByte(); c != 'b' || err != nil {
		t.Errorf("after unread: %q, %v", c, err)
	}
}

func TestReadAtEdges(t *testing.T) {
	f := openTemp(t, "0123456789", mmapfile.ReadOnly)
	for _, c := range []struct {
		off  int64
		size int
		want string
		err  error
	}{
		{0, 10, "0123456789", nil}, {7, 3, "789", nil}, {7, 4, "789", io.EOF}, {10, 1, "", io.EOF},
		{11, 1, "", io.EOF}, {math.MaxInt64, 1, "", io.EOF}, {3, 0, "", nil},
		{-1, 1, "", mmapfile.ErrOutOfRange}, {math.MinInt64, 1, "", mmapfile.ErrOutOfRange},
	} {
		p := make([]byte, c.size)
		n, err := f.ReadAt(p, c.off)
		if string(p[:n]) != c.want || !errors.Is(err, c.err) {
			t.Errorf("%d at %d: %q, %v", c.size, c.off, p[:n], err)
		}
	}
	if f.Tell() != 0 {
		t.Errorf("the position moved to %d", f.Tell())
	}
	if n, err := f.Read(nil); n != 0 || err != nil {
		t.Errorf("empty read: %d, %v", n, err)
	}
}

func TestSeek(t *testing.T) {
	f := openTemp(t, "0123456789", mmapfile.ReadWrite)
	for _, c := range []struct {
		offset int64
		whence int
		want   int64 // -1: an error
	}{
		{3, io.SeekStart, 3}, {4, io.SeekCurrent, 7}, {-5, io.SeekCurrent, 2}, {-1, io.SeekEnd, 9}, {0, io.SeekEnd, 10},
		{1, io.SeekEnd, -1}, {-11, io.SeekEnd, -1}, {11, io.SeekStart, -1}, {-1, io.SeekStart, -1}, {1, io.SeekCurrent, -1},
		{math.MaxInt64, io.SeekCurrent, -1}, {math.MinInt64, io.SeekCurrent, -1}, {math.MinInt64, io.SeekEnd, -1},
		{10, io.SeekStart, 10}, {-10, io.SeekEnd, 0},
	} {
		before := f.Tell()
		pos, err := f.Seek(c.offset, c.whence)
		if c.want < 0 {
			wantError(t, "outside", err, mmapfile.ErrOutOfRange)
			c.want = before
		} else if err != nil || pos != c.want {
			t.Errorf("%v: %d, %v", c, pos, err)
		}
		if f.Tell() != c.want {
			t.Errorf("%v: at %d", c, f.Tell())
		}
	}
	if _, err := f.Seek(0, 3); err == nil {
		t.Error("unknown whence")
	}
}

func TestReadLine(t *testing.T) {
	f := openTemp(t, "one\n\nthree\r\nlast", mmapfile.ReadWrite)
	for _, want := range []string{"one\n", "\n", "three\r\n"} {
		if line, err := f.ReadLine(); string(line) != want || err != nil {
			t.Errorf("%q, %v; want %q", line, err, want)
		}
	}
	last, err := f.ReadLine()
	if string(last) != "last" || err != io.EOF {
		t.Errorf("%q, %v", last, err)
	}
	f.Bytes()[f.Len()-1] = '!'
	if string(last) != "last" {
		t.Error("the line is not a copy")
	}
	if line, err := f.ReadLine(); line != nil || err != io.EOF {
		t.Errorf("after the end: %q, %v", line, err)
	}
	f = openTemp(t, "x\n", mmapfile.Copy)
	f.ReadLine()
	if line, err := f.ReadLine(); line != nil || err != io.EOF {
		t.Errorf("after a last newline: %q, %v", line, err)
	}
}

func TestReadRune(t *testing.T) {
	f := openTemp(t, "aß€😀\xff", mmapfile.ReadOnly)
	for _, want := range []struct {
		r    rune
		size int
	}{{'a', 1}, {'ß', 2}, {'€', 3}, {'😀', 4}, {'\uFFFD', 1}} {
		if r, size, err := f.ReadRune(); r != want.r || size != want.size || err != nil {
			t.Errorf("%q, %d, %v; want %q", r, size, err, want.r)
		}
	}
	if _, _, err := f.ReadRune(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

func TestWrites(t *testing.T) {
	for _, access := range []mmapfile.Access{mmapfile.ReadWrite, mmapfile.Copy} {
		f := openTemp(t, "..........", access)
		step := func(what string, n int, err error, wantN int, wantErr error, want string, wantPos int64) {
			t.Helper()
			if n != wantN || err != wantErr || string(f.Bytes()) != want || f.Tell() != wantPos {
				t.Errorf("%s: %d, %v, %q, at %d", what, n, err, f.Bytes(), f.Tell())
			}
		}
		n, err := f.Write([]byte("ab"))
		step("Write", n, err, 2, nil, "ab........", 2)
		n, err = f.WriteString("cd")
		step("WriteString", n, err, 2, nil, "abcd......", 4)
		err = f.WriteByte('e')
		step("WriteByte", 1, err, 1, nil, "abcde.....", 5)
		n, err = f.WriteAt([]byte("hi"), 7)
		step("WriteAt", n, err, 2, nil, "abcde..hi.", 5)
		n, err = f.WriteAt([]byte("jkl"), 9)
		step("WriteAt over the end", n, err, 1, io.ErrShortWrite, "abcde..hij", 5)
		n, err = f.WriteAt([]byte("jkl"), 10)
		step("WriteAt at the end", n, err, 0, io.ErrShortWrite, "abcde..hij", 5)
		n, err = f.WriteAt([]byte("jkl"), math.MaxInt64)
		step("WriteAt far off", n, err, 0, io.ErrShortWrite, "abcde..hij", 5)
		n, err = f.WriteAt(nil, 10)
		step("empty WriteAt", n, err, 0, nil, "abcde..hij", 5)
		_, err = f.WriteAt([]byte("x"), -1)
		wantError(t, "WriteAt before the start", err, mmapfile.ErrOutOfRange)
		n, err = f.Write([]byte("FGHIJKL"))
		step("Write over the end", n, err, 5, io.ErrShortWrite, "abcdeFGHIJ", 10)
		n, err = f.WriteString("x")
		step("WriteString at the end", n, err, 0, io.ErrShortWrite, "abcdeFGHIJ", 10)
		err = f.WriteByte('x')
		step("WriteByte at the end", 0, err, 0, io.ErrShortWrite, "abcdeFGHIJ", 10)
	}
}

func TestWritesRefusedReadOnly(t *testing.T) {
	path := tempPath(t, "content")
	f := open(t, path, mmapfile.ReadOnly)
	for _, name := range []string{"Write", "WriteByte", "WriteString", "WriteAt", "Move", "Resize"} {
		wantError(t, name, calls[name](f), mmapfile.ErrReadOnly)
	}
	if _, err := f.Write(nil); !errors.Is(err, mmapfile.ErrReadOnly) {
		t.Errorf("empty write: %v", err)
	}
	if f.Tell() != 0 {
		t.Errorf("at %d", f.Tell())
	}
	wantFile(t, path, "content")
}

// limited takes so many bytes and then fails.
type limited struct {
	bytes.Buffer
	left int
	err  error
}

func (l *limited) Write(p []byte) (int, error) {
	n, _ := l.Buffer.Write(p[:min(len(p), l.left)])
	l.left -= n
	if n < len(p) {
		return n, l.err
	}
	return n, nil
}

func TestWriteTo(t *testing.T) {
	content := strings.Repeat("0123456789", 100_000)
	f := openTemp(t, content, mmapfile.ReadOnly)
	if _, err := f.Seek(7, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	if n, err := io.Copy(&all, f); n != 999_993 || err != nil || all.String() != content[7:] {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := f.WriteTo(&all); n != 0 || err != nil || f.Tell() != 1_000_000 {
		t.Errorf("at the end: %d, %v, at %d", n, err, f.Tell())
	}
	full := errors.New("full")
	for _, c := range []struct{ err, want error }{{full, full}, {nil, io.ErrShortWrite}} {
		f.Seek(10, io.SeekStart)
		w := &limited{left: 600_000, err: c.err}
		if n, err := f.WriteTo(w); n != 600_000 || err != c.want || f.Tell() != 600_010 || w.String() != content[10:600_010] {
			t.Errorf("short: %d, %v, at %d", n, err, f.Tell())
		}
	}
}

// uses lets its Write use and close the map.
type uses struct{ f *mmapfile.File }

func (u uses) Write(p []byte) (int, error) {
	if _, err := u.f.ReadAt(make([]byte, 1), 0); err != nil {
		return 0, err
	}
	return len(p), u.f.Close()
}

func TestWriteToMayUseTheMap(t *testing.T) {
	f := openTemp(t, strings.Repeat("x", 1<<20), mmapfile.ReadOnly)
	_, err := f.WriteTo(uses{f})
	wantError(t, "after the first piece", err, mmapfile.ErrClosed)
}
