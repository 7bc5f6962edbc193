package folioprometheus_test

import (
	"fmt"
	"log"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"github.com/foliokv/folio"
	folioprometheus "github.com/foliokv/folio/prometheus"
)

func Example() {
	db, err := folio.OpenMemory(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	collector := folioprometheus.NewCollector(db, prometheus.Labels{"store": "sessions"})
	prometheus.MustRegister(collector)
	defer prometheus.Unregister(collector)

	n, err := testutil.GatherAndCount(prometheus.DefaultGatherer, "folio_write_transactions_total")
	fmt.Println(n, err)
	// Output: 2 <nil>
}

func open(t *testing.T, commits int) *folio.DB {
	t.Helper()
	db, err := folio.OpenMemory(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	for i := range commits {
		if err := db.Update(func(tx *folio.Tx) error {
			_, err := tx.CreateBucket(fmt.Append(nil, i))
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	return db
}

func TestCollect(t *testing.T) {
	db := open(t, 3)
	if err := db.Update(func(*folio.Tx) error { return fmt.Errorf("no") }); err == nil {
		t.Fatal("an Update that fails succeeds")
	}
	tx, err := db.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	s := db.Stats()
	want := fmt.Sprintf(`
# HELP folio_file_size_bytes Length of the file.
# TYPE folio_file_size_bytes gauge
folio_file_size_bytes{store="s"} %d
# HELP folio_open_read_transactions Read transactions open now.
# TYPE folio_open_read_transactions gauge
folio_open_read_transactions{store="s"} 1
# HELP folio_pages Pages up to the high-water mark, by use.
# TYPE folio_pages gauge
folio_pages{store="s",use="data"} %d
folio_pages{store="s",use="free"} %d
folio_pages{store="s",use="free_log"} %d
folio_pages{store="s",use="pending"} %d
# HELP folio_write_transactions_total Write transactions ended, by outcome.
# TYPE folio_write_transactions_total counter
folio_write_transactions_total{outcome="committed",store="s"} 3
folio_write_transactions_total{outcome="rolled_back",store="s"} 1
`, s.FileSize, s.DataPageN, s.FreePageN, s.FreeLogPageN, s.PendingPageN)
	c := folioprometheus.NewCollector(db, prometheus.Labels{"store": "s"})
	if err := testutil.CollectAndCompare(c, strings.NewReader(want), "folio_file_size_bytes",
		"folio_open_read_transactions", "folio_pages", "folio_write_transactions_total"); err != nil {
		t.Error(err)
	}
	problems, err := testutil.CollectAndLint(c)
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
}

// The counts of a histogram are cumulative, and bounds in the metric's unit.
func TestCollectHistograms(t *testing.T) {
	db := open(t, 5)
	families, err := gather(folioprometheus.NewCollector(db, nil))
	if err != nil {
		t.Fatal(err)
	}
	s := db.Stats()
	groups := families["folio_group_size"].Metric[0].Histogram
	if groups.GetSampleCount() != 5 || groups.GetSampleSum() != 5 {
		t.Errorf("groups: %v", groups)
	}
	for i, b := range groups.Bucket {
		want := uint64(5)
		if i == 0 {
			want = 0
		}
		if b.GetUpperBound() != float64(int(1)<<i-1) || b.GetCumulativeCount() != want {
			t.Errorf("bucket %d: %v", i, b)
		}
	}
	flushes := families["folio_flush_seconds"].Metric[0].Histogram
	if flushes.GetSampleCount() != uint64(s.FlushN) || flushes.GetSampleSum() != float64(s.FlushTime.Sum)/1e6 {
		t.Errorf("flushes: %v of %+v", flushes, s.FlushTime)
	}
	if bound := flushes.Bucket[11].GetUpperBound(); bound != 2047e-6 {
		t.Errorf("the bound of 2^11 - 1 µs is %v s", bound)
	}
}

// Stores that differ in a label are scraped together.
func TestCollectTwoStores(t *testing.T) {
	a := folioprometheus.NewCollector(open(t, 1), prometheus.Labels{"store": "a"})
	b := folioprometheus.NewCollector(open(t, 2), prometheus.Labels{"store": "b"})
	families, err := gather(a, b)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(families["folio_txid"].GetMetric()); n != 2 {
		t.Errorf("%d stores", n)
	}
}

func gather(cs ...prometheus.Collector) (map[string]*dto.MetricFamily, error) {
	r := prometheus.NewPedanticRegistry()
	for _, c := range cs {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	families, err := r.Gather()
	byName := map[string]*dto.MetricFamily{}
	for _, f := range families {
		byName[f.GetName()] = f
	}
	return byName, err
}
