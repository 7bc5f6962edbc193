package folio_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/foliokv/folio"
	"github.com/foliokv/folio/internal/testdir"
)

// A content is what a store holds: the value by bucket path, with slashes, and key.
type content map[string]string

func contentOf(t *testing.T, db *folio.DB) content {
	t.Helper()
	all := content{}
	var add func(b *folio.Bucket, path string)
	add = func(b *folio.Bucket, path string) {
		for k, v := range b.All() {
			if v == nil {
				add(b.Bucket(k), path+string(k)+"/")
				continue
			}
			all[path+string(k)] = string(v)
		}
	}
	must(t, db.View(func(tx *folio.Tx) error {
		return tx.ForEach(func(name []byte, b *folio.Bucket) error {
			add(b, string(name)+"/")
			return nil
		})
	}))
	return all
}

// A salvageStore makes a store to be damaged.
type salvageStore struct {
	name string
	fill func(t *testing.T, db *folio.DB, random *rand.Rand)
	flat bool // one bucket with plain values: what is lost can be counted exactly
}

// pairOf returns the pair with number i.
func pairOf(i int) ([]byte, []byte) {
	return fmt.Appendf(nil, "key-%08d", i), value(i, 40+i%120)
}

func putAll(t *testing.T, db *folio.DB, random *rand.Rand, path string, n, batch int) {
	t.Helper()
	order := random.Perm(n)
	for len(order) > 0 {
		k := min(batch, len(order))
		must(t, db.Update(func(tx *folio.Tx) error {
			b := bucketAt(t, tx, path)
			for _, i := range order[:k] {
				key, v := pairOf(i)
				must(t, b.Put(key, v))
			}
			return nil
		}))
		order = order[k:]
	}
}

func bucketAt(t *testing.T, tx *folio.Tx, path string) *folio.Bucket {
	t.Helper()
	var b *folio.Bucket
	for name := range strings.SplitSeq(path, "/") {
		var err error
		if b == nil {
			b, err = tx.CreateBucketIfNotExists([]byte(name))
		} else {
			b, err = b.CreateBucketIfNotExists([]byte(name))
		}
		must(t, err)
	}
	return b
}

var salvageStores = []salvageStore{
	{"loaded at once", func(t *testing.T, db *folio.DB, _ *rand.Rand) {
		update(t, db, func(b *folio.Bucket) error {
			return b.Load(t.Context(), func(yield func(k, v []byte) bool) {
				for i := range 12_000 {
					if !yield(pairOf(i)) {
						return
					}
				}
			})
		})
	}, true},
	{"filled at random", func(t *testing.T, db *folio.DB, random *rand.Rand) {
		putAll(t, db, random, "b", 12_000, 1000)
	}, true},
	{"overwritten and deleted", func(t *testing.T, db *folio.DB, random *rand.Rand) {
		putAll(t, db, random, "b", 12_000, 2000)
		for round := range 20 {
			update(t, db, func(b *folio.Bucket) error {
				for range 800 {
					i := random.IntN(12_000)
					key, v := pairOf(i)
					if i%3 == 0 {
						must(t, b.Delete(key))
					} else {
						must(t, b.Put(key, fmt.Appendf(v, " round %d", round)))
					}
				}
				return nil
			})
		}
	}, true},
	{"nested", func(t *testing.T, db *folio.DB, random *rand.Rand) {
		for i := range 40 {
			path := fmt.Sprintf("shop-%d", i%5)
			if i > 5 {
				path += fmt.Sprintf("/orders-%d", i)
			}
			if i > 20 {
				path += "/lines"
			}
			putAll(t, db, random, path, 100+random.IntN(500), 150)
		}
	}, false},
	{"large values", func(t *testing.T, db *folio.DB, random *rand.Rand) {
		putAll(t, db, random, "b", 6_000, 2000)
		update(t, db, func(b *folio.Bucket) error {
			for i := range 150 {
				must(t, b.Put(fmt.Appendf(nil, "large-%d", i), value(i, 1000+random.IntN(20_000))))
				must(t, b.Put(bytes.Repeat(fmt.Appendf(nil, "long-%d-", i), 200), value(i, 10)))
			}
			return nil
		})
	}, false},
}

// made returns the bytes of a closed store and what it holds.
func (s salvageStore) made(t *testing.T, random *rand.Rand) ([]byte, content) {
	t.Helper()
	path := filepath.Join(testdir.New(t), "store")
	db, err := folio.Open(path, 0o600, &folio.Options{Durability: folio.Deferred, FlushInterval: -1, FlushBytes: -1})
	must(t, err)
	s.fill(t, db, random)
	want := contentOf(t, db)
	must(t, db.Close())
	data, err := os.ReadFile(path)
	must(t, err)
	return data, want
}

// salvaged writes a damaged file and returns what is recovered of it.
func salvaged(t *testing.T, data []byte, opts folio.SalvageOptions) (content, *folio.SalvageReport, error) {
	t.Helper()
	path := filepath.Join(testdir.New(t), "damaged")
	must(t, os.WriteFile(path, data, 0o600))
	in, err := folio.Inspect(path, nil)
	if err != nil {
		return nil, nil, err
	}
	defer in.Close()
	dst, err := folio.OpenMemory(nil)
	must(t, err)
	defer dst.Close()
	report, err := in.Salvage(t.Context(), dst, opts)
	if err != nil {
		return nil, nil, err
	}
	must(t, dst.View(func(tx *folio.Tx) error {
		for finding := range tx.Check() {
			t.Error(finding)
		}
		return nil
	}))
	got := contentOf(t, dst)
	if int(report.Pairs) != len(got) {
		t.Errorf("the report says %d pairs, there are %d", report.Pairs, len(got))
	}
	return got, report, nil
}

const salvagePage = 4096

func noise(data []byte, random *rand.Rand, pgno int) {
	for i := range data[pgno*salvagePage : (pgno+1)*salvagePage] {
		data[pgno*salvagePage+i] = byte(random.Uint32())
	}
}

// pagesOf returns the pages of a kind.
func pagesOf(t *testing.T, data []byte, kind folio.PageKind) []int {
	t.Helper()
	path := filepath.Join(testdir.New(t), "store")
	must(t, os.WriteFile(path, data, 0o600))
	in, err := folio.Inspect(path, nil)
	must(t, err)
	defer in.Close()
	m, err := in.Map(t.Context(), folio.MapOptions{})
	must(t, err)
	var pages []int
	for pgno, k := range m.Kinds {
		if k == kind {
			pages = append(pages, pgno)
		}
	}
	return pages
}

// A salvageDamage damages a store; share is how much of it must be recovered all the same.
type salvageDamage struct {
	name  string
	share float64
	do    func(t *testing.T, data []byte, random *rand.Rand)
}

var salvageDamages = []salvageDamage{
	{"none", 1, func(*testing.T, []byte, *rand.Rand) {}},
	{"1 % of pages", 0.97, func(t *testing.T, data []byte, random *rand.Rand) {
		pages := len(data) / salvagePage
		for _, pgno := range random.Perm(pages)[:pages/100] {
			noise(data, random, pgno)
		}
	}},
	{"a branch", 0.97, func(t *testing.T, data []byte, random *rand.Rand) {
		branches := pagesOf(t, data, folio.BranchPage)
		noise(data, random, branches[random.IntN(len(branches))])
	}},
	{"a branch and 1 % of pages", 0.95, func(t *testing.T, data []byte, random *rand.Rand) {
		branches := pagesOf(t, data, folio.BranchPage)
		noise(data, random, branches[random.IntN(len(branches))])
		pages := len(data)/salvagePage - 2
		for _, pgno := range random.Perm(pages)[:pages/100] {
			noise(data, random, pgno+2)
		}
	}},
	{"the root", 0.97, func(t *testing.T, data []byte, random *rand.Rand) {
		noise(data, random, rootOf(t, data))
	}},
	{"a meta", 1, func(t *testing.T, data []byte, random *rand.Rand) {
		noise(data, random, random.IntN(2))
	}},
	{"both metas", 0.97, func(t *testing.T, data []byte, random *rand.Rand) {
		noise(data, random, 0)
		noise(data, random, 1)
	}},
	{"half of both metas", 1, func(t *testing.T, data []byte, random *rand.Rand) {
		clear(data[40:salvagePage])
		clear(data[salvagePage+40 : 2*salvagePage])
	}},
	{"the free log and a branch", 0, func(t *testing.T, data []byte, random *rand.Rand) {
		branches := pagesOf(t, data, folio.BranchPage)
		for _, pgno := range append(pagesOf(t, data, folio.FreeLogPage), branches[random.IntN(len(branches))]) {
			noise(data, random, pgno)
		}
	}},
	{"every third page", 0, func(t *testing.T, data []byte, random *rand.Rand) {
		for pgno := 2; pgno < len(data)/salvagePage; pgno += 3 {
			noise(data, random, pgno)
		}
	}},
	{"the free log", 1, func(t *testing.T, data []byte, random *rand.Rand) {
		for _, pgno := range pagesOf(t, data, folio.FreeLogPage) {
			noise(data, random, pgno)
		}
	}},
}

func rootOf(t *testing.T, data []byte) int {
	t.Helper()
	path := filepath.Join(testdir.New(t), "store")
	must(t, os.WriteFile(path, data, 0o600))
	in, err := folio.Inspect(path, nil)
	must(t, err)
	defer in.Close()
	return int(in.Metas()[in.State()].Root.Pgno)
}

// What is stored in a bucket was the newest there; what is set apart was the newest somewhere.
func checkNothingInvented(t *testing.T, got, want content, report *folio.SalvageReport) {
	t.Helper()
	pairs := map[string]bool{}
	for path, v := range want {
		pairs[path[strings.LastIndexByte(path, '/')+1:]+"\x00"+v] = true
	}
	wrong := 0
	for path, v := range got {
		apart := report.LostAndFound != "" && strings.HasPrefix(path, report.LostAndFound+"/")
		if apart && pairs[path[strings.LastIndexByte(path, '/')+1:]+"\x00"+v] {
			continue
		}
		if old, ok := want[path]; !apart && ok && old == v {
			continue
		}
		if wrong++; wrong < 5 {
			t.Errorf("invented: %.60q", path)
		}
	}
	if wrong > 0 {
		t.Errorf("%d pairs invented", wrong)
	}
}

func TestSalvage(t *testing.T) {
	for _, store := range salvageStores {
		t.Run(store.name, func(t *testing.T) {
			seed := *folio.Seed
			data, want := store.made(t, rand.New(rand.NewPCG(seed, 1)))
			for _, damage := range salvageDamages {
				t.Run(damage.name, func(t *testing.T) {
					for round := range uint64(max(1, *folio.Rounds/2)) {
						testSalvage(t, data, want, store, damage, seed+round)
					}
				})
			}
		})
	}
}

func testSalvage(t *testing.T, data []byte, want content, store salvageStore, damage salvageDamage, seed uint64) {
	t.Logf("-seed %d", seed)
	damaged := slices.Clone(data)
	damage.do(t, damaged, rand.New(rand.NewPCG(seed, 2)))
	got, report, err := salvaged(t, damaged, folio.SalvageOptions{})
	must(t, err)
	checkNothingInvented(t, got, want, report)
	least := damage.share * float64(len(want))
	if damage.name == "both metas" && store.name == "large values" {
		least -= 300 // whose checksums cannot be compared
	}
	if len(got) < int(least) {
		t.Errorf("%d of %d pairs recovered", len(got), len(want))
	}
	if store.flat && report.Meta >= 0 && len(got)+int(report.Lost) != len(want) && report.Apart == 0 {
		t.Errorf("%d of %d pairs recovered, %d reported lost", len(got), len(want), report.Lost)
	}
	t.Logf("%d of %d; %d losses, %d lost, %d placed, %d unverified, %d apart, named %q; %t",
		len(got), len(want), len(report.Losses), report.Lost, report.Placed, report.Unverified, report.Apart, report.Named, report.FreeLog)

	if report.FreeLog && report.Verified {
		return
	}
	// What may be old never gets into a bucket that was there.
	got, report, err = salvaged(t, damaged, folio.SalvageOptions{Unproven: true})
	must(t, err)
	maps.DeleteFunc(got, func(path, _ string) bool {
		return report.LostAndFound != "" && strings.HasPrefix(path, report.LostAndFound+"/")
	})
	checkNothingInvented(t, got, want, report)
}

// A hundred thousand pairs with a hundredth of the pages overwritten: at least 97 % come back.
func TestSalvageHundredThousandPairs(t *testing.T) {
	store := salvageStore{name: "random", flat: true, fill: func(t *testing.T, db *folio.DB, random *rand.Rand) {
		putAll(t, db, random, "b", 100_000, 20_000)
	}}
	data, want := store.made(t, rand.New(rand.NewPCG(*folio.Seed, 1)))
	for round := range uint64(*folio.Rounds) {
		testSalvage(t, data, want, store, salvageDamages[1], *folio.Seed+round)
	}
}

// smallStore returns a store of a few pages that has all there is.
func smallStore(t *testing.T) ([]byte, content) {
	store := salvageStore{fill: func(t *testing.T, db *folio.DB, random *rand.Rand) {
		for range 3 {
			putAll(t, db, random, "a", 150, 50)
			putAll(t, db, random, "a/nested", 60, 20)
		}
		must(t, db.Update(func(tx *folio.Tx) error {
			b := bucketAt(t, tx, "a/inline")
			must(t, b.Put([]byte("k"), []byte("v")))
			must(t, b.SetSequence(7))
			must(t, bucketAt(t, tx, "c").Put(bytes.Repeat([]byte("long"), 500), value(1, 3)))
			return bucketAt(t, tx, "c").Put([]byte("large"), value(2, 9000))
		}))
	}}
	return store.made(t, rand.New(rand.NewPCG(1, 1)))
}

// edited changes bytes of a file: four bytes of edits are page, place in it (two) and value.
func edited(data []byte, wipe bool, edits []byte) []byte {
	data = slices.Clone(data)
	if wipe { // then nothing is protected by checksums
		clear(data[:2*salvagePage])
	}
	for ; len(edits) >= 4; edits = edits[4:] {
		pgno := int(edits[0]) % (len(data) / salvagePage)
		data[pgno*salvagePage+(int(edits[1])|int(edits[2])<<8)%salvagePage] = edits[3]
	}
	return data
}

// checkEdited salvages an edited file. Where checksums protect it, nothing may be made up.
func checkEdited(t *testing.T, data []byte, want content, wipe, unproven bool, edits []byte) {
	got, report, err := salvaged(t, edited(data, wipe, edits), folio.SalvageOptions{Unproven: unproven})
	if err != nil || wipe {
		return
	}
	maps.DeleteFunc(got, func(path, _ string) bool {
		return unproven && report.LostAndFound != "" && strings.HasPrefix(path, report.LostAndFound+"/")
	})
	if report.Unverified == 0 {
		checkNothingInvented(t, got, want, report)
	}
}

func TestSalvageOfEditedFiles(t *testing.T) {
	data, want := smallStore(t)
	for round := range 100 * uint64(*folio.Rounds) {
		seed := *folio.Seed + round
		random := rand.New(rand.NewPCG(seed, 3))
		edits := make([]byte, 4*(1+random.IntN(20)))
		for i := range edits {
			edits[i] = byte(random.Uint32() >> random.IntN(8))
		}
		if checkEdited(t, data, want, random.IntN(3) > 0, random.IntN(2) > 0, edits); t.Failed() {
			t.Fatalf("-seed %d", seed)
		}
	}
}

func FuzzSalvage(f *testing.F) {
	var data []byte
	var want content
	f.Add(true, true, []byte{3, 2, 0, 9, 4, 40, 0, 1})
	f.Add(false, false, []byte{0, 2, 0, 9})
	f.Fuzz(func(t *testing.T, wipe, unproven bool, edits []byte) {
		if data == nil {
			data, want = smallStore(t)
		}
		checkEdited(t, data, want, wipe, unproven, edits)
	})
}

func TestSalvageRefusesWhatIsNoStore(t *testing.T) {
	for _, data := range [][]byte{nil, []byte("hello"), make([]byte, 1<<16), bytes.Repeat([]byte("noise"), 9999)} {
		if _, _, err := salvaged(t, data, folio.SalvageOptions{}); err == nil {
			t.Errorf("%d bytes that are no store are salvaged", len(data))
		}
	}
}

func TestSalvageIsInterrupted(t *testing.T) {
	data, _ := smallStore(t)
	path := filepath.Join(testdir.New(t), "damaged")
	must(t, os.WriteFile(path, data, 0o600))
	in, err := folio.Inspect(path, nil)
	must(t, err)
	defer in.Close()
	dst := open(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := in.Salvage(ctx, dst, folio.SalvageOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	if len(contentOf(t, dst)) > 0 {
		t.Error("the destination is not empty")
	}
}
