package mmapfile_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/foliokv/folio/mmapfile"
)

// cutShort maps a file of 1 MiB and cuts it to the given length.
func cutShort(t *testing.T, access mmapfile.Access, length int64) *mmapfile.File {
	t.Helper()
	needFaults(t)
	if runtime.GOOS == "windows" {
		t.Skip("a mapped file cannot be cut short on this platform")
	}
	f := openTemp(t, strings.Repeat("0123456789abcde\n", 1<<16), access)
	if err := os.Truncate(f.Name(), length); err != nil {
		t.Fatal(err)
	}
	return f
}

func wantFault(t *testing.T, what string, err error) {
	t.Helper()
	var fault *mmapfile.FaultError
	if !errors.As(err, &fault) {
		t.Errorf("%s: %v, want a *FaultError", what, err)
	}
}

func TestFileCutShort(t *testing.T) {
	for _, access := range []mmapfile.Access{mmapfile.ReadOnly, mmapfile.ReadWrite} {
		for name, call := range map[string]func(f *mmapfile.File) error{
			"Guard": func(f *mmapfile.File) error {
				return mmapfile.Guard(func() error { _ = bytes.Clone(f.Bytes()); return nil })
			},
			"Guard, one": func(f *mmapfile.File) error {
				return mmapfile.Guard(func() error { return f.WriteByte(f.Bytes()[700_000]) })
			},
			"Read":      func(f *mmapfile.File) error { _, err := f.Read(make([]byte, 1<<20)); return err },
			"ReadAt":    func(f *mmapfile.File) error { _, err := f.ReadAt(make([]byte, 10), 900_000); return err },
			"ReadAll":   func(f *mmapfile.File) error { _, err := io.ReadAll(f); return err },
			"Find":      func(f *mmapfile.File) error { _, err := f.Find([]byte("absent"), 0, -1); return err },
			"Find byte": func(f *mmapfile.File) error { _, err := f.Find([]byte("X"), 800_000, -1); return err },
			"FindLast":  func(f *mmapfile.File) error { _, err := f.FindLast([]byte("absent"), 0, -1); return err },
			"WriteTo":   func(f *mmapfile.File) error { _, err := f.WriteTo(io.Discard); return err },
			"ReadByte":  func(f *mmapfile.File) error { f.Seek(-1, io.SeekEnd); _, err := f.ReadByte(); return err },
			"ReadRune":  func(f *mmapfile.File) error { f.Seek(-1, io.SeekEnd); _, _, err := f.ReadRune(); return err },
			"ReadLine":  func(f *mmapfile.File) error { f.Seek(-20, io.SeekEnd); _, err := f.ReadLine(); return err },
		} {
			f := cutShort(t, access, 100_000)
			wantFault(t, name, call(f))
			if c, err := f.ReadAt(make([]byte, 5), 10); c != 5 || err != nil {
				t.Errorf("%s: what is left of the file: %d, %v", name, c, err)
			}
		}
	}
	for name, call := range map[string]func(f *mmapfile.File) error{
		"WriteAt": func(f *mmapfile.File) error { _, err := f.WriteAt([]byte("x"), 900_000); return err },
		"Write":   func(f *mmapfile.File) error { f.Seek(-4, io.SeekEnd); _, err := f.WriteString("x"); return err },
		"Move":    func(f *mmapfile.File) error { return f.Move(0, 900_000, 10) },
	} {
		wantFault(t, name, call(cutShort(t, mmapfile.ReadWrite, 100_000)))
	}
}

func TestFaultTellsWhere(t *testing.T) {
	f := cutShort(t, mmapfile.ReadOnly, 0)
	_, err := f.ReadAt(make([]byte, 10), 500_000)
	var fault *mmapfile.FaultError
	if !errors.As(err, &fault) || fault.Op != "read" || fault.Path != f.Name() {
		t.Fatalf("%#v", err)
	}
	if !strings.Contains(err.Error(), f.Name()) {
		t.Errorf("%q lacks the path", err)
	}
}

func TestCutFileCanBeResized(t *testing.T) {
	f := cutShort(t, mmapfile.ReadWrite, 10)
	if err := f.Resize(20); err != nil {
		t.Fatal(err)
	}
	if got := f.Bytes(); string(got) != "0123456789"+strings.Repeat("\x00", 10) {
		t.Errorf("%q", got)
	}
}

func TestWriteToReadOnlyMemory(t *testing.T) {
	needFaults(t)
	path := tempPath(t, "content")
	f := open(t, path, mmapfile.ReadOnly)
	wantFault(t, "store", mmapfile.Guard(func() error { f.Bytes()[0] = 'X'; return nil }))
	wantFault(t, "copy", mmapfile.Guard(func() error { copy(f.Bytes(), "XXXXXXX"); return nil }))
	wantFault(t, "clear", mmapfile.Guard(func() error { clear(f.Bytes()); return nil }))
	if string(f.Bytes()) != "content" {
		t.Errorf("%q", f.Bytes())
	}
	wantFile(t, path, "content")
}

// Prefetch changes nothing, whatever it is given, and does not fault.
func TestPrefetch(t *testing.T) {
	f := cutShort(t, mmapfile.ReadOnly, 0)
	for _, n := range []int{0, 1, 63, 64, 65, 4096, len(f.Bytes())} {
		mmapfile.Prefetch(f.Bytes()[:n])
		mmapfile.Prefetch(f.Bytes()[len(f.Bytes())-n:])
	}
	mmapfile.Prefetch(nil)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	b := []byte("content")
	mmapfile.Prefetch(b)
	if string(b) != "content" {
		t.Errorf("%q", b)
	}
}
