// Package backingtest checks that a file below the engine keeps the contract of backing.File.
// The real file, the file in memory and the simulated one pass the same suite.
package backingtest

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/foliokv/folio/internal/backing"
)

// Suite says how to make the files that are checked.
type Suite struct {
	// Open returns a new, empty file. The suite closes it.
	Open func(t *testing.T) backing.File

	// Reopen, if set, opens a file again that the suite has closed.
	Reopen func(t *testing.T, closed backing.File) backing.File

	// Snapshots: a map need not show what is written after it was made, and the file may have
	// no name (a file in memory).
	Snapshots bool
}

// Run checks the contract, each part as a subtest.
func Run(t *testing.T, s Suite) {
	for _, c := range []struct {
		name string
		fn   func(*testing.T, Suite, backing.File)
	}{
		{"new file is empty", testEmpty},
		{"write then read", testReadWrite},
		{"read at the end is short with EOF", testReadEnd},
		{"write past the end leaves zeros", testGap},
		{"vectored write", testWriteVec},
		{"truncate cuts and extends by zeros", testTruncate},
		{"sync keeps content", testSync},
		{"drop cache keeps content", testDropCache},
		{"map shows the file", testMap},
		{"map shows later writes", testMapLaterWrites},
		{"map may reach past the end", testMapGrowth},
		{"two maps of different lengths", testTwoMaps},
		{"map outlives the file", testMapOutlivesFile},
		{"several goroutines", testConcurrent},
		{"use after Close fails", testClosed},
		{"reopen", testReopen},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := s.Open(t)
			c.fn(t, s, f)
			f.Close() // many of the tests did; an error is theirs to judge
		})
	}
}

func pattern(n int, seed byte) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i*7) + byte(i>>8) + seed
	}
	return p
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, f backing.File, p []byte, off int64) {
	t.Helper()
	if n, err := f.WriteAt(p, off); n != len(p) || err != nil {
		t.Fatalf("WriteAt(%d bytes, %d) = %d, %v", len(p), off, n, err)
	}
}

func wantSize(t *testing.T, f backing.File, want int64) {
	t.Helper()
	if n, err := f.Size(); n != want || err != nil {
		t.Fatalf("Size() = %d, %v; want %d", n, err, want)
	}
}

func wantContent(t *testing.T, f backing.File, off int64, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := f.ReadAt(got, off); n != len(want) || err != nil && err != io.EOF {
		t.Fatalf("ReadAt(%d bytes, %d) = %d, %v", len(want), off, n, err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("the %d bytes at %d are not what was written", len(want), off)
	}
}

func openMap(t *testing.T, f backing.File, size int64) backing.Map {
	t.Helper()
	m, err := f.Map(size)
	must(t, err)
	have, err := f.Size()
	must(t, err)
	if n := int64(len(m.Bytes())); n < min(size, have) {
		t.Fatalf("Map(%d) of a file of %d bytes has %d", size, have, n)
	}
	return m
}

func wantMapped(t *testing.T, m backing.Map, off int, want []byte) {
	t.Helper()
	must(t, m.Refresh(int64(off), int64(len(want))))
	if !bytes.Equal(m.Bytes()[off:off+len(want)], want) {
		t.Fatalf("the map does not show the %d bytes at %d", len(want), off)
	}
}

func testEmpty(t *testing.T, s Suite, f backing.File) {
	wantSize(t, f, 0)
	if n, err := f.ReadAt(make([]byte, 1), 0); n != 0 || err != io.EOF {
		t.Fatalf("ReadAt = %d, %v; want 0, EOF", n, err)
	}
	if f.Name() == "" && !s.Snapshots {
		t.Fatal("the file has no name")
	}
}

func testReadWrite(t *testing.T, _ Suite, f backing.File) {
	a, b := pattern(10000, 1), pattern(5000, 2)
	write(t, f, a, 0)
	write(t, f, b, 3000)
	wantSize(t, f, 10000)
	wantContent(t, f, 0, a[:3000])
	wantContent(t, f, 3000, b)
	wantContent(t, f, 8000, a[8000:])
	b[0]++ // the file has a copy
	wantContent(t, f, 3000, pattern(5000, 2))
	if n, err := f.WriteAt(nil, 100000); n != 0 || err != nil {
		t.Fatalf("empty write: %d, %v", n, err)
	}
	wantSize(t, f, 10000)
}

func testReadEnd(t *testing.T, _ Suite, f backing.File) {
	write(t, f, pattern(100, 3), 0)
	p := make([]byte, 50)
	if n, err := f.ReadAt(p, 80); n != 20 || err != io.EOF {
		t.Fatalf("ReadAt across the end = %d, %v; want 20, EOF", n, err)
	}
	if !bytes.Equal(p[:20], pattern(100, 3)[80:]) {
		t.Fatal("the bytes before the end are wrong")
	}
	if n, err := f.ReadAt(p, 1000); n != 0 || err != io.EOF {
		t.Fatalf("ReadAt past the end = %d, %v; want 0, EOF", n, err)
	}
	if n, err := f.ReadAt(p, -1); n != 0 || err == nil {
		t.Fatalf("ReadAt(-1) = %d, %v", n, err)
	}
	if n, err := f.WriteAt(p, -1); n != 0 || err == nil {
		t.Fatalf("WriteAt(-1) = %d, %v", n, err)
	}
}

func testGap(t *testing.T, _ Suite, f backing.File) {
	write(t, f, pattern(100, 4), 0)
	write(t, f, pattern(100, 5), 9000)
	wantSize(t, f, 9100)
	wantContent(t, f, 100, make([]byte, 8900))
	wantContent(t, f, 9000, pattern(100, 5))
}

func testWriteVec(t *testing.T, _ Suite, f backing.File) {
	var bufs [][]byte
	var whole []byte
	for i := range 40 {
		b := pattern(i*100, byte(i))
		bufs = append(bufs, b)
		whole = append(whole, b...)
	}
	if n, err := f.WriteVec(bufs, 500); n != len(whole) || err != nil {
		t.Fatalf("WriteVec = %d, %v; want %d", n, err, len(whole))
	}
	wantSize(t, f, 500+int64(len(whole)))
	wantContent(t, f, 500, whole)
	if n, err := f.WriteVec(nil, 0); n != 0 || err != nil {
		t.Fatalf("WriteVec of nothing = %d, %v", n, err)
	}
	for i, b := range bufs { // neither the slices nor the bytes were changed
		if !bytes.Equal(b, pattern(i*100, byte(i))) {
			t.Fatalf("buffer %d was changed", i)
		}
	}
	many := make([][]byte, 3000) // more than a system call takes
	for i := range many {
		many[i] = []byte{byte(i), byte(i >> 8)}
	}
	if n, err := f.WriteVec(many, 0); n != 6000 || err != nil {
		t.Fatalf("WriteVec of 3000 buffers = %d, %v", n, err)
	}
	wantContent(t, f, 0, bytes.Join(many, nil))
}

func testTruncate(t *testing.T, _ Suite, f backing.File) {
	write(t, f, pattern(10000, 6), 0)
	must(t, f.Truncate(5000))
	wantSize(t, f, 5000)
	must(t, f.Truncate(12000))
	wantSize(t, f, 12000)
	wantContent(t, f, 0, pattern(10000, 6)[:5000])
	wantContent(t, f, 5000, make([]byte, 7000))
	must(t, f.Truncate(0))
	wantSize(t, f, 0)
	if f.Truncate(-1) == nil {
		t.Fatal("Truncate(-1) succeeds")
	}
}

func testSync(t *testing.T, _ Suite, f backing.File) {
	must(t, f.SyncFull())
	write(t, f, pattern(9000, 7), 0)
	must(t, f.SyncData())
	write(t, f, pattern(9000, 8), 4000)
	must(t, f.SyncFull())
	must(t, f.Truncate(10000))
	must(t, f.SyncData())
	wantSize(t, f, 10000)
	wantContent(t, f, 0, pattern(9000, 7)[:4000])
	wantContent(t, f, 4000, pattern(9000, 8)[:6000])
}

func testDropCache(t *testing.T, _ Suite, f backing.File) {
	write(t, f, pattern(20000, 9), 0)
	must(t, f.DropCache(0, 20000)) // dirty pages stay
	wantContent(t, f, 0, pattern(20000, 9))
	must(t, f.SyncData())
	must(t, f.DropCache(0, 1<<40))
	wantContent(t, f, 0, pattern(20000, 9))
}

func testMap(t *testing.T, _ Suite, f backing.File) {
	p := pattern(70000, 10)
	write(t, f, p, 0)
	m := openMap(t, f, 70000)
	wantMapped(t, m, 0, p)
	must(t, m.Close())
	m = openMap(t, f, 4096) // a part
	wantMapped(t, m, 0, p[:4096])
	must(t, m.Close())
	must(t, f.Close())
}

func testMapLaterWrites(t *testing.T, s Suite, f backing.File) {
	if s.Snapshots {
		t.Skip("a map of this file shows the moment it was made")
	}
	write(t, f, pattern(20000, 11), 0)
	m := openMap(t, f, 20000)
	write(t, f, pattern(4096, 12), 8192)
	wantMapped(t, m, 8192, pattern(4096, 12))
	if _, err := f.WriteVec([][]byte{pattern(4096, 13), pattern(3, 14)}, 0); err != nil {
		t.Fatal(err)
	}
	wantMapped(t, m, 0, pattern(4096, 13))
	wantMapped(t, m, 4096, pattern(3, 14))
	must(t, f.SyncData())
	must(t, f.DropCache(0, 20000))
	wantMapped(t, m, 8192, pattern(4096, 12))
	must(t, m.Close())
}

func testMapGrowth(t *testing.T, s Suite, f backing.File) {
	write(t, f, pattern(4096, 15), 0)
	m := openMap(t, f, 1<<20)
	write(t, f, pattern(4096, 16), 4096)
	if !s.Snapshots && len(m.Bytes()) >= 8192 {
		wantMapped(t, m, 4096, pattern(4096, 16))
	}
	big := openMap(t, f, 1<<20) // made after: shows it for certain
	wantMapped(t, big, 4096, pattern(4096, 16))
	must(t, big.Close())
	must(t, m.Close())
}

func testTwoMaps(t *testing.T, s Suite, f backing.File) {
	write(t, f, pattern(8192, 17), 0)
	small := openMap(t, f, 8192)
	write(t, f, pattern(3<<20, 18), 8192)
	large := openMap(t, f, 8192+3<<20)
	wantMapped(t, small, 0, pattern(8192, 17))
	wantMapped(t, large, 0, pattern(8192, 17))
	wantMapped(t, large, 8192, pattern(3<<20, 18))
	if !s.Snapshots {
		write(t, f, pattern(100, 19), 50)
		wantMapped(t, small, 50, pattern(100, 19))
		wantMapped(t, large, 50, pattern(100, 19))
	}
	must(t, small.Close())
	wantMapped(t, large, 8192, pattern(3<<20, 18))
	must(t, large.Close())
}

func testMapOutlivesFile(t *testing.T, _ Suite, f backing.File) {
	write(t, f, pattern(8192, 20), 0)
	m := openMap(t, f, 8192)
	wantMapped(t, m, 0, pattern(8192, 20))
	must(t, f.Close())
	if !bytes.Equal(m.Bytes()[:8192], pattern(8192, 20)) {
		t.Fatal("the map does not show the file any more")
	}
	must(t, m.Close())
}

func testConcurrent(t *testing.T, _ Suite, f backing.File) {
	const workers, block = 4, 4096
	write(t, f, make([]byte, workers*block), 0)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			off := int64(w * block)
			for i := range 50 {
				p := pattern(block, byte(i))
				got := make([]byte, block)
				_, werr := f.WriteAt(p, off)
				_, rerr := f.ReadAt(got, off)
				if werr != nil || rerr != nil && rerr != io.EOF || !bytes.Equal(got, p) {
					t.Errorf("worker %d, round %d: %v, %v", w, i, werr, rerr)
					return
				}
				if i%10 == 0 && f.SyncData() != nil {
					t.Error("SyncData failed")
				}
			}
		})
	}
	wg.Wait()
	wantSize(t, f, workers*block)
}

func testClosed(t *testing.T, _ Suite, f backing.File) {
	write(t, f, pattern(4096, 21), 0)
	must(t, f.Close())
	_, rerr := f.ReadAt(make([]byte, 1), 0)
	_, werr := f.WriteAt([]byte{1}, 0)
	_, merr := f.Map(4096)
	for name, err := range map[string]error{
		"ReadAt": rerr, "WriteAt": werr, "Map": merr,
		"Truncate": f.Truncate(0), "SyncData": f.SyncData(), "SyncFull": f.SyncFull(),
	} {
		if err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%s after Close: %v", name, err)
		}
	}
}

func testReopen(t *testing.T, s Suite, f backing.File) {
	if s.Reopen == nil {
		t.Skip("cannot be opened again")
	}
	write(t, f, pattern(10000, 22), 0)
	must(t, f.SyncFull())
	must(t, f.Close())
	again := s.Reopen(t, f)
	wantSize(t, again, 10000)
	wantContent(t, again, 0, pattern(10000, 22))
	must(t, again.Close())
}
