//go:build unix

package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var seedFlag = flag.Uint64("seed", 0, "where random tests start; 0 takes another one each time")

// A load that is killed, and started again as often as it takes, ends with the content of one
// that ran through.
func TestKilledLoad(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", seed)
	random := rand.New(rand.NewPCG(seed, seed))
	dir := t.TempDir()
	var lines strings.Builder
	for range 40_000 {
		fmt.Fprintf(&lines, "%08d\t%d\n", random.IntN(30_000), random.Uint64())
	}
	source := filepath.Join(dir, "rows.tsv")
	if err := os.WriteFile(source, []byte(lines.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	whole, store := filepath.Join(dir, "whole.db"), filepath.Join(dir, "killed.db")
	start := time.Now()
	kvcli(t, "", "load", whole, "b", source, "--batch", "200")
	took := time.Since(start)

	for kills := 0; ; kills++ {
		cmd := exec.Command("kvcli", "load", store, "b", source, "--batch", "200", "--resume")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		limit := time.Duration(random.Int64N(int64(took)))
		if kills == 8 {
			limit = time.Hour
		}
		select {
		case <-time.After(limit):
			cmd.Process.Kill()
			<-ended
			if _, err := os.Stat(store); err == nil {
				kvcli(t, "", "check", store)
			}
			continue
		case err := <-ended:
			if err != nil {
				t.Fatalf("after %d kills the load fails: %v", kills, err)
			}
		}
		break
	}
	kvcli(t, "", "check", store)
	if kvcli(t, "", "dump", store) != kvcli(t, "", "dump", whole) {
		t.Error("the content is not that of the load that ran through")
	}
}
