package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/foliokv/folio"
)

var start = time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)

func open(t *testing.T) recorder {
	t.Helper()
	db, err := folio.OpenMemory(&folio.Options{Durability: folio.Deferred})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return recorder{db, time.Hour}
}

func TestRecordAndShow(t *testing.T) {
	r := open(t)
	now := start
	clock := func() time.Time { now = now.Add(10 * time.Second); return now.Add(-10 * time.Second) }
	lines := strings.NewReader("free 1\nfree 3\nload 0.5\nfree 5\n")
	if err := r.record(lines, clock); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := r.show(&out, "free", "10m", "30s", start.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	want := "2026-01-02 03:00:00  2 values, mean 2\n2026-01-02 03:00:30  1 values, mean 5\n"
	if out.String() != want {
		t.Errorf("it shows\n%s", &out)
	}
	if err := r.show(&out, "none", "10m", "30s", now); !errors.Is(err, folio.ErrBucketNotFound) {
		t.Errorf("a series that is not there: %v", err)
	}
	if err := r.show(&out, "free", "10m", "0s", now); err == nil {
		t.Error("a step of nothing is accepted")
	}
	if err := r.record(strings.NewReader("free much\n"), clock); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("a line without a number: %v", err)
	}
}

func TestForget(t *testing.T) {
	r := open(t)
	const n = 5000 // one a second
	var lines bytes.Buffer
	for i := range n {
		fmt.Fprintf(&lines, "a %d\nb %d\n", i, -i)
	}
	i := 0
	if err := r.record(&lines, func() time.Time { i++; return start.Add(time.Duration(i) * time.Millisecond * 200) }); err != nil {
		t.Fatal(err)
	}
	cut := start.Add(10 * time.Minute)
	if err := r.forget(cut.Add(r.keep)); err != nil {
		t.Fatal(err)
	}
	r.db.View(func(tx *folio.Tx) error {
		for _, name := range []string{"a", "b"} {
			b := tx.Bucket([]byte(name))
			first, _ := b.At(0)
			if got := timeOf(first); got.Before(cut) || got.Sub(cut) > time.Second {
				t.Errorf("series %s begins at %v", name, got)
			}
			if b.Count() == 0 || b.Count() >= n {
				t.Errorf("series %s has %d numbers", name, b.Count())
			}
		}
		for err := range tx.Check() {
			t.Error(err)
		}
		return nil
	})
}
