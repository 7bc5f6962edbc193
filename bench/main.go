// Bench runs folio side by side with other stores: the same work, in turns, in one process.
//
//	go run . -quick                  every workload, small, within two minutes
//	go run -tags lmdb .              the full table, LMDB included (needs liblmdb)
//	go run . -engines folio,bbolt -workloads get,scan -n 1M -count 3
//
// It writes results.jsonl, table.md and charts to the folder -out, and the table to standard output.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout, stderr io.Writer) error {
	c, out, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	lines, err := os.Create(filepath.Join(out, "results.jsonl"))
	if err != nil {
		return err
	}
	defer lines.Close()
	res := newResults()
	encoder := json.NewEncoder(lines)
	err = runAll(c, func(rec record) error {
		res.add(rec)
		return encoder.Encode(rec)
	})
	return errors.Join(err, lines.Sync(), res.writeAll(c, out, stdout))
}

// writeAll writes what there is, also after a run that was cut short.
func (r *results) writeAll(c config, out string, stdout io.Writer) error {
	about := machine(cmp.Or(c.dir, os.TempDir()))
	about["go"] = fmt.Sprintf("%s %s/%s, %d processors", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0))
	about["entries"] = fmt.Sprintf("keys of %d bytes, values of %d bytes that do not compress", keySize, valueSize)
	f, err := os.Create(filepath.Join(out, "table.md"))
	if err != nil {
		return err
	}
	w := bufio.NewWriter(io.MultiWriter(f, stdout))
	r.writeTables(w, c, about)
	return errors.Join(w.Flush(), f.Close(), r.writeCharts(c, out))
}

func parse(args []string, stderr io.Writer) (c config, out string, err error) {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	quick := f.Bool("quick", false, "small and short: -n 50k -count 1 -time 200ms")
	names := f.String("engines", "", "engines, by comma (default all but folio-noverify): "+strings.Join(engineNames(), " "))
	work := f.String("workloads", "", "workloads, by comma; a trailing * matches any end (default all but the cold ones): "+strings.Join(workloadNames(), " "))
	entries := f.String("n", "1M", "entries, as 100k or 1M; several by comma")
	f.IntVar(&c.count, "count", 5, "rounds")
	f.DurationVar(&c.budget, "time", 3*time.Second, "length of one run of durable writes, one-puts, and readers beside a writer")
	f.DurationVar(&c.patience, "patience", time.Minute, "do not repeat a run that took longer")
	f.BoolVar(&c.bulk, "bulk", false, "fill the stores that are read by bulk load, not by random puts")
	f.StringVar(&c.dir, "dir", "", "folder for the stores, on the disk to measure (default the system's temporary folder)")
	f.StringVar(&out, "out", "results", "folder for results.jsonl, table.md and charts")
	if err := f.Parse(args); err != nil {
		return c, "", err
	}
	c.maxReads, c.log = 1_000_000, stderr
	if *quick {
		set := map[string]bool{}
		f.Visit(func(f *flag.Flag) { set[f.Name] = true })
		if !set["n"] {
			*entries = "50k"
		}
		if !set["count"] {
			c.count = 1
		}
		if !set["time"] {
			c.budget = 200 * time.Millisecond
		}
	}
	for s := range strings.SplitSeq(*entries, ",") {
		n, err := parseEntries(s)
		if err != nil {
			return c, "", fmt.Errorf("-n %s: %w", s, err)
		}
		c.entries = append(c.entries, n)
	}
	if c.engines, err = chooseEngines(*names); err != nil {
		return c, "", err
	}
	c.workloads, err = chooseWorkloads(*work)
	return c, out, err
}

// parseEntries reads a number like 100000, 100k or 10M.
func parseEntries(s string) (int, error) {
	factor := 1
	if cut, ok := strings.CutSuffix(s, "k"); ok {
		factor, s = 1000, cut
	} else if cut, ok := strings.CutSuffix(s, "M"); ok {
		factor, s = 1_000_000, cut
	}
	n, err := strconv.Atoi(s)
	if err == nil && n*factor < 1000 {
		err = errors.New("must be at least 1000")
	}
	return n * factor, err
}

func engineNames() []string {
	var names []string
	for _, e := range engines {
		names = append(names, e.Name)
	}
	return names
}

func workloadNames() []string {
	var names []string
	for _, w := range workloads() {
		names = append(names, w.name)
	}
	return names
}

func chooseEngines(list string) ([]Engine, error) {
	if list == "" {
		return slices.DeleteFunc(slices.Clone(engines), func(e Engine) bool { return e.Name == "folio-noverify" }), nil
	}
	var chosen []Engine
	for name := range strings.SplitSeq(list, ",") {
		at := slices.IndexFunc(engines, func(e Engine) bool { return e.Name == name })
		if at < 0 {
			return nil, fmt.Errorf("no engine %q in this build (lmdb needs -tags lmdb, sqlite needs cgo)", name)
		}
		chosen = append(chosen, engines[at])
	}
	return chosen, nil
}

// chooseWorkloads keeps the order of workloads: those that change the stores come late.
func chooseWorkloads(list string) ([]workload, error) {
	all := workloads()
	if list == "" {
		return slices.DeleteFunc(all, func(w workload) bool { return w.optional }), nil
	}
	chosen := make([]bool, len(all))
	for pattern := range strings.SplitSeq(list, ",") {
		start, open := strings.CutSuffix(pattern, "*")
		found := false
		for i, w := range all {
			if w.name == pattern || open && strings.HasPrefix(w.name, start) {
				chosen[i], found = true, true
			}
		}
		if !found {
			return nil, fmt.Errorf("no workload %q", pattern)
		}
	}
	var kept []workload
	for i, w := range all {
		if chosen[i] {
			kept = append(kept, w)
		}
	}
	return kept, nil
}
