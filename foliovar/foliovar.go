// Package foliovar shows the figures of folio stores among the variables of package expvar, as
// the variable "folio": an object with one member for each store that was published. It is a
// package of its own because expvar brings in net/http and serves /debug/vars.
package foliovar

import (
	"expvar"
	"sync"
	"time"

	"github.com/foliokv/folio"
)

var stores = struct {
	sync.Mutex
	byName map[string]*folio.DB
}{byName: map[string]*folio.DB{}}

func init() { expvar.Publish("folio", expvar.Func(func() any { return figures() })) }

// Publish shows the figures of db (see folio.Stats) under a name of the caller's choice, in
// place of another store that has that name. Remove ends it, best before the store is closed:
// until then the store's memory is kept, and its figures are the last it had.
func Publish(name string, db *folio.DB) (remove func()) {
	stores.Lock()
	defer stores.Unlock()
	stores.byName[name] = db
	return func() {
		stores.Lock()
		defer stores.Unlock()
		if stores.byName[name] == db {
			delete(stores.byName, name)
		}
	}
}

// A summary is a histogram in a few figures. The quantiles are bounds: see
// folio.Histogram.Quantile.
type summary struct {
	N, Sum, P50, P90, P99, Max int64
}

func summarize(h folio.Histogram) summary {
	return summary{int64(h.N()), h.Sum, h.Quantile(0.5), h.Quantile(0.9), h.Quantile(0.99), h.Max}
}

// storeFigures are Stats with the histograms summed up and the age in seconds.
type storeFigures struct {
	Path string
	folio.Stats
	GroupSize        summary
	FlushTime        summary // microseconds
	OldestAge        omitted `json:",omitzero"`
	OldestAgeSeconds float64
}

// omitted takes the place of a field that is shown in another form.
type omitted struct{}

func figures() map[string]storeFigures {
	stores.Lock()
	defer stores.Unlock()
	all := map[string]storeFigures{}
	for name, db := range stores.byName {
		s := db.Stats()
		all[name] = storeFigures{
			Path: db.Path(), Stats: s, GroupSize: summarize(s.GroupSize), FlushTime: summarize(s.FlushTime),
			OldestAgeSeconds: float64(s.OldestAge) / float64(time.Second),
		}
	}
	return all
}
