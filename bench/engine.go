package main

import (
	"cmp"
	"errors"
	"iter"
	"slices"
)

// Engine is a store under test: how it is called, how it is opened, and what it promises in
// either mode, in words for the report.
type Engine struct {
	Name    string
	Durable string // what a returned Update has survived
	NoSync  string // the fastest consistent or documented mode without a flush per transaction
	Open    func(dir string, durable bool) (Store, error)
}

// Store is what the workloads need of an engine. Update may be called from many goroutines.
type Store interface {
	View(fn func(Reader) error) error
	Update(fn func(Writer) error) error
	Close() error
}

// Reader reads one snapshot, from one goroutine. What it returns is good until its next call.
type Reader interface {
	// Get returns nil for an absent key.
	Get(key []byte) ([]byte, error)
	// Scan visits the entries at and after from in order until fn returns false.
	Scan(from []byte, fn func(key, value []byte) bool) error
	// Reverse visits all entries from the last to the first until fn returns false.
	Reverse(fn func(key, value []byte) bool) error
}

// Writer changes the store. Callers leave key and value alone until the transaction ends.
type Writer interface {
	Put(key, value []byte) error
	Delete(key []byte) error
}

// What only some engines have. A Loader takes pairs in key order into an empty store by the fastest
// way that its engine documents; the pairs are good until the next one.
type (
	Loader interface {
		Load(pairs iter.Seq2[[]byte, []byte]) error
	}
	ManyGetter interface {
		GetMany(keys [][]byte, fn func(i int, value []byte)) error
	}
	Batcher interface {
		Batch(fn func(Writer) error) error
	}
	// PointReader reads one key without what a transaction costs on engines that need none for it.
	PointReader interface {
		ReadPoint(key []byte, fn func(value []byte) error) error
	}
	// NativeGetter runs the whole loop of gets in the engine's own language. It returns how many
	// values of valueSize it found, and the sum of their first words.
	NativeGetter interface {
		NativeGets(keys []byte, valueSize int) (found int, sum uint64, err error)
	}
)

// errUnsupported is returned for what an engine cannot do; the table then shows a dash.
var errUnsupported = errors.New("not supported")

const baseline = "folio" // ratios are peer / baseline

var engines []Engine

var engineOrder = []string{baseline, "folio-noverify", "bbolt", "lmdb", "pebble", "badger", "sqlite"}

// register keeps engines in the order of the report, whatever the order of the files.
func register(e Engine) {
	engines = append(engines, e)
	slices.SortFunc(engines, func(a, b Engine) int {
		return cmp.Compare(slices.Index(engineOrder, a.Name), slices.Index(engineOrder, b.Name))
	})
}
