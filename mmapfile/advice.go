package mmapfile

import (
	"errors"
	"fmt"
)

// Advice tells the system how a map will be used.
type Advice int

const (
	// Normal takes back earlier advice.
	Normal Advice = iota

	// Sequential expects pages to be used in order: read far ahead.
	Sequential

	// Random expects no order: do not read ahead.
	Random

	// WillNeed expects all pages to be used soon: begin to read them.
	WillNeed

	// DontNeed expects no use soon: the pages may leave memory, and come from the file again.
	DontNeed

	// HugePage asks for larger pages, where the system has them for this kind of memory.
	HugePage
)

// String returns the constant's name.
func (a Advice) String() string {
	names := [...]string{"Normal", "Sequential", "Random", "WillNeed", "DontNeed", "HugePage"}
	if a < 0 || int(a) >= len(names) {
		return fmt.Sprintf("Advice(%d)", int(a))
	}
	return names[a]
}

// Advise gives advice about the whole map. Advice never changes contents, and what the platform
// does not know it ignores (Windows knows WillNeed only, Linux alone HugePage). DontNeed on Copy
// and anonymous maps, where it would destroy contents, is errors.ErrUnsupported on every
// platform.
func (f *File) Advise(a Advice) error {
	return f.hold("advise", func() error {
		switch {
		case a < Normal || a > HugePage:
			return fmt.Errorf("unknown advice %d", int(a))
		case a == DontNeed && (f.access == Copy || f.file == nil):
			return fmt.Errorf("DontNeed would destroy contents: %w", errors.ErrUnsupported)
		case len(f.mapped) == 0:
			return nil
		}
		return advise(f.mapped, a)
	})
}

// Lock reads the whole map into memory and keeps it there until Unlock, Resize or Close. The
// system limits how much a process may lock (RLIMIT_MEMLOCK, the working set).
func (f *File) Lock() error {
	return f.hold("lock memory", func() error { return f.ifMapped(lockMemory) })
}

// Unlock takes Lock back; without a Lock it does nothing.
func (f *File) Unlock() error {
	return f.hold("unlock memory", func() error { return f.ifMapped(unlockMemory) })
}

// Resident tells how many of the map's pages are in memory, out of how many: those the system
// has in its cache, or on Windows, those in this process's working set. Linux counts all pages
// of a file that this user may not write as resident. OpenBSD does not tell:
// errors.ErrUnsupported.
func (f *File) Resident() (pages, total int, err error) {
	err = f.hold("resident", func() error {
		return f.ifMapped(func(b []byte) error {
			pages, total, err = resident(b)
			return err
		})
	})
	return pages, total, err
}

func (f *File) ifMapped(fn func(b []byte) error) error {
	if len(f.mapped) == 0 {
		return nil
	}
	return fn(f.mapped)
}
