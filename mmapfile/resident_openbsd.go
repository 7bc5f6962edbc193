package mmapfile

import "errors"

func resident(b []byte) (pages, total int, err error) { return 0, 0, errors.ErrUnsupported }
