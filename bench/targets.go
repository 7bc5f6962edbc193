package main

import (
	"fmt"
	"strings"
)

// target is what a row must show: the time (or size) of the peer is at least ratio times folio's;
// without a peer, folio's own value is at most most.
type target struct {
	peer  string // an engine, or an engine and a variant
	ratio float64
	most  float64
	per   bool // most is for each entry
}

func atLeast(ratio float64, peer string) target { return target{peer: peer, ratio: ratio} }

// targets are by row: the workload, and after a slash the metric.
var targets = map[string][]target{
	"get":                                   {atLeast(2, "bbolt"), atLeast(2, "lmdb"), atLeast(1.5, "lmdb C loop")},
	"get-fresh-1":                           {atLeast(2.5, "bbolt"), atLeast(1.3, "lmdb")},
	"get-fresh-8":                           {atLeast(3, "bbolt"), atLeast(1, "lmdb")},
	"get-absent":                            {atLeast(2, "bbolt"), atLeast(1.5, "lmdb")},
	"get-many":                              {atLeast(2.5, "folio Get")},
	"scan":                                  {atLeast(1.5, "bbolt")},
	"scan-reverse":                          {atLeast(1.5, "bbolt")},
	"seek-100":                              {atLeast(1.5, "bbolt")},
	"cold-get-1":                            {atLeast(1, "bbolt"), atLeast(1, "lmdb")},
	"cold-get-16":                           {atLeast(1.5, "bbolt"), atLeast(1.5, "lmdb")},
	"load-asc":                              {atLeast(3, "bbolt"), atLeast(1.8, "lmdb"), atLeast(1, "pebble")},
	"load-random":                           {atLeast(6, "bbolt"), atLeast(3, "lmdb"), atLeast(1, "pebble")},
	"load-random/file size once closed":     {{most: 160, per: true}},
	"load-random-1tx":                       {atLeast(2, "lmdb"), atLeast(1, "pebble")},
	"bulk-load":                             {atLeast(3, "bbolt")},
	"delete":                                {atLeast(5, "bbolt"), atLeast(2.5, "lmdb"), atLeast(0.7, "pebble")},
	"overwrite":                             {atLeast(6, "bbolt"), atLeast(3, "lmdb"), atLeast(1, "pebble")},
	"deferred-1":                            {atLeast(2.5, "bbolt")},
	"readers-writer":                        {atLeast(2, "bbolt")},
	"readers-writer/p99.9":                  {atLeast(1, "bbolt"), atLeast(1, "lmdb")},
	"readers-writer/p99 to idle p99":        {{most: 2}},
	"overwrite-durable":                     {atLeast(8, "bbolt"), atLeast(1, "pebble")},
	"durable-1":                             {atLeast(1.9, "bbolt"), atLeast(1.9, "lmdb"), atLeast(1.2, "pebble")},
	"durable-128":                           {atLeast(60, "bbolt"), atLeast(13, "bbolt Batch"), atLeast(1.2, "pebble")},
	"durable-128/p99":                       {atLeast(1, "bbolt Batch")},
	"large-durable":                         {atLeast(4, "bbolt"), atLeast(1.5, "lmdb")},
	"large-durable/get, every byte touched": {atLeast(1, "bbolt"), atLeast(0.9, "lmdb")},
	"churn/file size once closed":           {atLeast(1, "bbolt")},
	"churn-reader/file size once closed":    {atLeast(1, "bbolt")},
	"open":                                  {{most: 500_000}},
}

// growthTargets bound folio's time for the largest number of entries / that for the smallest
// (100k and 50M).
var growthTargets = map[string]float64{"deferred-1": 2, "durable-1": 2}

func (t target) text(unit string, n int) string {
	if t.peer != "" {
		return fmt.Sprintf("%gx %s", t.ratio, t.peer)
	}
	return "at most " + format(t.bound(n), unit)
}

func (t target) bound(n int) float64 {
	if t.per {
		return t.most * float64(n)
	}
	return t.most
}

// judge says what the row must show and whether it does: of targets that are missed it gives the
// measured ratio, of those whose peer did not run the name.
func (r *results) judge(row row) (must, met string) {
	ours, ok := r.median(row, baseline, "")
	list := targets[row.key()]
	if !ok || len(list) == 0 {
		return "", ""
	}
	var texts, missed, absent []string
	for _, t := range list {
		texts = append(texts, t.text(row.unit, row.n))
		if t.peer == "" {
			if ours > t.bound(row.n) {
				missed = append(missed, format(ours, row.unit))
			}
			continue
		}
		engine, variant, _ := strings.Cut(t.peer, " ")
		theirs, ok := r.median(row, engine, variant)
		switch {
		case !ok:
			absent = append(absent, t.peer)
		case theirs < t.ratio*ours:
			missed = append(missed, fmt.Sprintf("%.2fx %s", theirs/ours, t.peer))
		}
	}
	switch {
	case len(missed) > 0:
		met = "**no**: " + strings.Join(missed, ", ")
	case len(absent) == len(list):
		met = "not run"
	case len(absent) > 0:
		met = "yes (not run: " + strings.Join(absent, ", ") + ")"
	default:
		met = "yes"
	}
	return strings.Join(texts, ", "), met
}
