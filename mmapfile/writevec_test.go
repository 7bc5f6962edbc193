package mmapfile_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/foliokv/folio/mmapfile"
)

func TestWriteVec(t *testing.T) {
	mib := func(n int) []byte { return bytes.Repeat([]byte("0123456789abcdef"), n<<16) }
	pages := make([][]byte, 3000) // more than one batch
	for i := range pages {
		pages[i] = bytes.Repeat([]byte{byte(i)}, i%50)
	}
	for name, bufs := range map[string][][]byte{
		"none":          nil,
		"empty buffers": {{}, nil, {}},
		"one":           {[]byte("hello")},
		"several":       {[]byte("a"), nil, []byte("bcd"), {}, []byte("ef")},
		"many":          pages,
		"large":         {mib(1), []byte("x"), mib(3), mib(1)[:1<<20-1], []byte("y"), []byte("z")},
	} {
		t.Run(name, func(t *testing.T) {
			f := tempFile(t, []byte("head"))
			want := bytes.Join(bufs, nil)
			n, err := mmapfile.WriteVec(f, bufs, 4)
			if n != len(want) || err != nil {
				t.Fatalf("%d, %v; want %d", n, err, len(want))
			}
			got, err := os.ReadFile(f.Name())
			if err != nil || string(got) != "head"+string(want) {
				t.Fatalf("the file differs (%d bytes): %v", len(got), err)
			}
		})
	}
}

func TestWriteVecRandom(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	f := tempFile(t, nil)
	for range 30 {
		bufs := make([][]byte, rnd.IntN(2500))
		for i := range bufs {
			bufs[i] = bytes.Repeat([]byte{byte(rnd.Uint32())}, rnd.IntN(1<<rnd.IntN(13)))
		}
		off := rnd.Int64N(1 << 16)
		want := bytes.Join(bufs, nil)
		if n, err := mmapfile.WriteVec(f, bufs, off); n != len(want) || err != nil {
			t.Fatal(n, err)
		}
		got := make([]byte, len(want))
		if _, err := f.ReadAt(got, off); len(got) > 0 && err != nil || !bytes.Equal(got, want) {
			t.Fatalf("read back: %v", err)
		}
	}
}

func TestWriteVecErrors(t *testing.T) {
	f := tempFile(t, nil)
	if _, err := mmapfile.WriteVec(f, nil, -1); !errors.Is(err, mmapfile.ErrOutOfRange) {
		t.Errorf("negative offset: %v", err)
	}
	ro, err := os.Open(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer ro.Close()
	n, err := mmapfile.WriteVec(ro, [][]byte{[]byte("x")}, 0)
	var path *os.PathError
	if n != 0 || !errors.As(err, &path) || path.Path != f.Name() {
		t.Errorf("read-only handle: %d, %v", n, err)
	}
}
