package main

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// writeCharts writes ratios.svg for the largest size and, with several sizes, growth.svg.
func (r *results) writeCharts(c config, out string) error {
	chart := r.ratioChart(c, c.entries[len(c.entries)-1])
	if err := os.WriteFile(filepath.Join(out, "ratios.svg"), []byte(chart), 0o644); err != nil {
		return err
	}
	if len(c.entries) < 2 {
		return nil
	}
	return os.WriteFile(filepath.Join(out, "growth.svg"), []byte(r.growthChart(c)), 0o644)
}

// Colours that can be told apart, also by the colour-blind, on white and on black.
var colours = map[string]string{
	"folio": "#0072b2", "folio-noverify": "#56b4e9", "bbolt": "#d55e00", "lmdb": "#009e73",
	"pebble": "#cc79a7", "badger": "#e69f00", "sqlite": "#888888",
}

const svgStyle = `<style>
text { font: 12px sans-serif; fill: #24292f }
.head { font-weight: bold }
.small { font-size: 10px }
.grid { stroke: #d0d7de; stroke-width: 1 }
.one { stroke: #0072b2; stroke-width: 2 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .grid { stroke: #30363d } }
</style>
`

func svg(width, height float64, body string) string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f">`+"\n%s%s</svg>\n",
		width, height, width, height, svgStyle, body)
}

func text(b *strings.Builder, x, y float64, class, anchor, s string) {
	s = strings.NewReplacer("&", "&amp;", "<", "&lt;").Replace(s)
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s</text>`+"\n", x, y, class, anchor, s)
}

func line(b *strings.Builder, x1, y1, x2, y2 float64, class string) {
	fmt.Fprintf(b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>`+"\n", x1, y1, x2, y2, class)
}

func dot(b *strings.Builder, x, y float64, engine, title string) {
	fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="5" fill="%s"><title>%s</title></circle>`+"\n", x, y, colours[engine], title)
}

// legend writes the engines' names from x on.
func legend(b *strings.Builder, c config, x, y float64) {
	for _, e := range c.engines {
		dot(b, x, y-4, e.Name, e.Name)
		text(b, x+9, y, "", "start", e.Name)
		x += 28 + 7*float64(len(e.Name))
	}
}

// ratioChart has a line for each workload and on it a dot for each peer: its time / folio's, on a
// logarithmic axis.
func (r *results) ratioChart(c config, n int) string {
	const left, width, step, low, high = 400.0, 900.0, 22.0, 0.25, 256.0
	at := func(ratio float64) float64 {
		ratio = min(max(ratio, low), high)
		return left + (width-left-30)*math.Log2(ratio/low)/math.Log2(high/low)
	}
	var rows, b strings.Builder
	y, section := 70.0, ""
	bySection := slices.SortedStableFunc(slices.Values(c.workloads), func(a, b workload) int {
		return cmp.Compare(slices.Index(sections, a.section), slices.Index(sections, b.section))
	})
	for _, w := range bySection {
		row := row{w.name, "", "ns", n}
		ours, ok := r.median(row, baseline, "")
		if !ok {
			continue
		}
		if w.section != section {
			section = w.section
			y += step / 2
			text(&rows, 10, y+4, "head", "start", section)
			y += step
		}
		text(&rows, left-12, y+4, "", "end", w.title)
		line(&rows, left, y, width-30, y, "grid")
		for _, e := range c.engines {
			if theirs, ok := r.median(row, e.Name, ""); ok && e.Name != baseline {
				dot(&rows, at(theirs/ours), y, e.Name, fmt.Sprintf("%s %.2fx", e.Name, theirs/ours))
			}
		}
		y += step
	}
	text(&b, 10, 20, "head", "start", fmt.Sprintf("Time of each store / time of folio, %s entries", grouped(float64(n))))
	text(&b, width-30, 20, "small", "end", "right of the line folio is faster; dots on the edge lie beyond it")
	legend(&b, c, 15, 42)
	for ratio := low; ratio <= high; ratio *= 2 {
		class := "grid"
		if ratio == 1 {
			class = "one"
		}
		line(&b, at(ratio), 66, at(ratio), y, class)
		text(&b, at(ratio), y+16, "small", "middle", fmt.Sprintf("%gx", ratio))
	}
	return svg(width, y+30, b.String()+rows.String())
}

// growthChart has a panel for each workload: time over the number of entries, both logarithmic.
func (r *results) growthChart(c config) string {
	const panel, gap, columns = 240.0, 100.0, 3
	var b strings.Builder
	count := 0
	for _, w := range c.workloads {
		lines := map[string][]float64{}
		low, high := math.Inf(1), 0.0
		for _, e := range c.engines {
			if s := r.series(c, w.name, e.Name); s != nil {
				lines[e.Name] = s
				for _, v := range s {
					low, high = min(low, v), max(high, v)
				}
			}
		}
		if len(lines) == 0 {
			continue
		}
		x0 := 60 + float64(count%columns)*(panel+gap)
		y0 := 80 + float64(count/columns)*(panel+gap)
		count++
		growthPanel(&b, c, w, lines, x0, y0, panel, low, high)
	}
	legend(&b, c, 15, 24)
	rows := float64((count + columns - 1) / columns)
	return svg(60+columns*(panel+gap), 80+rows*(panel+gap), b.String())
}

func growthPanel(b *strings.Builder, c config, w workload, lines map[string][]float64, x0, y0, size, low, high float64) {
	first, last := float64(c.entries[0]), float64(c.entries[len(c.entries)-1])
	low, high = math.Floor(math.Log10(low)), math.Ceil(math.Log10(high))
	x := func(n int) float64 { return x0 + size*math.Log(float64(n)/first)/math.Log(last/first) }
	y := func(v float64) float64 { return y0 + size*(high-math.Log10(v))/max(high-low, 1) }
	text(b, x0, y0-10, "small", "start", w.title)
	for e := low; e <= high; e++ {
		line(b, x0, y(math.Pow(10, e)), x0+size, y(math.Pow(10, e)), "grid")
		text(b, x0-6, y(math.Pow(10, e))+4, "small", "end", tick(math.Pow(10, e)))
	}
	for _, n := range c.entries {
		text(b, x(n), y0+size+14, "small", "middle", grouped(float64(n)))
	}
	for _, e := range c.engines {
		var points []string
		for i, v := range lines[e.Name] {
			points = append(points, fmt.Sprintf("%.1f,%.1f", x(c.entries[i]), y(v)))
			dot(b, x(c.entries[i]), y(v), e.Name, fmt.Sprintf("%s %s", e.Name, format(v, "ns")))
		}
		fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(points, " "), colours[e.Name])
	}
}

// tick writes a power of ten of nanoseconds.
func tick(ns float64) string {
	for _, unit := range []string{"ns", "us", "ms"} {
		if ns < 1000 {
			return fmt.Sprintf("%g %s", ns, unit)
		}
		ns /= 1000
	}
	return fmt.Sprintf("%g s", ns)
}
