package bolt

import (
	"fmt"
	"math/bits"
	"os"
	"time"

	"github.com/foliokv/folio"
)

// A FreelistType names a representation of the list of free pages. There is one here, whatever
// the name: two trees in memory, by position and by length.
type FreelistType string

// The names of bbolt's representations.
const (
	FreelistArrayType = FreelistType("array")
	FreelistMapType   = FreelistType("hashmap")
)

// Options are the knobs of Open. Those that speak of how bbolt does things are accepted and
// change nothing; their comments say so.
type Options struct {
	// Timeout is how long Open waits for the file lock; past it, it returns ErrTimeout. 0 waits
	// for ever.
	Timeout time.Duration

	// NoGrowSync changes nothing: the file grows by writing, and what a transaction wrote is
	// flushed with it.
	NoGrowSync bool

	// NoFreelistSync changes nothing: a commit writes only what changed in the list of free
	// pages.
	NoFreelistSync bool

	// PreLoadFreelist lets Tx.Page work in a store opened read-only. Nothing is loaded.
	PreLoadFreelist bool

	// FreelistType changes nothing; see there.
	FreelistType FreelistType

	// ReadOnly opens the file without ever writing to it, with a lock that other read-only
	// opens share. The file must exist.
	ReadOnly bool

	// MmapFlags changes nothing.
	MmapFlags int

	// InitialMmapSize changes nothing: readers never wait for the file to be mapped anew, nor
	// does it for them.
	InitialMmapSize int

	// PageSize is the page size in bytes of a store that Open creates: a power of two from 4096
	// to 65536; others become the next that is. By default 4096. An existing store keeps its
	// own.
	PageSize int

	// MaxSize is the size in bytes that the file may not pass; 0 and less: no limit.
	MaxSize int

	// NoSync sets DB.NoSync.
	NoSync bool

	// OpenFile opens the file, by default os.OpenFile.
	OpenFile func(string, int, os.FileMode) (*os.File, error)

	// Mlock changes nothing: no memory is locked.
	Mlock bool

	// Logger gets what Open does, and events that no call returns, such as a failed background
	// flush. By default nothing is logged.
	Logger Logger

	// NoStatistics makes DB.Stats return zeros.
	NoStatistics bool
}

// DefaultOptions are what Open uses for nil options.
var DefaultOptions = &Options{FreelistType: FreelistArrayType}

// String returns the options for people.
func (o *Options) String() string {
	if o == nil {
		return "{}"
	}
	return fmt.Sprintf("{Timeout: %s, NoGrowSync: %t, NoFreelistSync: %t, PreLoadFreelist: %t, FreelistType: %s, ReadOnly: %t, "+
		"MmapFlags: %x, InitialMmapSize: %d, PageSize: %d, MaxSize: %d, NoSync: %t, OpenFile: %p, Mlock: %t, Logger: %p, NoStatistics: %t}",
		o.Timeout, o.NoGrowSync, o.NoFreelistSync, o.PreLoadFreelist, o.FreelistType, o.ReadOnly,
		o.MmapFlags, o.InitialMmapSize, o.PageSize, o.MaxSize, o.NoSync, o.OpenFile, o.Mlock, o.Logger, o.NoStatistics)
}

// folio returns the options as the engine takes them.
func (o *Options) folio() *folio.Options {
	f := &folio.Options{
		ReadOnly: o.ReadOnly,
		Timeout:  o.Timeout,
		PageSize: pageSize(o.PageSize),
		MaxSize:  int64(max(o.MaxSize, 0)),
		OpenFile: o.OpenFile,
	}
	if o.Timeout < 0 {
		f.Timeout = 1 // bbolt tries once
	}
	if o.Logger != nil {
		f.Logger = loggerFor(o.Logger)
	}
	return f
}

// pageSize returns the nearest page size that the engine has, 0 for its default.
func pageSize(n int) int {
	if n <= 0 {
		return 0
	}
	return 1 << min(max(bits.Len(uint(n-1)), 12), 16)
}
