package boltfiles

import (
	"crypto/sha256"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/foliokv/folio"
	"go.etcd.io/bbolt"
)

var (
	sizeFlag = flag.String("size", "4MiB", "of the bbolt file that is imported: a number and MiB or GiB")
	dirFlag  = flag.String("dir", "", "folder for the files, on the disk to measure (default a temporary one)")
)

// kvcli import-bolt and export-bolt carry every pair over, which is looked at pair by pair.
func TestCommands(t *testing.T) {
	dir := t.TempDir()
	if *dirFlag != "" {
		var err error
		if dir, err = os.MkdirTemp(*dirFlag, "boltfiles"); err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
	}
	kvcli := filepath.Join(dir, "kvcli")
	if runtime.GOOS == "windows" {
		kvcli += ".exe"
	}
	build := exec.Command("go", "build", "-C", "../..", "-o", kvcli, "./cmd/kvcli")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	old, store, again := filepath.Join(dir, "old.bolt"), filepath.Join(dir, "store.db"), filepath.Join(dir, "again.bolt")
	size := fillBolt(t, old)
	hash := hashOf(t, old)
	for _, args := range [][]string{{"import-bolt", old, store}, {"check", store}, {"export-bolt", store, again}} {
		start := time.Now()
		out, err := exec.Command(kvcli, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		took := time.Since(start)
		t.Logf("%s: %.0f MB/s of the bbolt file of %d bytes\n%s", args[0], float64(size)/1e6/took.Seconds(), size, out)
	}
	compareWithStore(t, old, store)
	check(t, again)
	compareFiles(t, old, again)
	if hashOf(t, old) != hash {
		t.Error("the file was changed")
	}
}

// fillBolt makes a bbolt file of about -size: most of it one bucket of small pairs, put in runs at random
// places, the rest nested buckets and larger values.
func fillBolt(t *testing.T, path string) int64 {
	t.Helper()
	var size, unit int64
	if n, err := fmt.Sscanf(*sizeFlag, "%dMiB", &size); n == 1 && err == nil {
		unit = 1 << 20
	} else if n, err := fmt.Sscanf(*sizeFlag, "%dGiB", &size); n == 1 && err == nil {
		unit = 1 << 30
	}
	if size *= unit; size == 0 {
		t.Fatalf("-size %s", *sizeFlag)
	}
	p := newProgram(*seed)
	options := *bbolt.DefaultOptions
	options.NoSync, options.FreelistType = true, bbolt.FreelistMapType
	options.InitialMmapSize = int(size) * 2
	p.pageSize = os.Getpagesize()
	edit(t, path, &options, func(db *bbolt.DB) error {
		for i := 0; ; i++ {
			var used int64
			err := db.Update(func(tx *bbolt.Tx) error {
				used = tx.Size() - int64(db.Stats().FreeAlloc)
				return fillSome(p, tx, i)
			})
			if err != nil || used > size*63/64 {
				return err
			}
		}
	})
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// fillSome is transaction i of fillBolt.
func fillSome(p *program, tx *bbolt.Tx, i int) error {
	b, err := tx.CreateBucketIfNotExists([]byte("pairs"))
	if err != nil {
		return err
	}
	value := make([]byte, 120)
	place := p.Uint64() >> 20 << 20
	for j := range 5000 {
		key := binary.BigEndian.AppendUint64(nil, place|uint64(j))
		copy(value, key)
		binary.LittleEndian.PutUint64(value[50:], p.Uint64())
		if err := b.Put(key, value[:60+p.IntN(60)]); err != nil {
			return err
		}
	}
	b, err = tx.CreateBucketIfNotExists([]byte("nested"))
	if err != nil {
		return err
	}
	for range 20 {
		child, err := b.CreateBucketIfNotExists(p.key())
		if err != nil {
			return err
		}
		if err := child.SetSequence(p.Uint64()); err != nil {
			return err
		}
		for range p.IntN(20) {
			if err := child.Put(p.key(), p.value()); err != nil {
				return err
			}
		}
	}
	b, err = tx.CreateBucketIfNotExists([]byte("large"))
	if err != nil {
		return err
	}
	large := make([]byte, p.IntN(100_000))
	for j := range large {
		large[j] = byte(i + j)
	}
	return b.Put(p.key(), large)
}

// compareWithStore compares a bbolt file, read by bbolt, with a store, pair by pair.
func compareWithStore(t *testing.T, bolt, store string) {
	t.Helper()
	db, err := folio.Open(store, 0, &folio.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	pairs := 0
	view(t, bolt, func(old *bbolt.Tx) error {
		return db.View(func(tx *folio.Tx) error {
			return compareStoreBucket(old.Cursor(), old.Bucket, tx.Cursor(), tx.Bucket, &pairs)
		})
	})
	t.Logf("%d pairs are the same", pairs)
}

func compareStoreBucket(a *bbolt.Cursor, childA func([]byte) *bbolt.Bucket, b *folio.Cursor, childB func([]byte) *folio.Bucket, pairs *int) error {
	k, v := a.First()
	name, value := b.First()
	for ; k != nil && string(k) == string(name) && string(v) == string(value) && (v == nil) == (value == nil); k, v = a.Next() {
		if *pairs++; v == nil {
			*pairs--
			nestedA, nestedB := childA(k), childB(name)
			if nestedA.Sequence() != nestedB.Sequence() {
				return fmt.Errorf("bucket %q: sequence %d, want %d", k, nestedB.Sequence(), nestedA.Sequence())
			}
			if err := compareStoreBucket(nestedA.Cursor(), nestedA.Bucket, nestedB.Cursor(), nestedB.Bucket, pairs); err != nil {
				return err
			}
		}
		name, value = b.Next()
	}
	if k != nil || name != nil {
		return fmt.Errorf("%q has %d bytes, want %q with %d", name, len(value), k, len(v))
	}
	return nil
}

func hashOf(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}
