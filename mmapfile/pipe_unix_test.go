//go:build linux || darwin || freebsd || openbsd || netbsd || dragonfly

package mmapfile_test

import (
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/foliokv/folio/internal/testdir"
	"github.com/foliokv/folio/mmapfile"
)

// Opening a named pipe for reading would wait for a writer.
func TestOpenRefusesNamedPipe(t *testing.T) {
	path := filepath.Join(testdir.New(t), "pipe")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Skip(err)
	}
	for _, access := range modes {
		if _, err := mmapfile.Open(path, access); err == nil {
			t.Errorf("%v: opened a pipe", access)
		}
	}
}
