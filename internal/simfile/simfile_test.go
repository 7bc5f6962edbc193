package simfile

import (
	"bytes"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/foliokv/folio/internal/backing"
	"github.com/foliokv/folio/internal/backing/backingtest"
)

func TestConformance(t *testing.T) {
	for name, o := range map[string]Options{"shared": {}, "private maps": {PrivateMaps: true}, "tight": {MapAhead: 1}} {
		t.Run(name, func(t *testing.T) {
			backingtest.Run(t, backingtest.Suite{
				Open: func(*testing.T) backing.File { return New(o) },
				Reopen: func(_ *testing.T, f backing.File) backing.File {
					return f.(*File).Kill(o)
				},
			})
		})
	}
}

func block(v byte) []byte { return bytes.Repeat([]byte{v}, 4096) }

func put(t *testing.T, f *File, v byte, page int64) {
	t.Helper()
	if _, err := f.WriteAt(block(v), page*4096); err != nil {
		t.Fatal(err)
	}
}

func flush(t *testing.T, f *File) {
	t.Helper()
	if err := f.SyncFull(); err != nil {
		t.Fatal(err)
	}
}

func at(t *testing.T, f *File, off int64) byte {
	t.Helper()
	var p [1]byte
	if _, err := f.ReadAt(p[:], off); err != nil {
		t.Fatal(err)
	}
	return p[0]
}

// firsts describes an image by the first byte of each page, as letters; '.' is zero.
func firsts(image []byte) string {
	var s strings.Builder
	for i := 0; i < len(image); i += 4096 {
		if image[i] == 0 {
			s.WriteByte('.')
		} else {
			s.WriteByte(image[i])
		}
	}
	return s.String()
}

func images(f *File, o ImageOptions) map[string]string {
	m := map[string]string{}
	for img := range f.Images(o) {
		m[img.Name] = firsts(img.Bytes)
	}
	return m
}

func TestImagesOfUnflushedWrites(t *testing.T) {
	f := New(Options{})
	put(t, f, 'a', 0)
	put(t, f, 'b', 1)
	flush(t, f)
	put(t, f, 'c', 0)
	put(t, f, 'd', 2)
	got := images(f, ImageOptions{Random: -1})
	want := map[string]string{
		"none":                        "ab",
		"all":                         "cbd",
		"size alone":                  "ab.",
		"size not":                    "cb",
		"without 0 (write 4096@0)":    "abd",
		"head of 0 (write 4096@0)":    "cbd",
		"tail of 0 (write 4096@0)":    "abd",
		"head of 1 (write 4096@8192)": "cbd",
		"tail of 1 (write 4096@8192)": "cb.",
	}
	for name, w := range want {
		if got[name] != w {
			t.Errorf("image %q is %q, want %q", name, got[name], w)
		}
	}
	if len(got) != len(want) { // "only 0", "only 1", "without 1" are like others
		t.Errorf("images are %v", got)
	}
}

func TestImagesOfTruncation(t *testing.T) {
	f := FromImage(append(block('a'), block('b')...), Options{})
	if err := f.Truncate(4096); err != nil {
		t.Fatal(err)
	}
	put(t, f, 'c', 2)
	got := images(f, ImageOptions{Random: -1})
	for name, w := range map[string]string{
		"none":                        "ab",
		"all":                         "a.c",
		"size alone":                  "ab.",
		"without 0 (truncate 4096)":   "abc",
		"only 0 (truncate 4096)":      "a",
		"head of 1 (write 4096@8192)": "a.c",
	} {
		if got[name] != w {
			t.Errorf("image %q is %q, want %q", name, got[name], w)
		}
	}
}

func TestFlushUnderWayCountsForNothing(t *testing.T) {
	var f *File
	var none []string
	f = New(Options{OnOp: func(n int, op Op) {
		if op.Kind == SyncEnd {
			none = append(none, images(f, ImageOptions{Random: -1})["none"])
		}
	}})
	put(t, f, 'a', 0)
	flush(t, f)
	put(t, f, 'b', 0)
	flush(t, f)
	if !slices.Equal(none, []string{"", "a"}) {
		t.Fatalf("durable while flushing: %q", none)
	}
	if got := images(f, ImageOptions{}); len(got) != 1 || got["none"] != "b" {
		t.Fatalf("after the flush: %v", got)
	}
}

func TestAbsentUntilSyncFull(t *testing.T) {
	f := New(Options{})
	put(t, f, 'a', 0)
	if err := f.SyncData(); err != nil {
		t.Fatal(err)
	}
	got := images(f, ImageOptions{})
	if _, ok := got["absent"]; !ok || got["none"] != "a" {
		t.Fatalf("images are %v", got)
	}
	flush(t, f)
	if _, ok := images(f, ImageOptions{})["absent"]; ok {
		t.Fatal("absent after SyncFull")
	}
}

func TestImagesAreDeterministicAndDistinct(t *testing.T) {
	hashesOf := func(seed uint64) []uint64 {
		f := New(Options{})
		put(t, f, 'a', 3)
		flush(t, f)
		for i := range 6 {
			put(t, f, byte('b'+i), int64(i))
		}
		var hashes []uint64
		for img := range f.Images(ImageOptions{Seed: seed, Random: 50}) {
			hashes = append(hashes, img.Hash)
		}
		return hashes
	}
	one := hashesOf(1)
	if !slices.Equal(one, hashesOf(1)) {
		t.Fatal("the same seed gives other images")
	}
	if slices.Equal(one, hashesOf(2)) {
		t.Fatal("another seed gives the same images")
	}
	if len(one) < 100 {
		t.Fatalf("only %d images", len(one))
	}
	slices.Sort(one)
	if n := len(slices.Compact(slices.Clone(one))); n != len(one) {
		t.Fatalf("%d images, %d of them distinct", len(one), n)
	}
}

// Every image shows, sector by sector, the disk or one of the writes, and the next image is not
// spoilt by the one before.
func TestImagesShowOnlyWhatWasWritten(t *testing.T) {
	f := FromImage(append(block('a'), block('b')...), Options{})
	put(t, f, 'c', 1)
	if err := f.Truncate(4096); err != nil {
		t.Fatal(err)
	}
	put(t, f, 'd', 0)
	put(t, f, 'e', 3)
	may := []string{"ad", "bc\x00", "\x00", "e\x00"}
	hashes := map[string]uint64{}
	for img := range f.Images(ImageOptions{Random: 200}) {
		for i := 0; i < len(img.Bytes); i += 512 {
			if v := img.Bytes[i]; !strings.Contains(may[i/4096], string(v)) || img.Bytes[i+511] != v {
				t.Fatalf("image %q has %q at %d", img.Name, v, i)
			}
		}
		content := string(img.Bytes)
		if h, ok := hashes[content]; ok {
			t.Fatalf("hashes %x and %x for the same content", h, img.Hash)
		}
		hashes[content] = img.Hash
	}
}

func TestSeenImagesAreLeftOut(t *testing.T) {
	f := New(Options{})
	seen := map[uint64]struct{}{}
	put(t, f, 'a', 0)
	first := images(f, ImageOptions{Seen: seen})
	if again := images(f, ImageOptions{Seen: seen}); len(again) != 0 || len(first) == 0 {
		t.Fatalf("%d images, then %d", len(first), len(again))
	}
}

func TestRandomImageIsStable(t *testing.T) {
	f := New(Options{})
	for i := range 8 {
		put(t, f, 'a', int64(i))
	}
	a, b := f.RandomImage(7), f.RandomImage(7)
	if a.Hash != b.Hash || !bytes.Equal(a.Bytes, b.Bytes) {
		t.Fatal("one seed, two images")
	}
}

func TestKillKeepsCacheAndDisk(t *testing.T) {
	f := New(Options{})
	put(t, f, 'a', 0)
	flush(t, f)
	put(t, f, 'b', 0)
	k := f.Kill(Options{})
	if at(t, k, 0) != 'b' || images(k, ImageOptions{})["none"] != "a" {
		t.Fatal("a killed process loses its cache, or gains a disk")
	}
	flush(t, k)
	if images(k, ImageOptions{})["none"] != "b" || images(f, ImageOptions{})["none"] != "a" {
		t.Fatal("the files share their disk")
	}
}

func TestFailedFlushLeavesLimbo(t *testing.T) {
	f := FromImage(append(block('a'), block('b')...), Options{})
	m, err := f.Map(8192)
	if err != nil {
		t.Fatal(err)
	}
	put(t, f, 'c', 0)
	put(t, f, 'd', 1)
	f.Fail(Fault{Kind: SyncEnd})
	if err := f.SyncData(); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	flush(t, f) // succeeds, and writes nothing of what was lost
	if at(t, f, 0) != 'c' || f.Limbo() != 2 || images(f, ImageOptions{})["none"] != "ab" {
		t.Fatal("limbo: the cache shows the new pages, the disk has the old ones")
	}
	k := f.Kill(Options{})
	if err := f.DropCache(0, 4096); err != nil {
		t.Fatal(err)
	}
	if at(t, f, 0) != 'a' || m.Bytes()[0] != 'a' || at(t, f, 4096) != 'd' {
		t.Fatal("a dropped page shows the disk, in the map as well")
	}
	k.Evict()
	if at(t, k, 0) != 'a' || at(t, k, 4096) != 'b' {
		t.Fatal("an evicted page shows the disk")
	}
}

func TestLimboPageWrittenAgainIsDirtyAsAWhole(t *testing.T) {
	f := FromImage(block('a'), Options{})
	put(t, f, 'b', 0)
	f.Fail(Fault{Kind: SyncBegin})
	if f.SyncData() == nil {
		t.Fatal("the flush succeeds")
	}
	if _, err := f.WriteAt([]byte("x"), 100); err != nil {
		t.Fatal(err)
	}
	flush(t, f)
	if got := images(f, ImageOptions{})["none"]; got != "b" || f.Limbo() != 0 {
		t.Fatalf("disk is %q, %d pages in limbo", got, f.Limbo())
	}
}

func TestFlushFailsWhilePageIsWrittenAgain(t *testing.T) {
	var f *File
	f = FromImage(block('a'), Options{OnOp: func(_ int, op Op) {
		if op.Kind == SyncEnd && f.Limbo() == 0 && len(f.Unflushed()) == 1 {
			if _, err := f.WriteAt([]byte("x"), 100); err != nil {
				t.Error(err)
			}
		}
	}})
	put(t, f, 'b', 0)
	f.Fail(Fault{Kind: SyncEnd})
	if f.SyncData() == nil {
		t.Fatal("the flush succeeds")
	}
	if f.Limbo() != 0 {
		t.Fatal("a dirty page is in limbo")
	}
	flush(t, f)
	if got := images(f, ImageOptions{})["none"]; got != "b" {
		t.Fatalf("disk is %q", got)
	}
}

func TestFaults(t *testing.T) {
	full := Fault{Err: syscall.ENOSPC, Kind: Write}
	for _, c := range []struct {
		name  string
		fault Fault
		errs  string // of four writes: '.' or 'x'
		pages string
	}{
		{"once", Fault{At: 1}, ".x..", "a.cd"},
		{"for ever", Fault{At: 2, Always: true}, "..xx", "ab"},
		{"all written", Fault{At: 1, Reach: All}, ".x..", "abcd"},
		{"short", Fault{At: 3, Reach: Some}, "...x", "abcd"},
		{"ENOSPC", full, "x...", ".bcd"},
		{"of another kind", Fault{Kind: Truncate}, "....", "abcd"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := New(Options{})
			f.Fail(c.fault)
			got := ""
			for i := range 4 {
				_, err := f.WriteAt(block(byte('a'+i)), int64(i)*4096)
				var path *fs.PathError
				switch {
				case err == nil:
					got += "."
				case errors.As(err, &path):
					got += "x"
				}
			}
			n, _ := f.Size()
			content := make([]byte, n)
			f.ReadAt(content, 0)
			if got != c.errs || firsts(content) != c.pages {
				t.Fatalf("errors %s, want %s; pages %q, want %q", got, c.errs, firsts(content), c.pages)
			}
			if f.Fired() != strings.Contains(c.errs, "x") {
				t.Fatal("Fired is wrong")
			}
		})
	}
}

func TestFaultsOfReadsAndMaps(t *testing.T) {
	f := FromImage(block('a'), Options{})
	f.Fail(Fault{Kind: Read, At: 1})
	f.Fail(Fault{Kind: Map, At: 0, Err: syscall.ENOMEM})
	at(t, f, 0)
	if _, err := f.ReadAt(make([]byte, 1), 0); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	if _, err := f.Map(4096); !errors.Is(err, syscall.ENOMEM) {
		t.Fatal(err)
	}
	at(t, f, 0)
	if _, err := f.Map(4096); err != nil || f.OpenMaps() != 1 || f.Maps() != 2 || f.Reads() != 3 {
		t.Fatal(err, f.OpenMaps(), f.Maps(), f.Reads())
	}
}

func TestCapacity(t *testing.T) {
	f := New(Options{Capacity: 6000})
	n, err := f.WriteAt(make([]byte, 8192), 0)
	if n != 6000 || !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(n, err)
	}
	if err := f.Truncate(7000); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	f.SetCapacity(0)
	put(t, f, 'a', 1)
}

func TestMapPoison(t *testing.T) {
	f := FromImage(block('a'), Options{PrivateMaps: true})
	m, err := f.Map(1 << 30)
	if err != nil {
		t.Fatal(err)
	}
	b := m.Bytes()
	if int64(len(b)) != 4096+256<<10 || b[4096] != BeyondByte || b[len(b)-1] != BeyondByte {
		t.Fatalf("%d bytes, %x past the end", len(b), b[4096])
	}
	put(t, f, 'b', 2)
	if b[4096] != 0 || b[8192] != 'b' || b[12288] != BeyondByte {
		t.Fatal("growth does not show")
	}
	if err := f.Truncate(4096); err != nil || b[8192] != BeyondByte {
		t.Fatal("a cut does not show")
	}
	m.Close()
	if b[0] != ClosedByte {
		t.Fatal("the closed map is not poisoned")
	}
}

func TestReleasedMemoryIsNotShared(t *testing.T) {
	a := FromImage(bytes.Repeat(block('a'), 3), Options{})
	a.Release()
	b := FromImage(block('b'), Options{})
	m, _ := b.Map(1 << 20)
	if m.Bytes()[4096] != BeyondByte {
		t.Fatal("a new file shows an old one's content")
	}
}

func TestOpNumbers(t *testing.T) {
	var got []string
	f := New(Options{})
	f.opts.OnOp = func(n int, op Op) {
		if n != len(got) {
			t.Errorf("operation %d has number %d", len(got), n)
		}
		got = append(got, op.String())
	}
	f.WriteVec([][]byte{block('a'), block('b')}, 0)
	f.Truncate(4096)
	f.SyncData()
	want := []string{"write 4096@0", "write 4096@4096", "truncate 4096", "sync begin", "sync end"}
	if !slices.Equal(got, want) || f.Ops() != 5 {
		t.Fatalf("operations are %q", got)
	}
}

// One image of a file of 256 KiB, opened again: the cost that a crash test adds to recovery.
func BenchmarkImage(b *testing.B) {
	f := New(Options{})
	for i := range 64 {
		f.WriteAt(block(byte(i)), int64(i)*4096)
	}
	f.SyncFull()
	for i := range 8 {
		f.WriteAt(block('x'), int64(i*5)*4096)
	}
	n := 0
	for n < b.N {
		for img := range f.Images(ImageOptions{Seed: uint64(n), Random: 100}) {
			g := FromImage(img.Bytes, Options{})
			m, _ := g.Map(1 << 30)
			m.Close()
			g.Release()
			if n++; n >= b.N {
				break
			}
		}
	}
}
