// Command mutate shows that the tests see what they are there for: it breaks one rule of the
// engine at a time and looks which test fails. The engine's files stay as they are; changed
// copies stand in for them while a test is built (go build -overlay).
//
//	go run ./fuzz/mutate                 # every mutation against the test that should see it
//	go run ./fuzz/mutate -run Reuse      # those whose name contains a word
//	go run ./fuzz/mutate -list           # what there is
//	go run ./fuzz/mutate -one            # without all tests where the named one passes
//
// Where the test named for a mutation passes, all tests of the module are run. The command
// fails if a mutation is not caught at all, is caught by another test only, or does not apply.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

var (
	word = flag.String("run", "", "only mutations whose name contains this")
	one  = flag.Bool("one", false, "run only the test named for a mutation, not all where it passes")
	list = flag.Bool("list", false, "only print the mutations, as the table in docs/durability.md")
)

func main() {
	flag.Parse()
	if *list {
		fmt.Print(table())
		return
	}
	root, err := moduleRoot()
	if err == nil {
		err = runAll(root)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

// moduleRoot returns the directory of folio's go.mod.
func moduleRoot() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/foliokv/folio").Output()
	if err != nil {
		return "", fmt.Errorf("looking for the module: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

func runAll(root string) error {
	bad, n := 0, 0
	for _, m := range mutations {
		if !strings.Contains(strings.ToLower(m.name), strings.ToLower(*word)) {
			continue
		}
		n++
		begun := time.Now()
		verdict, ok := m.try(root)
		if !ok {
			bad++
		}
		fmt.Printf("%-26s %s  (%.0f s)\n", m.name, verdict, time.Since(begun).Seconds())
	}
	switch {
	case n == 0:
		return fmt.Errorf("no mutation is called %q", *word)
	case bad > 0:
		return fmt.Errorf("%d of %d mutations are not caught as they should be", bad, n)
	}
	fmt.Printf("%d of %d mutations are caught\n", n, n)
	return nil
}

// try runs the tests on the broken engine and says who noticed.
func (m mutation) try(root string) (verdict string, ok bool) {
	dir, err := os.MkdirTemp("", "folio-mutation")
	if err != nil {
		return err.Error(), false
	}
	defer os.RemoveAll(dir)
	overlay, err := m.overlay(root, dir)
	if err != nil {
		return "DOES NOT APPLY: " + err.Error(), false
	}
	args := append([]string{"-failfast", "-run", "^" + m.test + "$", m.pkg}, m.args...)
	failed, err := goTest(root, overlay, args...)
	if err != nil {
		return "DOES NOT RUN: " + err.Error(), false
	}
	if len(failed) > 0 {
		return "caught by " + m.test, true
	}
	if *one {
		return "NOT CAUGHT by " + m.test, false
	}
	failed, err = goTest(root, overlay, "./...")
	switch {
	case err != nil:
		return "DOES NOT RUN: " + err.Error(), false
	case len(failed) > 0:
		return "NOT CAUGHT by " + m.test + ", but by " + strings.Join(failed, ", "), false
	}
	return "NOT CAUGHT", false
}

// overlay writes the changed files to dir and returns the path of the list that the go command
// takes them from.
func (m mutation) overlay(root, dir string) (string, error) {
	changed, err := m.apply(root)
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	for name, text := range changed {
		replace[filepath.Join(root, name)] = filepath.Join(dir, name)
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return "", err
		}
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, b, 0o600)
}

// apply returns the changed files by name. Each edit's old text must stand in its file once.
func (m mutation) apply(root string) (map[string][]byte, error) {
	changed := map[string][]byte{}
	for _, e := range m.edits {
		text, ok := changed[e.file]
		if !ok {
			var err error
			if text, err = os.ReadFile(filepath.Join(root, e.file)); err != nil {
				return nil, err
			}
		}
		if n := bytes.Count(text, []byte(e.old)); n != 1 {
			return nil, fmt.Errorf("%s has %d places with %q, not one", e.file, n, e.old)
		}
		changed[e.file] = bytes.Replace(text, []byte(e.old), []byte(e.new), 1)
	}
	return changed, nil
}

// goTest runs go test and returns the names of the outermost tests that failed. A test that
// hangs fails too, by the time limit.
func goTest(root, overlay string, args ...string) ([]string, error) {
	cmd := exec.Command("go", append([]string{"test", "-json", "-vet=off", "-timeout=10m", "-overlay", overlay}, args...)...)
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return nil, err
	}
	var failed, output []string
	ran := false
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var e struct{ Action, Package, Test, Output string }
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue
		}
		test, _, _ := strings.Cut(e.Test, "/")
		ran = ran || test != ""
		switch {
		case e.Action == "build-fail":
			return nil, fmt.Errorf("%s does not build: %s", e.Package, strings.Join(output, ""))
		case e.Action == "fail" && test != "" && !slices.Contains(failed, test):
			failed = append(failed, test)
		case e.Output != "":
			output = append(output, e.Output)
		}
	}
	if !ran {
		return nil, fmt.Errorf("no test ran: %s%s", strings.Join(output, ""), stderr.String())
	}
	return failed, nil
}

// table returns the mutations as rows of Markdown.
func table() string {
	var b strings.Builder
	for _, m := range mutations {
		fmt.Fprintf(&b, "| %s | %s | `%s` |\n", m.name, m.breaks, m.test)
	}
	return b.String()
}
