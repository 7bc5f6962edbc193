package simfile

import "syscall"

// Reach tells how much of a failing operation happens all the same.
type Reach uint8

const (
	// None: a write changes nothing; a flush writes nothing.
	None Reach = iota
	// Some: of a write the first half is written, and reported (a short write); of the writes
	// that a flush covers a random half reaches the disk.
	Some
	// All: the write or truncation happens, the flush reaches the disk, and an error is
	// returned nevertheless.
	All
)

// A Fault makes an operation fail. A flush that fails, at SyncBegin or SyncEnd, drops its dirty
// pages as Linux does: the cache shows them and calls them clean, no later flush writes them,
// and once they are evicted (DropCache, Evict, a power loss) the disk's content shows.
type Fault struct {
	// At is the number of the operation that fails (see Ops): the first one of the Kind that
	// is not before it. For the kinds Read and Map it counts calls of these (see Reads, Maps).
	At int

	// Kind restricts the fault to operations of a kind; Any is for all but Read and Map.
	Kind Kind

	// From spares writes that begin before this offset, Spare those at offsets for which it returns
	// true. It must not call the file.
	From  int64
	Spare func(off int64) bool

	// Always: all operations from the first failing one on fail too, if they are of the Kind.
	Always bool

	// Err is the system's error, returned inside an *fs.PathError; nil means EIO.
	Err error

	// Reach tells what happens in spite of the error.
	Reach Reach

	hit bool
}

// Fail adds a fault.
func (f *File) Fail(x Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if x.Err == nil {
		x.Err = syscall.EIO
	}
	x.hit = false
	f.faults = append(f.faults, x)
}

// Heal removes all faults, those that have fired and those that have not.
func (f *File) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = nil
}

// Fired tells whether an operation failed by one of the present faults.
func (f *File) Fired() bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for i := range f.faults {
		if f.faults[i].hit {
			return true
		}
	}
	return false
}

// take returns the fault that an operation, the nth, meets, or nil.
func (f *File) take(op Op, n int) *Fault {
	for i := range f.faults {
		x := &f.faults[i]
		if x.matches(op) && n >= x.At && (x.Always || !x.hit) {
			x.hit = true
			return x.copy()
		}
	}
	return nil
}

func (x *Fault) copy() *Fault {
	y := *x
	return &y
}

func (x *Fault) matches(op Op) bool {
	if op.Kind == Write && (op.Off < x.From || x.Spare != nil && x.Spare(op.Off)) {
		return false
	}
	return x.Kind == op.Kind || x.Kind == Any && op.Kind != Read && op.Kind != Map
}

// reach returns how many of n bytes are written.
func (x *Fault) reach(n int) int {
	switch x.Reach {
	case Some:
		return n / 2
	case All:
		return n
	}
	return 0
}

// failFlush ends a flush that covered the changes up to upto: some reach the disk, the pages of
// the others are in limbo, but for those dirtied again meanwhile.
func (f *File) failFlush(upto uint64, reach Reach) {
	n := f.covered(upto)
	reached := make([]bool, n)
	lost := map[int64]struct{}{}
	for i, c := range f.log[:n] {
		reached[i] = reach == All || reach == Some && f.rand.IntN(2) == 0
		if !reached[i] {
			eachPage(c.Op, func(p int64) { lost[p] = struct{}{} })
		}
	}
	f.settle(n, func(i int) bool { return reached[i] })
	f.rescue(lost)
	for p := range lost {
		f.limbo[p] = struct{}{}
	}
}

// rescue takes from lost the pages that are dirty by a newer write: they are written whole by
// the next flush.
func (f *File) rescue(lost map[int64]struct{}) {
	for _, c := range f.log {
		eachPage(c.Op, func(p int64) {
			if _, ok := lost[p]; ok {
				delete(lost, p)
				f.notePage(p)
			}
		})
	}
}

// eachPage calls fn for each page that a write touches.
func eachPage(op Op, fn func(p int64)) {
	if op.Kind != Write {
		return
	}
	for p := op.Off / pageSize; p*pageSize < op.Off+op.Len; p++ {
		fn(p)
	}
}

// evict makes the cache show what the disk holds of a page.
func (f *File) evict(p int64) {
	delete(f.limbo, p)
	from, to := p*pageSize, min((p+1)*pageSize, f.size)
	if from >= to {
		return
	}
	page := make([]byte, to-from)
	if from < int64(len(f.disk)) {
		copy(page, f.disk[from:])
	}
	f.store(from, page)
}
