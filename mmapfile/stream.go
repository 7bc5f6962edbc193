package mmapfile

import (
	"bytes"
	"errors"
	"io"
	"unicode/utf8"
)

var _ interface {
	io.ReadWriteSeeker
	io.Closer
	io.ReaderAt
	io.WriterAt
	io.ByteScanner
	io.ByteWriter
	io.RuneReader
	io.StringWriter
	io.WriterTo
} = (*File)(nil)

// Read reads up to len(p) bytes from the position on and moves it. At the end of the map it
// returns io.EOF.
func (f *File) Read(p []byte) (n int, err error) {
	err = f.atPos("read", func(rest []byte) error {
		if len(rest) == 0 && len(p) > 0 {
			return io.EOF
		}
		n = copy(p, rest)
		f.pos += n
		return nil
	})
	return n, err
}

// ReadByte reads one byte at the position and moves it, or returns io.EOF.
func (f *File) ReadByte() (c byte, err error) {
	err = f.atPos("read", func(rest []byte) error {
		if len(rest) == 0 {
			return io.EOF
		}
		c = rest[0]
		f.pos++
		return nil
	})
	return c, err
}

// UnreadByte moves the position back by one byte, whatever was done before; at the start of
// the map it returns ErrOutOfRange.
func (f *File) UnreadByte() error {
	_, err := f.seek("unread", -1, io.SeekCurrent)
	return err
}

// ReadRune reads one UTF-8 character at the position, returns it with its size in bytes, and
// moves the position behind it. As the other io.RuneReaders do, it returns utf8.RuneError with
// size 1 for a byte that does not belong to one.
func (f *File) ReadRune() (r rune, size int, err error) {
	err = f.atPos("read", func(rest []byte) error {
		if len(rest) == 0 {
			return io.EOF
		}
		r, size = utf8.DecodeRune(rest)
		f.pos += size
		return nil
	})
	return r, size, err
}

// ReadLine reads from the position to the next '\n', which is part of the result, and moves the
// position behind it. A last line without '\n' comes with io.EOF; at the end of the map it
// returns nil and io.EOF. The result is a copy and may be kept.
func (f *File) ReadLine() (line []byte, err error) {
	err = f.atPos("read", func(rest []byte) error {
		if len(rest) == 0 {
			return io.EOF
		}
		end := bytes.IndexByte(rest, '\n') + 1
		if end == 0 {
			end, err = len(rest), io.EOF
		}
		line = bytes.Clone(rest[:end])
		f.pos += end
		return err
	})
	return line, err
}

// ReadAt reads len(p) bytes from off on, without regard to the position; fewer with io.EOF at the
// end of the map. A negative off is ErrOutOfRange.
func (f *File) ReadAt(p []byte, off int64) (n int, err error) {
	err = f.use("read", func(data []byte) error {
		if off < 0 {
			return f.wrap("read", ErrOutOfRange)
		}
		if off < int64(len(data)) {
			n = copy(p, data[off:])
		}
		if n < len(p) {
			return io.EOF
		}
		return nil
	})
	return n, err
}

// Seek moves the position to offset, counted from the start, the position or the end, and
// returns it. Positions from 0 to Len are allowed; others are ErrOutOfRange and leave it where it is.
func (f *File) Seek(offset int64, whence int) (int64, error) {
	return f.seek("seek", offset, whence)
}

// Tell returns the position: 0 to Len; 0 after Close.
func (f *File) Tell() int64 {
	pos, _ := f.seek("tell", 0, io.SeekCurrent)
	return pos
}

// Write writes p at the position and moves it. What does not fit before the end of the map is
// left out, with io.ErrShortWrite. On a ReadOnly map the error is ErrReadOnly.
func (f *File) Write(p []byte) (int, error) { return writePos(f, p) }

// WriteByte is Write for one byte.
func (f *File) WriteByte(c byte) error {
	_, err := writePos(f, []byte{c})
	return err
}

// WriteString is Write for a string.
func (f *File) WriteString(s string) (int, error) { return writePos(f, s) }

// WriteAt writes p from off on, without regard to the position. What does not fit before the
// end of the map is left out, with io.ErrShortWrite; a negative off is ErrOutOfRange. On a
// ReadOnly map the error is ErrReadOnly.
func (f *File) WriteAt(p []byte, off int64) (n int, err error) {
	err = f.change("write", func(data []byte) error {
		if off < 0 {
			return f.wrap("write", ErrOutOfRange)
		}
		if off < int64(len(data)) {
			n = copy(data[off:], p)
		}
		if n < len(p) {
			return io.ErrShortWrite
		}
		return nil
	})
	return n, err
}

// WriteTo writes everything from the position to the end of the map to w, and moves the position
// behind what w took. w gets copies, which it may keep no longer than io.Writer allows, and may
// use the map itself.
func (f *File) WriteTo(w io.Writer) (total int64, err error) {
	buf := make([]byte, min(256<<10, f.Len()+1))
	for {
		n, err := f.Read(buf)
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
		written, err := w.Write(buf[:n])
		if written < 0 || written > n {
			return total, errors.New("invalid count from Write")
		}
		total += int64(written)
		if written == n && err == nil {
			continue
		}
		if _, back := f.seek("write", int64(written-n), io.SeekCurrent); back != nil && err == nil {
			err = back
		}
		if err == nil {
			err = io.ErrShortWrite
		}
		return total, err
	}
}

// atPos calls fn with what lies behind the position; fn may move it.
func (f *File) atPos(op string, fn func(rest []byte) error) error {
	f.posMu.Lock()
	defer f.posMu.Unlock()
	return f.use(op, func(data []byte) error { return fn(data[f.pos:]) })
}

func (f *File) seek(op string, offset int64, whence int) (pos int64, err error) {
	err = f.atPos(op, func(rest []byte) error {
		size := int64(f.pos + len(rest))
		switch whence {
		case io.SeekStart:
		case io.SeekCurrent:
			pos = int64(f.pos)
		case io.SeekEnd:
			pos = size
		default:
			return f.wrap(op, errors.New("invalid whence"))
		}
		if offset < -pos || offset > size-pos {
			pos = int64(f.pos)
			return f.wrap(op, ErrOutOfRange)
		}
		pos += offset
		f.pos = int(pos)
		return nil
	})
	return pos, err
}

func writePos[T string | []byte](f *File, p T) (n int, err error) {
	f.posMu.Lock()
	defer f.posMu.Unlock()
	err = f.change("write", func(data []byte) error {
		n = copy(data[f.pos:], p)
		f.pos += n
		if n < len(p) {
			return io.ErrShortWrite
		}
		return nil
	})
	return n, err
}
