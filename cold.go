package folio

import (
	"runtime"

	"github.com/foliokv/folio/internal/backing"
)

// This file is reading with less memory than data. A goroutine that waits for the device holds one
// of the scheduler's processors: for as long as it takes if it waits by a fault, and in a system call
// until the runtime notices, which takes longer than many a device. So with many readers no more
// reads would be under way at a time than there are processors. Two means:
//
//   - A page that is needed for the first time is read by a call that does not wait, and only begins
//     to read; then others run, and begin to read theirs (readPage).
//   - A page that was verified is read from the mapping. While such pages are found to have been
//     evicted, each is asked for (mincore) before it is touched, and read like a new one if it is not
//     in memory (fetch). As long as none is found, a transaction now and then looks at a few
//     pages; the others pay one load of memory.
//
// With no more readers than processors nobody is kept waiting, and neither is done: a fault is
// the cheapest way to read a page.

const (
	coldBegin = 256  // one of so many read transactions looks
	coldPages = 4    // at how many pages
	coldEnd   = 4096 // so many pages in a row that are in memory end it
)

// look makes a transaction that begins ask for pages before it touches them, if there are more
// readers than processors. Fewer lose nothing by a fault. It is decided at the begin, for
// several goroutines may read in one transaction.
func (tx *Tx) look() {
	if tx.db.readers.open() <= runtime.GOMAXPROCS(0) {
		if tx.db.cold.Load() > 0 {
			tx.db.cold.Add(-coldEnd / 64) // at times few of many have begun
		}
		return
	}
	tx.looking = true
	tx.left.Store(coldPages)
	tx.known = 0 // every page comes by load
}

// fetch sees to it that a verified page is in memory.
func (tx *Tx) fetch(pgno uint32) {
	db := tx.db
	cold := db.cold.Load() > 0
	if !cold && (tx.left.Load() <= 0 || tx.left.Add(-1) < 0) {
		return
	}
	if tx.m.cached(pgno, 1) {
		if cold {
			db.cold.Add(-1)
		}
		return
	}
	buf := db.readBuffer()
	defer db.putReadBuffer(buf)
	if db.readPage((*buf)[:db.pageSize], pgno) != nil {
		return // who reads it will find out
	}
	// Not every system tells what is in memory.
	if cold || tx.m.cached(pgno, 1) {
		db.cold.Store(coldEnd)
	}
}

// readPage reads a page that a reader needs.
func (db *DB) readPage(p []byte, pgno uint32) error {
	defer db.reading.Add(-1)
	off := int64(pgno) << db.shift
	r, ok := db.file.(backing.PageReader)
	if int(db.reading.Add(1)) <= runtime.GOMAXPROCS(0) || !ok {
		return readFull(db.file, p, off)
	}
	n, err := r.ReadPage(p, off)
	return fullRead(n, p, err)
}
