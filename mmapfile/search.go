package mmapfile

import "bytes"

// Find returns the index, counted from the start of the map, of the first occurrence of sub that
// lies between start and end; -1 if there is none. end is exclusive, and a negative one means
// the end of the map. A range that goes beyond the map is cut to it. An empty sub is found at
// start.
//
// Regular expressions can be matched against Bytes, or against the File itself as an
// io.RuneReader.
func (f *File) Find(sub []byte, start, end int) (int, error) {
	return f.find(bytes.Index, sub, start, end)
}

// FindLast is Find for the last occurrence; an empty sub is found at end.
func (f *File) FindLast(sub []byte, start, end int) (int, error) {
	return f.find(bytes.LastIndex, sub, start, end)
}

// Move copies count bytes from src to dst within the map; the two may overlap. If either range
// lies outside the map the error is ErrOutOfRange and nothing is changed. On a ReadOnly map it
// is ErrReadOnly.
func (f *File) Move(dst, src, count int) error {
	return f.change("move", func(data []byte) error {
		if !within(len(data), dst, count) || !within(len(data), src, count) {
			return f.wrap("move", ErrOutOfRange)
		}
		copy(data[dst:dst+count], data[src:src+count])
		return nil
	})
}

func (f *File) find(index func(s, sub []byte) int, sub []byte, start, end int) (int, error) {
	found := -1
	err := f.use("find", func(data []byte) error {
		if end < 0 || end > len(data) {
			end = len(data)
		}
		start = max(start, 0)
		if start > end {
			return nil
		}
		if i := index(data[start:end], sub); i >= 0 {
			found = start + i
		}
		return nil
	})
	return found, err
}

// within tells whether n bytes from off on lie inside of size bytes.
func within(size, off, n int) bool {
	return off >= 0 && n >= 0 && off <= size && n <= size-off
}
