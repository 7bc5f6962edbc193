package compat

import (
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
)

var (
	programs   = flag.Int("programs", 150, "programs of the differential test; all of it are 2000")
	operations = flag.Int("operations", 500, "operations of each program")
	seed       = flag.Uint64("seed", 0, "run just the program of this seed; 0: those from 1 on")
)

// TestProgramsGiveTheSame runs the same programs through bbolt and through package bolt.
func TestProgramsGiveTheSame(t *testing.T) {
	from, to := uint64(1), uint64(*programs)
	if *seed != 0 {
		from, to = *seed, *seed
	}
	seeds := make(chan uint64)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for seed := range seeds {
				compare(t, seed)
			}
		})
	}
	for s := from; s <= to && !t.Failed(); s++ {
		seeds <- s
	}
	close(seeds)
	wg.Wait()
}

func compare(t *testing.T, seed uint64) {
	dir, err := os.MkdirTemp("", "compat")
	if err != nil {
		t.Error(err)
		return
	}
	defer os.RemoveAll(dir)
	for _, d := range []string{"real", "ours"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Error(err)
			return
		}
	}
	want := run(realStore(), seed, *operations, filepath.Join(dir, "real"))
	got := run(ourStore(), seed, *operations, filepath.Join(dir, "ours"))
	for i := range max(len(want), len(got)) {
		w, g := line(want, i), line(got, i)
		if w == g {
			continue
		}
		for _, before := range want[max(0, i-12):i] {
			t.Logf("    %.300s", before)
		}
		t.Errorf("seed %d, line %d (go test -run %s -seed %d):\nbbolt: %.2000s\nbolt:  %.2000s", seed, i, t.Name(), seed, w, g)
		return
	}
}

func line(record []string, i int) string {
	if i < len(record) {
		return record[i]
	}
	return "(the end)"
}
