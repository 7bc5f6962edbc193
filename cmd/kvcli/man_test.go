package main

import (
	"bytes"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

var updateFlag = flag.Bool("update", false, "write the manual pages in docs/man anew")

// The manual pages in docs/man are those of the commands as they are.
func TestManualIsUpToDate(t *testing.T) {
	dir := filepath.Join("..", "..", "docs", "man")
	pages, err := manual(newRootCommand(newCLI(os.Stdin, os.Stdout, os.Stderr)))
	if err != nil {
		t.Fatal(err)
	}
	if *updateFlag {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, page := range pages {
			if err := os.WriteFile(filepath.Join(dir, name), page, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
	}
	if want := slices.Sorted(maps.Keys(pages)); !slices.Equal(names, want) {
		t.Errorf("docs/man has %q, the commands %q; -update writes them", names, want)
	}
	for name, page := range pages {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil && !bytes.Equal(bytes.ReplaceAll(got, []byte("\r\n"), []byte("\n")), page) {
			t.Errorf("%s is not what the command's help says; -update writes it", name)
		}
	}
}
