package mmapfile

import (
	"os"

	"golang.org/x/sys/unix"
)

func syncData(f *os.File) error { return syncFile(f) }

// syncFile asks for F_FULLFSYNC, because fsync on macOS does not reach beyond the drive's cache;
// some file systems (network, FUSE) only know fsync.
func syncFile(f *os.File) error {
	return control(f, func(fd uintptr) error {
		return ignoringEINTR(func() error {
			_, err := unix.FcntlInt(fd, unix.F_FULLFSYNC, 0)
			switch err {
			case unix.ENOTSUP, unix.EINVAL, unix.ENOTTY:
				return unix.Fsync(int(fd))
			}
			return err
		})
	})
}
