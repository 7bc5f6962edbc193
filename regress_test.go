package folio_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"github.com/foliokv/folio"
	"github.com/foliokv/folio/internal/foliotest"
	"github.com/foliokv/folio/internal/simfile"
	"github.com/foliokv/folio/internal/testdir"
)

// Bugs that other stores had, one scenario each. Others of them are tested elsewhere: a crash
// inside recovery (redb 4.2) by fuzz.TestCrash, a child younger than its parent (libmdbx 187
// and 188) by fuzz.TestChildYoungerThanItsParent, files beyond 4 GiB (redb 516) by
// TestSparseBeyond4GiB.

// bolt 348, 539: merging with a sibling lost an element, or leaked a page.
func TestRegressSiblingMerge(t *testing.T) {
	for s := range uint64(2 * *folio.Rounds) {
		r := rand.New(rand.NewPCG(*folio.Seed, s))
		db := open(t, &folio.Options{Durability: folio.Deferred})
		n := 200 + r.IntN(1000)
		fill(t, db, n, 10+r.IntN(300))
		left := map[int]bool{}
		for i := range n {
			left[i] = true
		}
		for len(left) > 0 {
			update(t, db, func(b *folio.Bucket) error {
				from, step := r.IntN(n), 1+r.IntN(3)
				for i := from; i < min(n, from+1+r.IntN(n)); i += step {
					must(t, b.Delete(foliotest.Key(i)))
					delete(left, i)
				}
				return nil
			})
			foliotest.MustCheck(t, db)
			view(t, db, func(b *folio.Bucket) error {
				if b.Count() != uint64(len(left)) {
					t.Fatalf("seed %d: %d keys, not %d", *folio.Seed, b.Count(), len(left))
				}
				for i := range left {
					if b.Get(foliotest.Key(i)) == nil {
						t.Fatalf("seed %d: key %d is lost", *folio.Seed, i)
					}
				}
				return nil
			})
		}
	}
}

// bolt 429, 452, bbolt 341: an empty leaf hid keys from a cursor, or from Last.
func TestRegressEmptyLeafHidesKeys(t *testing.T) {
	db := open(t, nil)
	fill(t, db, 1000, 100) // some 30 leaves
	for _, c := range []struct{ from, to int }{{0, 200}, {300, 700}, {850, 1000}, {1, 1000}, {0, 999}} {
		update(t, db, func(b *folio.Bucket) error {
			for i := c.from; i < c.to; i++ {
				must(t, b.Delete(foliotest.Key(i)))
			}
			first, last, after := 0, 999, c.to
			if c.from == 0 {
				first = c.to
			}
			if c.to == 1000 {
				last, after = c.from-1, -1
			}
			cursor := b.Cursor()
			if k, _ := cursor.First(); !bytes.Equal(k, foliotest.Key(first)) {
				t.Errorf("%v: First is %q", c, k)
			}
			if k, _ := cursor.Last(); !bytes.Equal(k, foliotest.Key(last)) {
				t.Errorf("%v: Last is %q", c, k)
			}
			if k, _ := cursor.Seek(foliotest.Key(c.from)); (after >= 0) != bytes.Equal(k, foliotest.Key(after)) {
				t.Errorf("%v: Seek gives %q", c, k)
			}
			n := 0
			for range b.All() {
				n++
			}
			for range b.Backward() {
				n++
			}
			if n != 2*(1000-c.to+c.from) {
				t.Errorf("%v: %d pairs both ways", c, n)
			}
			for i := c.from; i < c.to; i++ {
				must(t, b.Put(foliotest.Key(i), value(i, 100)))
			}
			return nil
		})
	}
}

// bbolt 639: the caller used its key again after Put.
func TestRegressKeyReused(t *testing.T) {
	db := open(t, nil)
	update(t, db, func(b *folio.Bucket) error {
		var key [8]byte
		for i := range 2000 {
			copy(key[:], fmt.Sprintf("%08d", i*7919%2000))
			must(t, b.Put(key[:], key[:]))
		}
		return nil
	})
	view(t, db, func(b *folio.Bucket) error {
		for i := range 2000 {
			if k := fmt.Appendf(nil, "%08d", i); !bytes.Equal(b.Get(k), k) {
				t.Fatalf("%s is lost", k)
			}
		}
		return nil
	})
}

// bbolt 797, 153: a rollback leaked what the transaction had allocated.
func TestRegressRollbackLeaks(t *testing.T) {
	path := filepath.Join(testdir.New(t), "store")
	db := openAt(t, path, &folio.Options{DirtyLimit: 64 << 10})
	fill(t, db, 1000, 100)
	before := int64(0)
	for i := range 100 {
		err := db.Update(func(tx *folio.Tx) error {
			b := tx.Bucket([]byte("b"))
			for j := range 200 {
				must(t, b.Put(foliotest.Key(j*5), value(j, 300+j%2*5000)))
			}
			_, err := tx.CreateBucket([]byte("other"))
			must(t, err)
			return io.EOF
		})
		wants(t, "Update", err, io.EOF)
		foliotest.MustCheck(t, db)
		if n := fileSize(t, path); i == 10 {
			before = n
		} else if i > 10 && n > before {
			t.Fatalf("after %d rollbacks the file grew from %d to %d bytes", i, before, n)
		}
	}
}

// etcd 8813: a copy taken during writes was damaged.
func TestRegressCopyDuringWrites(t *testing.T) {
	db := open(t, &folio.Options{Durability: folio.Deferred})
	must(t, db.Update(func(tx *folio.Tx) error { return writeRound(tx, 0) }))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for round := 1; ; round++ {
			select {
			case <-stop:
				return
			default:
				must(t, db.Update(func(tx *folio.Tx) error { return writeRound(tx, round%4) }))
			}
		}
	})
	for i := range 5 {
		path := filepath.Join(testdir.New(t), fmt.Sprint(i))
		must(t, db.View(func(tx *folio.Tx) error {
			f, err := os.Create(path)
			must(t, err)
			n, err := tx.WriteTo(f)
			if err != nil || n != tx.Size() {
				t.Errorf("WriteTo gives %d, %v; Size is %d", n, err, tx.Size())
			}
			return f.Close()
		}))
		copied := openAt(t, path, nil)
		must(t, copied.View(func(tx *folio.Tx) error {
			b := tx.Bucket([]byte("rounds"))
			want := b.Get(foliotest.Key(0))
			for i := range 100 {
				if v := b.Get(foliotest.Key(i)); len(v) != 200 || !bytes.Equal(v, want) {
					t.Error("the copy mixes two states")
				}
			}
			return nil
		}))
		foliotest.MustClose(t, copied)
	}
	close(stop)
	wg.Wait()
}

// bbolt 989: a reader met a half-written meta. While one is written readers see the state
// before it, and a file left at that moment opens.
func TestRegressHalfWrittenMeta(t *testing.T) {
	var db *folio.DB
	var f *simfile.File
	looked := 0
	look := func(_ int, op simfile.Op) {
		if db == nil || op.Kind == simfile.Write && op.Off >= 8192 {
			return
		}
		looked++
		for img := range f.Images(simfile.ImageOptions{Random: 20}) {
			other, err := foliotest.Open(simfile.FromImage(bytes.Clone(img.Bytes), simfile.Options{}), &folio.Options{ReadOnly: true})
			if err != nil {
				t.Errorf("image %q: %v", img.Name, err)
				continue
			}
			view(t, other, func(b *folio.Bucket) error {
				if n := b.Count(); n != 10 && n != 20 {
					t.Errorf("image %q: %d pairs", img.Name, n)
				}
				return nil
			})
			must(t, other.Close())
		}
		view(t, db, func(b *folio.Bucket) error {
			if b.Count() != 10 {
				t.Errorf("a reader counts %d", b.Count())
			}
			return nil
		})
	}
	f = simfile.New(simfile.Options{OnOp: look})
	opened, err := foliotest.Open(f, nil)
	must(t, err)
	fill(t, opened, 10, 10)
	db = opened
	fill(t, opened, 20, 10)
	db = nil
	foliotest.MustClose(t, opened)
	if looked < 3 {
		t.Errorf("looked at %d moments", looked)
	}
}

// bbolt 998: pages were never released where readers overlapped, though none was old.
func TestRegressOverlappingReaders(t *testing.T) {
	path := filepath.Join(testdir.New(t), "store")
	db := openAt(t, path, &folio.Options{Durability: folio.Deferred})
	fill(t, db, 2000, 100)
	reader, err := db.Begin(false)
	must(t, err)
	var before int64
	for i := range 300 {
		fill(t, db, 500, 100+i%10)
		next, err := db.Begin(false) // there is always one
		must(t, err)
		must(t, reader.Rollback())
		reader = next
		if n := fileSize(t, path); i == 50 {
			before = n
		} else if i > 50 && n > before*3/2 {
			t.Fatalf("after %d rounds the file grew from %d to %d bytes", i, before, n)
		}
	}
	must(t, reader.Rollback())
}

// bbolt 262, bolt 706: a failed mapping or a full disk, and then a rollback.
func TestRegressFailedGrowth(t *testing.T) {
	for _, full := range []bool{false, true} {
		t.Run(fmt.Sprintf("full %v", full), func(t *testing.T) {
			f := simfile.New(simfile.Options{MapAhead: 16 << 10})
			db, err := foliotest.Open(f, nil)
			must(t, err)
			fill(t, db, 100, 100)
			for i := range 10 {
				want := error(syscall.ENOMEM)
				if size, _ := f.Size(); full {
					f.SetCapacity(size + int64(i)*30_000)
					want = syscall.ENOSPC
				} else {
					f.Fail(simfile.Fault{Kind: simfile.Map, At: f.Maps(), Err: syscall.ENOMEM, Always: i%2 == 0})
				}
				for range 5 {
					err := db.Update(func(tx *folio.Tx) error {
						return tx.Bucket([]byte("b")).Put([]byte("large"), make([]byte, 400_000*(i+1)))
					})
					if err != nil && !errors.Is(err, want) {
						t.Fatal(err)
					}
				}
				f.Heal()
				f.SetCapacity(0)
				foliotest.MustCheck(t, db)
				fill(t, db, 100, 200)
			}
			foliotest.MustClose(t, db)
		})
	}
}

// pseudo is a reader of endless bytes that look random.
type pseudo struct{ x uint64 }

func (p *pseudo) Read(b []byte) (int, error) {
	for i := 0; i+8 <= len(b); i += 8 {
		p.x = p.x*6364136223846793005 + 1442695040888963407
		for j := range 8 {
			b[i+j] = byte(p.x >> (8 * j))
		}
	}
	return len(b) &^ 7, nil
}

// bbolt 931: values of 256 MiB and more.
func TestRegressVeryLargeValue(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 260 MiB")
	}
	const size = 260 << 20
	path := filepath.Join(testdir.New(t), "store")
	db := openAt(t, path, nil)
	update(t, db, func(b *folio.Bucket) error { return b.PutReader([]byte("k"), &pseudo{7}, size) })
	foliotest.MustClose(t, db)
	db = openAt(t, path, nil)
	view(t, db, func(b *folio.Bucket) error {
		v := b.Get([]byte("k"))
		if len(v) != size {
			t.Fatalf("%d bytes", len(v))
		}
		want, chunk := &pseudo{7}, make([]byte, 1<<20)
		for ; len(v) > 0; v = v[len(chunk):] {
			io.ReadFull(want, chunk)
			if !bytes.Equal(v[:len(chunk)], chunk) {
				t.Fatal("other bytes")
			}
		}
		return nil
	})
	update(t, db, func(b *folio.Bucket) error { return b.Delete([]byte("k")) })
}

// etcd 16596: a creation cut short left a file that did not open.
func TestRegressTornCreation(t *testing.T) {
	n := 0
	var f *simfile.File
	f = simfile.New(simfile.Options{OnOp: func(_ int, op simfile.Op) {
		for img := range f.Images(simfile.ImageOptions{Random: 50}) {
			n++
			db, err := foliotest.Open(simfile.FromImage(bytes.Clone(img.Bytes), simfile.Options{}), nil)
			if err != nil {
				t.Errorf("image %q of %d bytes: %v", img.Name, len(img.Bytes), err)
				continue
			}
			fill(t, db, 10, 10)
			foliotest.MustClose(t, db)
		}
	}})
	db, err := foliotest.Open(f, nil)
	must(t, err)
	if n < 20 {
		t.Errorf("only %d images", n)
	}
	must(t, db.Close())
}

// A failed flush whose meta is in the page cache all the same: the next process must not take
// it for durable.
func TestRegressMetaOfAFailedFlush(t *testing.T) {
	f := simfile.New(simfile.Options{})
	db, err := foliotest.Open(f, nil)
	must(t, err)
	fill(t, db, 10, 10)
	fill(t, db, 10, 20)
	f.Fail(simfile.Fault{Kind: simfile.SyncEnd})
	if err := db.Update(func(tx *folio.Tx) error { return tx.Bucket([]byte("b")).Put([]byte("lost"), nil) }); err == nil {
		t.Fatal("the flush succeeds")
	}
	db.Close()
	f = f.Kill(simfile.Options{})
	db, err = foliotest.Open(f, nil)
	must(t, err)
	view(t, db, func(b *folio.Bucket) error {
		if b.Get([]byte("lost")) != nil {
			t.Error("what a failed flush lost is shown")
		}
		return nil
	})
	for i := range 10 {
		fill(t, db, 10, 30+i)
		if got := lost(t, f); got == "" {
			t.Error("nothing is durable")
		}
	}
	foliotest.MustClose(t, db)
}

// LMDB ITS#8756: pages were loose, freed and dirty at once.
func TestRegressLoosePages(t *testing.T) {
	for s := range uint64(3 * *folio.Rounds) {
		r := rand.New(rand.NewPCG(*folio.Seed, s))
		db := open(t, &folio.Options{Durability: folio.Deferred})
		fill(t, db, 500, 200)
		for range 5 {
			update(t, db, func(b *folio.Bucket) error {
				var saves []*folio.Savepoint
				for range 40 {
					i := r.IntN(500)
					switch r.IntN(6) {
					case 0:
						saves = append(saves, b.Tx().Savepoint())
					case 1:
						if k := len(saves); k > 0 {
							must(t, saves[k-1].Rollback())
							saves = saves[:k-1]
						}
					case 2:
						if k := len(saves); k > 0 {
							must(t, saves[k-1].Release())
							saves = saves[:k-1]
						}
					case 3:
						must(t, b.DeleteRange(foliotest.Key(i), foliotest.Key(i+100)))
					default:
						for j := range 50 {
							must(t, b.Put(foliotest.Key((i+j)%500), value(j, 200+r.IntN(2)*900)))
						}
					}
					for err := range b.Tx().Check() {
						t.Fatalf("seed %d: %v", *folio.Seed, err)
					}
				}
				return nil
			})
			foliotest.MustCheck(t, db)
		}
	}
}

// LMDB 0.9.17: cursors were not mended after a split, merge or delete in a nested scope.
func TestRegressCursorsInNestedScopes(t *testing.T) {
	db := open(t, nil)
	fill(t, db, 1000, 100)
	update(t, db, func(b *folio.Bucket) error {
		for i := 0; i < 1000; i += 50 {
			c, d := b.Cursor(), b.Cursor()
			c.Seek(foliotest.Key(i))
			d.Seek(foliotest.Key(i + 49))
			sp := b.Tx().Savepoint()
			for j := range 300 { // splits
				must(t, b.Put(fmt.Append(foliotest.Key(i), "-", j), value(j, 200)))
			}
			if k, _ := c.Next(); !bytes.Equal(k, fmt.Append(foliotest.Key(i), "-0")) {
				t.Fatalf("after splits Next is %q", k)
			}
			must(t, b.DeleteRange(foliotest.Key(i), foliotest.Key(i+49))) // merges
			if k, _ := d.Prev(); i > 0 && !bytes.Equal(k, foliotest.Key(i-1)) {
				t.Fatalf("after a deletion Prev is %q", k)
			}
			must(t, sp.Rollback())
			if k, _ := c.Next(); !bytes.Equal(k, foliotest.Key(i+1)) {
				t.Fatalf("after a rollback Next is %q", k)
			}
			if k, _ := d.Next(); !bytes.Equal(k, foliotest.Key(max(i, 0))) && i > 0 {
				t.Fatalf("after a rollback Next is %q", k)
			}
		}
		return nil
	})
}

// redb 4.3: a storage error in the midst of an operation, and then a commit.
func TestRegressErrorThenCommit(t *testing.T) {
	f := simfile.New(simfile.Options{})
	db, err := foliotest.Open(f, nil)
	must(t, err)
	fill(t, db, 3000, 100)
	foliotest.MustClose(t, db)
	for at := range 12 {
		f = f.Kill(simfile.Options{})
		db, err := foliotest.Open(f, nil)
		must(t, err)
		f.Fail(simfile.Fault{Kind: simfile.Read, At: f.Reads() + at})
		tx, err := db.Begin(true)
		must(t, err)
		b := tx.Bucket([]byte("b"))
		puts, deletes, err := 0, uint64(0), tx.Err()
		for i := 0; i < 3000 && err == nil; i += 100 {
			if err = b.Put(foliotest.Key(i), []byte("new")); err == nil {
				puts++
				if err = b.Delete(foliotest.Key(i + 50)); err == nil {
					deletes++
				}
			}
		}
		if !errors.Is(err, folio.ErrCorrupt) && !errors.Is(err, syscall.EIO) {
			t.Fatalf("a failed read comes back as %v", err)
		}
		if err := tx.Commit(); err != nil { // then nothing of it may be there; else all before the error
			puts, deletes = 0, 0
		}
		f.Heal()
		view(t, db, func(b *folio.Bucket) error {
			if b.Count() != 3000-deletes {
				t.Errorf("%d pairs are left after %d deletes", b.Count(), deletes)
			}
			for i := range 30 {
				if isNew := string(b.Get(foliotest.Key(100*i))) == "new"; isNew != (i < puts) {
					t.Errorf("of %d puts, number %d: %v", puts, i, isNew)
				}
			}
			return nil
		})
		foliotest.MustClose(t, db)
	}
}

// A transaction deletes so much that it writes pages early, or empties whole branches beside
// ones that it leaves underfull.
func TestDeletingMostInOneTransaction(t *testing.T) {
	const n = 12000
	for _, limit := range []int64{1 << 16, 0} {
		for name, keep := range map[string]func(i int) bool{
			"nothing":      func(i int) bool { return false },
			"the ends":     func(i int) bool { return i < 1000 || i > n-10 },
			"one in 1000":  func(i int) bool { return i%1000 == 0 },
			"one of a few": func(i int) bool { return i%5 == 0 },
		} {
			t.Run(fmt.Sprintf("%s, limit %d", name, limit), func(t *testing.T) {
				db := open(t, &folio.Options{DirtyLimit: limit})
				fill(t, db, n, 100)
				left := uint64(0)
				update(t, db, func(b *folio.Bucket) error {
					c := b.Cursor()
					i := 0
					for k, _ := c.First(); k != nil; k, _ = c.Next() {
						if keep(i) {
							left++
						} else if err := c.Delete(); err != nil {
							return err
						}
						i++
					}
					if i != n {
						t.Errorf("the cursor saw %d of %d keys", i, n)
					}
					return nil
				})
				view(t, db, func(b *folio.Bucket) error {
					if b.Count() != left {
						t.Errorf("%d keys are left, not %d", b.Count(), left)
					}
					return nil
				})
			})
		}
	}
}

// Tests and tools remove a directory while a store in it is open.
func TestCommitsAfterTheDirectoryWasRemoved(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("open files are not removed")
	}
	dir := filepath.Join(testdir.New(t), "dir")
	must(t, os.Mkdir(dir, 0o700))
	db := openAt(t, filepath.Join(dir, "store"), nil)
	must(t, os.RemoveAll(dir))
	fill(t, db, 10000, 100)
	view(t, db, func(b *folio.Bucket) error {
		if b.Count() != 10000 {
			t.Errorf("%d keys", b.Count())
		}
		return nil
	})
}
