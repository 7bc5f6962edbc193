package mmapfile_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/foliokv/folio/internal/testdir"
	"github.com/foliokv/folio/mmapfile"
)

var modes = []mmapfile.Access{mmapfile.ReadOnly, mmapfile.ReadWrite, mmapfile.Copy}

func TestOpenModes(t *testing.T) {
	for _, access := range modes {
		t.Run(access.String(), func(t *testing.T) {
			path := tempPath(t, "some content")
			f := open(t, path, access)
			if string(f.Bytes()) != "some content" || f.Len() != 12 || cap(f.Bytes()) != 12 {
				t.Errorf("%q, length %d, capacity %d", f.Bytes(), f.Len(), cap(f.Bytes()))
			}
			if f.Access() != access || f.Name() != path || f.Closed() {
				t.Errorf("%v, %q, closed %v", f.Access(), f.Name(), f.Closed())
			}
			if size, err := f.Size(); size != 12 || err != nil {
				t.Errorf("size %d, %v", size, err)
			}
			_, err := f.WriteAt([]byte("S"), 0)
			if access == mmapfile.ReadOnly {
				wantError(t, "write", err, mmapfile.ErrReadOnly)
			} else if err != nil {
				t.Error(err)
			} else {
				f.Bytes()[5] = 'C'
			}
			want := map[mmapfile.Access][2]string{
				mmapfile.ReadOnly:  {"some content", "some content"},
				mmapfile.ReadWrite: {"Some Content", "Some Content"},
				mmapfile.Copy:      {"Some Content", "some content"},
			}[access]
			if string(f.Bytes()) != want[0] {
				t.Errorf("the map holds %q, want %q", f.Bytes(), want[0])
			}
			if err := f.Flush(); err != nil {
				t.Error(err)
			}
			wantFile(t, path, want[1])
			if err := f.Close(); err != nil {
				t.Error(err)
			}
			wantFile(t, path, want[1])
		})
	}
}

func TestOpenErrors(t *testing.T) {
	dir := testdir.New(t)
	for _, access := range modes {
		_, err := mmapfile.Open(filepath.Join(dir, "missing"), access)
		wantError(t, "missing", err, fs.ErrNotExist)
		var wrapped *fs.PathError
		if !errors.As(err, &wrapped) || wrapped.Op != "open" || wrapped.Path != filepath.Join(dir, "missing") {
			t.Errorf("%#v lacks operation or path", err)
		}
		if f, err := mmapfile.Open(dir, access); err == nil {
			f.Close()
			t.Errorf("%v: opened a directory", access)
		}
		if _, err := os.Stat(os.DevNull); err == nil {
			if f, err := mmapfile.Open(os.DevNull, access); err == nil {
				f.Close()
				t.Errorf("%v: opened a device", access)
			}
		}
	}
	for _, access := range []mmapfile.Access{-1, 3, 99} {
		if _, err := mmapfile.Open(tempPath(t, "x"), access); err == nil {
			t.Errorf("opened with %v", access)
		}
	}
}

func TestOpenEmpty(t *testing.T) {
	for _, access := range modes {
		f := openTemp(t, "", access)
		if f.Len() != 0 || f.Bytes() == nil || cap(f.Bytes()) != 0 {
			t.Errorf("%v: length %d, %v", access, f.Len(), f.Bytes())
		}
		if _, err := f.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("%v: %v", access, err)
		}
		if i, err := f.Find([]byte("x"), 0, -1); i != -1 || err != nil {
			t.Errorf("%v: %d, %v", access, i, err)
		}
		for name, err := range map[string]error{
			"flush": f.Flush(), "range": f.FlushRange(0, 0), "advise": f.Advise(mmapfile.Normal),
			"lock": f.Lock(), "unlock": f.Unlock(),
		} {
			if err != nil {
				t.Errorf("%v, %s: %v", access, name, err)
			}
		}
		if pages, total, err := f.Resident(); pages != 0 || total != 0 || err != nil {
			t.Errorf("%v: %d of %d, %v", access, pages, total, err)
		}
	}
}

func TestMapParts(t *testing.T) {
	content := strings.Repeat("0123456789abcdef", 20_000) // 320,000 bytes, above every granularity
	file := tempFile(t, []byte(content))
	for _, access := range modes {
		for _, part := range []struct{ offset, length, want int }{
			{0, 0, len(content)}, {0, 1, 1}, {1, 0, len(content) - 1}, {4095, 3, 3}, {4096, 4096, 4096},
			{65_535, 200_000, 200_000}, {65_536, 1, 1}, {len(content) - 1, 1, 1}, {len(content), 0, 0},
		} {
			f, err := mmapfile.Map(file, int64(part.offset), part.length, access)
			if err != nil {
				t.Fatalf("%v, %v: %v", access, part, err)
			}
			if want := content[part.offset : part.offset+part.want]; string(f.Bytes()) != want || cap(f.Bytes()) != f.Len() {
				t.Errorf("%v, %v: wrong content, length %d, capacity %d", access, part, f.Len(), cap(f.Bytes()))
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	for _, access := range modes {
		for _, part := range []struct {
			offset int64
			length int
		}{{-1, 0}, {0, -1}, {math.MaxInt64, 1}, {int64(len(content)) + 1, 0}} {
			_, err := mmapfile.Map(file, part.offset, part.length, access)
			wantError(t, fmt.Sprint(access, part), err, mmapfile.ErrOutOfRange)
		}
	}
	wantFile(t, file.Name(), content)
}

func TestMapBeyondEnd(t *testing.T) {
	for _, access := range []mmapfile.Access{mmapfile.ReadOnly, mmapfile.Copy} {
		file := tempFile(t, []byte("abc"))
		_, err := mmapfile.Map(file, 1, 3, access)
		wantError(t, access.String(), err, mmapfile.ErrOutOfRange)
		wantFile(t, file.Name(), "abc")
	}
	file := tempFile(t, []byte("abc"))
	f, err := mmapfile.Map(file, 2, 100_000, mmapfile.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Len() != 100_000 || f.Bytes()[0] != 'c' || f.Bytes()[99_999] != 0 {
		t.Errorf("length %d", f.Len())
	}
	if size, err := f.Size(); size != 100_002 || err != nil {
		t.Errorf("size %d, %v", size, err)
	}
	if err := f.Flush(); err != nil {
		t.Error(err)
	}
}

func TestMapFailureLeavesSize(t *testing.T) {
	file := tempFile(t, []byte("abc"))
	if f, err := mmapfile.Map(file, 0, tooMuch(t), mmapfile.ReadWrite); err == nil {
		f.Close()
		t.Fatal("mapped all there is")
	}
	wantFile(t, file.Name(), "abc")
}

func TestMapLeavesHandleAlone(t *testing.T) {
	for _, access := range modes {
		file := tempFile(t, []byte("0123456789"))
		if _, err := file.Seek(4, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		f, err := mmapfile.Map(file, 0, 0, access)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(f); err != nil {
			t.Error(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if rest, err := io.ReadAll(file); string(rest) != "456789" || err != nil {
			t.Errorf("%v: the handle went on with %q, %v", access, rest, err)
		}
		f, err = mmapfile.Map(file, 2, 0, access)
		if err != nil {
			t.Fatal(err)
		}
		file.Close()
		if string(f.Bytes()) != "23456789" {
			t.Errorf("%v: %q after the handle was closed", access, f.Bytes())
		}
		if size, err := f.Size(); size != 10 || err != nil {
			t.Errorf("%v: size %d, %v", access, size, err)
		}
		f.Close()
	}
}

func TestMapRights(t *testing.T) {
	for _, content := range []string{"", "content"} {
		path := tempPath(t, content)
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		f, err := mmapfile.Map(file, 0, 0, mmapfile.Copy)
		if err != nil {
			t.Fatalf("copy of a read-only handle: %v", err)
		}
		for i := range f.Bytes() {
			f.Bytes()[i] = 'x'
		}
		f.Close()
		wantFile(t, path, content)
		if !hasMaps {
			continue
		}
		_, err = mmapfile.Map(file, 0, 0, mmapfile.ReadWrite)
		wantError(t, "read-write of a read-only handle", err, fs.ErrPermission)
		_, err = mmapfile.Map(file, 0, 1000, mmapfile.ReadWrite)
		wantError(t, "extending a read-only handle", err, fs.ErrPermission)
		wantFile(t, path, content)
		file, err = os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		_, err = mmapfile.Map(file, 0, 0, mmapfile.ReadOnly)
		wantError(t, "write-only handle", err, fs.ErrPermission)
	}
}

func TestMapRefusesOtherKinds(t *testing.T) {
	dir, err := os.Open(testdir.New(t))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	kinds := map[string]*os.File{"directory": dir}
	if r, w, err := os.Pipe(); err == nil {
		defer r.Close()
		defer w.Close()
		kinds["pipe, reading"], kinds["pipe, writing"] = r, w
	}
	if null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0); err == nil {
		defer null.Close()
		kinds["device"] = null
	}
	closed := tempFile(t, nil)
	closed.Close()
	kinds["closed handle"] = closed
	for name, file := range kinds {
		for _, access := range modes {
			for _, length := range []int{0, 10} {
				if f, err := mmapfile.Map(file, 0, length, access); err == nil {
					f.Close()
					t.Errorf("mapped a %s, %v", name, access)
				}
			}
		}
	}
	if _, err := mmapfile.Map(tempFile(t, []byte("x")), 0, 0, 7); err == nil {
		t.Error("mapped with an unknown access")
	}
}

func TestCreate(t *testing.T) {
	path := filepath.Join(testdir.New(t), "new")
	f, err := mmapfile.Create(path, 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	if f.Len() != 1_000_000 || f.Access() != mmapfile.ReadWrite || f.Tell() != 0 {
		t.Errorf("%d bytes, %v, at %d", f.Len(), f.Access(), f.Tell())
	}
	if _, err := f.WriteString("Hello World"); err != nil {
		t.Error(err)
	}
	if hasMaps {
		got, err := os.ReadFile(path)
		if err != nil || len(got) != 1_000_000 || string(got[:12]) != "Hello World\x00" {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
	_, err = mmapfile.Create(path, 10)
	wantError(t, "existing", err, fs.ErrExist)
	if err := errors.Join(f.Flush(), f.Close()); err != nil {
		t.Error(err)
	}
	got, err := os.ReadFile(path)
	if want := "Hello World" + strings.Repeat("\x00", 1_000_000-11); string(got) != want {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	_, err = mmapfile.Create(path, 10)
	wantError(t, "existing", err, fs.ErrExist)
	if info, err := os.Stat(path); err != nil || info.Size() != 1_000_000 {
		t.Error("a failed Create touched the file that was there")
	}
}

func TestCreateEdges(t *testing.T) {
	path := filepath.Join(testdir.New(t), "new")
	for _, size := range []int64{-1, math.MinInt64, math.MaxInt64, 1 << 61} {
		if f, err := mmapfile.Create(path, size); err == nil {
			f.Close()
			t.Errorf("created %d bytes", size)
		}
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("size %d left a file behind: %v", size, err)
		}
	}
	_, err := mmapfile.Create(filepath.Join(path, "no", "such"), 1)
	wantError(t, "no directory", err, fs.ErrNotExist)
	f, err := mmapfile.Create(path, 0)
	if err != nil || f.Len() != 0 {
		t.Fatalf("size 0: %v", err)
	}
	if err := f.Resize(5); err != nil || f.Len() != 5 {
		t.Errorf("%d bytes, %v", f.Len(), err)
	}
	f.Close()
	wantFile(t, path, "\x00\x00\x00\x00\x00")
}

func TestAnonymous(t *testing.T) {
	f, err := mmapfile.Anonymous(100_000)
	if err != nil {
		t.Fatal(err)
	}
	if f.Len() != 100_000 || cap(f.Bytes()) != 100_000 || f.Access() != mmapfile.ReadWrite || f.Name() != "" {
		t.Errorf("%d bytes, %v, %q", f.Len(), f.Access(), f.Name())
	}
	if !bytes.Equal(f.Bytes(), make([]byte, 100_000)) {
		t.Error("not zeroed")
	}
	if _, err := f.WriteAt([]byte("text"), 50_000); err != nil {
		t.Error(err)
	}
	if i, err := f.Find([]byte("text"), 0, -1); i != 50_000 || err != nil {
		t.Errorf("found at %d, %v", i, err)
	}
	if size, err := f.Size(); size != 100_000 || err != nil {
		t.Errorf("size %d, %v", size, err)
	}
	if err := errors.Join(f.Flush(), f.FlushRange(10, 20)); err != nil {
		t.Error(err)
	}
	wantError(t, "DontNeed", f.Advise(mmapfile.DontNeed), errors.ErrUnsupported)
	wantError(t, "LockFile", f.LockFile(true, 0), errors.ErrUnsupported)
	for _, size := range []int64{200_000, 60_000, 60_000} {
		if err := f.Resize(size); err != nil || f.Len() != int(size) || string(f.Bytes()[50_000:50_004]) != "text" {
			t.Fatalf("%d bytes after resizing to %d: %v", f.Len(), size, err)
		}
	}
	if err := errors.Join(f.Resize(0), f.Resize(10), f.Close(), f.Close()); err != nil {
		t.Error(err)
	}
	empty, err := mmapfile.Anonymous(0)
	if err != nil || empty.Len() != 0 || empty.Bytes() == nil {
		t.Errorf("length 0: %v", err)
	}
	empty.Close()
	_, err = mmapfile.Anonymous(-1)
	wantError(t, "length -1", err, mmapfile.ErrOutOfRange)
	if f, err := mmapfile.Anonymous(tooMuch(t)); err == nil {
		f.Close()
		t.Error("got all memory there is")
	}
}

func TestTwoMapsShareChanges(t *testing.T) {
	if !hasMaps {
		t.Skip("maps are copies here")
	}
	path := tempPath(t, "0123456789")
	a, b, ro := open(t, path, mmapfile.ReadWrite), open(t, path, mmapfile.ReadWrite), open(t, path, mmapfile.ReadOnly)
	a.Bytes()[2] = 'a'
	b.Bytes()[3] = 'b'
	for _, f := range []*mmapfile.File{a, b, ro} {
		if string(f.Bytes()) != "01ab456789" {
			t.Errorf("%q", f.Bytes())
		}
	}
}

// calls are all methods with an error result.
var calls = map[string]func(f *mmapfile.File) error{
	"Read":        func(f *mmapfile.File) error { _, err := f.Read(make([]byte, 3)); return err },
	"ReadByte":    func(f *mmapfile.File) error { _, err := f.ReadByte(); return err },
	"UnreadByte":  func(f *mmapfile.File) error { return f.UnreadByte() },
	"ReadRune":    func(f *mmapfile.File) error { _, _, err := f.ReadRune(); return err },
	"ReadLine":    func(f *mmapfile.File) error { _, err := f.ReadLine(); return err },
	"ReadAt":      func(f *mmapfile.File) error { _, err := f.ReadAt(make([]byte, 3), 0); return err },
	"Seek":        func(f *mmapfile.File) error { _, err := f.Seek(0, io.SeekStart); return err },
	"Write":       func(f *mmapfile.File) error { _, err := f.Write([]byte("x")); return err },
	"WriteByte":   func(f *mmapfile.File) error { return f.WriteByte('x') },
	"WriteString": func(f *mmapfile.File) error { _, err := f.WriteString("x"); return err },
	"WriteAt":     func(f *mmapfile.File) error { _, err := f.WriteAt([]byte("x"), 0); return err },
	"WriteTo":     func(f *mmapfile.File) error { _, err := f.WriteTo(io.Discard); return err },
	"Find":        func(f *mmapfile.File) error { _, err := f.Find([]byte("x"), 0, -1); return err },
	"FindLast":    func(f *mmapfile.File) error { _, err := f.FindLast([]byte("x"), 0, -1); return err },
	"Move":        func(f *mmapfile.File) error { return f.Move(0, 1, 1) },
	"Resize":      func(f *mmapfile.File) error { return f.Resize(100) },
	"Flush":       func(f *mmapfile.File) error { return f.Flush() },
	"FlushRange":  func(f *mmapfile.File) error { return f.FlushRange(0, 1) },
	"Size":        func(f *mmapfile.File) error { _, err := f.Size(); return err },
	"Advise":      func(f *mmapfile.File) error { return f.Advise(mmapfile.Normal) },
	"Lock":        func(f *mmapfile.File) error { return f.Lock() },
	"Unlock":      func(f *mmapfile.File) error { return f.Unlock() },
	"Resident":    func(f *mmapfile.File) error { _, _, err := f.Resident(); return err },
	"LockFile":    func(f *mmapfile.File) error { return f.LockFile(true, -1) },
	"UnlockFile":  func(f *mmapfile.File) error { return f.UnlockFile() },
	"LockRange":   func(f *mmapfile.File) error { return f.LockRange(0, 1, true, -1) },
	"UnlockRange": func(f *mmapfile.File) error { return f.UnlockRange(0, 1) },
}

func TestClosed(t *testing.T) {
	anonymous, err := mmapfile.Anonymous(10)
	if err != nil {
		t.Fatal(err)
	}
	files := []*mmapfile.File{anonymous}
	for _, access := range modes {
		files = append(files, openTemp(t, "content", access), openTemp(t, "", access))
	}
	for _, f := range files {
		if err := errors.Join(f.Close(), f.Close()); err != nil {
			t.Fatal(err)
		}
		for name, call := range calls {
			wantError(t, name, call(f), mmapfile.ErrClosed)
		}
		if f.Bytes() != nil || f.Len() != 0 || !f.Closed() || f.Tell() != 0 {
			t.Errorf("%v, length %d, closed %v", f.Bytes(), f.Len(), f.Closed())
		}
	}
}

func TestCloseBesideMethods(t *testing.T) {
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			for range 10 {
				f := openTemp(t, strings.Repeat("content\n", 10_000), mmapfile.ReadWrite)
				var wg sync.WaitGroup
				started := make(chan bool, 3)
				for range 3 {
					wg.Go(func() {
						started <- true
						for {
							err := call(f)
							if errors.Is(err, mmapfile.ErrClosed) {
								return
							}
							var fault *mmapfile.FaultError
							if errors.As(err, &fault) {
								t.Error(err)
								return
							}
							runtime.Gosched() // wasm does not preempt
						}
					})
				}
				for range 3 {
					<-started
				}
				if err := f.Close(); err != nil {
					t.Error(err)
				}
				wg.Wait()
			}
		})
	}
}

func TestConcurrentUse(t *testing.T) {
	const workers, block = 8, 1000
	f := openTemp(t, strings.Repeat(".", workers*block), mmapfile.ReadWrite)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			mine := bytes.Repeat([]byte{byte('a' + w)}, block)
			got := make([]byte, block)
			for range 200 {
				if _, err := f.WriteAt(mine, int64(w*block)); err != nil {
					t.Error(err)
				}
				if _, err := f.ReadAt(got, int64(w*block)); err != nil || !bytes.Equal(got, mine) {
					t.Errorf("%q, %v", got, err)
				}
				if i, err := f.Find(mine, w*block, (w+1)*block); i != w*block || err != nil {
					t.Errorf("%d, %v", i, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestPatchTheMiddle(t *testing.T) {
	path := filepath.Join(testdir.New(t), "ten")
	want := bytes.Repeat([]byte("0123456789abcdef"), 10<<16)
	if err := os.WriteFile(path, want, 0o644); err != nil {
		t.Fatal(err)
	}
	f := open(t, path, mmapfile.ReadWrite)
	patch := []byte("patched in the middle")
	copy(want[5<<20:], patch)
	copy(f.Bytes()[5<<20:], patch)
	if err := f.FlushRange(5<<20, len(patch)); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes differ from what they should be: %v", len(got), err)
	}
}
