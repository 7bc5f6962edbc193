package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/foliokv/folio"
	"github.com/foliokv/folio/internal/testdir"
)

func open(t *testing.T, path string) *folio.DB {
	t.Helper()
	db, err := folio.Open(path, 0o600, nil)
	must(t, err)
	return db
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Every job is done once by the many, in the end none is left.
func TestManyWorkers(t *testing.T) {
	db := open(t, filepath.Join(testdir.New(t), "queue"))
	q, err := newQueue(db, time.Hour, time.Now)
	must(t, err)
	const n = 200
	var producers, workers sync.WaitGroup
	for p := range 4 {
		producers.Go(func() {
			for i := range n / 4 {
				if err := q.add(fmt.Appendf(nil, "job %d", p*n/4+i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	must(t, q.add([]byte("the first")))
	var mu sync.Mutex
	seen := map[string]int{}
	for range 16 {
		workers.Go(func() {
			for {
				j, err := q.take(context.Background())
				if err != nil {
					t.Error(err)
					return
				}
				if j == nil {
					return
				}
				mu.Lock()
				seen[string(j.payload)]++
				if len(seen) == 1 {
					mu.Unlock()
					producers.Wait() // so that the workers cannot find the queue empty too early
				} else {
					mu.Unlock()
				}
				if err := q.done(j); err != nil {
					t.Error(err)
				}
			}
		})
	}
	workers.Wait()
	if len(seen) != n+1 {
		t.Errorf("%d jobs of %d were done", len(seen), n+1)
	}
	for job, times := range seen {
		if times != 1 {
			t.Errorf("%s was done %d times", job, times)
		}
	}
	must(t, db.Close())
}

func TestLeases(t *testing.T) {
	path := filepath.Join(testdir.New(t), "queue")
	db := open(t, path)
	now := time.Unix(1e9, 0)
	clock := func() time.Time { return now }
	q, err := newQueue(db, time.Minute, clock)
	must(t, err)
	must(t, q.add([]byte("a"), []byte("b")))
	takes := func(want string) *job {
		t.Helper()
		j, err := q.take(context.Background())
		if err != nil || j == nil || string(j.payload) != want {
			t.Fatalf("took %v, %v", j, err)
		}
		return j
	}
	slow := takes("a")
	now = now.Add(2 * time.Minute) // the lease has ended: a is the first again
	again := takes("a")
	if err := q.done(slow); !errors.Is(err, errLeaseEnded) {
		t.Errorf("done with a job that somebody else has: %v", err)
	}
	must(t, q.done(again))
	takes("b")
	must(t, db.Close()) // as if the process ended

	db = open(t, path)
	q, err = newQueue(db, time.Minute, clock)
	must(t, err)
	b := takes("b")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if j, err := q.take(ctx); j != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("took %v, %v after the end", j, err)
	}
	must(t, q.done(b))
	if j, err := q.take(context.Background()); j != nil || err != nil {
		t.Errorf("took %v, %v of an empty queue", j, err)
	}
	must(t, db.Close())
}

func TestWorkOff(t *testing.T) {
	dir := testdir.New(t)
	db := open(t, filepath.Join(dir, "queue"))
	var paths, want []string
	for i := range 20 {
		path := filepath.Join(dir, fmt.Sprint("file", i))
		must(t, os.WriteFile(path, []byte{byte(i)}, 0o600))
		paths = append(paths, path)
		want = append(want, fmt.Sprintf("%x  %s", sha256.Sum256([]byte{byte(i)}), path))
	}
	must(t, addLines(db, strings.NewReader(strings.Join(paths, "\n"))))
	var out bytes.Buffer
	must(t, workOff(context.Background(), db, 4, &out))
	got := strings.Split(strings.TrimSpace(out.String()), "\n")
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("it prints\n%s", &out)
	}
	must(t, db.Close())
}
