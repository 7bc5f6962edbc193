package mmapfile_test

import (
	"errors"
	"os"
	"testing"

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
