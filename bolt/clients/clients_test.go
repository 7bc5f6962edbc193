package clients

import (
	"flag"
	"os/exec"
	"strings"
	"testing"

	// What is tested, so that go.mod keeps it and what its tests need.
	_ "github.com/hashicorp/raft-boltdb/v2"
)

var verbose = flag.Bool("suites", false, "show what the suites print")

// TestClients runs the suites of packages that use bbolt, as their authors wrote them.
func TestClients(t *testing.T) {
	for _, pkg := range []string{"github.com/hashicorp/raft-boltdb/v2"} {
		t.Run(pkg, func(t *testing.T) {
			out, err := exec.Command("go", "test", "-count=1", "-v", pkg).CombinedOutput()
			passed := strings.Count(string(out), "\n--- PASS: ")
			if err != nil || passed == 0 || strings.Contains(string(out), "--- FAIL: ") {
				t.Fatalf("%v, %d tests passed:\n%s", err, passed, out)
			}
			t.Logf("%d tests passed", passed)
			if *verbose {
				t.Logf("%s", out)
			}
		})
	}
}

// TestTheDropInIsUsed makes sure that it is not bbolt that passes.
func TestTheDropInIsUsed(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", "{{.Dir}}", "go.etcd.io/bbolt").CombinedOutput()
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), "dropin") {
		t.Fatalf("go.etcd.io/bbolt is %s (%v)", out, err)
	}
}
