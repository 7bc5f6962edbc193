//go:build unix

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
)

// A typist sits at a terminal on which the shell runs.
type typist struct {
	t    *testing.T
	tty  *os.File
	cmd  *exec.Cmd
	seen chan []byte
	rest []byte // shown, but not yet looked at
}

func startShell(t *testing.T, env []string, args ...string) *typist {
	t.Helper()
	cmd := exec.Command("kvcli", args...)
	cmd.Env = append(os.Environ(), append([]string{"TERM=xterm"}, env...)...)
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		t.Skip("no terminal:", err)
	}
	p := &typist{t: t, tty: tty, cmd: cmd, seen: make(chan []byte)}
	go func() {
		defer close(p.seen)
		for {
			data := make([]byte, 4096)
			n, err := tty.Read(data)
			if err != nil {
				return
			}
			p.seen <- data[:n]
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		tty.Close()
		for range p.seen {
		}
	})
	return p
}

func (p *typist) types(keys string) {
	p.t.Helper()
	if _, err := io.WriteString(p.tty, keys); err != nil {
		p.t.Fatal(err)
	}
}

// sees waits until the terminal shows text, and forgets what came before.
func (p *typist) sees(text string) {
	p.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		if i := bytes.Index(p.rest, []byte(text)); i >= 0 {
			p.rest = p.rest[i+len(text):]
			return
		}
		select {
		case data, ok := <-p.seen:
			if !ok {
				p.t.Fatalf("the shell ended before it showed %q; it showed %q", text, p.rest)
			}
			p.rest = append(p.rest, data...)
		case <-deadline:
			p.t.Fatalf("the terminal does not show %q but %q", text, p.rest)
		}
	}
}

// abortsLine presses Ctrl-C in the line editor, and waits until that is done: what it shows
// before is the prompt, again and again.
func (p *typist) abortsLine() {
	p.t.Helper()
	p.types("\x03")
	p.sees("\n")
}

// leaves ends the shell with Ctrl-D and waits for it.
func (p *typist) leaves() {
	p.t.Helper()
	p.types("\x04")
	for range p.seen {
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Fatal("the shell ended with", err)
	}
}

func TestShellOnATerminal(t *testing.T) {
	dir := t.TempDir()
	store := filepath.Join(dir, "s.db")
	kvcli(t, "", "put", store, "users", "alice", "Alice")
	kvcli(t, "", "put", store, "users", "two words", "Two")
	kvcli(t, "", "put", store, "users/admins", "root", "Root")
	var lines strings.Builder
	for i := range 200_000 {
		fmt.Fprintf(&lines, "%06d\tvalue\n", i)
	}
	kvcli(t, lines.String(), "load", store, "many", "-")
	env := []string{"KVCLI_HISTORY=" + filepath.Join(dir, "history"), "PAGER="}

	p := startShell(t, env, store)
	p.sees("s.db:/> ")

	// Completion of commands, buckets and keys.
	p.types("c\t\t")
	p.sees("count")
	p.types("d us\t")
	p.sees("cd users ")
	p.types("\r")
	p.sees("s.db:/users> ")
	p.types("get al\t\r")
	p.sees("\"Alice\"")
	p.sees("s.db:/users> ")
	p.types("get two\t\r")
	p.sees("\"Two\"")
	p.sees("s.db:/users> ")
	p.types("get \"two\t\r")
	p.sees("\"Two\"")
	p.sees("s.db:/users> ")
	p.types("cd ../users/ad\t\r")
	p.sees("s.db:/users/admins> ")

	// History: the line before the last one.
	p.types("\x1b[A\x1b[A")
	p.sees("get \"two")
	p.abortsLine()
	p.sees("s.db:/users/admins> ")

	// Ctrl-C drops the line that is being typed.
	p.types("put lost value")
	p.sees("value")
	p.abortsLine()
	p.sees("s.db:/users/admins> ")
	p.types("get lost\r")
	p.sees("error: there is no key \"lost\"")
	p.sees("s.db:/users/admins> ")

	// Ctrl-C stops the command and not the shell.
	p.types("cd /many; scan\r")
	p.sees("\"000000\"")
	p.types("\x03")
	p.sees("error: interrupted")
	p.sees("s.db:/many> ")
	p.types("count\r")
	p.sees("200000")

	// A transaction shows in the prompt; leaving rolls it back.
	p.types("cd /users; begin\r")
	p.sees("s.db:/users*> ")
	p.types("put alice changed\r")
	p.sees("\n")
	p.sees("s.db:/users*> ")

	// A command that fails in it undoes itself and nothing else.
	p.types("del bob\r")
	p.sees("error: there is no key \"bob\"")
	p.types("del \"two words\" bob\r")
	p.sees("error: there is no key \"bob\"")
	p.sees("s.db:/users*> ")
	p.types("get alice\r")
	p.sees("\"changed\"")
	p.types("get \"two words\"\r")
	p.sees("\"Two\"")
	p.types("rollback; begin read\r")
	p.sees("s.db:/users (read)> ")
	p.types("get alice\r")
	p.sees("\"Alice\"")
	p.sees("> ")
	p.leaves()

	// The next session knows the lines of this one.
	p = startShell(t, env, store)
	p.sees("s.db:/> ")
	p.types("\x12begin re")
	p.sees("rollback; begin read")
	p.abortsLine()
	p.sees("s.db:/> ")
	p.leaves()
}

func TestLongOutputIsPaged(t *testing.T) {
	store := filepath.Join(t.TempDir(), "s.db")
	kvcli(t, strings.Repeat("k\tv\n", 1), "load", store, "few", "-")
	var lines strings.Builder
	for i := range 100 {
		fmt.Fprintf(&lines, "%06d\tvalue\n", i)
	}
	kvcli(t, lines.String(), "load", store, "many", "-")
	p := startShell(t, []string{"KVCLI_HISTORY=" + os.DevNull, "PAGER=sed s/^/paged:/"}, store)
	p.sees("s.db:/> ")
	p.types("cd many; scan\r")
	p.sees("paged:\"000000\"")
	p.sees("paged:\"000099\"")
	p.sees("s.db:/many> ")
	p.types("scan --limit 2\r")
	p.sees("\n\"000000\"")
	p.sees("s.db:/many> ")
	p.leaves()
}
