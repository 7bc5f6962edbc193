package mmapfile_test

import (
	"errors"
	"math"
	"os"
	"testing"
	"time"

	"github.com/foliokv/folio/mmapfile"
)

func TestLockFile(t *testing.T) {
	path := tempPath(t, "content")
	a, b, c := open(t, path, mmapfile.ReadWrite), open(t, path, mmapfile.ReadOnly), open(t, path, mmapfile.Copy)
	lock := func(f *mmapfile.File, exclusive bool, want error) {
		t.Helper()
		wantError(t, f.Access().String(), f.LockFile(exclusive, 0), want)
	}
	lock(a, true, nil)
	lock(b, true, mmapfile.ErrTimeout)
	lock(b, false, mmapfile.ErrTimeout)
	if other, err := os.Open(path); err != nil {
		t.Error(err)
	} else {
		other.Close()
	}
	open(t, path, mmapfile.ReadWrite).Close()
	lock(c, false, mmapfile.ErrTimeout)
	lock(a, false, nil)
	lock(b, false, nil)
	lock(c, true, mmapfile.ErrTimeout)
	if err := errors.Join(a.UnlockFile(), b.Close()); err != nil {
		t.Error(err)
	}
	lock(c, true, nil)
	lock(c, true, nil)
	lock(a, false, mmapfile.ErrTimeout)
	if err := errors.Join(c.UnlockFile(), c.UnlockFile(), a.UnlockFile()); err != nil {
		t.Error(err)
	}
	lock(a, true, nil)
	start := time.Now()
	wantError(t, "timeout", c.LockFile(true, 50*time.Millisecond), mmapfile.ErrTimeout)
	if d := time.Since(start); d < 50*time.Millisecond || d > 10*time.Second {
		t.Errorf("gave up after %v", d)
	}
	time.AfterFunc(30*time.Millisecond, func() { a.Close() })
	if err := c.LockFile(true, -1); err != nil {
		t.Error(err)
	}
}

func TestLocksOfMapsOfOneHandle(t *testing.T) {
	file := tempFile(t, []byte("content"))
	var maps [2]*mmapfile.File
	for i := range maps {
		f, err := mmapfile.Map(file, 0, 0, mmapfile.ReadWrite)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		maps[i] = f
	}
	if err := errors.Join(maps[0].LockFile(true, 0)); err != nil {
		t.Fatal(err)
	}
	wantError(t, "second map", maps[1].LockFile(true, 0), mmapfile.ErrTimeout)
	wantError(t, "handle", mmapfile.LockHandle(file, false, 0), mmapfile.ErrTimeout)
	maps[0].Close()
	wantError(t, "after close", maps[1].LockFile(true, 0), nil)
	maps[1].UnlockFile()
	if err := maps[1].LockRange(0, 5, true, 0); err != nil {
		t.Fatal(err)
	}
}

func TestLockRange(t *testing.T) {
	path := tempPath(t, "0123456789")
	a, b := open(t, path, mmapfile.ReadWrite), open(t, path, mmapfile.ReadOnly)
	lock := func(f *mmapfile.File, off, n int64, exclusive bool, want error) {
		t.Helper()
		wantError(t, f.Access().String(), f.LockRange(off, n, exclusive, 0), want)
	}
	lock(a, 2, 3, true, nil)
	lock(b, 0, 2, true, nil)
	lock(b, 5, 1, true, nil)
	lock(b, 4, 1, false, mmapfile.ErrTimeout)
	lock(b, 4, 1, true, mmapfile.ErrTimeout)
	lock(b, 3, 0, true, mmapfile.ErrTimeout)
	if other, err := os.Open(path); err == nil && !posixLocks {
		other.Close()
	}
	open(t, path, mmapfile.ReadWrite).Close()
	lock(b, 2, 1, false, mmapfile.ErrTimeout)
	lock(a, 2, 3, false, nil)
	lock(b, 2, 3, false, nil)
	lock(b, 2, 3, true, mmapfile.ErrTimeout)
	lock(b, 2, 3, false, nil)
	if err := errors.Join(a.UnlockRange(2, 3), a.UnlockRange(2, 3)); err != nil {
		t.Error(err)
	}
	lock(b, 2, 3, true, nil)
	lock(a, 1_000_000, 0, true, nil) // past the end, without end
	lock(b, math.MaxInt64/4, 1, true, mmapfile.ErrTimeout)
	for _, r := range [][2]int64{{-1, 1}, {0, -1}, {math.MaxInt64, 1}, {1, math.MaxInt64}} {
		lock(a, r[0], r[1], true, mmapfile.ErrOutOfRange)
		wantError(t, "unlock", a.UnlockRange(r[0], r[1]), mmapfile.ErrOutOfRange)
	}
	wantFile(t, path, "0123456789") // locks keep nobody from reading
	b.Close()
	if err := a.UnlockRange(1_000_000, 0); err != nil {
		t.Error(err)
	}
	lock(a, 0, 0, true, nil)
}

func TestLockRangeOfPart(t *testing.T) {
	file := tempFile(t, []byte("0123456789"))
	whole, err := mmapfile.Map(file, 0, 0, mmapfile.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer whole.Close()
	part, err := mmapfile.Map(file, 4, 4, mmapfile.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer part.Close()
	wantError(t, "part", part.LockRange(1, 2, true, 0), nil)
	wantError(t, "before", whole.LockRange(0, 5, true, 0), nil)
	wantError(t, "in it", whole.LockRange(6, 1, true, 0), mmapfile.ErrTimeout)
	wantError(t, "behind", whole.LockRange(7, 1, true, 0), nil)
}

func TestCloseEndsWaitForLock(t *testing.T) {
	path := tempPath(t, "content")
	a, b := open(t, path, mmapfile.ReadWrite), open(t, path, mmapfile.ReadWrite)
	if err := a.LockFile(true, 0); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(30*time.Millisecond, func() { b.Close() })
	wantError(t, "waiting", b.LockFile(true, -1), mmapfile.ErrClosed)
}

func TestCrashReleasesLocks(t *testing.T) {
	for part, lock := range map[string]func(f *mmapfile.File, timeout time.Duration) error{
		"lock file":  func(f *mmapfile.File, timeout time.Duration) error { return f.LockFile(true, timeout) },
		"lock range": func(f *mmapfile.File, timeout time.Duration) error { return f.LockRange(9, 1, true, timeout) },
	} {
		path := tempPath(t, "content")
		f := open(t, path, mmapfile.ReadWrite)
		c := startChild(t, part, path)
		c.waitReady(t)
		wantError(t, part, lock(f, 0), mmapfile.ErrTimeout)
		c.crash(t)
		wantError(t, part+", after the crash", lock(f, 10*time.Second), nil)
	}
}

func TestChildrenDoNotInheritLocks(t *testing.T) {
	path := tempPath(t, "content")
	f := open(t, path, mmapfile.ReadWrite)
	if err := f.LockFile(true, 0); err != nil {
		t.Fatal(err)
	}
	c := startChild(t, "wait", path)
	c.waitReady(t)
	f.Close()
	g := open(t, path, mmapfile.ReadWrite)
	wantError(t, "while the child lives", g.LockFile(true, 0), nil)
	c.end(t)
}

func TestTwoProcessesCount(t *testing.T) {
	for part, count := range map[string]func(f *mmapfile.File) error{
		"count with lock": countWithLock, "count with atomics": countWithAtomics,
	} {
		t.Run(part, func(t *testing.T) {
			path := tempPath(t, "\x00\x00\x00\x00\x00\x00\x00\x00")
			c := startChild(t, part, path)
			f := open(t, path, mmapfile.ReadWrite)
			if err := count(f); err != nil {
				t.Fatal(err)
			}
			c.end(t)
			n, err := mmapfile.View[uint64](f.Bytes())
			if err != nil || n[0] != 2*childCount {
				t.Errorf("counted to %d, %v", n[0], err)
			}
		})
	}
}
