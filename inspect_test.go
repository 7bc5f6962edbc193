package folio_test

import (
	"bytes"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/foliokv/folio"
	"github.com/foliokv/folio/internal/foliotest"
	"github.com/foliokv/folio/internal/testdir"
)

// crashed returns the bytes of a store of n commits, each of one pair, as a killed process
// leaves them.
func crashed(t *testing.T, n int) []byte {
	t.Helper()
	path := filepath.Join(testdir.New(t), "store")
	db, err := folio.Open(path, 0o600, nil)
	must(t, err)
	defer db.Close()
	for i := range n {
		fillOne(t, db, i)
	}
	data, err := os.ReadFile(path)
	must(t, err)
	return data
}

func fillOne(t *testing.T, db *folio.DB, i int) {
	t.Helper()
	update(t, db, func(b *folio.Bucket) error { return b.Put(foliotest.Key(i), value(i, 50)) })
}

func TestPreviousOpensTheStateBefore(t *testing.T) {
	path := filepath.Join(testdir.New(t), "store")
	must(t, os.WriteFile(path, crashed(t, 50), 0o600))
	for _, c := range []struct {
		previous bool
		want     uint64
	}{{false, 50}, {true, 49}} {
		db, err := folio.Open(path, 0, &folio.Options{ReadOnly: true, Previous: c.previous})
		must(t, err)
		view(t, db, func(b *folio.Bucket) error {
			if n := b.Count(); n != c.want {
				t.Errorf("previous %t: %d pairs, want %d", c.previous, n, c.want)
			}
			return nil
		})
		must(t, db.Close())
	}
	if _, err := folio.Open(path, 0, &folio.Options{Previous: true}); err == nil {
		t.Error("the previous state opens for writing")
	}
}

func TestPreviousWithoutOlderMeta(t *testing.T) {
	data := crashed(t, 200)
	in, err := inspected(t, data)
	must(t, err)
	clear(data[(1-in.State())*salvagePage:][:salvagePage])
	path := filepath.Join(testdir.New(t), "store")
	must(t, os.WriteFile(path, data, 0o600))
	if _, err := folio.Open(path, 0, &folio.Options{ReadOnly: true, Previous: true}); !errors.Is(err, folio.ErrCorrupt) {
		t.Errorf("without an older meta: %v", err)
	}
}

// inspected returns an Inspector of a file with these bytes.
func inspected(t *testing.T, data []byte) (*folio.Inspector, error) {
	t.Helper()
	path := filepath.Join(testdir.New(t), "store")
	must(t, os.WriteFile(path, data, 0o600))
	in, err := folio.Inspect(path, nil)
	if err == nil {
		t.Cleanup(func() { in.Close() })
	}
	return in, err
}

// A store whose free log is damaged opens for reading only, and Check says what is wrong.
func TestDamagedFreeLogLeavesReading(t *testing.T) {
	store := salvageStore{fill: func(t *testing.T, db *folio.DB, _ *rand.Rand) { fill(t, db, 1000, 100); fill(t, db, 1000, 90) }}
	data, want := store.made(t, nil)
	for _, pgno := range pagesOf(t, data, folio.FreeLogPage) {
		data[pgno*salvagePage+100] ^= 1
	}
	path := filepath.Join(testdir.New(t), "store")
	must(t, os.WriteFile(path, data, 0o600))
	if _, err := folio.Open(path, 0, nil); !errors.Is(err, folio.ErrCorrupt) {
		t.Errorf("it opens for writing: %v", err)
	}
	db, err := folio.Open(path, 0, &folio.Options{ReadOnly: true})
	must(t, err)
	if got := contentOf(t, db); !maps.Equal(got, want) {
		t.Error("the content is another one")
	}
	if err := foliotest.Check(db); !errors.Is(err, folio.ErrCorrupt) {
		t.Errorf("check finds %v", err)
	}
	must(t, db.Close())
}

func TestInspectorDescribesEveryPage(t *testing.T) {
	data, want := smallStore(t)
	in, err := inspected(t, data)
	must(t, err)
	m, err := in.Map(t.Context(), folio.MapOptions{})
	must(t, err)
	entries := 0
	for pgno := range in.Pages() {
		info, err := in.Page(uint32(pgno))
		must(t, err)
		switch kind := m.Kinds[pgno]; kind {
		case folio.FreePage:
			if !info.Free || !info.FreeKnown {
				t.Errorf("page %d is free, but described as %+v", pgno, info)
			}
			continue
		case folio.ExtentPage:
			if info.Kind != folio.UnknownPage {
				t.Errorf("page %d of an extent is described as %v", pgno, info.Kind)
			}
		default:
			if info.Kind != kind || info.Err != nil || info.Free {
				t.Errorf("page %d, %v, is described as %+v", pgno, kind, info)
			}
		}
		if info.Kind != folio.LeafPage {
			continue
		}
		for _, e := range info.Entries {
			if e.Inline != nil {
				entries += len(e.Inline.Entries)
			} else if e.Bucket == nil {
				entries++
			}
		}
	}
	if entries != len(want) {
		t.Errorf("%d pairs described, want %d", entries, len(want))
	}
	free := 0
	runs, known := in.Free()
	for _, r := range runs {
		free += r.N
		if m.Kinds[r.Pgno] != folio.FreePage {
			t.Errorf("page %d is said to be free", r.Pgno)
		}
	}
	if n := len(pagesOf(t, data, folio.FreePage)); !known || free != n {
		t.Errorf("%d pages are said to be free, %d are", free, n)
	}
	metas := in.Metas()
	if m := metas[in.State()]; m.Err != nil || !m.Clean || m.PageSize != salvagePage || m.Pages != in.Pages() || m.Txid != metas[1-in.State()].Txid {
		t.Errorf("metas: %+v", metas)
	}
}

// What a store says of itself is what an Inspector sees in its file.
func TestInspectorAgreesWithTheStore(t *testing.T) {
	path := filepath.Join(testdir.New(t), "store")
	for _, pageSize := range []int{4096, 16384} {
		db, err := folio.Open(path, 0o600, &folio.Options{PageSize: pageSize})
		must(t, err)
		fill(t, db, 5000, 100)
		update(t, db, func(b *folio.Bucket) error {
			inline, err := b.CreateBucket([]byte("inline"))
			must(t, err)
			must(t, inline.Put([]byte("k"), nil))
			_, err = b.CreateBucket([]byte("empty"))
			return err
		})
		info, size, root := db.Info(), int64(0), uint64(0)
		must(t, db.View(func(tx *folio.Tx) error {
			b := tx.Bucket([]byte("b"))
			size, root = tx.Size(), b.Root()
			for _, name := range []string{"inline", "empty"} {
				if n := b.Bucket([]byte(name)).Root(); n != 0 {
					t.Errorf("the bucket %q has page %d", name, n)
				}
			}
			return nil
		}))
		must(t, db.Update(func(tx *folio.Tx) error {
			before := tx.Size()
			must(t, tx.Bucket([]byte("b")).Put([]byte("large"), make([]byte, 1<<20)))
			if tx.Size() < before+1<<20 {
				t.Errorf("a write transaction of %d bytes has %d with a MiB more", before, tx.Size())
			}
			return tx.Bucket([]byte("b")).Delete([]byte("large"))
		}))
		must(t, db.View(func(tx *folio.Tx) error { size, root = tx.Size(), tx.Bucket([]byte("b")).Root(); return nil }))
		must(t, db.Close())

		data, err := os.ReadFile(path)
		must(t, err)
		in, err := folio.Inspect(path, nil)
		must(t, err)
		m := in.Metas()[in.State()]
		if in.PageSize() != pageSize || m.PageSize != info.PageSize || m.Version != info.Version || !m.Created.Equal(info.Created) {
			t.Errorf("Info is %+v, the meta %+v", info, m)
		}
		if n := int64(in.Pages() * pageSize); n < size {
			t.Errorf("the state has %d bytes, Size is %d", n, size)
		}
		pages, err := in.Map(t.Context(), folio.MapOptions{})
		must(t, err)
		if at := pages.Buckets[pages.Bucket[root]]; pages.Kinds[root] != folio.BranchPage || string(bytes.Join(at, nil)) != "b" {
			t.Errorf("the root of b, page %d, is a %v of %q", root, pages.Kinds[root], at)
		}
		page, err := in.ReadPage(uint32(root))
		if err != nil || !bytes.Equal(page, data[int(root)*pageSize:][:pageSize]) {
			t.Errorf("page %d is read as other bytes, %v", root, err)
		}
		if _, err := in.ReadPage(uint32(len(data) / pageSize)); err == nil {
			t.Error("a page behind the file is read")
		}
		must(t, in.Close())
		must(t, os.Remove(path))
	}
}

// Check shares its work among processors; it finds the same, in the same order, as often as it
// is asked.
func TestCheckFindsTheSameEachTime(t *testing.T) {
	data, _ := salvageStores[0].made(t, nil)
	random := rand.New(rand.NewPCG(*folio.Seed, 5))
	t.Logf("-seed %d", *folio.Seed)
	for range 20 {
		data[random.IntN(len(data)-2*salvagePage)+2*salvagePage] ^= 1
	}
	path := filepath.Join(testdir.New(t), "store")
	must(t, os.WriteFile(path, data, 0o600))
	db, err := folio.Open(path, 0, &folio.Options{ReadOnly: true})
	must(t, err)
	defer db.Close()
	first := foliotest.Check(db)
	if first == nil {
		t.Fatal("nothing is found")
	}
	for range 5 {
		if again := foliotest.Check(db); again.Error() != first.Error() {
			t.Fatalf("first\n%v\nthen\n%v", first, again)
		}
	}
}
