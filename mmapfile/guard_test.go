package mmapfile_test

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/foliokv/folio/mmapfile"
)

// needFaults skips a test where the platform has no faults to show.
func needFaults(t testing.TB) {
	t.Helper()
	if !hasMaps {
		t.Skip("memory has no faults on this platform")
	}
	if runtime.GOOS == "linux" && runtime.GOARCH == "arm64" && !faultsHaveAddresses(t) {
		t.Skip("this emulator does not tell the addresses of faults, so they look like nil pointers")
	}
}

// faultsHaveAddresses makes a fault and sees whether Guard knows it for one. Under qemu-user on
// arm64 it cannot.
func faultsHaveAddresses(t testing.TB) (ok bool) {
	r, err := mmapfile.Reserve(tempFile(t, nil), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer func() { recover() }()
	return mmapfile.Guard(func() error { _ = bytes.Clone(r.Bytes()); return nil }) != nil
}

// forbidden returns memory that faults when it is written to.
func forbidden(t testing.TB) []byte {
	t.Helper()
	needFaults(t)
	return openTemp(t, strings.Repeat("x", 1<<20), mmapfile.ReadOnly).Bytes()
}

func TestGuardReturnsFaults(t *testing.T) {
	memory := forbidden(t)
	err := mmapfile.Guard(func() error {
		memory[70_000]++
		return nil
	})
	var fault *mmapfile.FaultError
	if !errors.As(err, &fault) {
		t.Fatalf("%v", err)
	}
	var re runtime.Error
	if !errors.As(err, &re) {
		t.Errorf("%v does not unwrap to the runtime's error", err)
	}
	t.Log(err)
}

func TestGuardPassesThrough(t *testing.T) {
	if err := mmapfile.Guard(func() error { return io.EOF }); err != io.EOF {
		t.Errorf("%v", err)
	}
	for name, fn := range map[string]func(){
		"a value":     func() { panic("value") },
		"an error":    func() { panic(io.EOF) },
		"nil pointer": func() { var p *int; *p = 1 },
		"index":       func() { s := []int{}; _ = s[len(s)] },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s was swallowed", name)
				}
			}()
			mmapfile.Guard(func() error { fn(); return nil })
		}()
	}
	done := make(chan bool)
	go func() {
		defer close(done)
		mmapfile.Guard(func() error { runtime.Goexit(); return nil })
		t.Error("Goexit was swallowed")
	}()
	<-done
}

func TestGuardNests(t *testing.T) {
	memory := forbidden(t)
	var fault *mmapfile.FaultError
	err := mmapfile.Guard(func() error {
		inner := mmapfile.Guard(func() error { memory[0]++; return nil })
		if !errors.As(inner, &fault) {
			t.Errorf("inner: %v", inner)
		}
		copy(memory, "text")
		t.Error("no fault after the inner guard")
		return nil
	})
	if !errors.As(err, &fault) {
		t.Errorf("outer: %v", err)
	}
}

func TestGuardConcurrent(t *testing.T) {
	memory := forbidden(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 50 {
				var fault *mmapfile.FaultError
				if err := mmapfile.Guard(func() error { memory[i*4096]++; return nil }); !errors.As(err, &fault) {
					t.Errorf("%v", err)
				}
			}
		})
	}
	wg.Wait()
}
