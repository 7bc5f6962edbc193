package main

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/creack/pty"
	"github.com/foliokv/folio"
	"github.com/foliokv/folio/foliovar"
	"github.com/foliokv/folio/mmapfile"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
)

// TestMain makes this program run the programs that the scripts in testdata call.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"kvcli":        main,
		"kvcli-nobody": mainAsNobody,
		"hold":         hold,
		"terminal":     terminal,
		"publish":      publish,
	})
}

// publish runs a command while it serves the counters of stores, in whose arguments URL stands
// for where: publish NAMES COMMAND...
func publish() {
	for name := range strings.SplitSeq(os.Args[1], ",") {
		if name == "" {
			continue
		}
		db, err := folio.OpenMemory(nil)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		foliovar.Publish(name, db)
	}
	server := httptest.NewServer(http.DefaultServeMux)
	for i, arg := range os.Args {
		os.Args[i] = strings.ReplaceAll(arg, "URL", server.URL)
	}
	cmd := exec.Command(os.Args[2], os.Args[3:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Run()
	os.Exit(cmd.ProcessState.ExitCode())
}

// hold runs a command while it holds a store, or a file as bbolt does: hold FILE read|write|bolt COMMAND...
func hold() {
	held, err := holdFile(os.Args[1], os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	cmd := exec.Command(os.Args[3], os.Args[4:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Run()
	held.Close()
	os.Exit(cmd.ProcessState.ExitCode())
}

func holdFile(name, how string) (io.Closer, error) {
	if how != "bolt" {
		return folio.Open(name, 0o644, &folio.Options{ReadOnly: how == "read"})
	}
	file, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return file, mmapfile.LockHandleAt(file, math.MaxUint64, true, 0)
}

// terminal runs a command on a terminal, and shows what appears there: terminal COMMAND...
func terminal() {
	cmd := exec.Command(os.Args[1], os.Args[2:]...)
	tty, err := pty.Start(cmd)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	io.Copy(os.Stdout, tty) // ends with an error when the command has ended
	cmd.Wait()
	os.Exit(cmd.ProcessState.ExitCode())
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": status,
			"noise":  noise,
			"flip":   flip,
			"ruin":   ruin,
			"crash":  crash,
			"golden": golden,
			"poke":   poke,
		},
		Condition: func(condition string) (bool, error) {
			if condition == "nobody" {
				return canBeNobody, nil
			}
			return false, fmt.Errorf("unknown condition %q", condition)
		},
	})
}

// status runs a command and checks how it exits: status 1 COMMAND...
func status(ts *testscript.TestScript, _ bool, args []string) {
	got := 0
	err := ts.Exec(args[1], args[2:]...)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if fmt.Sprint(got) != args[0] {
		ts.Fatalf("exit status is %d, want %s", got, args[0])
	}
	if stderr := ts.ReadFile("stderr"); args[0] != "0" && strings.Count(stderr, "\n") != 1 {
		ts.Fatalf("not one line on standard error: %q", stderr)
	}
}

// noise writes that many bytes, which repeat but not within a page: noise FILE BYTES
func noise(ts *testscript.TestScript, _ bool, args []string) {
	var n int
	_, err := fmt.Sscan(args[1], &n)
	ts.Check(err)
	data := make([]byte, n)
	state := uint32(1)
	for i := range data {
		state = state*1664525 + 1013904223
		data[i] = byte(state >> 24)
	}
	ts.Check(os.MkdirAll(filepath.Dir(ts.MkAbs(args[0])), 0o755))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o644))
}

// flip changes one bit of every page behind the first two: flip FILE PAGESIZE
func flip(ts *testscript.TestScript, _ bool, args []string) {
	var pageSize int
	_, err := fmt.Sscan(args[1], &pageSize)
	ts.Check(err)
	data, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	for at := 2 * pageSize; at < len(data); at += pageSize {
		data[at+pageSize/2] ^= 1
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o644))
}

// golden makes a file that bbolt wrote: golden NAME FILE
func golden(ts *testscript.TestScript, _ bool, args []string) {
	data, err := boltGolden(args[0])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), data, 0o644))
}

// boltGolden returns a file that bbolt wrote; bench/boltfiles says what is in it.
func boltGolden(name string) ([]byte, error) {
	f, err := os.Open("../../internal/boltfile/testdata/" + name + ".bolt.gz")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// poke overwrites bytes of a file: poke FILE OFFSET HEX
func poke(ts *testscript.TestScript, _ bool, args []string) {
	var offset int
	var bytes []byte
	_, err := fmt.Sscanf(args[1]+" "+args[2], "%d %x", &offset, &bytes)
	ts.Check(err)
	data, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	copy(data[offset:], bytes)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o644))
}

// crash makes a store as a process leaves it that is killed after that many commits, each of
// one pair: crash FILE COMMITS
func crash(ts *testscript.TestScript, _ bool, args []string) {
	commits, err := strconv.Atoi(args[1])
	ts.Check(err)
	name := ts.MkAbs(args[0])
	db, err := folio.Open(name+".open", 0o644, nil)
	ts.Check(err)
	for i := range commits {
		ts.Check(db.Update(func(tx *folio.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			if err != nil {
				return err
			}
			return b.Put(fmt.Appendf(nil, "key-%03d", i), []byte("value"))
		}))
	}
	data, err := os.ReadFile(name + ".open")
	ts.Check(err)
	ts.Check(os.WriteFile(name, data, 0o644))
	ts.Check(db.Close())
	ts.Check(os.Remove(name + ".open"))
}

// ruin overwrites pages of 4096 bytes with noise: ruin FILE PAGE...
func ruin(ts *testscript.TestScript, _ bool, args []string) {
	data, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	state := uint32(7)
	for _, arg := range args[1:] {
		pgno, err := strconv.Atoi(arg)
		ts.Check(err)
		for i := range data[pgno*4096 : (pgno+1)*4096] {
			state = state*1664525 + 1013904223
			data[pgno*4096+i] = byte(state >> 24)
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o644))
}

// The examples in every command's help work as they are printed.
func TestExamples(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("the examples are written for a shell")
	}
	fixture := exampleFixture(t)
	var examine func(cmd *cobra.Command)
	examine = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			examine(sub)
		}
		if !cmd.Runnable() || cmd.Hidden {
			return
		}
		t.Run(strings.ReplaceAll(cmd.CommandPath(), " ", "_"), func(t *testing.T) {
			if cmd.Example == "" {
				t.Fatal("its help has no example")
			}
			for line := range strings.Lines(cmd.Example) {
				runExample(t, fixture, strings.TrimSpace(line))
			}
		})
	}
	examine(newRootCommand(newCLI(os.Stdin, os.Stdout, os.Stderr)))
}

// exampleFixture makes a directory that has what the examples speak of.
func exampleFixture(t *testing.T) string {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/example")); err != nil {
		t.Fatal(err)
	}
	old, err := boltGolden("page4k")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "old.bolt"), old, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"load", "store.db", "src", "src"},
		{"put", "store.db", "users", "alice", "Alice"},
		{"put", "store.db", "users", "bob", "Bob"},
		{"put", "store.db", "users/admins", "root", "Root"},
	} {
		cmd := exec.Command("kvcli", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("kvcli %v: %v\n%s", args, err, out)
		}
	}
	return dir
}

// runExample runs a line of help in a copy of the fixture.
func runExample(t *testing.T, fixture, line string) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(fixture)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("publish", "sessions", "sh", "-c", strings.ReplaceAll(line, "http://localhost:6060", "URL"))
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", line, err, out)
	}
}

// kvcli runs the program with something on its standard input, and expects success.
func kvcli(t *testing.T, input string, args ...string) string {
	t.Helper()
	cmd := exec.Command("kvcli", args...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("kvcli %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}
