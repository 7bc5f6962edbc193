//go:build !linux && !darwin && !freebsd && !openbsd && !netbsd && !dragonfly && !windows

package mmapfile

import "os"

// duplicate opens the file again by its name: handles cannot be copied here.
func duplicate(f *os.File, access Access) (*os.File, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if err := checkKind(info, access); err != nil {
		return nil, err
	}
	flag := os.O_RDONLY
	if access == ReadWrite {
		flag = os.O_RDWR
	}
	return openSame(f.Name(), flag, info)
}
