//go:build unix

package main

import (
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Whoever interrupts a load keeps what it says is stored, and loads the rest by calling it again.
func TestInterruptedLoad(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			store := filepath.Join(t.TempDir(), "s.db")
			var lines strings.Builder
			for i := range 2500 {
				fmt.Fprintf(&lines, "%06d\tvalue\n", i)
			}
			stderr := interrupt(t, signal, lines.String(), "load", store, "b", "-", "--batch", "1000")
			const pattern = `^kvcli: .*s\.db: interrupted: (\d+) rows are stored; the same command again completes the load\n$`
			match := regexp.MustCompile(pattern).FindStringSubmatch(stderr)
			if match == nil {
				t.Fatalf("it says %q", stderr)
			}
			if stored, _ := strconv.Atoi(match[1]); stored == 0 || stored%1000 > 0 {
				t.Errorf("%d rows are stored, which is no number of whole batches", stored)
			}
			keys := kvcli(t, "", "scan", store, "b", "--keys")
			if got := strconv.Itoa(strings.Count(keys, "\n")); got != match[1] {
				t.Errorf("%s rows are in the store, not %s", got, match[1])
			}
			kvcli(t, "", "check", store)
			kvcli(t, lines.String(), "load", store, "b", "-")
			if got := kvcli(t, "", "scan", store, "b"); got != lines.String() {
				t.Error("after the second call the rows are not in the store")
			}
			kvcli(t, "", "check", store)
		})
	}
}

// An interrupted restore leaves nothing behind.
func TestInterruptedRestore(t *testing.T) {
	dir := t.TempDir()
	store := filepath.Join(dir, "s.db")
	stderr := interrupt(t, syscall.SIGINT, "folio-dump 1\nbucket\tb\t0\n", "load", "--dump", store)
	if want := "kvcli: interrupted: " + store + " was not made\n"; stderr != want {
		t.Errorf("it says %q, not %q", stderr, want)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
}

// interrupt runs kvcli, which has input and then waits for more, and sends it a signal. It
// returns what was said on standard error.
func interrupt(t *testing.T, signal syscall.Signal, input string, args ...string) string {
	t.Helper()
	cmd := exec.Command("kvcli", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	if _, err := io.WriteString(stdin, input); err != nil {
		t.Fatal(err)
	}
	time.Sleep(500 * time.Millisecond) // enough to work it off and wait
	cmd.Process.Signal(signal)
	cmd.Wait()
	if status := cmd.ProcessState.ExitCode(); status != 2 {
		t.Errorf("exit status %d", status)
	}
	return stderr.String()
}
