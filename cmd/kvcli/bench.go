package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/foliokv/folio"
	"github.com/spf13/cobra"
)

// A benchRun is one run of the bench command.
type benchRun struct {
	bench
	names     []string
	seed      uint64
	pageSize  int
	keep      bool
	json      bool
	histogram bool
	compare   string
}

// A benchResult is what a workload measured, as its JSON has it.
type benchResult struct {
	Workload     string        `json:"workload"`
	Ops          int           `json:"ops"`
	Seconds      float64       `json:"seconds"`
	OpsPerSecond float64       `json:"ops_per_second"`
	Step         string        `json:"step"`
	P50          time.Duration `json:"p50_ns"`
	P90          time.Duration `json:"p90_ns"`
	P99          time.Duration `json:"p99_ns"`
	P999         time.Duration `json:"p999_ns"`
	Max          time.Duration `json:"max_ns"`
}

func newBenchCommand(c *cli) *cobra.Command {
	var r benchRun
	var list strings.Builder
	for _, w := range workloads {
		fmt.Fprintf(&list, "  %-10s  %s\n", w.name, w.what)
	}
	cmd := &cobra.Command{
		Use:     "bench FILE",
		GroupID: groupMeasure,
		Short:   "Measure what a store does on this machine and disk",
		Long: `bench makes a store in FILE, which must not exist, runs workloads on it, and removes it.
For each it prints the operations in a second and how long a step takes: the
half, 90, 99 and 99.9 of 100 steps that take at most so long, and the longest.

` + list.String() + `
Keys have 16 bytes. The same --seed gives the same keys and values in the same order.
With --json the result can be saved, and a later run compared with it.`,
		Example: `  kvcli bench bench.db --keys 2000 --commits 20
  kvcli bench bench.db --workloads fill-rand,read-rand --keys 2000 --value-size 1000 --histogram
  kvcli bench bench.db --workloads scan --keys 2000 --json > before.json
  kvcli bench bench.db --workloads scan --keys 2000 --json > old.json; kvcli bench bench.db --workloads scan --keys 2000 --compare old.json`,
		Args: argCount(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := r.verify(cmd); err != nil {
				return err
			}
			return r.run(cmd.Context(), c, args[0])
		},
	}
	names := make([]string, len(workloads))
	for i, w := range workloads {
		names[i] = w.name
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&r.names, "workloads", names, "which to run, in this order")
	flags.IntVar(&r.keys, "keys", 100_000, "how many keys")
	flags.IntVar(&r.valueSize, "value-size", 100, "bytes in a value")
	flags.IntVar(&r.batch, "batch", 1000, "operations in a transaction")
	flags.IntVar(&r.commits, "commits", 500, "transactions of durable-1 and durable-N")
	flags.IntVar(&r.writers, "writers", 32, "goroutines of durable-N")
	flags.Uint64Var(&r.seed, "seed", 1, "where the random numbers start")
	flags.IntVar(&r.pageSize, "page-size", 0, "bytes in a page: 4096 to 65536, a power of two")
	flags.BoolVar(&r.keep, "keep", false, "leave the store behind")
	flags.BoolVar(&r.histogram, "histogram", false, "draw how long the steps took")
	flags.StringVar(&r.compare, "compare", "", "compare with a result that --json printed into this file")
	addJSONFlag(cmd, &r.json)
	return cmd
}

func (r *benchRun) verify(cmd *cobra.Command) error {
	for _, name := range r.names {
		if findWorkload(name) == nil {
			return usagef(cmd, "there is no workload %q", name)
		}
	}
	if min(r.keys, r.batch, r.commits, r.writers) < 1 || r.valueSize < 0 {
		return usagef(cmd, "--keys, --batch, --commits and --writers take numbers from 1 on, --value-size from 0 on")
	}
	return nil
}

func findWorkload(name string) *workload {
	for i := range workloads {
		if workloads[i].name == name {
			return &workloads[i]
		}
	}
	return nil
}

func (r *benchRun) run(parent context.Context, c *cli, file string) (err error) {
	before, err := readResults(r.compare)
	if err != nil {
		return err
	}
	if err := refuseExisting(file); err != nil {
		return err
	}
	db, err := c.open(file, toCreate, &folio.Options{PageSize: r.pageSize})
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, db.Close())
		if !r.keep {
			err = errors.Join(err, os.Remove(file))
		}
	}()
	ctx, stop := interruptible(parent)
	defer stop()
	r.ctx, r.db, r.random = ctx, db, rand.New(rand.NewPCG(r.seed, r.seed))
	t := &table{columns: []string{"workload", "ops", "seconds", "ops_per_second", "p50", "p90", "p99", "p99.9", "max", "of a"}}
	for _, name := range r.names {
		w := findWorkload(name)
		var h histogram
		result, err := r.measure(c, w, &h)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if r.json {
			c.out.Write(append(jsonText(result), '\n'))
			continue
		}
		r.print(c, t, result, before[name], &h)
	}
	if len(t.rows) > 0 {
		c.printTable(false, t)
	}
	return nil
}

// measure runs one workload.
func (r *benchRun) measure(c *cli, w *workload, h *histogram) (benchResult, error) {
	r.progress = c.newProgress(w.name, int64(r.keys), false)
	defer r.progress.finish()
	if err := r.reset(!w.fills); err != nil {
		return benchResult{}, err
	}
	start := time.Now()
	ops, err := w.run(&r.bench, h)
	took := time.Since(start)
	return benchResult{
		Workload: w.name, Ops: ops, Seconds: took.Seconds(), OpsPerSecond: float64(ops) / took.Seconds(), Step: w.step,
		P50: h.percentile(0.5), P90: h.percentile(0.9), P99: h.percentile(0.99), P999: h.percentile(0.999), Max: h.max,
	}, err
}

func (r *benchRun) print(c *cli, t *table, now benchResult, before *benchResult, h *histogram) {
	now.addRow(t, now.Workload)
	if before != nil {
		before.addRow(t, "  before")
		t.add("  ratio", "", "", fmt.Sprintf("%.2f", now.OpsPerSecond/before.OpsPerSecond),
			ratio(now.P50, before.P50), ratio(now.P90, before.P90), ratio(now.P99, before.P99),
			ratio(now.P999, before.P999), ratio(now.Max, before.Max), "")
	}
	if r.histogram {
		fmt.Fprintf(c.out, "%s: %d steps (a step is a %s)\n", now.Workload, h.n, now.Step)
		h.print(c.out)
	}
}

func (r *benchResult) addRow(t *table, name string) {
	t.add(name, r.Ops, fmt.Sprintf("%.3f", r.Seconds), fmt.Sprintf("%.0f", r.OpsPerSecond),
		threeDigits(r.P50), threeDigits(r.P90), threeDigits(r.P99), threeDigits(r.P999), threeDigits(r.Max), r.Step)
}

// threeDigits rounds a duration to three digits.
func threeDigits(d time.Duration) time.Duration {
	unit := time.Duration(1)
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit)
}

func ratio(now, before time.Duration) string {
	return fmt.Sprintf("%.2f", float64(now)/float64(max(before, 1)))
}

// readResults reads what bench --json printed. Without a name there are no results.
func readResults(name string) (map[string]*benchResult, error) {
	if name == "" {
		return nil, nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	results := map[string]*benchResult{}
	d := json.NewDecoder(bufio.NewReader(file))
	for {
		var result benchResult
		err := d.Decode(&result)
		if err == io.EOF {
			return results, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s is not what bench --json prints: %w", name, err)
		}
		results[result.Workload] = &result
	}
}
