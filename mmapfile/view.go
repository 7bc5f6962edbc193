package mmapfile

import (
	"fmt"
	"unsafe"
)

// Number is what View can show memory as.
type Number interface {
	~int8 | ~int16 | ~int32 | ~int64 | ~int |
		~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uint |
		~float32 | ~float64
}

// View returns the memory of b as a slice of T, in the machine's byte order, without copying:
// changes are seen both ways, and the result is valid as long as b is. The length and the
// capacity are len(b) divided by the size of T.
//
// b must begin at an address that is a multiple of T's alignment and its length must be a
// multiple of T's size, else the error is ErrOutOfRange. A map that begins at the start of a
// page, as every map of a whole file does, is aligned for all types. An empty b gives an empty slice.
func View[T Number](b []byte) ([]T, error) {
	var zero T
	size, align := unsafe.Sizeof(zero), unsafe.Alignof(zero)
	if len(b) == 0 {
		return []T{}, nil
	}
	p := unsafe.Pointer(unsafe.SliceData(b))
	if uintptr(p)%align != 0 {
		return nil, fmt.Errorf("view as %T: address %p is not a multiple of %d: %w", zero, p, align, ErrOutOfRange)
	}
	if uintptr(len(b))%size != 0 {
		return nil, fmt.Errorf("view as %T: length %d is not a multiple of %d: %w", zero, len(b), size, ErrOutOfRange)
	}
	return unsafe.Slice((*T)(p), uintptr(len(b))/size), nil
}
