//go:build !linux && !darwin && !windows

package mmapfile

import (
	"os"
	"slices"
	"sync"
)

// A byteLock is what one owner holds of a file.
type byteLock struct {
	owner     any
	off, end  int64 // end is exclusive
	exclusive bool
}

// A lockTable holds the locks of this process: all there are on platforms without file locks,
// and what the system does not tell apart where it gives locks to processes, not to handles.
type lockTable struct {
	mu    sync.Mutex
	files []*lockedFile
}

// A lockedFile is a file with at least one lock.
type lockedFile struct {
	info    os.FileInfo
	locks   []byteLock
	pending []*os.File // handles to close when the last lock is gone
}

// tryLock gives want to its owner in place of what it had of that range, unless another owner
// stands against it. The lock counts only if system, called last, agrees.
func (t *lockTable) tryLock(f *os.File, want byteLock, system func() (bool, error)) (bool, error) {
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	file := t.find(info)
	if file == nil {
		file = &lockedFile{info: info}
	}
	if slices.ContainsFunc(file.locks, want.conflicts) {
		return false, nil
	}
	if ok, err := system(); !ok || err != nil {
		return false, err
	}
	file.locks = append(without(file.locks, want.owner, want.off, want.end), want)
	if len(file.locks) == 1 && !slices.Contains(t.files, file) {
		t.files = append(t.files, file)
	}
	return true, nil
}

// unlock takes the range from owner and calls system for each part of it that nobody else holds.
func (t *lockTable) unlock(f *os.File, owner any, off, end int64, system func(off, end int64) error) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	file := t.find(info)
	if file == nil {
		return nil
	}
	file.locks = without(file.locks, owner, off, end)
	for _, gap := range gaps(file.locks, off, end) {
		if err := system(gap.off, gap.end); err != nil {
			return err
		}
	}
	if len(file.locks) > 0 {
		return nil
	}
	for _, f := range file.pending {
		f.Close()
	}
	t.files = slices.DeleteFunc(t.files, func(other *lockedFile) bool { return other == file })
	return nil
}

// closeUnlocked closes f, or leaves that to the unlock that frees its file.
func (t *lockTable) closeUnlocked(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return f.Close()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if file := t.find(info); file != nil {
		file.pending = append(file.pending, f)
		return nil
	}
	return f.Close()
}

// find returns the entry of a file, or nil. The caller holds the mutex.
func (t *lockTable) find(info os.FileInfo) *lockedFile {
	i := slices.IndexFunc(t.files, func(f *lockedFile) bool { return os.SameFile(f.info, info) })
	if i < 0 {
		return nil
	}
	return t.files[i]
}

// conflicts tells whether have, held by another owner, stands against l.
func (l byteLock) conflicts(have byteLock) bool {
	return have.owner != l.owner && have.off < l.end && l.off < have.end && (l.exclusive || have.exclusive)
}

// without returns locks less what owner holds of a range.
func without(locks []byteLock, owner any, off, end int64) (rest []byteLock) {
	for _, l := range locks {
		if l.owner != owner || l.end <= off || end <= l.off {
			rest = append(rest, l)
			continue
		}
		left, right := l, l
		left.end, right.off = off, end
		for _, part := range []byteLock{left, right} {
			if part.off < part.end {
				rest = append(rest, part)
			}
		}
	}
	return rest
}

// gaps returns the parts of a range that no lock covers.
func gaps(locks []byteLock, off, end int64) []byteLock {
	parts := []byteLock{{off: off, end: end}}
	for _, l := range locks {
		parts = without(parts, nil, l.off, l.end)
	}
	return parts
}
