package folio_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/foliokv/folio"
	"github.com/foliokv/folio/internal/foliotest"
	"github.com/foliokv/folio/internal/testdir"
)

var (
	huge      = flag.Int64("huge", 0, "bytes of keys and values in the transaction of TestHugeTransaction; 0: skip it")
	hugeValue = flag.Int("hugevalue", 100, "bytes of each value in TestHugeTransaction")
	hugeDir   = flag.String("hugedir", "", "where TestHugeTransaction makes its file, by default where temporary files go")
)

// scattered returns the i-th of a sequence of keys without any order.
func scattered(i uint64) []byte {
	mix := func(x uint64) uint64 { // splitmix64
		x += 0x9e3779b97f4a7c15
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		return x ^ x>>31
	}
	var k [16]byte
	binary.BigEndian.PutUint64(k[:], mix(i))
	binary.BigEndian.PutUint64(k[8:], mix(^i))
	return k[:]
}

// anonymousMemory returns what the process has of it, in bytes.
func anonymousMemory(t *testing.T) int64 {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("this system does not tell: ", err)
	}
	_, after, _ := strings.Cut(string(b), "RssAnon:")
	kib, err := strconv.ParseInt(strings.Fields(after)[0], 10, 64)
	must(t, err)
	return kib << 10
}

// watchMemory samples the anonymous memory until stop is called, which returns the peak.
func watchMemory(t *testing.T) (stop func() int64) {
	t.Helper()
	peak := anonymousMemory(t)
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
				peak = max(peak, anonymousMemory(t))
			}
		}
	})
	return func() int64 {
		close(done)
		wg.Wait()
		return peak
	}
}

// A transaction of random keys that is many times larger than Options.DirtyLimit stays within
// 256 MiB of memory of its own, whether it commits or is rolled back, and one that is rolled
// back leaves the file as it was, to be used again.
//
//	go test . -run TestHugeTransaction -v -huge 2147483648 -timeout 1h
func TestHugeTransaction(t *testing.T) {
	if *huge == 0 {
		t.Skip("-huge is not given")
	}
	const most = 256 << 20
	dir := *hugeDir
	if dir == "" {
		dir = testdir.New(t)
	}
	path := dir + "/huge"
	defer os.Remove(path)
	db, err := folio.Open(path, 0o600, nil)
	must(t, err)
	n := uint64(*huge / int64(16+*hugeValue))
	val := bytes.Repeat([]byte("v"), *hugeValue)
	undo := errors.New("undo")
	transact := func(what string, first uint64, result error) {
		start := time.Now()
		stop := watchMemory(t)
		err := db.Update(func(tx *folio.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			if err != nil {
				return err
			}
			for i := range n {
				binary.BigEndian.PutUint64(val, i)
				if err := b.Put(scattered(first+i), val); err != nil {
					return err
				}
				if i%(n/20+1) == 0 {
					t.Logf("%s: %d of %d pairs, %v, %d MiB", what, i, n, time.Since(start).Round(time.Second), anonymousMemory(t)>>20)
				}
			}
			return result
		})
		if !errors.Is(err, result) {
			t.Fatal(err)
		}
		peak := stop()
		t.Logf("%s: %d pairs in %v, at most %d MiB of anonymous memory, file of %d MiB",
			what, n, time.Since(start).Round(time.Second), peak>>20, fileSize(t, path)>>20)
		if peak > most {
			t.Errorf("%s: %d MiB of anonymous memory", what, peak>>20)
		}
		foliotest.MustCheck(t, db)
	}
	transact("rolled back", 0, undo)
	after := fileSize(t, path)
	if s := db.Stats(); s.FreePageN+s.PendingPageN+3 < s.PageN {
		t.Errorf("after a rollback %d pages of %d are free", s.FreePageN, s.PageN)
	}
	transact("committed", 0, nil)
	if size := fileSize(t, path); size > after+after/4+folio.DefaultDirtyLimit { // which was never written
		t.Errorf("the file has %d bytes, after the rollback it had %d", size, after)
	}
	view(t, db, func(b *folio.Bucket) error {
		if b.Count() != n {
			t.Errorf("%d pairs", b.Count())
		}
		for i := uint64(0); i < n; i += n/1000 + 1 {
			if v := b.Get(scattered(i)); len(v) != *hugeValue || binary.BigEndian.Uint64(v) != i {
				t.Fatalf("pair %d is %s", i, fmt.Sprintf("%x", v))
			}
		}
		return nil
	})
	foliotest.MustClose(t, db)
}
