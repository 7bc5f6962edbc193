package folio

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/foliokv/folio/internal/backing"
	"github.com/foliokv/folio/internal/backing/backingtest"
)

func openDiskFile(t *testing.T, path string) backing.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return diskFile{f}
}

func TestDiskFile(t *testing.T) {
	backingtest.Run(t, backingtest.Suite{
		Open: func(t *testing.T) backing.File {
			return openDiskFile(t, filepath.Join(t.TempDir(), "file"))
		},
		Reopen: func(t *testing.T, f backing.File) backing.File { return openDiskFile(t, f.Name()) },
	})
}

func TestMemoryFile(t *testing.T) {
	backingtest.Run(t, backingtest.Suite{
		Open:      func(*testing.T) backing.File { return &memoryFile{} },
		Snapshots: true,
	})
}
