package mmapfile_test

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/foliokv/folio/internal/testdir"
	"github.com/foliokv/folio/mmapfile"
)

func tempFile(t testing.TB, content []byte) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(testdir.New(t), "data"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.Write(content); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestReserveShowsGrowth(t *testing.T) {
	f := tempFile(t, []byte("one"))
	r, err := mmapfile.Reserve(f, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got := r.Bytes()[:3]; string(got) != "one" {
		t.Fatalf("begins with %q", got)
	}
	if !mmapfile.CanReserve {
		if len(r.Bytes()) != 3 {
			t.Fatalf("%d bytes, want the file's 3", len(r.Bytes()))
		}
		return
	}
	if len(r.Bytes()) != 1<<20 {
		t.Fatalf("%d bytes, want 1 MiB", len(r.Bytes()))
	}
	if _, err := f.WriteAt([]byte("far"), 300_000); err != nil {
		t.Fatal(err)
	}
	if err := r.Refresh(300_000, 3); err != nil {
		t.Fatal(err)
	}
	if got := r.Bytes()[300_000:300_003]; string(got) != "far" {
		t.Fatalf("%q where the file grew", got)
	}
	needFaults(t)
	wantFault(t, "past the end", mmapfile.Guard(func() error { _ = bytes.Clone(r.Bytes()[900_000:900_010]); return nil }))
}

func TestReserveOutlivesHandle(t *testing.T) {
	f := tempFile(t, []byte("content"))
	r, err := mmapfile.Reserve(f, 7)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if string(r.Bytes()) != "content" {
		t.Fatalf("%q", r.Bytes())
	}
	for range 2 {
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if r.Bytes() != nil {
		t.Fatal("bytes after Close")
	}
	wantError(t, "refresh after Close", r.Refresh(0, 1), mmapfile.ErrClosed)
}

func TestRegionRefreshShowsWrites(t *testing.T) {
	f := tempFile(t, []byte("before the write"))
	r, err := mmapfile.Reserve(f, 16)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := f.WriteAt([]byte("after "), 0); err != nil {
		t.Fatal(err)
	}
	for _, rng := range [][2]int64{{0, 6}, {-1, 4}, {16, 1}, {3, 1 << 40}} {
		if err := r.Refresh(rng[0], rng[1]); err != nil {
			t.Fatal(err)
		}
	}
	if string(r.Bytes()) != "after  the write" {
		t.Fatalf("%q", r.Bytes())
	}
}

func TestRegionCached(t *testing.T) {
	const size = 3 * 1 << 16
	f := tempFile(t, make([]byte, size))
	r, err := mmapfile.Reserve(f, size)
	if err != nil {
		t.Fatal(err)
	}
	// What was just written is in memory, where that can be told, and a copy is always; see TestResident.
	tells := !hasMaps || runtime.GOOS == "linux" || runtime.GOOS == "darwin" || runtime.GOOS == "freebsd" || runtime.GOOS == "netbsd" || runtime.GOOS == "dragonfly"
	for _, rng := range [][2]int64{{0, size}, {1, 1}, {size - 1, 1}, {70_000, 100_000}} {
		if got := r.Cached(rng[0], rng[1]); got != tells {
			t.Errorf("%d bytes from %d on: %v", rng[1], rng[0], got)
		}
	}
	for _, rng := range [][2]int64{{-1, 2}, {0, 0}, {0, -1}, {0, size + 1}, {size, 1}, {1, math.MaxInt64}} {
		if r.Cached(rng[0], rng[1]) {
			t.Errorf("%d bytes from %d on are said to be in memory", rng[1], rng[0])
		}
	}
	r.Close()
	if r.Cached(0, 1) {
		t.Error("a closed region is said to be in memory")
	}
}

func TestReserveEdges(t *testing.T) {
	f := tempFile(t, nil)
	r, err := mmapfile.Reserve(f, 0)
	if err != nil || r.Bytes() == nil || len(r.Bytes()) != 0 {
		t.Fatalf("size 0: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r, err = mmapfile.Reserve(f, 4096)
	if err != nil {
		t.Fatalf("empty file: %v", err)
	}
	r.Close()
	if _, err := mmapfile.Reserve(f, -1); !errors.Is(err, mmapfile.ErrOutOfRange) {
		t.Fatalf("negative size: %v", err)
	}
	f.Close()
	if _, err := mmapfile.Reserve(f, 10); err == nil {
		t.Fatal("mapped a closed handle")
	}
}
