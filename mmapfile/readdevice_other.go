//go:build !linux

package mmapfile

import (
	"errors"
	"os"
)

func readDevice(f *os.File, p []byte, off int64) (int, error) { return 0, errors.ErrUnsupported }
