package main

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/foliokv/folio"
)

// What a dump restores has the same dump, whatever the store holds.
func TestDumpRestoresAnything(t *testing.T) {
	large := 100 << 20
	if testing.Short() {
		large = 5 << 20
	}
	dir := t.TempDir()
	store := filepath.Join(dir, "a.db")
	writeStrangeStore(t, store, large)
	first := dumpTo(t, store, filepath.Join(dir, "a.dump"))
	restored := filepath.Join(dir, "b.db")
	kvcli(t, "", "load", "--dump", restored, first)
	kvcli(t, "", "check", restored)
	second := dumpTo(t, restored, filepath.Join(dir, "b.dump"))
	a, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(second)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Error("the dumps differ")
	}
}

func dumpTo(t *testing.T, store, name string) string {
	t.Helper()
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cmd := exec.Command("kvcli", "dump", store)
	cmd.Stdout, cmd.Stderr = file, os.Stderr
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	return name
}

// writeStrangeStore makes a store with everything that could go wrong in a dump.
func writeStrangeStore(t *testing.T, name string, large int) {
	t.Helper()
	db, err := folio.Open(name, 0o644, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	random := rand.NewChaCha8([32]byte{})
	noise := func(n int) []byte {
		data := make([]byte, n)
		random.Read(data)
		return data
	}
	err = db.Update(func(tx *folio.Tx) error {
		bucket, err := tx.CreateBucket(allBytes())
		if err != nil {
			return err
		}
		if err := bucket.SetSequence(1<<64 - 1); err != nil {
			return err
		}
		if _, err := tx.CreateBucket([]byte("empty")); err != nil {
			return err
		}
		pairs := map[string][]byte{
			"empty":                   {},
			"large noise":             noise(large),
			"large text":              bytes.Repeat([]byte("text\n"), large/5),
			"%":                       []byte("%"),
			string(noise(32 << 10)):   noise(100),
			string(noise(5000)):       {},
			string(allBytes()):        allBytes(),
			"\\":                      []byte(`\n`),
			"é":                       []byte("\u2028\u00ad"),
			"cut in a character \xc3": []byte("\xa9"),
		}
		for b := range 256 {
			pairs[string([]byte{byte(b)})] = []byte{byte(b)}
		}
		for key, value := range pairs {
			if err := bucket.Put([]byte(key), value); err != nil {
				return err
			}
		}
		for depth := range 64 {
			if bucket, err = bucket.CreateBucket([]byte{'a', byte(depth)}); err != nil {
				return err
			}
			if err := bucket.Put([]byte{byte(depth)}, noise(depth)); err != nil {
				return err
			}
			if err := bucket.SetSequence(uint64(depth)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
