package mmapfile

import "golang.org/x/sys/unix"

func adviseHuge(b []byte) error {
	if err := unix.Madvise(b, unix.MADV_HUGEPAGE); err != unix.EINVAL {
		return err
	}
	return nil // a kernel without huge pages
}
