package mmapfile_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/foliokv/folio/internal/testdir"
	"github.com/foliokv/folio/mmapfile"
)

const benchSize = 1 << 30

// benchFile is a file of 1 GiB that the system has in its cache, as a handle and as a map whose
// pages were touched.
func benchFile(b *testing.B) (*os.File, *mmapfile.File) {
	b.Helper()
	path := filepath.Join(testdir.New(b), "data")
	file, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { file.Close() })
	// Written in large pieces, so that the system can cache and map it in large pages if it does.
	chunk := bytes.Repeat([]byte("0123456789abcdef"), 1<<19)
	for range benchSize / len(chunk) {
		if _, err := file.Write(chunk); err != nil {
			b.Fatal(err)
		}
	}
	f, err := mmapfile.Open(path, mmapfile.ReadOnly)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	benchSink = bytes.Count(f.Bytes(), []byte{'x'})
	return file, f
}

var benchSink int

// BenchmarkRandomRead reads 64 bytes at random places.
func BenchmarkRandomRead(b *testing.B) {
	file, f := benchFile(b)
	p := make([]byte, 64)
	var offsets [1 << 16]int64
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range offsets {
		offsets[i] = rnd.Int64N(benchSize - 64)
	}
	run := func(name string, read func(off int64) error) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(64)
			for i := 0; b.Loop(); i++ {
				if err := read(offsets[uint16(i)]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	data := f.Bytes()
	run("map=Bytes", func(off int64) error { copy(p, data[off:off+64]); return nil })
	run("map=ReadAt", func(off int64) error { _, err := f.ReadAt(p, off); return err })
	run("file=ReadAt", func(off int64) error { _, err := file.ReadAt(p, off); return err })
}

// BenchmarkScan counts a byte in the whole file, front to back.
func BenchmarkScan(b *testing.B) {
	file, f := benchFile(b)
	count := func(r io.Reader, buf []byte) error {
		for {
			n, err := r.Read(buf)
			benchSink += bytes.Count(buf[:n], []byte{'x'})
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
		}
	}
	run := func(name string, scan func() error) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(benchSize)
			for b.Loop() {
				if err := scan(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	buf := make([]byte, 256<<10)
	run("map=Bytes", func() error { benchSink = bytes.Count(f.Bytes(), []byte{'x'}); return nil })
	run("map=Read", func() error { f.Seek(0, io.SeekStart); return count(f, buf) })
	run("file=Read", func() error { file.Seek(0, io.SeekStart); return count(file, buf) })
}
