//go:build linux || darwin || freebsd || openbsd || netbsd || dragonfly

package mmapfile

import (
	"os"

	"golang.org/x/sys/unix"
)

// duplicate returns a handle on the same open file, not inherited by child processes.
func duplicate(f *os.File, access Access) (own *os.File, err error) {
	err = control(f, func(fd uintptr) error {
		dup, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
		if err == nil {
			own = os.NewFile(uintptr(dup), f.Name())
		}
		return err
	})
	return own, err
}
