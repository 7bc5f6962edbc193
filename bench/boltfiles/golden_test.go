package boltfiles

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
)

const goldenDir = "../../internal/boltfile/testdata"

// The files that internal/boltfile reads, and what is in them.
var goldens = []struct {
	name    string
	options bbolt.Options
	fill    func(db *bbolt.DB) error
}{
	{"empty", bbolt.Options{PageSize: 4096}, func(*bbolt.DB) error { return nil }},
	{"page1k", bbolt.Options{PageSize: 1024}, everything(1024)},
	{"page4k", bbolt.Options{PageSize: 4096}, everything(4096)},
	{"page16k", bbolt.Options{PageSize: 16384}, everything(16384)},
	{"page64k", bbolt.Options{PageSize: 65536}, everything(65536)},
	{"nofreelist", bbolt.Options{PageSize: 4096, NoFreelistSync: true}, everything(4096)},
}

// everything fills a file with all that the format knows.
func everything(pageSize int) func(db *bbolt.DB) error {
	return func(db *bbolt.DB) error {
		for _, step := range []func(tx *bbolt.Tx) error{
			func(tx *bbolt.Tx) error { return many(tx, min(12*pageSize/40, 5000)) },
			nested, inline,
			func(tx *bbolt.Tx) error { return large(tx, pageSize) },
			deletions,
		} {
			if err := db.Update(step); err != nil {
				return err
			}
		}
		return nil
	}
}

// many is a tree of several levels.
func many(tx *bbolt.Tx, n int) error {
	b, err := tx.CreateBucket([]byte("many"))
	for i := 0; i < n && err == nil; i++ {
		err = b.Put(number(i), bytes.Repeat([]byte{byte(i)}, i%50))
	}
	return err
}

func nested(tx *bbolt.Tx) error {
	b, err := tx.CreateBucket([]byte("nested"))
	if err != nil {
		return err
	}
	if err := b.Put([]byte("a key beside"), []byte("the buckets")); err != nil {
		return err
	}
	for depth := range 20 {
		if b, err = b.CreateBucket(fmt.Appendf(nil, "level %d", depth)); err != nil {
			return err
		}
		if err := b.SetSequence(uint64(depth) << 40); err != nil {
			return err
		}
		for i := range 30 {
			if err := b.Put(number(i), []byte("value")); err != nil {
				return err
			}
		}
	}
	return nil
}

func inline(tx *bbolt.Tx) error {
	b, err := tx.CreateBucket([]byte("with inline buckets"))
	for i := 0; i < 60 && err == nil; i++ {
		var small *bbolt.Bucket
		if small, err = b.CreateBucket(number(i)); err != nil {
			return err
		}
		for j := range i % 4 {
			if err := small.Put(fmt.Appendf(nil, "key %d", j), []byte("value")); err != nil {
				return err
			}
		}
		for range i % 3 {
			if _, err := small.NextSequence(); err != nil {
				return err
			}
		}
	}
	return err
}

// large are keys and values that are larger than a page.
func large(tx *bbolt.Tx, pageSize int) error {
	b, err := tx.CreateBucket([]byte("large"))
	for i := 0; i < 6 && err == nil; i++ {
		key := append(number(i), bytes.Repeat([]byte("k"), min(i*pageSize/3, 30000))...)
		err = b.Put(key, bytes.Repeat([]byte{byte(i)}, i*pageSize*2/3))
	}
	if err == nil {
		err = b.Put([]byte("zero"), nil)
	}
	return err
}

// deletions leave free pages.
func deletions(tx *bbolt.Tx) error {
	b := tx.Bucket([]byte("many"))
	for i := 20; i < 120; i++ {
		if err := b.Delete(number(i)); err != nil {
			return err
		}
	}
	if err := tx.Bucket([]byte("with inline buckets")).DeleteBucket(number(7)); err != nil {
		return err
	}
	return tx.Bucket([]byte("large")).Delete([]byte("zero"))
}

// The golden files hold what bbolt says is in them. -update makes them anew.
func TestGolden(t *testing.T) {
	for _, g := range goldens {
		t.Run(g.name, func(t *testing.T) {
			name := filepath.Join(goldenDir, g.name)
			if *update {
				writeGolden(t, name, newFile(t, &g.options, g.fill))
			}
			path := filepath.Join(t.TempDir(), "bolt")
			if err := os.WriteFile(path, unzip(t, name+".bolt.gz"), 0o600); err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(name + ".txt")
			if err != nil {
				t.Fatal(err)
			}
			if got := list(t, path); got != string(want) {
				t.Errorf("bbolt finds something else in the file than the list says:\n%s", got)
			}
			check(t, path)
			compareFile(t, path)
		})
	}
}

func writeGolden(t *testing.T, name, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var zipped bytes.Buffer
	w, err := gzip.NewWriterLevel(&zipped, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(data)
	w.Close()
	if err := os.WriteFile(name+".bolt.gz", zipped.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name+".txt", []byte(list(t, path)), 0o644); err != nil {
		t.Fatal(err)
	}
}

func unzip(t *testing.T, name string) []byte {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var data bytes.Buffer
	if _, err := data.ReadFrom(r); err != nil {
		t.Fatal(err)
	}
	return data.Bytes()
}

// list says what is in a file: for each bucket its name and sequence, how many pairs it has and a hash over
// them, and then the buckets in it. internal/boltfile has the same from its own reading.
func list(t *testing.T, path string) string {
	var b strings.Builder
	view(t, path, func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, bucket *bbolt.Bucket) error {
			return listBucket(&b, 0, name, bucket)
		})
	})
	return b.String()
}

func listBucket(b *strings.Builder, depth int, name []byte, bucket *bbolt.Bucket) error {
	pairs, hash := 0, fnv.New64a()
	err := bucket.ForEach(func(k, v []byte) error {
		if v != nil {
			pairs++
			fmt.Fprintf(hash, "%q %q\n", k, v)
		}
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(b, "%s%q sequence %d, %d pairs, %016x\n", strings.Repeat("  ", depth), name, bucket.Sequence(), pairs, hash.Sum64())
	return bucket.ForEachBucket(func(name []byte) error {
		return listBucket(b, depth+1, name, bucket.Bucket(name))
	})
}
