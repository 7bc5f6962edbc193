package mmapfile_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/foliokv/folio/internal/testdir"
	"github.com/foliokv/folio/mmapfile"
)

// hasMaps tells whether the platform maps files; elsewhere a map is a copy.
var hasMaps = runtime.GOOS != "js" && runtime.GOOS != "wasip1" && runtime.GOOS != "plan9"

// TestMain runs a child's part instead of the tests where a test asked for one.
func TestMain(m *testing.M) {
	if part := os.Getenv("MMAPFILE_CHILD"); part != "" {
		if err := children[part](os.Getenv("MMAPFILE_PATH")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const childCount = 500_000

// children are what a second process does in a test. Each says "ready" when it has done its
// part, and then waits for its standard input to end.
var children = map[string]func(path string) error{
	"lock file": func(path string) error {
		f, err := mmapfile.Open(path, mmapfile.ReadWrite)
		if err == nil {
			err = f.LockFile(true, 0)
		}
		return errors.Join(err, ready())
	},
	"lock range": func(path string) error {
		f, err := mmapfile.Open(path, mmapfile.ReadWrite)
		if err == nil {
			err = f.LockRange(0, 10, true, 0)
		}
		return errors.Join(err, ready())
	},
	"wait": func(path string) error { return ready() },
	"count with lock": func(path string) error {
		f, err := mmapfile.Open(path, mmapfile.ReadWrite)
		if err != nil {
			return err
		}
		defer f.Close()
		return countWithLock(f)
	},
	"count with atomics": func(path string) error {
		f, err := mmapfile.Open(path, mmapfile.ReadWrite)
		if err != nil {
			return err
		}
		defer f.Close()
		return countWithAtomics(f)
	},
}

func ready() error {
	fmt.Println("ready")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// countWithLock adds childCount to the number at the start of the map, a hundred per lock.
func countWithLock(f *mmapfile.File) error {
	n, err := mmapfile.View[uint64](f.Bytes()[:8])
	if err != nil {
		return err
	}
	for range childCount / 100 {
		if err := f.LockFile(true, -1); err != nil {
			return err
		}
		for range 100 {
			n[0]++
		}
		if err := f.UnlockFile(); err != nil {
			return err
		}
	}
	return nil
}

func countWithAtomics(f *mmapfile.File) error {
	n, err := mmapfile.View[uint64](f.Bytes()[:8])
	if err != nil {
		return err
	}
	for range childCount {
		atomic.AddUint64(&n[0], 1)
	}
	return nil
}

// A child is a second process that plays a part.
type child struct {
	cmd   *exec.Cmd
	stdin io.Closer
	out   *bufio.Reader
}

func startChild(t testing.TB, part, path string) *child {
	t.Helper()
	if !hasMaps {
		t.Skip("no child processes on this platform")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{cmd: exec.Command(self)}
	if emulator := os.Getenv("MMAPFILE_EMULATOR"); emulator != "" {
		c.cmd = exec.Command(emulator, self)
	}
	c.cmd.Env = append(os.Environ(), "MMAPFILE_CHILD="+part, "MMAPFILE_PATH="+path)
	c.cmd.Stderr = os.Stderr
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.stdin, c.out = stdin, bufio.NewReader(stdout)
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.cmd.Process.Kill()
		c.cmd.Wait()
	})
	return c
}

// waitReady waits until the child has done its part.
func (c *child) waitReady(t testing.TB) {
	t.Helper()
	if line, err := c.out.ReadString('\n'); strings.TrimSpace(line) != "ready" {
		t.Fatalf("the child said %q: %v", line, err)
	}
}

// end lets the child go and waits for it.
func (c *child) end(t testing.TB) {
	t.Helper()
	c.stdin.Close()
	if err := c.cmd.Wait(); err != nil {
		t.Fatal(err)
	}
}

// crash kills the child.
func (c *child) crash(t testing.TB) {
	t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	c.cmd.Wait()
}

// tempPath writes content to a new file.
func tempPath(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(testdir.New(t), "data")
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// openTemp maps a new file with the given content.
func openTemp(t testing.TB, content string, access mmapfile.Access) *mmapfile.File {
	t.Helper()
	return open(t, tempPath(t, content), access)
}

func open(t testing.TB, path string, access mmapfile.Access) *mmapfile.File {
	t.Helper()
	f, err := mmapfile.Open(path, access)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// tooMuch returns a length that cannot be mapped, though an int can say it.
func tooMuch(t testing.TB) int {
	if strconv.IntSize == 32 { // it could, as long as half of the address space is free
		if f, err := mmapfile.Anonymous(math.MaxInt - 1<<20); err == nil {
			t.Cleanup(func() { f.Close() })
		}
	}
	return math.MaxInt - 1<<20
}

func wantError(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func wantFile(t testing.TB, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("the file holds %q, want %q", got, want)
	}
}
