package mmapfile

import (
	"os"

	"golang.org/x/sys/unix"
)

// splitPays tells whether writing to a part of a large piece of the file takes longer than to a page
// of its own. ext4 goes through the list of the piece's blocks several times with every write, and
// when it is flushed.
func splitPays(f *os.File) bool {
	var s unix.Statfs_t
	err := control(f, func(fd uintptr) error {
		return ignoringEINTR(func() error { return unix.Fstatfs(int(fd), &s) })
	})
	return err == nil && int64(s.Type) == unix.EXT4_SUPER_MAGIC
}

// split says of one page that it is not expected to be used soon. Linux (since 5.4) takes the piece
// apart that it is a part of, if that is in no other process's map, nor changed and not flushed.
func split(page []byte) { _ = unix.Madvise(page, unix.MADV_COLD) }
