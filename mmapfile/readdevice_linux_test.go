package mmapfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/foliokv/folio/internal/testdir"
	"github.com/foliokv/folio/mmapfile"
	"golang.org/x/sys/unix"
)

// ReadDevice asks the device, even where DropCache does nothing: the system may keep the file in
// pieces that are larger than what is read.
func TestReadDeviceReadsTheDevice(t *testing.T) {
	name := filepath.Join(testdir.New(t), "file")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(make([]byte, 4<<20)); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	var s unix.Statfs_t
	if err := unix.Statfs(name, &s); err != nil || s.Type != unix.EXT4_SUPER_MAGIC && s.Type != unix.XFS_SUPER_MAGIC {
		t.Skip("not on a file system of which it is known that it counts reads of the device")
	}
	const off = 400 * 4096
	p := make([]byte, 4096)
	before := deviceReads(t)
	if _, err := mmapfile.ReadDevice(f, p, off); errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	if n := deviceReads(t) - before; n < len(p) {
		t.Errorf("%d bytes were read from the device", n)
	}
	before = deviceReads(t)
	if _, err := f.ReadAt(p, off); err != nil {
		t.Fatal(err)
	}
	t.Logf("an ordinary read afterwards takes %d bytes from it", deviceReads(t)-before)
}

// deviceReads returns how many bytes the process has read from devices.
func deviceReads(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Skip(err)
	}
	m := regexp.MustCompile(`(?m)^read_bytes: (\d+)$`).FindSubmatch(b)
	if m == nil {
		t.Skip("no count of the bytes read")
	}
	n, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
