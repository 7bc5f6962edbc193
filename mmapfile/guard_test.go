package mmapfile_test

import (
	"errors"
	"io"
	"runtime"
	"sync"
	"testing"

	"github.com/foliokv/folio/mmapfile"
)

// unmapped returns memory whose access is a fault.
func unmapped(t testing.TB) []byte {
	t.Helper()
	if !mmapfile.CanReserve {
		t.Skip("this platform cannot map past a file's end")
	}
	r, err := mmapfile.Reserve(tempFile(t, nil), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r.Bytes()
}

func TestGuardReturnsFaults(t *testing.T) {
	hole := unmapped(t)
	err := mmapfile.Guard(func() error {
		hole[70_000]++ // a read comes first
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
	hole := unmapped(t)
	var fault *mmapfile.FaultError
	err := mmapfile.Guard(func() error {
		inner := mmapfile.Guard(func() error { hole[0]++; return nil })
		if !errors.As(inner, &fault) {
			t.Errorf("inner: %v", inner)
		}
		copy(make([]byte, 100), hole)
		t.Error("no fault after the inner guard")
		return nil
	})
	if !errors.As(err, &fault) {
		t.Errorf("outer: %v", err)
	}
}

func TestGuardConcurrent(t *testing.T) {
	hole := unmapped(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 50 {
				var fault *mmapfile.FaultError
				if err := mmapfile.Guard(func() error { hole[i*4096]++; return nil }); !errors.As(err, &fault) {
					t.Errorf("%v", err)
				}
			}
		})
	}
	wg.Wait()
}
