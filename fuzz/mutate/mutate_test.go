package main

import (
	"os"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// Every mutation still applies to the engine: each edit's place is there, once.
func TestMutationsApply(t *testing.T) {
	for _, m := range mutations {
		changed, err := m.apply(root)
		if err != nil {
			t.Errorf("%s does not apply: %v", m.name, err)
		}
		for name, text := range changed {
			if was, _ := os.ReadFile(root + "/" + name); slices.Equal(was, text) {
				t.Errorf("%s changes nothing in %s", m.name, name)
			}
		}
	}
}

// docs/durability.md has the list as it is.
func TestMutationsInTheDocument(t *testing.T) {
	b, err := os.ReadFile(root + "/docs/durability.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), table()) {
		t.Errorf("docs/durability.md does not have the mutations as `go run ./fuzz/mutate -list` prints them:\n%s", table())
	}
}
