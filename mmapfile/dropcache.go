package mmapfile

import "os"

// DropCache asks the system to forget its clean cached copies of n bytes of f from off on, so
// that the next read comes from the device; n of 0 means to the end. It is a hint: pages that
// are dirty, locked, or in use by a map of any process stay, those that Linux keeps together with others (large folios) stay unless the
// range has them all, and where there is no such call (other than on Linux, FreeBSD and NetBSD) it does nothing. [ReadDevice] does
// not depend on it.
func DropCache(f *os.File, off, n int64) error {
	if off < 0 || n < 0 {
		return wrap("drop cache", f.Name(), ErrOutOfRange)
	}
	return wrap("drop cache", f.Name(), dropCache(f, off, n))
}
