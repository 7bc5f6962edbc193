package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A feed takes the pairs of a source.
type feed struct {
	pairWriter
	ctx      context.Context
	progress *progress // told of the bytes that were read
	skipped  tally     // what is not stored
}

// A pairWriter stores pairs.
type pairWriter interface {
	put(key, value []byte) error
	// putReader stores a pair whose value is read from r.
	putReader(key []byte, r io.Reader, size int64) error
}

// A tally counts things by what they are.
type tally map[string]int64

func (t tally) names() []string { return slices.Sorted(maps.Keys(t)) }

// A source is where a load takes its pairs from.
type source interface {
	// noun says what its entries are, in the plural.
	noun() string
	// size is how many bytes it holds, -1 if that is not known.
	size() int64
	// each gives w all its pairs.
	each(w *feed) error
	close() error
}

var tableKinds = []string{"tsv", "csv", "jsonl"}

// openSource opens what name says: before the store is touched, so that a mistyped name leaves
// nothing behind. The store's own file is left out of a directory.
func (c *cli) openSource(name, store string, options tableOptions, jobs int) (source, error) {
	if options.kind != "" && options.kind != "dir" && !slices.Contains(tableKinds, options.kind) {
		return nil, fmt.Errorf("--type %s is not one of dir, %s", options.kind, strings.Join(tableKinds, ", "))
	}
	if name == "-" {
		if options.kind == "" {
			options.kind = "tsv"
		}
		return newTableSource(io.NopCloser(c.in), "standard input", -1, options)
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if options.kind == "" {
		options.kind = kindOf(name, info)
	}
	switch {
	case options.kind == "dir":
		return newDirSource(name, store, jobs)
	case info.IsDir():
		return nil, fmt.Errorf("%s is a directory, not a %s file", name, options.kind)
	case !slices.Contains(tableKinds, options.kind):
		return nil, fmt.Errorf("%s is not a directory and does not end in .tsv, .csv or .jsonl; say what it is with --type", name)
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	return newTableSource(file, name, info.Size(), options)
}

// kindOf tells what a file is by its kind and name.
func kindOf(name string, info fs.FileInfo) string {
	if info.IsDir() {
		return "dir"
	}
	return strings.TrimPrefix(strings.ToLower(filepath.Ext(name)), ".")
}
