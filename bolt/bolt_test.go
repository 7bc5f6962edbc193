package bolt_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/foliokv/folio"
	"github.com/foliokv/folio/bolt"
	berrors "github.com/foliokv/folio/bolt/errors"
	"github.com/foliokv/folio/internal/testdir"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// open opens a store of its own; it is checked and closed at the end of the test.
func open(t testing.TB, o *bolt.Options) *bolt.DB {
	t.Helper()
	db, err := bolt.Open(filepath.Join(testdir.New(t), "store"), 0o600, o)
	must(t, err)
	t.Cleanup(func() {
		if db.Path() == "" {
			return
		}
		must(t, db.View(func(tx *bolt.Tx) error {
			for err := range tx.Check() {
				t.Error(err)
			}
			return nil
		}))
		must(t, db.Close())
	})
	return db
}

// fill puts n pairs into the bucket "b".
func fill(t testing.TB, db *bolt.DB, n int) {
	t.Helper()
	must(t, db.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte("b"))
		if err != nil {
			return err
		}
		for i := range n {
			if err := b.Put(key(i), []byte(fmt.Sprint("value ", i))); err != nil {
				return err
			}
		}
		return nil
	}))
}

func key(i int) []byte { return fmt.Appendf(nil, "key %06d", i) }

func TestFilesThatAreNoStores(t *testing.T) {
	boltFile := make([]byte, 16384)
	binary.LittleEndian.PutUint32(boltFile[16:], 0xED0CDAED)
	half := bytes.Clone(boltFile)
	clear(half[:4096])
	binary.BigEndian.PutUint32(half[4096+16:], 0xED0CDAED)
	for _, c := range []struct {
		name    string
		content []byte
		want    error
		names   string // what the message must have
	}{
		{"text", []byte("this is no store"), berrors.ErrInvalid, "invalid database"},
		{"bbolt", boltFile, berrors.ErrInvalid, "kvcli import-bolt"},
		{"bbolt with one meta", half, berrors.ErrInvalid, "kvcli import-bolt"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(testdir.New(t), "file")
			must(t, os.WriteFile(path, c.content, 0o600))
			_, err := bolt.Open(path, 0o600, nil)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.names) {
				t.Errorf("%v", err)
			}
			if c.name == "text" && err != c.want {
				t.Errorf("not the error itself: %v", err)
			}
			if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, c.content) {
				t.Errorf("the file was touched (%v)", err)
			}
		})
	}
}

func TestDamagedMetas(t *testing.T) {
	path := filepath.Join(testdir.New(t), "store")
	db, err := bolt.Open(path, 0o600, nil)
	must(t, err)
	fill(t, db, 10000)
	must(t, db.Close())
	whole, err := os.ReadFile(path)
	must(t, err)
	damage := func(pages ...int) {
		b := bytes.Clone(whole)
		for _, p := range pages {
			b[p*4096+100] ^= 1
		}
		must(t, os.WriteFile(path, b, 0o600))
	}
	damage(0)
	db, err = bolt.Open(path, 0o600, nil)
	must(t, err)
	must(t, db.View(func(tx *bolt.Tx) error { return first(tx.Check()) })) // the other meta stands in
	must(t, db.Close())
	damage(0, 1)
	if _, err := bolt.Open(path, 0o600, nil); err != bolt.ErrChecksum {
		t.Errorf("both metas damaged: %v", err)
	}
	must(t, os.WriteFile(path, whole[:4096], 0o600))
	if _, err := bolt.Open(path, 0o600, nil); err == nil || !strings.Contains(err.Error(), "file size too small 4096") {
		t.Errorf("cut short: %v", err)
	}
}

func first(ch <-chan error) error {
	var found error
	for err := range ch {
		found = errors.Join(found, err)
	}
	return found
}

func TestSecondOpenWaits(t *testing.T) {
	db := open(t, nil)
	for _, timeout := range []time.Duration{50 * time.Millisecond, -1} {
		if _, err := bolt.Open(db.Path(), 0o600, &bolt.Options{Timeout: timeout}); err != bolt.ErrTimeout {
			t.Errorf("timeout %v: %v", timeout, err)
		}
	}
	entries, err := os.ReadDir(filepath.Dir(db.Path()))
	must(t, err)
	if len(entries) != 1 {
		t.Errorf("%d files, not just the store's", len(entries))
	}
}

func TestNotOpen(t *testing.T) {
	closed := open(t, nil)
	must(t, closed.Close())
	for name, db := range map[string]*bolt.DB{"never": {}, "closed": closed} {
		_, read := db.Begin(false)
		_, write := db.Begin(true)
		nothing := func(*bolt.Tx) error { return nil }
		for i, err := range []error{read, write, db.View(nothing), db.Update(nothing), db.Batch(nothing)} {
			if err != bolt.ErrDatabaseNotOpen {
				t.Errorf("%s opened, call %d: %v", name, i, err)
			}
		}
		if err := db.Close(); err != nil || db.Path() != "" {
			t.Errorf("%s opened: close %v, path %q", name, err, db.Path())
		}
		if panicOf(func() { db.Info() }) == nil {
			t.Errorf("%s opened: Info does not panic", name)
		}
	}
}

func panicOf(fn func()) (r any) {
	defer func() { r = recover() }()
	fn()
	return nil
}

func TestPageSizes(t *testing.T) {
	for _, c := range [][2]int{{0, 4096}, {1024, 4096}, {4096, 4096}, {5000, 8192}, {65536, 65536}, {1 << 20, 65536}} {
		db := open(t, &bolt.Options{PageSize: c[0]})
		if got := db.Info().PageSize; got != c[1] {
			t.Errorf("page size %d becomes %d", c[0], got)
		}
	}
}

func TestMaxSize(t *testing.T) {
	db := open(t, &bolt.Options{MaxSize: 1 << 20})
	fill(t, db, 10)
	err := db.Update(func(tx *bolt.Tx) error {
		return tx.Bucket([]byte("b")).Put([]byte("large"), make([]byte, 2<<20))
	})
	if err != berrors.ErrMaxSizeReached {
		t.Errorf("%v", err)
	}
}

func TestHandlesAndFillPercent(t *testing.T) {
	db := open(t, nil)
	fill(t, db, 1)
	must(t, db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte("b"))
		b.FillPercent = 0.9
		if again := tx.Bucket([]byte("b")); again != b || again.FillPercent != 0.9 {
			t.Error("another handle in the same transaction")
		}
		n, err := b.CreateBucket([]byte("nested"))
		if err != nil || n.FillPercent != bolt.DefaultFillPercent || n.Root() != 0 || n != b.Bucket([]byte("nested")) {
			t.Errorf("a new bucket: %v %v", n, err)
		}
		return nil
	}))
}

func TestBatchWaitsAsAsked(t *testing.T) {
	db := open(t, nil)
	fill(t, db, 1)
	db.MaxBatchSize, db.MaxBatchDelay = 3, time.Hour
	var ran sync.Map
	var wg sync.WaitGroup
	call := func(i int) {
		wg.Go(func() {
			if err := db.Batch(func(tx *bolt.Tx) error {
				ran.Store(i, true)
				return tx.Bucket([]byte("b")).Put(key(i), nil)
			}); err != nil {
				t.Error(err)
			}
		})
	}
	call(1)
	call(2)
	time.Sleep(20 * time.Millisecond) // time for them to run, if they are wrong
	for _, i := range []int{1, 2} {
		if _, ok := ran.Load(i); ok {
			t.Error("a call ran before the batch was full")
		}
	}
	call(3)
	wg.Wait()
	db.MaxBatchSize, db.MaxBatchDelay = 1000, time.Millisecond
	call(4)
	wg.Wait()
	must(t, db.View(func(tx *bolt.Tx) error {
		for i := 1; i <= 4; i++ {
			if tx.Bucket([]byte("b")).Get(key(i)) == nil {
				t.Errorf("call %d is lost", i)
			}
		}
		return nil
	}))
}

func TestBatchPanicsInItsCaller(t *testing.T) {
	db := open(t, nil)
	calls := 0
	r := panicOf(func() {
		db.Batch(func(tx *bolt.Tx) error {
			calls++
			panic("own")
		})
	})
	if r != "own" || calls != 1 {
		t.Errorf("panic %v after %d calls", r, calls)
	}
}

func TestOnCommit(t *testing.T) {
	db := open(t, nil)
	var order []int
	must(t, db.Update(func(tx *bolt.Tx) error {
		tx.OnCommit(func() {
			order = append(order, 1)
			fill(t, db, 1) // handlers may write
		})
		tx.OnCommit(func() { order = append(order, 2) })
		return nil
	}))
	tx, err := db.Begin(true)
	must(t, err)
	tx.OnCommit(func() { order = append(order, 3) })
	must(t, tx.Rollback())
	if fmt.Sprint(order) != "[1 2]" {
		t.Errorf("handlers ran: %v", order)
	}
}

func TestNoSyncIsFlushed(t *testing.T) {
	path := filepath.Join(testdir.New(t), "store")
	db, err := bolt.Open(path, 0o600, &bolt.Options{NoSync: true})
	must(t, err)
	fill(t, db, 100)
	must(t, db.Sync())
	copied := filepath.Join(testdir.New(t), "copy")
	content, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(copied, content, 0o600)) // as a crash would leave it
	must(t, db.Close())
	db, err = bolt.Open(copied, 0o600, nil)
	must(t, err)
	defer db.Close()
	must(t, db.View(func(tx *bolt.Tx) error {
		if n := tx.Bucket([]byte("b")).Stats().KeyN; n != 100 {
			t.Errorf("%d keys", n)
		}
		return nil
	}))
}

func TestStrictMode(t *testing.T) {
	db := open(t, nil)
	db.StrictMode = true
	fill(t, db, 1000)
	fill(t, db, 10)
}

func TestPages(t *testing.T) {
	db := open(t, nil)
	fill(t, db, 2000)
	must(t, db.Update(func(tx *bolt.Tx) error { return tx.Bucket([]byte("b")).Put([]byte("z"), make([]byte, 20000)) }))
	must(t, db.View(func(tx *bolt.Tx) error {
		seen := map[string]int{}
		for id := 0; ; id++ {
			p, err := tx.Page(id)
			must(t, err)
			if p == nil {
				if id != int(tx.Size())/db.Info().PageSize {
					t.Errorf("%d pages in %d bytes", id, tx.Size())
				}
				break
			}
			if p.ID != id {
				t.Errorf("page %d says it is %d", id, p.ID)
			}
			seen[p.Type]++
		}
		s := tx.Bucket([]byte("b")).Stats()
		if seen["meta"] != 2 || seen["branch"] != s.BranchPageN || seen["leaf"] != s.LeafPageN+1 || seen["value"] != 5 || s.LeafOverflowN != 5 {
			t.Errorf("pages %v, the bucket has %+v", seen, s)
		}
		root, err := tx.Page(int(tx.Bucket([]byte("b")).Root()))
		if err != nil || root.Type != "branch" || root.Count != s.LeafPageN {
			t.Errorf("the root: %+v %v", root, err)
		}
		if err := first(tx.Check(bolt.WithPageId(1 << 30))); err == nil {
			t.Error("a page past the end is no finding")
		}
		return first(tx.Check(bolt.WithPageId(2), bolt.WithKVStringer(bolt.HexKVStringer())))
	}))
}

func TestPagesOfAReadOnlyStore(t *testing.T) {
	db := open(t, nil)
	path := db.Path()
	must(t, db.Close())
	for _, load := range []bool{false, true} {
		db, err := bolt.Open(path, 0, &bolt.Options{ReadOnly: true, PreLoadFreelist: load})
		must(t, err)
		must(t, db.View(func(tx *bolt.Tx) error {
			if _, err := tx.Page(0); err != nil != !load || err != nil && err != bolt.ErrFreePagesNotLoaded {
				t.Errorf("loaded %t: %v", load, err)
			}
			return nil
		}))
		must(t, db.Close())
	}
}

func TestStats(t *testing.T) {
	db := open(t, nil)
	fill(t, db, 5000)
	before := db.Stats()
	tx, err := db.Begin(false)
	must(t, err)
	tx.Bucket([]byte("b")).Cursor().First()
	if s := tx.Stats(); s.CursorCount != 1 {
		t.Errorf("%+v", s)
	}
	if s := db.Stats(); s.OpenTxN != before.OpenTxN+1 || s.TxN != before.TxN+1 {
		t.Errorf("%+v after %+v", s, before)
	}
	must(t, tx.Rollback())
	must(t, db.Update(func(tx *bolt.Tx) error { return tx.DeleteBucket([]byte("b")) }))
	after := db.Stats()
	diff := after.Sub(&before)
	if diff.TxN != 1 || diff.TxStats.GetCursorCount() != 1 || diff.TxStats.GetPageCount() == 0 || diff.TxStats.GetWrite() == 0 {
		t.Errorf("%+v", diff)
	}
	if after.FreePageN+after.PendingPageN < 10 || after.FreeAlloc != (after.FreePageN+after.PendingPageN)*4096 {
		t.Errorf("%+v", after)
	}
	none := open(t, &bolt.Options{NoStatistics: true})
	fill(t, none, 10)
	if s := none.Stats(); s != (bolt.Stats{}) {
		t.Errorf("%+v", s)
	}
}

// etcd reads one transaction from many goroutines.
func TestOneReadTransactionInManyGoroutines(t *testing.T) {
	db := open(t, nil)
	fill(t, db, 3000)
	tx, err := db.Begin(false)
	must(t, err)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 300 {
				k := key((i*7 + g) % 3000)
				b := tx.Bucket([]byte("b"))
				if found, v := b.Cursor().Seek(k); !bytes.Equal(found, k) || !bytes.Equal(b.Get(k), v) {
					t.Errorf("%s: %s", k, v)
				}
			}
		})
	}
	wg.Wait()
	must(t, tx.Rollback())
}

func TestCopiesOfAWriteTransaction(t *testing.T) {
	db := open(t, nil)
	fill(t, db, 100)
	path := filepath.Join(testdir.New(t), "copy")
	must(t, db.Update(func(tx *bolt.Tx) error {
		must(t, tx.Bucket([]byte("b")).Put([]byte("later"), nil))
		var buf bytes.Buffer
		if err := tx.Copy(&buf); err != nil {
			return err
		}
		return os.WriteFile(path, buf.Bytes(), 0o600)
	}))
	copied, err := bolt.Open(path, 0o600, nil)
	must(t, err)
	defer copied.Close()
	must(t, copied.View(func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte("b"))
		if b.Stats().KeyN != 100 || b.Get([]byte("later")) != nil {
			t.Errorf("%d keys", b.Stats().KeyN)
		}
		return first(tx.Check())
	}))
}

func TestDamageIsAnError(t *testing.T) {
	path := filepath.Join(testdir.New(t), "store")
	db, err := bolt.Open(path, 0o600, nil)
	must(t, err)
	fill(t, db, 10000)
	var root int
	must(t, db.View(func(tx *bolt.Tx) error {
		root = int(tx.Bucket([]byte("b")).Root())
		return nil
	}))
	must(t, db.Close())
	content, err := os.ReadFile(path)
	must(t, err)
	content[root*4096+2000] ^= 1
	must(t, os.WriteFile(path, content, 0o600))
	db, err = bolt.Open(path, 0o600, nil)
	must(t, err)
	defer db.Close()
	if err := db.View(func(tx *bolt.Tx) error {
		if v := tx.Bucket([]byte("b")).Get(key(500)); v != nil {
			t.Errorf("%q", v)
		}
		return nil
	}); !errors.Is(err, folio.ErrCorrupt) {
		t.Errorf("View: %v", err)
	}
	tx, err := db.Begin(false)
	must(t, err)
	tx.Bucket([]byte("b")).Get(key(500))
	if err := tx.Rollback(); !errors.Is(err, folio.ErrCorrupt) {
		t.Errorf("Rollback: %v", err)
	}
}

func TestLogger(t *testing.T) {
	var out bytes.Buffer
	l := &bolt.DefaultLogger{Logger: log.New(&out, "", 0)}
	l.Debug("hidden")
	l.EnableDebug()
	l.Debugf("%d", 1)
	l.Warning("two")
	if panicOf(func() { l.Panicf("%d", 3) }) == nil {
		t.Error("Panicf does not panic")
	}
	if got := out.String(); got != "DEBUG: 1\nWARN: two\n3\n" {
		t.Errorf("%q", got)
	}
	out.Reset()
	l.SetFlags(log.Lshortfile)
	l.Error("here")
	if !strings.HasPrefix(out.String(), "bolt_test.go:") {
		t.Errorf("%q", out.String())
	}
	out.Reset()
	if _, err := bolt.Open(testdir.New(t), 0o600, &bolt.Options{Logger: l}); err == nil || !strings.Contains(out.String(), "failed") {
		t.Errorf("%v, %q", err, out.String())
	}
	if open(t, nil).Logger() == nil {
		t.Error("no logger")
	}
}

func TestGetAllocatesNothing(t *testing.T) {
	db := open(t, nil)
	fill(t, db, 10000)
	must(t, db.View(func(tx *bolt.Tx) error {
		b, k := tx.Bucket([]byte("b")), key(77)
		if n := testing.AllocsPerRun(100, func() { b.Get(k) }); n != 0 {
			t.Errorf("%v allocations in Get", n)
		}
		c := b.Cursor()
		c.First()
		if n := testing.AllocsPerRun(100, func() { c.Next() }); n != 0 {
			t.Errorf("%v allocations in Next", n)
		}
		return nil
	}))
}

func Example() {
	dir, err := os.MkdirTemp("", "bolt")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	db, err := bolt.Open(filepath.Join(dir, "my.db"), 0o600, &bolt.Options{Timeout: time.Second})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	err = db.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte("widgets"))
		if err != nil {
			return err
		}
		return b.Put([]byte("foo"), []byte("bar"))
	})
	if err != nil {
		log.Fatal(err)
	}
	db.View(func(tx *bolt.Tx) error {
		fmt.Printf("%s\n", tx.Bucket([]byte("widgets")).Get([]byte("foo")))
		return nil
	})
	// Output: bar
}
