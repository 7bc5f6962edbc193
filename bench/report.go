package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// results are the records of a run, gathered by row and engine.
type results struct {
	rows   []row // in the order in which they came
	values map[cell][]float64
	allocs map[cell]float64
}

// row is a line of the table.
type row struct {
	workload, metric, unit string
	n                      int
}

type cell struct {
	row             row
	engine, variant string
}

func (r row) key() string {
	if r.metric == "" {
		return r.workload
	}
	return r.workload + "/" + r.metric
}

func newResults() *results {
	return &results{values: map[cell][]float64{}, allocs: map[cell]float64{}}
}

func (r *results) add(rec record) {
	row := row{rec.Workload, rec.Metric, rec.Unit, rec.N}
	if !slices.Contains(r.rows, row) {
		r.rows = append(r.rows, row)
	}
	c := cell{row, rec.Engine, rec.Variant}
	r.values[c] = append(r.values[c], rec.Value)
	if rec.Allocs != nil {
		r.allocs[c] = *rec.Allocs
	}
}

func (r *results) median(row row, engine, variant string) (float64, bool) {
	v := slices.Sorted(slices.Values(r.values[cell{row, engine, variant}]))
	if len(v) == 0 {
		return 0, false
	}
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2, true
}

// writeTables writes one table for each size, the distance to the limits, and how cost grows.
func (r *results) writeTables(w io.Writer, c config, machine map[string]string) {
	fmt.Fprintf(w, "Medians of %d interleaved runs; in brackets the peer's value / folio's.\n\n", c.count)
	for _, k := range slices.Sorted(maps.Keys(machine)) {
		fmt.Fprintf(w, "- %s: %s\n", k, machine[k])
	}
	fmt.Fprint(w, "\n| engine | durable mode | mode without a flush per transaction |\n|---|---|---|\n")
	for _, e := range c.engines {
		fmt.Fprintf(w, "| %s | %s | %s |\n", e.Name, e.Durable, e.NoSync)
	}
	for _, n := range c.entries {
		r.writeTable(w, c, n)
		r.writeDistances(w, n)
	}
	if len(c.entries) > 1 {
		r.writeGrowth(w, c)
	}
}

func (r *results) writeTable(w io.Writer, c config, n int) {
	fmt.Fprintf(w, "\n## %s entries\n\n| workload |", grouped(float64(n)))
	for _, e := range c.engines {
		fmt.Fprintf(w, " %s |", e.Name)
	}
	fmt.Fprint(w, " must be | met |\n|---|", strings.Repeat("---:|", len(c.engines)), "---|---|\n")
	for _, work := range c.workloads {
		for _, row := range r.rows { // in the order of the workload's metrics
			if row.workload != work.name || row.n != n || work.on == noStore {
				continue
			}
			fmt.Fprintf(w, "| %s |", rowTitle(work, row))
			for _, e := range c.engines {
				fmt.Fprintf(w, " %s |", r.cellText(row, e.Name, work.variants))
			}
			must, met := r.judge(row)
			fmt.Fprintf(w, " %s | %s |\n", must, met)
		}
	}
}

// rowTitle puts the metric in place of what the title says after its colon.
func rowTitle(w workload, r row) string {
	if r.metric == "" {
		return w.title
	}
	title, _, _ := strings.Cut(w.title, ":")
	return title + ": " + r.metric
}

func (r *results) cellText(row row, engine string, variants []variant) string {
	text := r.valueText(row, engine, "")
	for _, v := range variants {
		if v.engine == engine {
			text += "<br>" + v.name + " " + r.valueText(row, engine, v.name)
		}
	}
	return text
}

func (r *results) valueText(row row, engine, variant string) string {
	v, ok := r.median(row, engine, variant)
	if !ok {
		return "-"
	}
	text := format(v, row.unit)
	ours, ok := r.median(row, baseline, "")
	if ok && row.unit != "x" && (engine != baseline || variant != "") {
		text += fmt.Sprintf(" (%sx)", ratioText(v/ours))
	}
	return text
}

func ratioText(x float64) string {
	if x >= 20 {
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.2f", x)
}

// distance sets a workload of folio against what the machine alone takes for its core.
type distance struct {
	workload, limit, text string
	atLimit               func(measured float64) float64 // in ns per operation
}

var distances = []distance{
	{"get", "dependent load", "two dependent loads", func(ns float64) float64 { return 2 * ns }},
	{"get-many", "independent load", "two independent loads", func(ns float64) float64 { return 2 * ns }},
	{"bulk-load", "memcpy", "one copy of key and value", func(gib float64) float64 {
		return (keySize + valueSize) / (gib * (1 << 30)) * 1e9
	}},
	{"durable-1", "pwrite of 16 KiB and flush", "one write of 16 KiB and one flush", func(ns float64) float64 { return ns }},
}

// writeDistances writes the limits that were measured, and how far from them folio is.
func (r *results) writeDistances(w io.Writer, n int) {
	limits := map[string]row{}
	for _, row := range r.rows {
		if row.workload == "limits" && row.n == n {
			limits[row.metric] = row
		}
	}
	if len(limits) == 0 {
		return
	}
	fmt.Fprint(w, "\n### Limits of the machine\n\n| limit | measured |\n|---|---:|\n")
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		v, _ := r.median(limits[name], "machine", "")
		fmt.Fprintf(w, "| %s | %s |\n", name, format(v, limits[name].unit))
	}
	fmt.Fprint(w, "\n| workload | folio | no store can do without | which takes | distance |\n|---|---:|---|---:|---:|\n")
	for _, d := range distances {
		ours, ok := r.median(row{d.workload, "", "ns", n}, baseline, "")
		if !ok {
			continue
		}
		v, _ := r.median(limits[d.limit], "machine", "")
		least := d.atLimit(v)
		fmt.Fprintf(w, "| %s | %s | %s | %s | %.1fx |\n", d.workload, format(ours, "ns"), d.text, format(least, "ns"), ours/least)
	}
}

// writeGrowth shows the rows that were measured at several sizes.
func (r *results) writeGrowth(w io.Writer, c config) {
	fmt.Fprint(w, "\n## How cost grows\n\n| workload | engine |")
	for _, n := range c.entries {
		fmt.Fprintf(w, " %s |", grouped(float64(n)))
	}
	fmt.Fprint(w, " last / first | must be |\n|---|---|", strings.Repeat("---:|", len(c.entries)+1), "---|\n")
	for _, work := range c.workloads {
		for _, e := range c.engines {
			series := r.series(c, work.name, e.Name)
			if series == nil {
				continue
			}
			fmt.Fprintf(w, "| %s | %s |", work.title, e.Name)
			for _, v := range series {
				fmt.Fprintf(w, " %s |", format(v, "ns"))
			}
			fmt.Fprintf(w, " %.2fx | %s |\n", series[len(series)-1]/series[0], growthMust(work.name, e.Name))
		}
	}
}

func growthMust(workload, engine string) string {
	most, ok := growthTargets[workload]
	if !ok || engine != baseline {
		return ""
	}
	return fmt.Sprintf("at most %gx", most)
}

// series is a workload's time at each size, or nil if it was not measured at all of them.
func (r *results) series(c config, workload, engine string) []float64 {
	var s []float64
	for _, n := range c.entries {
		v, ok := r.median(row{workload, "", "ns", n}, engine, "")
		if !ok {
			return nil
		}
		s = append(s, v)
	}
	return s
}

func format(v float64, unit string) string {
	switch {
	case unit == "bytes":
		return fmt.Sprintf("%.1f MB", v/1e6)
	case unit == "ns" && v >= 1e6:
		return fmt.Sprintf("%.2f ms", v/1e6)
	case unit == "ns" && v < 10:
		return fmt.Sprintf("%.1f ns", v)
	case unit == "ns":
		return grouped(v) + " ns"
	case unit == "x":
		return fmt.Sprintf("%.2fx", v)
	}
	return fmt.Sprintf("%.1f %s", v, unit)
}

// grouped rounds and puts commas between thousands.
func grouped(v float64) string {
	s := fmt.Sprintf("%.0f", v)
	for at := len(s) - 3; at > 0; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}
