// Workqueue is a queue of jobs that survives crashes, worked off by many goroutines: here the
// jobs are files, and the work is their SHA-256.
//
//	find . -type f | go run ./examples/workqueue
//
// Kill it and run it again without input: it goes on where it was.
package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/foliokv/folio"
)

func main() {
	log.SetFlags(0)
	file := flag.String("file", "workqueue.folio", "where the jobs are kept")
	workers := flag.Int("workers", 8, "how many jobs at a time")
	flag.Parse()
	db, err := folio.Open(*file, 0o600, &folio.Options{Timeout: time.Second})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if info, err := os.Stdin.Stat(); err == nil && info.Mode()&os.ModeCharDevice == 0 {
		if err := addLines(db, os.Stdin); err != nil {
			log.Fatal(err)
		}
	}
	if err := workOff(ctx, db, *workers, os.Stdout); err != nil {
		log.Print(err)
	}
	if err := db.Close(); err != nil {
		log.Fatal(err)
	}
}

func addLines(db *folio.DB, r io.Reader) error {
	q, err := newQueue(db, time.Minute, time.Now)
	if err != nil {
		return err
	}
	var jobs [][]byte
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		jobs = append(jobs, []byte(lines.Text()))
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return q.add(jobs...)
}

// workOff lets goroutines take jobs until none is left.
func workOff(ctx context.Context, db *folio.DB, workers int, out io.Writer) error {
	q, err := newQueue(db, time.Minute, time.Now)
	if err != nil {
		return err
	}
	results := make(chan string)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for {
				j, err := q.take(ctx)
				if err != nil {
					results <- fmt.Sprintf("taking a job: %v", err)
					return
				}
				if j == nil {
					return
				}
				result := hash(string(j.payload))
				if err := q.done(j); err != nil {
					result = fmt.Sprintf("%s: %v", j.payload, err)
				}
				results <- result
			}
		})
	}
	go func() { wg.Wait(); close(results) }()
	for r := range results {
		fmt.Fprintln(out, r)
	}
	return ctx.Err()
}

// hash gives the line of sha256sum for a file.
func hash(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%x  %s", h.Sum(nil), path)
}
