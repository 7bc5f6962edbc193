//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/foliokv/folio/internal/boltfile"
	"github.com/foliokv/folio/mmapfile"
)

// Whoever interrupts an import or an export finds no file, and nothing that is in the way of the next.
func TestInterruptedBolt(t *testing.T) {
	dir := t.TempDir()
	bolt, store := filepath.Join(dir, "old.bolt"), filepath.Join(dir, "store")
	writeLargeBolt(t, bolt)
	kvcli(t, "", "import-bolt", bolt, store)
	for _, args := range [][]string{{"import-bolt", bolt}, {"export-bolt", store}} {
		t.Run(args[0], func(t *testing.T) {
			made := filepath.Join(t.TempDir(), "new")
			said, status := interruptWhile(t, made+".partial", append(args, made)...)
			for tries := 0; status == 0 && tries < 10; tries++ {
				os.Remove(made) // it was faster than the signal
				said, status = interruptWhile(t, made+".partial", append(args, made)...)
			}
			if want := "kvcli: interrupted: " + made + " was not made\n"; said != want || status != 2 {
				t.Errorf("it says %q, not %q, and exits with %d", said, want, status)
			}
			if left, _ := filepath.Glob(made + "*"); len(left) > 0 {
				t.Errorf("it left %v", left)
			}
		})
	}
}

// interruptWhile sends kvcli SIGINT as soon as there is a file.
func interruptWhile(t *testing.T, file string, args ...string) (stderr string, status int) {
	t.Helper()
	cmd := exec.Command("kvcli", args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case <-ended:
			return said.String(), cmd.ProcessState.ExitCode()
		case <-time.After(100 * time.Microsecond):
			if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
				cmd.Process.Signal(syscall.SIGINT)
				<-ended
				return said.String(), cmd.ProcessState.ExitCode()
			}
		}
	}
}

// A context that has ended when the command begins makes nothing either.
func TestBoltWithoutTime(t *testing.T) {
	dir := t.TempDir()
	bolt := filepath.Join(dir, "old.bolt")
	data, err := boltGolden("page4k")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bolt, data, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errInterrupted)
	c := newCLI(os.Stdin, os.Stdout, os.Stderr)
	made := filepath.Join(dir, "new")
	if err := c.importBolt(ctx, bolt, made, 0, false); err == nil || err.Error() != "interrupted: "+made+" was not made" {
		t.Error(err)
	}
	if left, _ := filepath.Glob(made + "*"); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
}

// A pair that bbolt does not take is named.
func TestExportNamesWhatBoltRefuses(t *testing.T) {
	if strconv.IntSize == 32 {
		t.Skip("there is no room for such a value")
	}
	value, err := mmapfile.Anonymous(boltfile.MaxValueSize + 1) // takes no memory until it is touched
	if err != nil {
		t.Skip(err)
	}
	defer value.Close()
	file, err := os.Create(filepath.Join(t.TempDir(), "bolt"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w, err := boltfile.NewWriter(file, 4096)
	if err != nil {
		t.Fatal(err)
	}
	sink := &boltSink{w: w, progress: &progress{}}
	err = errors.Join(sink.begin([]byte("b"), 0), sink.put([]byte("key"), value.Bytes()))
	if want := `storing "key" in bucket b: a value of 2147483647 bytes: bbolt takes 2147483646`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// writeLargeBolt writes some 30 MB.
func writeLargeBolt(t *testing.T, path string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w, err := boltfile.NewWriter(file, 4096)
	if err != nil {
		t.Fatal(err)
	}
	value := make([]byte, 100)
	err = w.Begin([]byte("b"), 0)
	for i := 0; i < 200_000 && err == nil; i++ {
		err = w.Put(binary.BigEndian.AppendUint32(nil, uint32(i)), value)
	}
	if err = errors.Join(err, w.End(), w.Close()); err != nil {
		t.Fatal(err)
	}
}
