package mmapfile_test

import (
	"bytes"
	"math"
	"os"
	"testing"

	"github.com/foliokv/folio/mmapfile"
)

func TestFlushRange(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 20_000)
	file := tempFile(t, content)
	for _, offset := range []int64{0, 5, 4096, 70_001} {
		f, err := mmapfile.Map(file, offset, 0, mmapfile.ReadWrite)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range [][2]int{{0, 1}, {0, 0}, {1, 4095}, {4095, 2}, {99_999, 7}, {0, f.Len()}, {f.Len(), 0}, {f.Len() - 1, 1}} {
			for i := range r[1] {
				f.Bytes()[r[0]+i] = byte(i)
			}
			if err := f.FlushRange(r[0], r[1]); err != nil {
				t.Errorf("offset %d, %v: %v", offset, r, err)
			}
			got := make([]byte, r[1])
			if _, err := file.ReadAt(got, offset+int64(r[0])); len(got) > 0 && err != nil || !bytes.Equal(got, f.Bytes()[r[0]:r[0]+r[1]]) {
				t.Errorf("offset %d, %v: the file differs, %v", offset, r, err)
			}
		}
		for _, r := range [][2]int{{-1, 1}, {0, -1}, {0, f.Len() + 1}, {f.Len() + 1, 0}, {f.Len(), 1}, {1, math.MaxInt}, {math.MaxInt, math.MaxInt}} {
			wantError(t, "outside", f.FlushRange(r[0], r[1]), mmapfile.ErrOutOfRange)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestFlushNothing(t *testing.T) {
	path := tempPath(t, "content")
	for _, access := range []mmapfile.Access{mmapfile.ReadOnly, mmapfile.Copy} {
		f := open(t, path, access)
		if access == mmapfile.Copy {
			f.Bytes()[0] = 'X'
		}
		if err := f.Flush(); err != nil {
			t.Error(err)
		}
		if err := f.FlushRange(1, 3); err != nil {
			t.Error(err)
		}
		wantFile(t, path, "content")
	}
}

func TestFlushAfterSizeChanges(t *testing.T) {
	path := tempPath(t, "content")
	f := open(t, path, mmapfile.ReadWrite)
	for _, size := range []int64{100_000, 3, 0, 8192} {
		if err := f.Resize(size); err != nil {
			t.Fatal(err)
		}
		if err := f.FlushRange(0, 0); err != nil {
			t.Error(err)
		}
		if err := f.Flush(); err != nil {
			t.Error(err)
		}
		if info, err := os.Stat(path); err != nil || info.Size() != size {
			t.Errorf("%v, %v", info, err)
		}
	}
}
