package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// A fact is one line of a command's report, or one member of its JSON object.
type fact struct {
	name  string // in snake case, as JSON has it; people see spaces
	value any    // JSON shows it as it is; people see its String, if it has one
}

// A size is a number of bytes.
type size int64

func (n size) String() string {
	if n < 1024 {
		return fmt.Sprintf("%d", int64(n))
	}
	return fmt.Sprintf("%d (%s)", int64(n), n.short())
}

// short is the size rounded for people, as in "1.4 MiB".
func (n size) short() string {
	value, unit := float64(n), -1
	for value >= 1024 && unit < 5 {
		value /= 1024
		unit++
	}
	if unit < 0 {
		return fmt.Sprintf("%d B", int64(n))
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTPE"[unit])
}

// A rate is a number of bytes a second.
type rate float64

func rateOf(bytes int64, d time.Duration) rate {
	return rate(float64(bytes) / max(d.Seconds(), 1e-9))
}

func (r rate) String() string { return size(r).short() + "/s" }

func (r rate) MarshalJSON() ([]byte, error) { return strconv.AppendInt(nil, int64(r), 10), nil }

// seconds is a duration that reads, and is JSON, as a number of seconds.
type seconds time.Duration

func (s seconds) String() string { return fmt.Sprintf("%.3f", time.Duration(s).Seconds()) }

func (s seconds) MarshalJSON() ([]byte, error) { return []byte(s.String()), nil }

// A fraction is shown in per cent, and inline by its name.
type fraction float64

func (f fraction) String() string {
	if f == inline {
		return "inline"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(f))
}

func (f fraction) MarshalJSON() ([]byte, error) {
	if f == inline {
		return []byte("null"), nil
	}
	return []byte(fmt.Sprintf("%.4f", float64(f))), nil
}

// printFacts prints one fact a line, or all as one JSON object.
func (c *cli) printFacts(asJSON bool, facts ...fact) {
	if asJSON {
		c.printObject(facts)
		return
	}
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	for _, f := range facts {
		fmt.Fprintf(w, "%s\t%v\n", strings.ReplaceAll(f.name, "_", " "), f.value)
	}
	w.Flush()
}

func (c *cli) printObject(facts []fact) {
	line := []byte{'{'}
	for i, f := range facts {
		if i > 0 {
			line = append(line, ',')
		}
		line = fmt.Appendf(line, "%q:%s", f.name, jsonText(f.value))
	}
	c.out.Write(append(line, "}\n"...))
}

// A table is a report of like rows. Programs get tab-separated fields or JSON objects, people
// get columns under a heading.
type table struct {
	columns []string
	rows    [][]any
}

func (t *table) add(values ...any) { t.rows = append(t.rows, values) }

func (c *cli) printTable(asJSON bool, t *table) {
	switch {
	case asJSON:
		for _, row := range t.rows {
			facts := make([]fact, len(row))
			for i, value := range row {
				facts[i] = fact{t.columns[i], value}
			}
			c.printObject(facts)
		}
	case c.outTerminal:
		var aligned bytes.Buffer
		w := tabwriter.NewWriter(&aligned, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, strings.ToUpper(strings.ReplaceAll(strings.Join(t.columns, "\t"), "_", " ")))
		for _, row := range t.rows {
			fmt.Fprintln(w, rowFields(row, true))
		}
		w.Flush()
		heading, rest, _ := strings.Cut(aligned.String(), "\n")
		fmt.Fprintln(c.out, c.paint(bold, heading))
		c.out.WriteString(rest)
	default:
		for _, row := range t.rows {
			fmt.Fprintln(c.out, rowFields(row, false))
		}
	}
}

// rowFields joins the values of a row by tabs; sizes are short for people and exact for programs.
func rowFields(row []any, forPeople bool) string {
	fields := make([]string, len(row))
	for i, value := range row {
		n, isSize := value.(size)
		switch {
		case isSize && forPeople:
			fields[i] = n.short()
		case isSize:
			fields[i] = strconv.FormatInt(int64(n), 10)
		default:
			fields[i] = fmt.Sprint(value)
		}
	}
	return strings.Join(fields, "\t")
}

func addJSONFlag(cmd *cobra.Command, asJSON *bool) {
	cmd.Flags().BoolVar(asJSON, "json", false, "print JSON, one object a line")
}
