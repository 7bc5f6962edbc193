//go:build freebsd || netbsd

package mmapfile

import "golang.org/x/sys/unix"

func fdatasync(fd int) error {
	if _, _, errno := unix.Syscall(unix.SYS_FDATASYNC, uintptr(fd), 0, 0); errno != 0 {
		return errno
	}
	return nil
}
