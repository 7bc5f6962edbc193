package main

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Every workload runs once, tiny, on every engine of this build; each checks what it reads.
func TestEveryWorkloadOnEveryEngine(t *testing.T) {
	for _, e := range engines {
		t.Run(e.Name, func(t *testing.T) {
			c := config{
				engines: []Engine{e}, workloads: workloads(), entries: []int{2000}, count: 1,
				budget: 10 * time.Millisecond, patience: time.Minute, maxReads: 2000,
				dir: t.TempDir(), log: io.Discard,
			}
			res := newResults()
			err := runAll(c, func(rec record) error {
				res.add(rec)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range c.workloads {
				_, ok := res.median(row{w.name, "", "ns", 2000}, e.Name, "")
				if !ok && w.on != noStore && w.name != "get-many" {
					t.Errorf("%s: no result", w.name)
				}
			}
		})
	}
}

func TestOrderedLoad(t *testing.T) {
	for _, e := range engines {
		t.Run(e.Name, func(t *testing.T) {
			s, err := e.Open(t.TempDir(), false)
			if err != nil {
				t.Fatal(err)
			}
			d := newDataset(25_000)
			if err := d.load(s); err != nil {
				t.Fatal(err)
			}
			if err := d.verify(s); err != nil {
				t.Error(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestVerifyFindsWhatIsWrong(t *testing.T) {
	s, err := openBolt(t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	d := newDataset(1000)
	if err := d.load(s); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*dataset){
		"old version":  func(d *dataset) { d.version[500]++ },
		"missing":      func(d *dataset) { d.version = append(d.version, 1) },
		"left over":    func(d *dataset) { d.version[999] = 0 },
		"left between": func(d *dataset) { d.version[7] = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			other := d.clone()
			spoil(other)
			if other.verify(s) == nil {
				t.Error("not found")
			}
		})
	}
}

func TestQuickRunWritesTableAndCharts(t *testing.T) {
	out := t.TempDir()
	args := []string{"-quick", "-engines", "bbolt", "-workloads", "get*,open", "-n", "1k,2k", "-time", "5ms", "-dir", t.TempDir(), "-out", out}
	var stdout bytes.Buffer
	if err := run(args, &stdout, io.Discard); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"results.jsonl", "table.md", "ratios.svg", "growth.svg"} {
		if b, err := os.ReadFile(filepath.Join(out, name)); err != nil || len(b) == 0 {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
	}
	if !strings.Contains(stdout.String(), "| open a clean store |") {
		t.Errorf("no table:\n%s", &stdout)
	}
}

func TestJudge(t *testing.T) {
	res := newResults()
	for engine, ns := range map[string]float64{"folio": 100, "bbolt": 250, "lmdb": 150} {
		res.add(record{Workload: "get", Engine: engine, N: 1000, Value: ns, Unit: "ns"})
	}
	must, met := res.judge(row{"get", "", "ns", 1000})
	if want := "2x bbolt, 2x lmdb, 1.5x lmdb C loop"; must != want {
		t.Errorf("must = %q, want %q", must, want)
	}
	if want := "**no**: 1.50x lmdb"; met != want {
		t.Errorf("met = %q, want %q", met, want)
	}
}

func TestTargetsNameRows(t *testing.T) {
	known := map[string]bool{}
	for _, w := range workloads() {
		known[w.name] = true
	}
	for key := range targets {
		if name, _, _ := strings.Cut(key, "/"); !known[name] {
			t.Errorf("target for %q, which is no workload", key)
		}
	}
}

func TestLatencyQuantiles(t *testing.T) {
	var l latencies
	for i := range 100_000 {
		l.add(time.Duration(i + 1))
	}
	for _, q := range []float64{0.1, 0.5, 0.99, 0.999} {
		if got, want := l.quantile(q), q*100_000; got < want*0.96 || got > want*1.01 {
			t.Errorf("quantile %g = %g, want about %g", q, got, want)
		}
	}
}

func TestPermutationHasEveryEntry(t *testing.T) {
	seen := make([]bool, 1000)
	for _, i := range permutation(rand.New(rand.NewPCG(1, 2)), len(seen)) {
		seen[i] = true
	}
	for i, ok := range seen {
		if !ok {
			t.Errorf("%d is missing", i)
		}
	}
}
