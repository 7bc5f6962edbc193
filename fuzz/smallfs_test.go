package fuzz

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/foliokv/folio"
	"github.com/foliokv/folio/internal/foliotest"
	"github.com/foliokv/folio/internal/testdir"
	"github.com/foliokv/folio/internal/workload"
)

// A real file system that fills up. It takes the right to mount; where that is missing the
// simulated disk of TestFullDiskIsNotFatal and TestReserveOnAFullDisk must do.

var smallSystems = []struct {
	name string
	make []string // the command that makes one in a file; nil: it is in memory
	size int64    // of the file in bytes
}{
	{"tmpfs", nil, 32 << 20},
	{"ext4", []string{"mkfs.ext4", "-q"}, 32 << 20},
	{"vfat", []string{"mkfs.vfat"}, 32 << 20},
	{"xfs", []string{"mkfs.xfs", "-q"}, 320 << 20},
}

func TestSmallFileSystem(t *testing.T) {
	for _, s := range smallSystems {
		for _, size := range []int{800, 5000, 300_000} {
			t.Run(fmt.Sprintf("%s/%d", s.name, size), func(t *testing.T) {
				if part := !named() && (size != 5000 || s.size > 32<<20); part {
					t.Skip("takes long: run with -run TestSmallFileSystem")
				}
				fillsUp(t, mounted(t, s.name, s.make, s.size), size)
			})
		}
	}
}

// mounted returns a directory that a new file system is mounted on until the test ends.
func mounted(t *testing.T, kind string, mkfs []string, size int64) string {
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		t.Skip("mounting a file system takes Linux and root")
	}
	dir := testdir.New(t)
	at := filepath.Join(dir, "mnt")
	foliotest.Must(t, os.Mkdir(at, 0o700))
	args := []string{"-t", kind, "-o", fmt.Sprintf("size=%d", size), "none", at}
	if mkfs != nil {
		image := filepath.Join(dir, "image")
		foliotest.Must(t, os.WriteFile(image, nil, 0o600))
		foliotest.Must(t, os.Truncate(image, size))
		if _, err := exec.LookPath(mkfs[0]); err != nil {
			t.Skipf("there is no %s", mkfs[0])
		}
		if out, err := exec.Command(mkfs[0], append(mkfs[1:], image)...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", mkfs[0], err, out)
		}
		args = []string{"-t", kind, "-o", "loop", image, at}
	}
	if out, err := exec.Command("mount", args...).CombinedOutput(); err != nil {
		t.Skipf("a file system cannot be mounted here: %v: %s", err, bytes.TrimSpace(out))
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", at).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return at
}

// A filled store has the keys from to n-1, with values of a size.
type filled struct {
	*testing.T
	path    string
	db      *folio.DB
	from, n int
	size    int
}

// fillsUp fills the file system, twice, and looks what works then.
func fillsUp(t *testing.T, dir string, size int) {
	other := filepath.Join(dir, "other")
	foliotest.Must(t, os.WriteFile(other, make([]byte, 4<<20), 0o600))
	s := &filled{T: t, path: filepath.Join(dir, "store"), size: size}
	s.open()
	s.fill()
	t.Logf("full with %d values of %d bytes", s.n, size)
	s.reopen()
	s.deletes(s.n / 2)
	s.reopen()
	s.fill()
	foliotest.Must(t, os.Remove(other))
	before := s.n
	s.fill()
	if (s.n-before)*size < 1<<20 {
		t.Errorf("after 4 MiB more room there fit %d more values of %d bytes", s.n-before, size)
	}
	s.deletes(s.n)
	s.fill()
	s.reopen()
	s.deletes(s.n - s.from)
	foliotest.MustClose(t, s.db)
}

func (s *filled) open() {
	s.Helper()
	var err error
	s.db, err = folio.Open(s.path, 0o600, nil)
	foliotest.Must(s, err)
}

func (s *filled) reopen() {
	s.Helper()
	foliotest.Must(s, s.db.Close())
	s.open()
	s.intact()
}

func (s *filled) value(i int) []byte { return workload.Value(i, s.size).Bytes() }

// fill puts until the file system is full: many keys at a time, in the end one by one.
func (s *filled) fill() {
	s.Helper()
	for step := 1 << 20 / s.size; ; {
		err := s.db.Update(func(tx *folio.Tx) error { return s.put(tx, step) })
		switch {
		case err == nil:
			s.n += max(step, 1)
		case !errors.Is(err, syscall.ENOSPC):
			s.Fatalf("a full file system comes back as %v", err)
		case step <= 1:
			s.intact()
			return
		default:
			step /= 4
		}
	}
}

func (s *filled) put(tx *folio.Tx, n int) error {
	b, err := tx.CreateBucketIfNotExists([]byte("b"))
	for i := s.n; err == nil && i < s.n+max(n, 1); i++ {
		err = b.Put(foliotest.Key(i), s.value(i))
	}
	return err
}

// deletes deletes the oldest so many keys, the first ones one by one.
func (s *filled) deletes(n int) {
	s.Helper()
	begun := s.from
	for to := min(s.from+n, s.n); s.from < to; {
		err := s.db.Update(func(tx *folio.Tx) error {
			step := min(1+(s.from-begun)/20, 200)
			for ; step > 0 && s.from < to; step-- {
				if err := tx.Bucket([]byte("b")).Delete(foliotest.Key(s.from)); err != nil {
					return err
				}
				s.from++
			}
			return nil
		})
		if err != nil {
			s.Fatalf("a delete on a full file system: %v", err)
		}
	}
	s.intact()
}

// intact checks the store and that everything acknowledged is there, and nothing else.
func (s *filled) intact() {
	s.Helper()
	foliotest.MustCheck(s, s.db)
	foliotest.Must(s, s.db.View(func(tx *folio.Tx) error {
		b, i := tx.Bucket([]byte("b")), s.from
		for k, v := range b.All() {
			if !bytes.Equal(k, foliotest.Key(i)) || !bytes.Equal(v, s.value(i)) {
				s.Fatalf("there is %q with %d bytes, and should be %q", k, len(v), foliotest.Key(i))
			}
			i++
		}
		if i != s.n {
			s.Fatalf("the keys end with %d, not %d", i-1, s.n-1)
		}
		return nil
	}))
}
