//go:build linux || darwin || freebsd || openbsd || netbsd || dragonfly

package mmapfile

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

func syncDir(path string) error {
	d, err := os.Open(path)
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	err = syncFile(d)
	for _, unsupported := range []error{unix.EINVAL, unix.ENOTSUP, unix.EOPNOTSUPP, unix.ENOSYS, unix.EBADF} {
		if errors.Is(err, unsupported) {
			return nil
		}
	}
	return err
}
