package mmapfile

import (
	"os"

	"golang.org/x/sys/unix"
)

// refresh drops the mapped pages that hold bytes lo to hi of b, so that the next access takes
// them from the cache that write(2) goes to: OpenBSD keeps the two apart.
func refresh(f *os.File, b []byte, lo, hi int64) error {
	lo -= lo % int64(os.Getpagesize())
	return ignoringEINTR(func() error { return unix.Msync(b[lo:hi], unix.MS_SYNC|unix.MS_INVALIDATE) })
}
