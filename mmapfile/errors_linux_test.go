package mmapfile_test

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"github.com/foliokv/folio/mmapfile"
)

func TestErrorsWrapTheSystems(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	_, err = mmapfile.WriteVec(full, [][]byte{[]byte("a"), []byte("b")}, 0)
	var wrapped *fs.PathError
	if !errors.Is(err, syscall.ENOSPC) || !errors.As(err, &wrapped) || wrapped.Op != "write" || wrapped.Path != "/dev/full" {
		t.Errorf("%v", err)
	}
	_, err = mmapfile.Open("/proc/self/mem/no", mmapfile.ReadOnly)
	wantError(t, "not a directory", err, syscall.ENOTDIR)
}
