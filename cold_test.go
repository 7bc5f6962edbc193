package folio

import (
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/foliokv/folio/internal/backing"
	"github.com/foliokv/folio/internal/simfile"
)

// An evictingFile is a simulated file whose pages the system evicts when it is told to, and that
// knows what was asked and read.
type evictingFile struct {
	*simfile.File
	mu      sync.Mutex
	evicted map[int64]bool // by page
	asked   int
	read    int // of what was evicted
}

func (f *evictingFile) Map(size int64) (backing.Map, error) {
	m, err := f.File.Map(size)
	return evictingMap{m, f}, err
}

func (f *evictingFile) ReadPage(p []byte, off int64) (int, error) { return f.ReadAt(p, off) }

func (f *evictingFile) ReadAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range int64(len(p)+4095) / 4096 {
		if at := off/4096 + i; f.evicted[at] {
			delete(f.evicted, at)
			f.read++
		}
	}
	return f.File.ReadAt(p, off)
}

func (f *evictingFile) evict(pages int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range pages {
		f.evicted[i] = true
	}
	f.asked, f.read = 0, 0
}

type evictingMap struct {
	backing.Map
	f *evictingFile
}

func (m evictingMap) Cached(off, n int64) bool {
	m.f.mu.Lock()
	defer m.f.mu.Unlock()
	m.f.asked++
	return !m.f.evicted[off/4096]
}

// With more readers than processors, pages that were evicted are found out and read by a call, and
// nobody asks any more when all are in memory again. A lone reader does not ask.
func TestReadingWhatWasEvicted(t *testing.T) {
	f := &evictingFile{File: simfile.New(simfile.Options{}), evicted: map[int64]bool{}}
	db := openSim(t, f, nil)
	const n = 5000
	key := func(i int) []byte { return fmt.Appendf(nil, "k%06d", i%n) }
	ok(t, db.Update(inB(func(b *Bucket) error {
		for i := range n {
			ok(t, b.Put(key(i), make([]byte, 100)))
		}
		return nil
	})))
	pages := db.size >> db.shift
	next := 0
	gets := func(count int) { // a transaction each
		t.Helper()
		for range count {
			next++
			ok(t, db.View(inBucket(func(b *Bucket) error {
				if b.Get(key(next)) == nil {
					return fmt.Errorf("%q is missing: %w", key(next), b.Tx().Err())
				}
				return nil
			})))
		}
	}
	gets(n) // all verified
	f.evict(pages)
	gets(n)
	if f.asked > 0 {
		t.Errorf("a lone reader asks for %d pages", f.asked)
	}
	var open []*Tx
	for range runtime.GOMAXPROCS(0) {
		tx, err := db.Begin(false)
		ok(t, err)
		open = append(open, tx)
	}
	f.evict(pages)
	most := 2 * coldBegin * firstBlock() // until every slot of readers has had its turn
	for i := 0; i < most && db.cold.Load() == 0; i++ {
		gets(1)
	}
	if db.cold.Load() == 0 || f.read == 0 {
		t.Fatalf("%d pages were read, of %d asked for: it goes unnoticed", f.read, f.asked)
	}
	f.evict(pages)
	gets(n)
	leaves := int(db.Stats().DataPageN)
	if f.read < leaves*9/10 {
		t.Errorf("%d of %d pages were read before they were touched", f.read, leaves)
	}
	gets(3 * coldEnd) // all are in memory
	if db.cold.Load() > 0 {
		t.Error("it does not end")
	}
	f.evict(0)
	gets(n)
	if most := (n/coldBegin + firstBlock()) * coldPages; f.asked > most {
		t.Errorf("%d pages are asked for by %d transactions, at most %d are expected", f.asked, n, most)
	}
	for _, tx := range open {
		ok(t, tx.Rollback())
	}
	sound(t, db)
	ok(t, db.Close())
}
