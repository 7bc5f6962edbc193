// Package backing names what the engine asks of the file below it, so that the real file, a
// file in memory and the simulated file of the crash tests are interchangeable.
package backing

// A File is one store's file. Its methods may be called by several goroutines at once; writes
// to overlapping ranges are never issued concurrently.
//
// Every error wraps the system's own, so errors.Is(err, syscall.ENOSPC) works.
type File interface {
	// Name is the path the file was opened with.
	Name() string

	// Size returns the length in bytes.
	Size() (int64, error)

	// ReadAt reads as io.ReaderAt does: a read that ends past the end is short, with io.EOF.
	ReadAt(p []byte, off int64) (int, error)

	// WriteAt writes as io.WriterAt does; writing past the end extends the file.
	WriteAt(p []byte, off int64) (int, error)

	// WriteVec writes the buffers one behind the other from off on, in as few system calls
	// as the platform allows. It returns the bytes written, and an error if they are not all.
	WriteVec(bufs [][]byte, off int64) (int, error)

	// Truncate sets the length; a longer file reads as zeros in the part added.
	Truncate(size int64) error

	// SyncData makes all completed writes durable, and the length as far as reading them
	// back needs it (fdatasync, F_FULLFSYNC, FlushFileBuffers).
	SyncData() error

	// SyncFull makes the file and all its metadata durable; for a new file its directory
	// entry as well.
	SyncFull() error

	// DropCache asks the system to forget clean cached copies of a range, so that the next
	// read comes from the device. It is a hint: where it cannot be done it does nothing.
	DropCache(off, n int64) error

	// Map maps the file's first bytes read-only. Bytes returns at least size bytes, or, where
	// a platform cannot map past a file's end, as many as the file has. Touching bytes past
	// the end of the file is a fault. A map stays valid, and shows what is written to the part
	// it shares with the file, until it is closed; a file in memory shows at least all that
	// was written before Map returned.
	Map(size int64) (Map, error)

	// Close releases the file and its lock. Maps live on until they are closed themselves.
	Close() error
}

// A PageReader is a File with a ReadAt for pages in no order, of which many goroutines read one
// each at a time.
type PageReader interface {
	ReadPage(p []byte, off int64) (int, error)
}

// A DeviceReader is a File with a ReadAt for what the device holds, whatever the system keeps of it
// in memory. Bytes that were written but not flushed it brings to the device first. The error is
// errors.ErrUnsupported where that cannot be done. Nobody may read or write otherwise meanwhile; a
// flush may be under way.
type DeviceReader interface {
	ReadDevice(p []byte, off int64) (int, error)
}

// A Map is a read-only view of the beginning of a File.
type Map interface {
	// Bytes is the memory; it must not be written to, nor used after Close.
	Bytes() []byte

	// Refresh makes writes to a range visible in Bytes where maps and writes are not
	// coherent (OpenBSD); elsewhere it does nothing.
	Refresh(off, n int64) error

	// Cached tells whether a range is in memory, so that reading it does not wait for the
	// device: a hint. It is false where that cannot be told.
	Cached(off, n int64) bool

	// Close unmaps.
	Close() error
}

// A Splitter is a Map of a file that the system may keep in memory in pieces larger than pages, of
// which it is slow to change a part. Split has the piece around off taken apart: a hint.
type Splitter interface {
	Split(off int64)
}

// A RedoTuner is a File whose store begins a redo log after another number of small flushes than usual,
// and makes it at least this many bytes long: simulated files, so that short tests come that far.
type RedoTuner interface {
	RedoLog() (after int, bytes int64)
}

// OpenFunc opens a store on a File. Package folio sets Open at start-up; options is a
// *folio.Options or nil, the result a *folio.DB. The store owns the file from the call on: a
// failed open closes it. It is the door by which tests put a simulated file under the engine,
// and is internal because no user needs it.
type OpenFunc func(f File, options any) (db any, err error)

// Open is set by package folio.
var Open OpenFunc
