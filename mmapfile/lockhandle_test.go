package mmapfile_test

import (
	"errors"
	"math"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/foliokv/folio/mmapfile"
)

func reopen(t testing.TB, f *os.File) *os.File {
	t.Helper()
	g, err := os.OpenFile(f.Name(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	return g
}

func TestLockHandleExcludes(t *testing.T) {
	a := tempFile(t, []byte("data"))
	b, c := reopen(t, a), reopen(t, a)
	lock := func(f *os.File, exclusive bool, want error) {
		t.Helper()
		if err := mmapfile.LockHandle(f, exclusive, 0); !errors.Is(err, want) {
			t.Fatalf("%v, want %v", err, want)
		}
	}
	unlock := func(f *os.File) {
		t.Helper()
		if err := mmapfile.UnlockHandle(f); err != nil {
			t.Fatal(err)
		}
	}
	lock(a, true, nil)
	lock(a, true, nil)
	lock(b, true, mmapfile.ErrTimeout)
	lock(b, false, mmapfile.ErrTimeout)
	reopen(t, a).Close()
	lock(b, false, mmapfile.ErrTimeout)
	if got, err := os.ReadFile(a.Name()); err != nil || string(got) != "data" {
		t.Fatalf("a reader of the locked file got %q, %v", got, err)
	}
	lock(a, false, nil) // downgrade
	lock(b, false, nil)
	lock(c, true, mmapfile.ErrTimeout)
	unlock(b)
	lock(c, true, mmapfile.ErrTimeout)
	unlock(a)
	unlock(a)
	lock(c, true, nil)
	unlock(c)
}

func TestLockHandleTimeout(t *testing.T) {
	a := tempFile(t, nil)
	b := reopen(t, a)
	if err := mmapfile.LockHandle(a, true, 0); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := mmapfile.LockHandle(b, true, 60*time.Millisecond); !errors.Is(err, mmapfile.ErrTimeout) {
		t.Fatal(err)
	}
	if d := time.Since(start); d < 60*time.Millisecond || d > 5*time.Second {
		t.Fatalf("gave up after %v", d)
	}
	for _, wait := range []time.Duration{time.Minute, -1} {
		timer := time.AfterFunc(40*time.Millisecond, func() { mmapfile.UnlockHandle(a) })
		if err := mmapfile.LockHandle(b, true, wait); err != nil {
			t.Fatal(err)
		}
		timer.Stop()
		mmapfile.UnlockHandle(b)
		if err := mmapfile.LockHandle(a, true, 0); err != nil {
			t.Fatal(err)
		}
	}
	mmapfile.UnlockHandle(a)
}

// Locks at one place contend; where locks have places, those at others do not.
func TestLockHandleAt(t *testing.T) {
	const last = math.MaxUint64
	a := tempFile(t, []byte("data"))
	b, c := reopen(t, a), reopen(t, a)
	lock := func(f *os.File, off uint64, exclusive bool, want error) {
		t.Helper()
		if err := mmapfile.LockHandleAt(f, off, exclusive, 0); !errors.Is(err, want) {
			t.Fatalf("%v, want %v", err, want)
		}
	}
	lock(a, last, false, nil)
	lock(b, last, false, nil)
	lock(c, last, true, mmapfile.ErrTimeout)
	b.Close()
	a.Close()
	lock(c, last, true, nil)
	d := reopen(t, c)
	lock(d, last, false, mmapfile.ErrTimeout)
	want := mmapfile.ErrTimeout
	if runtime.GOOS == "windows" {
		want = nil
	}
	lock(d, last-1, false, want)
}

// A system may give a new file the number of one that was removed: no lock on the old one, whose
// handles are closed, stands against the new.
func TestLockEndsWithItsHandle(t *testing.T) {
	path := tempPath(t, "data")
	for range 50 {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if err := mmapfile.LockHandle(f, true, 0); err != nil {
			t.Fatal(err)
		}
		f.Close()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLockHandleClosed(t *testing.T) {
	f := tempFile(t, nil)
	f.Close()
	if err := mmapfile.LockHandle(f, true, -1); err == nil {
		t.Error("locked a closed handle")
	}
}
