package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"github.com/foliokv/folio"
	"github.com/foliokv/folio/internal/testdir"
)

func file(text string, changed int64) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte(text), ModTime: time.Unix(changed, 0)}
}

func TestIndex(t *testing.T) {
	db, err := folio.OpenMemory(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	x := index{db}
	tree := fstest.MapFS{
		"a.go":     file("package a\n\nfunc PageSize() int { return page_size }", 1),
		"b/b.go":   file("package b // the page's size", 1),
		"image":    file("package\x00", 1),
		"empty.go": file("", 1),
	}
	add := func(want int) {
		t.Helper()
		if n, err := x.addTree(tree); n != want || err != nil {
			t.Fatalf("%d files read, %v", n, err)
		}
	}
	finds := func(paths []string, words ...string) {
		t.Helper()
		if got, err := x.search(words); err != nil || !slices.Equal(got, paths) {
			t.Errorf("%q is found in %q, %v", words, got, err)
		}
	}
	finds(nil, "package") // nothing is there yet
	add(4)
	finds([]string{"a.go", "b/b.go"}, "package")
	finds([]string{"a.go"}, "package", "pagesize")
	finds([]string{"b/b.go"}, "PAGE", "size")
	finds(nil, "pagesize", "size")
	finds(nil, "pack")
	finds(nil)

	add(0) // as it was
	tree["b/b.go"] = file("package b // the end", 2)
	tree["c.go"] = file("package c", 1)
	add(2)
	finds([]string{"b/b.go"}, "end")
	finds(nil, "size")
	finds([]string{"a.go", "b/b.go", "c.go"}, "package")
}

// A tree of more files than a transaction takes, by the commands.
func TestRun(t *testing.T) {
	path, tree := filepath.Join(testdir.New(t), "index"), testdir.New(t)
	for i := range perBatch + 50 {
		text := fmt.Sprintf("package p%d\n", i%100)
		if err := os.WriteFile(filepath.Join(tree, fmt.Sprintf("%03d.go", i)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := run(path, "index", []string{tree}); err != nil {
			t.Fatal(err)
		}
	}
	if err := run(path, "search", []string{"package", "p7"}); err != nil {
		t.Fatal(err)
	}
	if err := run(path, "look", []string{"x"}); err == nil {
		t.Error("an unknown command is accepted")
	}
	db, err := folio.Open(path, 0o644, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	found, err := index{db}.search([]string{"package", "p7"})
	if want := []string{"007.go", "107.go", "207.go"}; err != nil || !slices.Equal(found, want) {
		t.Errorf("found in %q, %v", found, err)
	}
}
