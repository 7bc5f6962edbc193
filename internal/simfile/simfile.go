// Package simfile is a file in memory that behaves as a file on a disk does when things go
// wrong. It knows which writes a completed flush covers and which only the page cache holds,
// makes the images that a power loss may leave at any moment, and fails operations on demand.
//
// What must hold:
//   - the log holds, in order, exactly the changes that no successful flush has covered; disk is
//     what the device holds for certain; cache is what a process sees, through ReadAt and maps
//     alike;
//   - a flush makes a prefix of the log durable, at its end and not before;
//   - for one seed and one sequence of calls everything is the same, image for image.
package simfile

import (
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"sync"
	"syscall"

	"github.com/foliokv/folio/internal/backing"
)

// pageSize is the unit in which the page cache forgets.
const pageSize = 4096

// growth is by how many bytes a file made of an image can grow before its memory is copied.
const growth = 320 << 10

// Options of a file; the zero value is good.
type Options struct {
	// Name is what Name returns; "sim" if empty.
	Name string

	// Seed decides which writes a failing flush lets through when told to let some through.
	Seed uint64

	// OnOp, if set, is called before each operation, with its number, by the goroutine that
	// performs it and without any lock: it may call the file's methods, take images, or block
	// (at SyncEnd: a flush that takes long).
	OnOp func(n int, op Op)

	// Capacity is the greatest length of the file in bytes; what would go beyond fails with
	// ENOSPC, after writing what fits. 0: no limit.
	Capacity int64

	// MapAhead is how far a map may reach past the file's end, in bytes; 0 means 256 KiB. A
	// file that outgrows it needs a new map.
	MapAhead int64

	// PrivateMaps gives every map memory of its own, and fills that with ClosedByte when the
	// map is closed, so that a later use is seen. It costs a copy of the file for each map.
	PrivateMaps bool

	// Untracked does not keep account of what is durable, which is cheaper: there can be no
	// images of such a file, it cannot be killed, and a failed flush loses nothing.
	Untracked bool

	// KeepCache makes DropCache do nothing, as on platforms that lack it.
	KeepCache bool

	// Direct makes Opened return a DirectFile.
	Direct bool

	// RedoBytes, if not 0, is the least length of the store's redo log in bytes, and RedoAfter how
	// many small flushes go before it: see backing.RedoTuner.
	RedoBytes int64
	RedoAfter int
}

// What a map shows past the end of the file (touching it would be a fault), and after Close of
// a private map.
const (
	BeyondByte = 0xA5
	ClosedByte = 0xDB
)

// Kind tells what an operation does.
type Kind uint8

// The kinds. The first four are numbered together, by Ops; Read and Map have counters of their
// own.
const (
	Any Kind = iota // in a Fault: any of the four that follow
	Write
	Truncate
	SyncBegin // a flush starts: it covers what was written before
	SyncEnd   // that flush ends: what it covers is durable now
	Read
	Map
)

func (k Kind) String() string {
	return [...]string{"any", "write", "truncate", "sync begin", "sync end", "read", "map"}[k]
}

// An Op is one operation on the file. A vectored write is one Op for each buffer.
type Op struct {
	Kind Kind
	Off  int64 // Write, Read
	Len  int64 // Write, Read, Map; the new length in a Truncate
}

// String gives "write 4096@8192", "truncate 65536", "sync begin".
func (o Op) String() string {
	switch o.Kind {
	case Write, Read:
		return fmt.Sprintf("%v %d@%d", o.Kind, o.Len, o.Off)
	case Truncate, Map:
		return fmt.Sprintf("%v %d", o.Kind, o.Len)
	}
	return o.Kind.String()
}

// A change is an operation that is not durable yet. Changes are immutable.
type change struct {
	Op
	data []byte // of a Write
	seq  uint64
}

// A File implements backing.File. Its methods may be called by several goroutines at once.
type File struct {
	opts Options

	mu     sync.RWMutex
	size   int64 // as a process sees it
	cache  *buffer
	mapped []*buffer // all buffers that open maps show; cache may be one of them
	log    []change
	seq    uint64 // of the newest change
	limbo  map[int64]struct{}
	disk   []byte
	own    bool // disk may be written to; else it is someone else's image
	listed bool // the directory entry is durable
	closed bool
	ops    int
	reads  int
	maps   int
	faults []Fault
	rand   *rand.Rand
}

var _ backing.File = (*File)(nil)

// New makes an empty file that was just created: its directory entry becomes durable with the
// first SyncFull, and until then a power loss may leave no file at all.
func New(o Options) *File {
	f := newFile(o)
	f.own = true
	f.grow(0)
	return f
}

// FromImage makes a file that holds image, all of it durable. The image is borrowed: it must
// not change as long as the file is used. (Images yields one image at a time, so a file made
// of it is good for the body of the loop.)
func FromImage(image []byte, o Options) *File {
	f := newFile(o)
	f.disk, f.listed = image, true
	f.size = int64(len(image))
	f.cache = newBuffer(f.size+f.opts.MapAhead+growth, image)
	return f
}

func newFile(o Options) *File {
	if o.Name == "" {
		o.Name = "sim"
	}
	if o.MapAhead == 0 {
		o.MapAhead = 256 << 10
	}
	return &File{
		opts:  o,
		limbo: map[int64]struct{}{},
		rand:  rand.New(rand.NewPCG(o.Seed, 0x51f1)),
	}
}

// Kill returns the file as the next process finds it after this one was killed, or has closed
// it: same cache, same disk, same unflushed changes, no maps, no faults, and counters at zero.
// Both files may be used after that; they share nothing.
func (f *File) Kill(o Options) *File {
	f.mu.RLock()
	defer f.mu.RUnlock()
	f.mustBeTracked()
	n := newFile(o)
	n.size, n.seq, n.listed = f.size, f.seq, f.listed
	n.log = append(n.log, f.log...)
	for p := range f.limbo {
		n.limbo[p] = struct{}{}
	}
	n.disk, n.own = append(getMemory(len(f.disk))[:0], f.disk...), true
	n.cache = newBuffer(n.size+n.opts.MapAhead, f.cache.mem[:f.size])
	return n
}

// Release gives the file's memory back for reuse by other files. Neither the file nor its maps
// may be used afterwards. It is worth calling where very many files are made.
func (f *File) Release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.mapped) == 0 {
		putMemory(f.cache.mem)
	}
	if f.own {
		putMemory(f.disk)
	}
	f.cache, f.disk, f.log, f.closed = &buffer{}, nil, nil, true
	f.size, f.mapped = 0, nil
}

// Ops returns how many operations there were so far: the number of the next one.
func (f *File) Ops() int {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.ops
}

// Reads returns how many calls of ReadAt there were so far.
func (f *File) Reads() int {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.reads
}

// Maps returns how many calls of Map there were so far.
func (f *File) Maps() int {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.maps
}

// OpenMaps returns how many maps are open.
func (f *File) OpenMaps() int {
	f.mu.RLock()
	defer f.mu.RUnlock()
	n := 0
	for _, b := range f.mapped {
		n += b.maps
	}
	return n
}

// Unflushed returns the operations that no successful flush covers, oldest first.
func (f *File) Unflushed() []Op {
	f.mu.RLock()
	defer f.mu.RUnlock()
	ops := make([]Op, len(f.log))
	for i, c := range f.log {
		ops[i] = c.Op
	}
	return ops
}

// SetCapacity changes Options.Capacity: a disk that fills up, or is cleared.
func (f *File) SetCapacity(n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opts.Capacity = n
}

// Name returns Options.Name.
func (f *File) Name() string { return f.opts.Name }

// Size returns the length as a process sees it.
func (f *File) Size() (int64, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.closed {
		return 0, f.wrap("stat", fs.ErrClosed)
	}
	return f.size, nil
}

// ReadAt reads what the page cache holds.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	if err := f.countRead(); err != nil {
		return 0, err
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.closed {
		return 0, f.wrap("read", fs.ErrClosed)
	}
	if off < 0 {
		return 0, f.wrap("read", syscall.EINVAL)
	}
	if len(p) == 0 {
		return 0, nil
	}
	if off >= f.size {
		return 0, io.EOF
	}
	n := copy(p, f.cache.mem[off:f.size])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt writes to the page cache.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	op := Op{Write, off, int64(len(p))}
	fault := f.begin(op)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return 0, f.wrap("write", fs.ErrClosed)
	}
	if off < 0 {
		return 0, f.wrap("write", syscall.EINVAL)
	}
	if fault != nil {
		n := fault.reach(len(p))
		f.write(p[:n], off)
		if fault.Reach == All {
			n = 0
		}
		return n, f.wrap("write", fault.Err)
	}
	if fits := f.fits(off, len(p)); fits < len(p) {
		f.write(p[:fits], off)
		return fits, f.wrap("write", syscall.ENOSPC)
	}
	f.write(p, off)
	return len(p), nil
}

// WriteVec writes each buffer as an operation of its own.
func (f *File) WriteVec(bufs [][]byte, off int64) (int, error) {
	done := 0
	for _, b := range bufs {
		n, err := f.WriteAt(b, off+int64(done))
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// Truncate sets the length.
func (f *File) Truncate(size int64) error {
	fault := f.begin(Op{Kind: Truncate, Len: size})
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed:
		return f.wrap("truncate", fs.ErrClosed)
	case size < 0:
		return f.wrap("truncate", syscall.EINVAL)
	case fault != nil:
		if fault.Reach == All {
			f.truncate(size)
		}
		return f.wrap("truncate", fault.Err)
	case f.opts.Capacity != 0 && size > max(f.opts.Capacity, f.size):
		return f.wrap("truncate", syscall.ENOSPC)
	}
	f.truncate(size)
	return nil
}

// SyncData makes all that was written before durable.
func (f *File) SyncData() error { return f.sync(false) }

// SyncFull does what SyncData does, and makes the directory entry durable.
func (f *File) SyncFull() error { return f.sync(true) }

// DropCache forgets the cached copies of pages that a failed flush left clean: they show what
// the disk holds from then on. Other clean pages are the same on disk, and dirty ones stay.
func (f *File) DropCache(off, n int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return f.wrap("fadvise", fs.ErrClosed)
	}
	if f.opts.KeepCache {
		return nil
	}
	for p := range f.limbo {
		if at := p * pageSize; at < off+n && off < at+pageSize {
			f.evict(p)
		}
	}
	return nil
}

// Opened returns the file as a store is to see it: with Options.Direct as a DirectFile.
func (f *File) Opened() backing.File {
	if f.opts.Direct {
		return DirectFile{f}
	}
	return f
}

// RedoLog is that of backing.RedoTuner.
func (f *File) RedoLog() (after int, bytes int64) {
	if f.opts.RedoBytes == 0 {
		return 64, 64 << 10
	}
	return f.opts.RedoAfter, f.opts.RedoBytes
}

// A DirectFile is a File of a system that passes over DropCache, but can read past its cache.
type DirectFile struct{ *File }

func (DirectFile) DropCache(off, n int64) error { return nil }

// ReadDevice is that of backing.DeviceReader. Pages that are dirty it takes from the cache, as if
// it had written them.
func (f DirectFile) ReadDevice(p []byte, off int64) (int, error) {
	n, err := f.ReadAt(p, off)
	f.mu.RLock()
	defer f.mu.RUnlock()
	for page := range f.limbo {
		at := page * pageSize
		from, to := max(at, off), min(at+pageSize, off+int64(n))
		if from >= to {
			continue
		}
		b := p[from-off : to-off]
		clear(b)
		if from < int64(len(f.disk)) {
			copy(b, f.disk[from:])
		}
	}
	return n, err
}

// Evict does what the kernel may do at any moment: it forgets every page that a failed flush
// left clean.
func (f *File) Evict() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for p := range f.limbo {
		f.evict(p)
	}
}

// Limbo returns how many pages are clean in the cache though the disk may lack them.
func (f *File) Limbo() int {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return len(f.limbo)
}

// Close ends the use of the file; what was not flushed stays so. Kill opens it again.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return f.wrap("close", fs.ErrClosed)
	}
	f.closed = true
	return nil
}

// begin numbers an operation, tells the hook, and returns the fault that it is to meet.
func (f *File) begin(op Op) *Fault {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return nil
	}
	n := f.ops
	f.ops++
	fault := f.take(op, n)
	f.mu.Unlock()
	if f.opts.OnOp != nil {
		f.opts.OnOp(n, op)
	}
	return fault
}

func (f *File) countRead() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads++
	if fault := f.take(Op{Kind: Read}, f.reads-1); fault != nil {
		return f.wrap("read", fault.Err)
	}
	return nil
}

func (f *File) wrap(op string, err error) error {
	return &fs.PathError{Op: op, Path: f.opts.Name, Err: err}
}

// fits returns how many of n bytes at off the capacity has room for.
func (f *File) fits(off int64, n int) int {
	limit := max(f.opts.Capacity, f.size)
	if f.opts.Capacity == 0 || off+int64(n) <= limit {
		return n
	}
	return int(max(0, limit-off))
}

// write changes the cache and logs the change.
func (f *File) write(p []byte, off int64) {
	if len(p) == 0 {
		return
	}
	end := off + int64(len(p))
	f.resize(max(end, f.size))
	f.store(off, p)
	f.note(Op{Write, off, int64(len(p))}, p)
	f.redirty(off, end)
}

func (f *File) truncate(size int64) {
	f.resize(size)
	f.note(Op{Kind: Truncate, Len: size}, nil)
}

func (f *File) mustBeTracked() {
	if f.opts.Untracked {
		panic("simfile: a crash of a file that is not tracked")
	}
}

// note logs a change; it copies data.
func (f *File) note(op Op, data []byte) {
	if f.opts.Untracked {
		return
	}
	f.seq++
	f.log = append(f.log, change{op, append([]byte(nil), data...), f.seq})
}

// redirty makes the pages of a range dirty as a whole where they were in limbo: the kernel
// writes pages, so the next flush writes what an earlier one lost.
func (f *File) redirty(off, end int64) {
	if len(f.limbo) == 0 {
		return
	}
	for p := off / pageSize; p*pageSize < end; p++ {
		if _, ok := f.limbo[p]; ok {
			delete(f.limbo, p)
			f.notePage(p)
		}
	}
}

// notePage logs all of a page as the cache has it.
func (f *File) notePage(p int64) {
	from, to := p*pageSize, min((p+1)*pageSize, f.size)
	if from < to {
		f.note(Op{Write, from, to - from}, f.cache.mem[from:to])
	}
}

// sync covers the log as it is at SyncBegin and makes it durable at SyncEnd.
func (f *File) sync(full bool) error {
	fault := f.begin(Op{Kind: SyncBegin})
	f.mu.Lock()
	upto, closed := f.seq, f.closed
	f.mu.Unlock()
	if closed {
		return f.wrap("sync", fs.ErrClosed)
	}
	if fault == nil {
		fault = f.begin(Op{Kind: SyncEnd})
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if fault != nil {
		f.failFlush(upto, fault.Reach)
		return f.wrap("sync", fault.Err)
	}
	f.settle(f.covered(upto), func(int) bool { return true })
	f.listed = f.listed || full
	return nil
}

// covered returns how many changes of the log are not newer than upto.
func (f *File) covered(upto uint64) int {
	n := 0
	for n < len(f.log) && f.log[n].seq <= upto {
		n++
	}
	return n
}

// settle takes the first n changes from the log and applies those that reach the disk.
func (f *File) settle(n int, reaches func(i int) bool) {
	for i, c := range f.log[:n] {
		if reaches(i) {
			f.disk = c.apply(f.ownDisk())
		}
	}
	f.log = append(f.log[:0], f.log[n:]...)
}

func (f *File) ownDisk() []byte {
	if !f.own {
		f.disk, f.own = append(getMemory(len(f.disk))[:0], f.disk...), true
	}
	return f.disk
}

// apply returns the disk with the change made.
func (c change) apply(disk []byte) []byte {
	end := c.Off + c.Len
	if c.Kind == Truncate {
		return setLen(disk, c.Len)
	}
	if end > int64(len(disk)) {
		disk = setLen(disk, end)
	}
	copy(disk[c.Off:], c.data)
	return disk
}

// setLen cuts b, or extends it by zeros.
func setLen(b []byte, n int64) []byte {
	if n <= int64(len(b)) {
		return b[:n]
	}
	was := len(b)
	if n > int64(cap(b)) {
		b = append(make([]byte, 0, n+n/4), b...)
	}
	b = b[:n]
	clear(b[was:])
	return b
}
