package foliovar_test

import (
	"encoding/json"
	"expvar"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"testing"

	"github.com/foliokv/folio"
	"github.com/foliokv/folio/foliovar"
)

func Example() {
	db, err := folio.OpenMemory(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	defer foliovar.Publish("sessions", db)()

	// Every server on http.DefaultServeMux now shows the figures at /debug/vars.
	_, pattern := http.DefaultServeMux.Handler(&http.Request{Method: "GET", URL: &url.URL{Path: "/debug/vars"}})
	fmt.Println(pattern)
	// Output: GET /debug/vars
}

type shown struct {
	WriteTxN, PageN, Txid, OpenTxN int
	FlushTime, GroupSize           struct{ N, Max, P99 int64 }
	OldestAge                      *int
	OldestAgeSeconds               float64
}

func read(t *testing.T) map[string]shown {
	t.Helper()
	var all map[string]shown
	if err := json.Unmarshal([]byte(expvar.Get("folio").String()), &all); err != nil {
		t.Fatal(err)
	}
	return all
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

func TestPublish(t *testing.T) {
	a, b := open(t, 3), open(t, 1)
	removeA := foliovar.Publish("a", a)
	defer foliovar.Publish("b", b)()
	tx, err := a.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	all, want := read(t), a.Stats()
	got := all["a"]
	if len(all) != 2 || got.WriteTxN != 3 || all["b"].WriteTxN != 1 || got.OpenTxN != 1 {
		t.Errorf("%+v", all)
	}
	if got.PageN != want.PageN || got.Txid != want.Txid || got.FlushTime.N != int64(want.FlushN) ||
		got.FlushTime.Max != want.FlushTime.Max || got.GroupSize.P99 != 1 {
		t.Errorf("%+v is shown of %+v", got, want)
	}
	if got.OldestAge != nil {
		t.Error("the age is shown in nanoseconds, too")
	}
	removeA()
	if all := read(t); len(all) != 1 {
		t.Errorf("after the end: %+v", all)
	}
}

// Another store of the same name takes the place of the first, whose end does not matter then.
func TestPublishSameName(t *testing.T) {
	removeOld := foliovar.Publish("s", open(t, 1))
	removeNew := foliovar.Publish("s", open(t, 2))
	removeOld()
	if all := read(t); all["s"].WriteTxN != 2 {
		t.Errorf("%+v", all)
	}
	removeNew()
	if all := read(t); len(all) != 0 {
		t.Errorf("%+v", all)
	}
}
