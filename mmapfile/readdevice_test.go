package mmapfile_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/foliokv/folio/internal/testdir"
	"github.com/foliokv/folio/mmapfile"
)

// ReadDevice gives what ReadAt gives, when nothing has failed: of what was flushed and what was
// not, at the end of a file and behind it. Writing goes on as before.
func TestReadDevice(t *testing.T) {
	f, err := os.Create(filepath.Join(testdir.New(t), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data := make([]byte, 2<<20+4096+77)
	for i := range data {
		data[i] = byte(i * 7 >> 8)
	}
	for _, flush := range []bool{false, true} {
		if _, err := f.WriteAt(data, 0); err != nil {
			t.Fatal(err)
		}
		if flush {
			if err := f.Sync(); err != nil {
				t.Fatal(err)
			}
		}
		for _, off := range []int64{0, 4096, 2 << 20, 2<<20 + 4096, 4 << 20} {
			for _, n := range []int{1, 512, 4096, 4608, 300_000} {
				got, want := make([]byte, n), make([]byte, n)
				k, err := mmapfile.ReadDevice(f, got, off)
				if errors.Is(err, errors.ErrUnsupported) {
					t.Skip(err)
				}
				if w, wantErr := f.ReadAt(want, off); k != w || err != wantErr || !bytes.Equal(got, want) {
					t.Errorf("%d at %d: %d and %v, not %d and %v", n, off, k, err, w, wantErr)
				}
			}
		}
		for i := range data {
			data[i]++
		}
		if _, err := f.WriteAt(data[5:100], 5); err != nil {
			t.Fatalf("writing after it: %v", err) // direct mode takes whole blocks only
		}
	}
	if n, err := mmapfile.ReadDevice(f, nil, 0); n != 0 || err != nil {
		t.Errorf("nothing: %d, %v", n, err)
	}
}

func TestReadDeviceErrors(t *testing.T) {
	f, err := os.Create(filepath.Join(testdir.New(t), "file"))
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 4096)
	if _, err := mmapfile.ReadDevice(f, p, -1); !errors.Is(err, mmapfile.ErrOutOfRange) {
		t.Errorf("before the begin: %v", err)
	}
	if _, err := mmapfile.ReadDevice(f, p, 100); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("within a block: %v", err)
	}
	if _, err := mmapfile.ReadDevice(f, p, 0); err != io.EOF && !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("an empty file: %v", err)
	}
	f.Close()
	if _, err := mmapfile.ReadDevice(f, p, 0); !errors.Is(err, fs.ErrClosed) && !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("closed: %v", err)
	}
}
