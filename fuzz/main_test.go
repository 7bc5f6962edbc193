// Package fuzz holds the black-box tests that look for what nobody thought of: crashes at every
// operation, faults at every operation, hostile files, and fuzz targets.
package fuzz

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

var (
	seed   = flag.Uint64("seed", 1, "first seed of the random tests")
	images = flag.Int("images", 0, "how many crash images to open; 0: 200,000, as part of all tests 70,000, with -short 20,000")
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		fmt.Fprintln(os.Stderr, child(path)) // it ends by being killed only
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}
