// Codesearch indexes the words of a source tree and finds the files that have all of some words.
//
//	go run ./examples/codesearch -index index.folio index "$(go env GOROOT)/src"
//	go run ./examples/codesearch -index index.folio search mmap pageSize
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/foliokv/folio"
)

func main() {
	log.SetFlags(0)
	file := flag.String("index", "index.folio", "where the index is kept")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "codesearch [-index FILE] index DIR\ncodesearch [-index FILE] search WORD...")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() < 2 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*file, flag.Arg(0), flag.Args()[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(file, command string, args []string) error {
	// What an index holds can be made again, so it does not wait for the disk.
	db, err := folio.Open(file, 0o644, &folio.Options{Durability: folio.Deferred, Timeout: time.Second})
	if err != nil {
		return err
	}
	defer db.Close()
	x := index{db}
	switch command {
	case "index":
		n, err := x.addTree(os.DirFS(args[0]))
		if err != nil {
			return err
		}
		fmt.Println(n, "files are new or have changed")
		return db.Sync()
	case "search":
		paths, err := x.search(args)
		if err != nil {
			return err
		}
		fmt.Println(strings.Join(paths, "\n"))
		return nil
	}
	return fmt.Errorf("unknown command %q", command)
}
