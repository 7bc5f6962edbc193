package main

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"
)

// workload is one or more rows of the table, measured on one kind of store.
type workload struct {
	name, title string
	section     string
	on          storeKind
	durable     bool
	fileSize    bool // also report the size of the store after it was closed
	optional    bool // runs only when named
	run         func(*bench) ([]metric, error)
	variants    []variant
}

type storeKind int

const (
	noStore storeKind = iota
	shared            // the loaded store, warm, left unchanged and open
	cold              // the same, not warmed up
	closed            // the same, closed
	changed           // the same, warm; what is changed stays changed
	copied            // a copy of it
	empty             // a new one
)

// variant is another way to do the same work that only one engine has.
type variant struct {
	engine, name string
	run          func(*bench) ([]metric, error)
}

// bench is what one run of a workload gets.
type bench struct {
	store  Store                 // nil for noStore and closed
	data   *dataset              // what the store holds; set to nil if run filled it with something else
	open   func() (Store, error) // opens the closed store
	dir    string                // for files of the run's own
	n      int                   // entries
	ops    int                   // reads to time, where their number is fixed
	budget time.Duration         // how long to go on, where it is not
	seed   uint64                // same for every engine in a round
}

// metric is one measured value: the workload's own if name is empty, else one more row.
type metric struct {
	name   string
	unit   string // ns (per operation), bytes, x (a ratio), GiB/s
	value  float64
	allocs float64 // heap allocations per operation; negative if not measured
}

const (
	sectionReads   = "reads"
	sectionWrites  = "writes without a flush per transaction"
	sectionDurable = "durable writes"
	sectionSpace   = "space and opening"
	sectionLimits  = "limits of the machine"
)

var sections = []string{sectionLimits, sectionReads, sectionWrites, sectionDurable, sectionSpace}

func workloads() []workload {
	return []workload{
		{name: "limits", title: "limits", section: sectionLimits, run: limits},

		{name: "get", title: "random get, one long read transaction", section: sectionReads, on: shared, run: getLong,
			variants: []variant{{"lmdb", "C loop", getNative}}},
		{name: "get-fresh-1", title: "random get, fresh read transaction each, 1 goroutine", section: sectionReads, on: shared, run: getFresh(1)},
		{name: "get-fresh-8", title: "random get, fresh read transaction each, 8 goroutines", section: sectionReads, on: shared, run: getFresh(8)},
		{name: "get-absent", title: "get of absent keys", section: sectionReads, on: shared, run: getAbsent},
		{name: "get-many", title: "128 random keys at once, per key", section: sectionReads, on: shared, run: getMany,
			variants: []variant{{baseline, "Get", getManySingly}}},
		{name: "scan", title: "full scan forward, per entry", section: sectionReads, on: shared, run: scan},
		{name: "scan-reverse", title: "full scan in reverse, per entry", section: sectionReads, on: shared, run: scanReverse},
		{name: "seek-100", title: "seek and read 100", section: sectionReads, on: shared, run: seek100},
		{name: "cold-get-1", title: "random get, fresh read transaction each, not warm, 1 goroutine", section: sectionReads, on: cold, optional: true, run: getCold(1)},
		{name: "cold-get-16", title: "random get, fresh read transaction each, not warm, 16 goroutines", section: sectionReads, on: cold, optional: true, run: getCold(16)},

		{name: "open", title: "open a clean store", section: sectionSpace, on: closed, run: openClean},

		{name: "load-asc", title: "load ascending, 1,000 a transaction", section: sectionWrites, on: empty, run: loadAscending, fileSize: true},
		{name: "load-random", title: "load random, 1,000 a transaction", section: sectionWrites, on: empty, run: loadRandom, fileSize: true},
		{name: "load-random-1tx", title: "load random, one transaction", section: sectionWrites, on: empty, run: loadRandomOneTx},
		{name: "bulk-load", title: "bulk load of ordered pairs", section: sectionWrites, on: empty, run: bulkLoad, fileSize: true},
		{name: "delete", title: "delete 90 % random, 1,000 a transaction", section: sectionWrites, on: copied, run: deleteMost},
		{name: "overwrite", title: "overwrite random, 100 a transaction", section: sectionWrites, on: changed, run: overwrite(2)},
		{name: "deferred-1", title: "one-put transactions, 1 goroutine", section: sectionWrites, on: changed, run: putOnes(1, Store.Update)},
		{name: "readers-writer", title: "2 readers beside a writer, fresh read transaction each", section: sectionReads, on: changed, run: readersBesideWriter},
		{name: "large", title: "1 MiB values: put", section: sectionWrites, on: empty, run: largeValues},

		{name: "overwrite-durable", title: "overwrite random, 100 a durable transaction", section: sectionDurable, on: changed, durable: true, run: overwrite(20)},
		{name: "durable-1", title: "durable one-put, 1 goroutine", section: sectionDurable, on: changed, durable: true, run: putOnes(1, Store.Update)},
		{name: "durable-128", title: "durable one-put, 128 goroutines", section: sectionDurable, on: changed, durable: true, run: putOnes(128, Store.Update),
			variants: []variant{{"bbolt", "Batch", putOnes(128, batchUpdate)}}},
		{name: "large-durable", title: "1 MiB values, durable: put", section: sectionDurable, on: empty, durable: true, run: largeValues},

		{name: "churn", title: "20 random overwrites of n/5 keys, 10,000 a transaction", section: sectionSpace, on: empty, run: churn, fileSize: true},
		{name: "churn-reader", title: "the same beside an idle reader", section: sectionSpace, on: empty, run: churnBesideReader, fileSize: true},
	}
}

// timed measures fn, which returns how many operations it did.
func timed(fn func() (ops int, err error)) ([]metric, error) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := time.Now()
	ops, err := fn()
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	return []metric{{
		unit:   "ns",
		value:  float64(took) / float64(ops),
		allocs: float64(after.Mallocs-before.Mallocs) / float64(ops),
	}}, err
}

// parallel runs fn in g goroutines, each with random numbers of its own.
func (b *bench) parallel(g int, fn func(id int, rng *rand.Rand) error) error {
	errs := make([]error, g)
	var wg sync.WaitGroup
	for id := range g {
		wg.Go(func() { errs[id] = fn(id, b.random(id)) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (b *bench) random(id int) *rand.Rand { return rand.New(rand.NewPCG(b.seed, uint64(id))) }
