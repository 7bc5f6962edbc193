// Package folioprometheus gives the figures of a folio store to Prometheus. It is a module of
// its own; README.md says how a program gets it.
package folioprometheus

import (
	"math"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/foliokv/folio"
)

// A collector implements prometheus.Collector on the figures that folio.DB.Stats returns.
type collector struct {
	db                 *folio.DB
	figures            []figure
	groups, flushTimes *prometheus.Desc
}

// A figure is a metric and where in the statistics it stands.
type figure struct {
	desc   *prometheus.Desc
	kind   prometheus.ValueType
	labels []string
	value  func(s *folio.Stats) float64
}

// NewCollector returns a collector of the figures of db, all named folio_..., with the labels
// that tell this store from others of the process; labels may be nil. A scrape costs one call
// of DB.Stats. Collectors of several stores may be registered together if their labels have the
// same names and differ in a value. After the store was closed the figures are the last it had:
// unregister the collector.
func NewCollector(db *folio.DB, labels prometheus.Labels) prometheus.Collector {
	c := &collector{db: db}
	desc := func(name, help string, variable ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName("folio", "", name), help, variable, labels)
	}
	add := func(d *prometheus.Desc, kind prometheus.ValueType, value func(s *folio.Stats) float64, labels ...string) {
		c.figures = append(c.figures, figure{d, kind, labels, value})
	}
	const counter, gauge = prometheus.CounterValue, prometheus.GaugeValue

	add(desc("read_transactions_total", "Read transactions begun."), counter, func(s *folio.Stats) float64 { return float64(s.TxN) })
	add(desc("open_read_transactions", "Read transactions open now."), gauge, func(s *folio.Stats) float64 { return float64(s.OpenTxN) })
	writes := desc("write_transactions_total", "Write transactions ended, by outcome.", "outcome")
	add(writes, counter, func(s *folio.Stats) float64 { return float64(s.WriteTxN) }, "committed")
	add(writes, counter, func(s *folio.Stats) float64 { return float64(s.RollbackN) }, "rolled_back")
	add(desc("seals_total", "Times that changed pages got their places, for one or more transactions."), counter, func(s *folio.Stats) float64 { return float64(s.SealN) })

	pages := desc("pages", "Pages up to the high-water mark, by use.", "use")
	add(pages, gauge, func(s *folio.Stats) float64 { return float64(s.DataPageN) }, "data")
	add(pages, gauge, func(s *folio.Stats) float64 { return float64(s.FreeLogPageN) }, "free_log")
	add(pages, gauge, func(s *folio.Stats) float64 { return float64(s.FreePageN) }, "free")
	add(pages, gauge, func(s *folio.Stats) float64 { return float64(s.PendingPageN) }, "pending")
	add(desc("kept_pages", "Pages of Deferred transactions in memory until the next flush."), gauge, func(s *folio.Stats) float64 { return float64(s.KeptPageN) })
	add(desc("page_size_bytes", "Bytes of a page."), gauge, func(*folio.Stats) float64 { return float64(db.Info().PageSize) })
	add(desc("file_size_bytes", "Length of the file."), gauge, func(s *folio.Stats) float64 { return float64(s.FileSize) })

	written := desc("pages_written_total", "Pages written to the file, by kind.", "kind")
	add(written, counter, func(s *folio.Stats) float64 { return float64(s.Written.Meta) }, "meta")
	add(written, counter, func(s *folio.Stats) float64 { return float64(s.Written.Branch) }, "branch")
	add(written, counter, func(s *folio.Stats) float64 { return float64(s.Written.Leaf) }, "leaf")
	add(written, counter, func(s *folio.Stats) float64 { return float64(s.Written.Extent) }, "extent")
	add(written, counter, func(s *folio.Stats) float64 { return float64(s.Written.FreeLog) }, "free_log")
	add(written, counter, func(s *folio.Stats) float64 { return float64(s.Written.Ahead) }, "ahead")
	add(written, counter, func(s *folio.Stats) float64 { return float64(s.Written.Redo) }, "redo")

	add(desc("txid", "Id of the newest committed transaction."), gauge, func(s *folio.Stats) float64 { return float64(s.Txid) })
	add(desc("durable_txid", "Id of the newest durable transaction."), gauge, func(s *folio.Stats) float64 { return float64(s.DurableTxid) })
	add(desc("oldest_reader_age_seconds", "How long ago the oldest state being read was replaced."), gauge, func(s *folio.Stats) float64 { return s.OldestAge.Seconds() })
	add(desc("oldest_reader_retained_bytes", "Bytes of replaced pages that the oldest state being read needs."), gauge, func(s *folio.Stats) float64 { return float64(s.OldestBytes) })

	c.groups = desc("group_size", "Write transactions sealed together.")
	c.flushTimes = desc("flush_seconds", "Time from the write of a meta to the end of its flush.")
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, f := range c.figures {
		out <- f.desc
	}
	out <- c.groups
	out <- c.flushTimes
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	s := c.db.Stats()
	for _, f := range c.figures {
		out <- prometheus.MustNewConstMetric(f.desc, f.kind, f.value(&s), f.labels...)
	}
	out <- histogram(c.groups, s.GroupSize, 1)
	out <- histogram(c.flushTimes, s.FlushTime, 1e6)
}

// histogram converts h, of which scale are a unit of the metric, to cumulative counts.
func histogram(desc *prometheus.Desc, h folio.Histogram, scale float64) prometheus.Metric {
	buckets := map[float64]uint64{}
	var below uint64
	for i, n := range h.Counts[:len(h.Counts)-1] {
		below += uint64(n)
		buckets[(math.Ldexp(1, i)-1)/scale] = below
	}
	return prometheus.MustNewConstHistogram(desc, uint64(h.N()), float64(h.Sum)/scale, buckets)
}
