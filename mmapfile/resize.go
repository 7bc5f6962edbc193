package mmapfile

import (
	"errors"
	"fmt"
	"math"
)

// Resize makes the map size bytes long, and the file long enough to end with it; added bytes are
// zero. Slices of Bytes taken before must not be used afterwards. Advice and Lock do not carry
// over. A position past the new end moves to it. A size of 0 is allowed.
//
// ReadOnly and Copy maps fail with ErrReadOnly. The map must reach to the end of the file, or be
// one of the whole file that others have made longer meanwhile, and not cut off what they added;
// else the error is ErrOutOfRange, as for a negative size. After any error map and file are as before.
//
// Other maps of the file are not resized: those that reach past a new, lower end fault there.
// Windows refuses to shorten a file that is mapped elsewhere.
func (f *File) Resize(size int64) error {
	f.posMu.Lock()
	defer f.posMu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.resize(size); err != nil {
		return f.wrap("resize", err)
	}
	f.pos = min(f.pos, len(f.data))
	return nil
}

func (f *File) resize(size int64) error {
	switch {
	case f.closed:
		return ErrClosed
	case f.access != ReadWrite:
		return ErrReadOnly
	case size < 0 || size > maxMap || size > math.MaxInt64-f.offset:
		return ErrOutOfRange
	case f.file == nil:
		return f.resizeAnonymous(int(size))
	}
	fileSize, err := f.fileSize()
	if err != nil {
		return err
	}
	oldEnd, newEnd := f.offset+int64(len(f.data)), f.offset+size
	if fileSize > oldEnd && !(f.whole && newEnd >= fileSize) {
		return fmt.Errorf("the file goes on behind the map: %w", ErrOutOfRange)
	}
	if newEnd == oldEnd && newEnd == fileSize {
		return nil
	}
	if unmapsToResize {
		err = f.resizeUnmapped(int(size), newEnd, fileSize)
	} else {
		err = f.resizeMapped(int(size), newEnd, fileSize)
	}
	if err == nil {
		f.unflushed.Store(true)
	}
	return err
}

func (f *File) resizeAnonymous(size int) error {
	mapped, data, err := mapAnonymousRange(size)
	if err != nil {
		return err
	}
	copy(data, f.data)
	f.release()
	f.mapped, f.data = mapped, data
	return nil
}

// resizeMapped makes the new map beside the old one, which is given up when nothing can fail
// any more.
func (f *File) resizeMapped(size int, newEnd, fileSize int64) error {
	if newEnd > fileSize {
		if err := f.file.Truncate(newEnd); err != nil {
			return err
		}
	}
	mapped, data, err := mapRange(f.file, f.offset, size, f.access)
	if err != nil {
		if newEnd > fileSize {
			f.file.Truncate(fileSize)
		}
		return err
	}
	if newEnd < fileSize {
		if err := f.file.Truncate(newEnd); err != nil {
			if len(mapped) > 0 {
				unmap(mapped)
			}
			return err
		}
	}
	f.release()
	f.mapped, f.data = mapped, data
	return nil
}

// resizeUnmapped is for platforms where a file cannot change its size under a map. On failure
// it maps the old range again; if even that fails the map is empty.
func (f *File) resizeUnmapped(size int, newEnd, fileSize int64) error {
	oldLen := len(f.data)
	if err := f.release(); err != nil {
		return err
	}
	f.mapped, f.data = nil, []byte{}
	err := f.file.Truncate(newEnd)
	if err == nil {
		var mapped, data []byte
		if mapped, data, err = mapRange(f.file, f.offset, size, f.access); err == nil {
			f.mapped, f.data = mapped, data
			return nil
		}
		f.file.Truncate(fileSize)
	}
	mapped, data, again := mapRange(f.file, f.offset, oldLen, f.access)
	if again != nil {
		f.pos = 0
		return errors.Join(err, again)
	}
	f.mapped, f.data = mapped, data
	return err
}
