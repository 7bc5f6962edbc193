// Package fuzz holds the black-box tests that look for what nobody thought of: crashes at every
// operation, faults at every operation, hostile files, and fuzz targets.
package fuzz

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

var (
	seed   = flag.Uint64("seed", 1, "first seed of the random tests")
	images = flag.Int("images", 0, "how many crash images to open; 0: 200,000, as part of all tests 70,000, with -short 20,000")
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}
