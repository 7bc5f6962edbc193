//go:build !linux && !darwin && !freebsd && !openbsd && !netbsd && !dragonfly && !windows

package mmapfile

import (
	"fmt"
	"os"
)

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
	own, err := os.OpenFile(f.Name(), flag, 0)
	if err != nil {
		return nil, err
	}
	if again, err := own.Stat(); err != nil || !os.SameFile(info, again) {
		own.Close()
		return nil, fmt.Errorf("the file was moved: %w", os.ErrNotExist)
	}
	return own, nil
}
