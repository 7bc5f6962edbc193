package fuzz

import (
	"encoding/binary"
	"io"

	"github.com/cespare/xxhash/v2"
)

// What the tests here know of the file format (docs/format.md), by themselves: a fault shared
// with the engine would hide.

const (
	metaSum  = 504 // the checksum's place in a meta
	metaRoot = 48
	metaLog  = 72
	metaTxid = 32
	metaPage = 12
	metaSeed = 24
	metaHwm  = 96
	refLen   = 24
)

var le = binary.LittleEndian

// newestMeta returns the place of the meta with the highest txid.
func newestMeta(b []byte) int {
	size := pageSizeOf(b)
	if le.Uint64(b[size+metaTxid:]) > le.Uint64(b[metaTxid:]) {
		return size
	}
	return 0
}

func pageSizeOf(b []byte) int { return int(le.Uint32(b[metaPage:])) }

func sealMeta(meta []byte) { le.PutUint64(meta[metaSum:], xxhash.Sum64(meta[:metaSum])) }

// logLength returns the number of pages of the free log.
func logLength(f interface {
	io.ReaderAt
	Size() (int64, error)
}) int {
	n, _ := f.Size()
	b := make([]byte, n)
	f.ReadAt(b, 0)
	size := pageSizeOf(b)
	length := 0
	for pgno := le.Uint32(b[newestMeta(b)+metaLog:]); pgno != 0; length++ {
		pgno = le.Uint32(b[int(pgno)*size+32:])
	}
	return length
}
