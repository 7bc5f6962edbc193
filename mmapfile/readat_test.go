package mmapfile_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/foliokv/folio/internal/testdir"
	"github.com/foliokv/folio/mmapfile"
)

func ExampleReadAt() {
	dir, _ := os.MkdirTemp("", "")
	defer os.RemoveAll(dir)
	f, err := os.Create(filepath.Join(dir, "file"))
	if err != nil {
		panic(err)
	}
	defer f.Close()
	f.WriteString("a page in the middle of nowhere")
	p := make([]byte, 4)
	n, err := mmapfile.ReadAt(f, p, 2)
	fmt.Println(string(p[:n]), err)
	// Output: page <nil>
}

// ReadAt is File.ReadAt, whether what it reads is in memory or not.
func TestReadAt(t *testing.T) {
	f, err := os.Create(filepath.Join(testdir.New(t), "file"))
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 1<<20+77)
	for i := range data {
		data[i] = byte(i * 7 >> 8)
	}
	if _, err := f.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := mmapfile.DropCache(f, 0, int64(len(data))); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				for off := g * 4096; off < len(data); off += 8 * 4096 {
					got, want := make([]byte, 4096), make([]byte, 4096)
					n, err := mmapfile.ReadAt(f, got, int64(off))
					m, wantErr := f.ReadAt(want, int64(off))
					if n != m || err != wantErr || !bytes.Equal(got, want) {
						t.Errorf("at %d: %d bytes and %v, not %d and %v", off, n, err, m, wantErr)
					}
				}
			})
		}
		wg.Wait()
	}
	p := make([]byte, 10)
	if n, err := mmapfile.ReadAt(f, p, int64(len(data))); n != 0 || err != io.EOF {
		t.Errorf("past the end: %d bytes, %v", n, err)
	}
	if _, err := mmapfile.ReadAt(f, p, -1); err == nil {
		t.Error("before the begin: no error")
	}
	f.Close()
	if _, err := mmapfile.ReadAt(f, p, 0); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}
