package mmapfile_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/foliokv/folio/mmapfile"
	"golang.org/x/sys/unix"
)

// Split takes the piece apart that a byte is kept in, no other, and changes no contents. Where the system
// keeps the file in no pieces that show, the hint changes nothing.
func TestSplit(t *testing.T) {
	const attempts = 3 // what is in memory may leave it at any time
	for i := 1; ; i++ {
		err := split(t)
		if err == nil {
			return
		}
		if i == attempts {
			t.Fatal(err)
		}
		t.Log(err)
	}
}

func split(t *testing.T) error {
	const piece = 2 << 20
	content := make([]byte, 4*piece)
	for i := range content {
		content[i] = byte(i >> 12)
	}
	f := tempFile(t, nil)
	for at := 0; at < len(content); at += piece {
		if _, err := f.WriteAt(content[at:at+piece], int64(at)); err != nil {
			t.Fatal(err)
		}
	}
	if err := mmapfile.SyncData(f); err != nil {
		t.Fatal(err)
	}
	r, err := mmapfile.Reserve(f, int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	check := func() {
		t.Helper()
		if !bytes.Equal(r.Bytes(), content) {
			t.Fatal("the contents have changed")
		}
	}
	check()
	before := mappedLarge(t, f.Name())
	for _, off := range []int64{-1, int64(len(content)), 1 << 40} {
		r.Split(off)
	}
	if now := mappedLarge(t, f.Name()); now != before {
		return fmt.Errorf("%d bytes in large pieces, %d before anything in the file was split", now, before)
	}
	r.Split(piece + 12345)
	r.Split(piece + 12345)
	check()
	after := mappedLarge(t, f.Name())
	switch {
	case before == 0 || !onExt4(t, f.Name()):
		if after != before {
			return fmt.Errorf("%d bytes are in large pieces, %d before, in a file of which that says nothing", after, before)
		}
		return nil
	case after >= before || after == 0 && before >= 2*piece:
		return fmt.Errorf("%d bytes are in large pieces, of %d before one was split", after, before)
	}
	untouched, err := mmapfile.Reserve(f, int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	defer untouched.Close()
	untouched.Split(3 * piece)
	if n := mappedLarge(t, f.Name()); n >= max(after, 1) {
		return fmt.Errorf("%d bytes are in large pieces, as many as before one that was not mapped was split", n)
	}
	for at := int64(0); at < int64(len(content)); at += piece {
		r.Split(at)
	}
	check()
	if n := mappedLarge(t, f.Name()); n != 0 {
		return fmt.Errorf("%d bytes are in large pieces after all were split", n)
	}
	return nil
}

func onExt4(t *testing.T, name string) bool {
	t.Helper()
	var s unix.Statfs_t
	if err := unix.Statfs(name, &s); err != nil {
		t.Fatal(err)
	}
	return int64(s.Type) == unix.EXT4_SUPER_MAGIC
}

// mappedLarge is how many bytes of the file are mapped in pieces that one entry of the page table covers.
func mappedLarge(t *testing.T, name string) (n int) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Skip(err)
	}
	in := false
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		first, _, _ := strings.Cut(s.Text(), " ")
		if !strings.HasSuffix(first, ":") {
			in = strings.HasSuffix(s.Text(), name)
			continue
		}
		var kib int
		if _, err := fmt.Sscanf(s.Text(), "FilePmdMapped: %d kB", &kib); err == nil && in {
			n += kib << 10
		}
	}
	return n
}
