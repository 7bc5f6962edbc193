package main

import (
	"bytes"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"regexp"
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

// The commands and flags that the documents name exist.
func TestDocumentsNameCommands(t *testing.T) {
	code := regexp.MustCompile("(?m)`kvcli ([a-z-]+)([^`]*)`|^ +kvcli ([a-z-]+)(.*)$")
	flags := regexp.MustCompile(`--([a-z-]+)`)
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, file := range append(files, "../../README.md", "../../CONTRIBUTING.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		root := newRootCommand(newCLI(os.Stdin, os.Stdout, os.Stderr))
		for _, m := range code.FindAllStringSubmatch(string(text), -1) {
			named++
			name, rest := m[1]+m[3], m[2]+m[4]
			command, _, err := root.Find([]string{name})
			if err != nil || command == root {
				t.Errorf("%s: there is no command %q", file, name)
				continue
			}
			for _, flag := range flags.FindAllStringSubmatch(rest, -1) {
				if command.Flag(flag[1]) == nil {
					t.Errorf("%s: kvcli %s has no flag --%s", file, name, flag[1])
				}
			}
		}
	}
	if named < 20 {
		t.Errorf("%d commands found: the test does not see", named)
	}
}
