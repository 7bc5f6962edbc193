package main

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/foliokv/folio"
	"github.com/foliokv/folio/internal/testdir"
)

// A site is the server on a store, with a clock of its own.
type site struct {
	t      *testing.T
	path   string
	time   time.Time
	db     *folio.DB
	s      *store
	server *httptest.Server
	client http.Client
}

func open(t *testing.T) *site {
	w := &site{t: t, path: filepath.Join(testdir.New(t), "store"), time: time.Unix(1e9, 0)}
	w.client.Jar, _ = cookiejar.New(nil)
	w.start()
	t.Cleanup(w.stop)
	return w
}

func (w *site) start() {
	var err error
	if w.db, err = folio.Open(w.path, 0o600, nil); err != nil {
		w.t.Fatal(err)
	}
	if w.s, err = newStore(w.db, time.Hour, func() time.Time { return w.time }); err != nil {
		w.t.Fatal(err)
	}
	w.server = httptest.NewServer(w.s.handler())
}

func (w *site) stop() {
	w.server.Close()
	if err := w.db.Close(); err != nil {
		w.t.Error(err)
	}
}

func (w *site) wants(method, path string, form url.Values, status int, body string) {
	w.t.Helper()
	var r *http.Response
	var err error
	if method == "POST" {
		r, err = w.client.PostForm(w.server.URL+path, form)
	} else {
		r, err = w.client.Get(w.server.URL + path)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	defer r.Body.Close()
	if got, _ := io.ReadAll(r.Body); r.StatusCode != status || string(got) != body {
		w.t.Errorf("%s %s: %s %q", method, path, r.Status, got)
	}
}

// count returns how many entries the two buckets have.
func (w *site) count() (sessions, ends uint64) {
	w.db.View(func(tx *folio.Tx) error {
		sessions, ends = tx.Bucket(bySession).Count(), tx.Bucket(byEnd).Count()
		return nil
	})
	return sessions, ends
}

func TestSessions(t *testing.T) {
	w := open(t)
	w.wants("GET", "/", nil, 401, "please log in\n")
	w.wants("POST", "/login", url.Values{}, 400, "who?\n")
	w.wants("POST", "/login", url.Values{"user": {"ada"}}, 200, "")
	w.wants("GET", "/", nil, 200, "Hello, ada.\n")
	w.stop()
	w.start() // sessions survive a restart
	w.wants("GET", "/", nil, 200, "Hello, ada.\n")
	w.wants("POST", "/logout", nil, 200, "")
	w.wants("GET", "/", nil, 401, "please log in\n")
	if s, e := w.count(); s+e != 0 {
		t.Errorf("after logout %d sessions and %d ends are left", s, e)
	}
}

func TestSessionsEnd(t *testing.T) {
	w := open(t)
	if _, err := w.s.login("bob"); err != nil {
		t.Fatal(err)
	}
	w.wants("POST", "/login", url.Values{"user": {"ada"}}, 200, "")
	for range 4 { // use extends a session
		w.time = w.time.Add(40 * time.Minute)
		w.wants("GET", "/", nil, 200, "Hello, ada.\n")
	}
	if n, err := w.s.sweep(); n != 1 || err != nil {
		t.Errorf("%d sessions ended, %v; Bob's did", n, err)
	}
	if s, e := w.count(); s != 1 || e != 1 {
		t.Errorf("%d sessions and %d ends, Ada has one", s, e)
	}
	w.time = w.time.Add(time.Hour)
	w.wants("GET", "/", nil, 401, "please log in\n") // before any sweep
	w.time = w.time.Add(time.Second)
	if n, err := w.s.sweep(); n != 1 || err != nil {
		t.Errorf("%d sessions ended, %v", n, err)
	}
	if s, e := w.count(); s+e != 0 {
		t.Errorf("%d sessions and %d ends are left", s, e)
	}
}
