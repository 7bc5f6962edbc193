//go:build linux

package mmapfile_test

import (
	"fmt"
	"log"
	"os"

	"github.com/foliokv/folio/mmapfile"
)

// Mapping reads nothing: pages come when they are touched.
func ExampleFile_Resident() {
	f, err := mmapfile.Anonymous(100 * os.Getpagesize())
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	f.Advise(mmapfile.Random)
	before, total, err := f.Resident()
	fmt.Println(before, total, err)
	f.Bytes()[50*os.Getpagesize()] = 1
	after, _, err := f.Resident()
	fmt.Println(after, err)
	// Output:
	// 0 100 <nil>
	// 1 <nil>
}
