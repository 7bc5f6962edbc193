// Package boltfiles tests folio's reader and writer of bbolt files against bbolt itself: files that
// bbolt wrote are read pair by pair, and files written here stand bbolt's check and go on living in it.
//
// It also makes the files that the tests of folio's own module read, which has no bbolt:
//
//	go test ./boltfiles -run TestGolden -update
//
// A gigabyte, through the commands:
//
//	go test ./boltfiles -run TestCommands -v -size 1GiB
package boltfiles
