package mmapfile_test

import (
	"errors"
	"testing"
	"unsafe"

	"github.com/foliokv/folio/mmapfile"
)

func viewAs[T mmapfile.Number](t *testing.T, b []byte, value T) {
	t.Helper()
	size := int(unsafe.Sizeof(value))
	v, err := mmapfile.View[T](b[:4*size])
	if err != nil || len(v) != 4 || cap(v) != 4 {
		t.Fatalf("%T: %d of %d, %v", value, len(v), cap(v), err)
	}
	v[1] = value
	back, err := mmapfile.View[T](b[size : 2*size])
	if err != nil || back[0] != value {
		t.Fatalf("%T: %v, %v", value, back, err)
	}
	clear(b[size : 2*size])
	if v[1] != 0 {
		t.Fatalf("%T: %v after clearing the bytes", value, v[1])
	}
	if size > 1 {
		if _, err := mmapfile.View[T](b[:size+1]); !errors.Is(err, mmapfile.ErrOutOfRange) {
			t.Errorf("%T, ragged: %v", value, err)
		}
		if _, err := mmapfile.View[T](b[1 : 1+size]); !errors.Is(err, mmapfile.ErrOutOfRange) {
			t.Errorf("%T, misaligned: %v", value, err)
		}
	}
	for _, empty := range [][]byte{nil, b[3:3]} {
		if v, err := mmapfile.View[T](empty); err != nil || len(v) != 0 {
			t.Errorf("%T, empty: %v, %v", value, v, err)
		}
	}
}

type celsius float32

func TestView(t *testing.T) {
	words := make([]uint64, 8)
	b := unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), 64)
	viewAs[uint8](t, b, 200)
	viewAs[uint16](t, b, 60_000)
	viewAs[uint32](t, b, 4e9)
	viewAs[uint64](t, b, 1<<63)
	viewAs[int](t, b, -5)
	viewAs[int16](t, b, -5)
	viewAs[int64](t, b, -5)
	viewAs[float32](t, b, 1.5)
	viewAs[float64](t, b, -1e300)
	viewAs[celsius](t, b, 36.6)
}
