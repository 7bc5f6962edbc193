package mmapfile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/foliokv/folio/internal/testdir"
	"github.com/foliokv/folio/mmapfile"
)

func TestSync(t *testing.T) {
	f := tempFile(t, []byte("data"))
	for name, sync := range map[string]func(*os.File) error{"data": mmapfile.SyncData, "full": mmapfile.SyncFull} {
		if err := sync(f); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	f.Close()
	for name, sync := range map[string]func(*os.File) error{"data": mmapfile.SyncData, "full": mmapfile.SyncFull} {
		if err := sync(f); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s, closed: %v", name, err)
		}
	}
}

func TestSyncDir(t *testing.T) {
	if err := mmapfile.SyncDir(testdir.New(t)); err != nil {
		t.Error(err)
	}
	if err := mmapfile.SyncDir(filepath.Join(testdir.New(t), "none")); canSyncDir && !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a directory that does not exist: %v", err)
	}
}

// canSyncDir tells whether the platform flushes directories.
var canSyncDir = !slices.Contains([]string{"windows", "js", "plan9", "wasip1"}, runtime.GOOS)

func TestDropCache(t *testing.T) {
	f := tempFile(t, []byte("data"))
	if err := mmapfile.DropCache(f, 0, 4); err != nil {
		t.Error(err)
	}
	if err := mmapfile.DropCache(f, 0, 0); err != nil {
		t.Error(err)
	}
	if err := mmapfile.DropCache(f, -1, 4); !errors.Is(err, mmapfile.ErrOutOfRange) {
		t.Error(err)
	}
}
