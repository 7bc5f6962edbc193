package mmapfile_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/foliokv/folio/internal/testdir"
	"github.com/foliokv/folio/mmapfile"
)

// FuzzFile reads operations from data, does them on a map and on a []byte, and compares.
func FuzzFile(f *testing.F) {
	f.Add(uint8(0), []byte("\x00\x10\x20\x30 read some, seek some"))
	f.Add(uint8(1), []byte("\x08hello\x0b\x01\x02\x03\x0c\xff\x01resize and so on \x0c\x00"))
	f.Add(uint8(2), bytes.Repeat([]byte{4, 9, 1, 200, 7, 6, 11, 3}, 20))
	f.Add(uint8(9), bytes.Repeat([]byte{12, 0, 9, 13, 2, 40}, 20))
	f.Fuzz(func(t *testing.T, mode uint8, data []byte) {
		m := newModel(t, mode, data)
		for len(m.data) > 0 && !t.Failed() {
			m.step()
		}
		m.finish()
	})
}

// A model is a map beside what it should be.
type model struct {
	t      *testing.T
	access mmapfile.Access
	path   string
	f      *mmapfile.File
	want   []byte // the map's contents
	head   []byte // what the file holds before the map
	file   []byte // what the file held when it was mapped
	pos    int
	data   []byte // operations to come
}

func newModel(t *testing.T, mode uint8, data []byte) *model {
	m := &model{t: t, access: mmapfile.Access(mode % 3), data: data, path: filepath.Join(testdir.New(t), "data")}
	m.file = bytes.Repeat([]byte("ab\ncd€fg"), int(mode/9)*80)
	if err := os.WriteFile(m.path, m.file, 0o644); err != nil {
		t.Fatal(err)
	}
	offset := min(len(m.file), int(mode/3%3)*2501)
	m.head, m.want = m.file[:offset:offset], bytes.Clone(m.file[offset:])
	file, err := os.OpenFile(m.path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if m.f, err = mmapfile.Map(file, int64(offset), 0, m.access); err != nil {
		t.Fatal(err)
	}
	return m
}

// next takes an operand from the input.
func (m *model) next() int {
	if len(m.data) == 0 {
		return 0
	}
	v := m.data[0]
	m.data = m.data[1:]
	return int(v)
}

// index takes a position around the map: often inside, now and then outside.
func (m *model) index() int {
	return (m.next()*256+m.next())%(len(m.want)+6) - 3
}

func (m *model) text() []byte {
	n := min(m.next(), len(m.data))
	p := m.data[:n]
	m.data = m.data[n:]
	return p
}

func (m *model) check(what string, ok bool, got ...any) {
	m.t.Helper()
	if !ok {
		m.t.Errorf("%s: %v", what, got)
	}
	if !bytes.Equal(m.f.Bytes(), m.want) || m.f.Len() != len(m.want) || cap(m.f.Bytes()) != len(m.want) {
		m.t.Errorf("%s: the contents differ", what)
	}
	if m.f.Tell() != int64(m.pos) {
		m.t.Errorf("%s: at %d, want %d", what, m.f.Tell(), m.pos)
	}
}

func (m *model) step() {
	operations := []func(){
		m.read, m.readByte, m.readLine, m.readAt, m.seek, m.find, m.unreadByte, m.readRune,
		m.write, m.writeAt, m.store, m.move, m.resize, m.flush, m.writeTo,
	}
	operations[m.next()%len(operations)]()
}

func (m *model) read() {
	p := make([]byte, m.next())
	n, err := m.f.Read(p)
	want := min(len(p), len(m.want)-m.pos)
	ok := n == want && bytes.Equal(p[:n], m.want[m.pos:m.pos+n]) && (err == io.EOF) == (len(p) > 0 && want == 0)
	m.pos += want
	m.check("Read", ok, n, err)
}

func (m *model) readByte() {
	c, err := m.f.ReadByte()
	if m.pos == len(m.want) {
		m.check("ReadByte", err == io.EOF, c, err)
		return
	}
	m.pos++
	m.check("ReadByte", err == nil && c == m.want[m.pos-1], c, err)
}

func (m *model) unreadByte() {
	err := m.f.UnreadByte()
	ok := (err == nil) == (m.pos > 0)
	m.pos = max(m.pos-1, 0)
	m.check("UnreadByte", ok, err)
}

func (m *model) readRune() {
	r, size, err := m.f.ReadRune()
	wantR, wantSize, wantErr := bytes.NewReader(m.want[m.pos:]).ReadRune()
	m.pos += wantSize
	m.check("ReadRune", r == wantR && size == wantSize && err == wantErr, r, size, err)
}

func (m *model) readLine() {
	line, err := m.f.ReadLine()
	want, wantErr := bytes.NewBuffer(m.want[m.pos:]).ReadBytes('\n')
	m.pos += len(want)
	m.check("ReadLine", bytes.Equal(line, want) && err == wantErr, line, err)
}

func (m *model) readAt() {
	p, off := make([]byte, m.next()), int64(m.index())
	n, err := m.f.ReadAt(p, off)
	if off < 0 {
		m.check("ReadAt", n == 0 && errors.Is(err, mmapfile.ErrOutOfRange), n, err)
		return
	}
	want := make([]byte, len(p))
	wantN, _ := bytes.NewReader(m.want).ReadAt(want, off)
	m.check("ReadAt", n == wantN && bytes.Equal(p, want) && (err == io.EOF) == (n < len(p)), n, err)
}

func (m *model) seek() {
	whence, to := m.next()%3, m.index()
	offset := to - []int{0, m.pos, len(m.want)}[whence]
	pos, err := m.f.Seek(int64(offset), whence)
	if to < 0 || to > len(m.want) {
		m.check("Seek", errors.Is(err, mmapfile.ErrOutOfRange), pos, err)
		return
	}
	m.pos = to
	m.check("Seek", pos == int64(to) && err == nil, pos, err)
}

func (m *model) find() {
	sub, start, end := m.text(), m.index(), m.index()
	lo, hi := max(start, 0), end
	if hi < 0 || hi > len(m.want) {
		hi = len(m.want)
	}
	first, last := -1, -1
	if lo <= hi {
		if first = bytes.Index(m.want[lo:hi], sub); first >= 0 {
			first, last = lo+first, lo+bytes.LastIndex(m.want[lo:hi], sub)
		}
	}
	i, err := m.f.Find(sub, start, end)
	m.check("Find", i == first && err == nil, i, err)
	i, err = m.f.FindLast(sub, start, end)
	m.check("FindLast", i == last && err == nil, i, err)
}

// wrote puts what was written into the oracle and checks the results of a write.
func (m *model) wrote(what string, p []byte, off, n int, err error) (written int) {
	m.t.Helper()
	if m.access == mmapfile.ReadOnly {
		m.check(what, n == 0 && errors.Is(err, mmapfile.ErrReadOnly), n, err)
		return 0
	}
	if off < len(m.want) {
		written = copy(m.want[off:], p)
	}
	if n != written || (err == io.ErrShortWrite) != (written < len(p)) || err != nil && err != io.ErrShortWrite {
		m.t.Errorf("%s of %d at %d: %d, %v", what, len(p), off, n, err)
	}
	return written
}

func (m *model) write() {
	p := m.text()
	n, err := m.f.Write(p)
	m.pos += m.wrote("Write", p, m.pos, n, err)
	n, err = m.f.WriteString(string(p))
	m.pos += m.wrote("WriteString", p, m.pos, n, err)
	m.check("Write", true)
}

func (m *model) writeAt() {
	p, off := m.text(), m.index()
	n, err := m.f.WriteAt(p, int64(off))
	if off < 0 && m.access != mmapfile.ReadOnly {
		m.check("WriteAt", n == 0 && errors.Is(err, mmapfile.ErrOutOfRange), n, err)
		return
	}
	m.wrote("WriteAt", p, max(off, 0), n, err)
	m.check("WriteAt", true)
}

func (m *model) store() {
	i, c := m.index(), byte(m.next())
	if i < 0 || i >= len(m.want) || m.access == mmapfile.ReadOnly {
		return
	}
	m.f.Bytes()[i], m.want[i] = c, c
	m.check("store", true)
}

func (m *model) move() {
	dst, src, count := m.index(), m.index(), m.index()
	err := m.f.Move(dst, src, count)
	size := len(m.want)
	switch {
	case m.access == mmapfile.ReadOnly:
		m.check("Move", errors.Is(err, mmapfile.ErrReadOnly), err)
	case dst < 0 || src < 0 || count < 0 || dst+count > size || src+count > size:
		m.check("Move", errors.Is(err, mmapfile.ErrOutOfRange), err)
	default:
		copy(m.want[dst:dst+count], m.want[src:src+count])
		m.check("Move", err == nil, err)
	}
}

func (m *model) resize() {
	size := m.next()*m.next() - 1
	err := m.f.Resize(int64(size))
	switch {
	case m.access != mmapfile.ReadWrite:
		m.check("Resize", errors.Is(err, mmapfile.ErrReadOnly), err)
	case size < 0:
		m.check("Resize", errors.Is(err, mmapfile.ErrOutOfRange), err)
	default:
		grown := make([]byte, size)
		copy(grown, m.want)
		m.want, m.pos = grown, min(m.pos, size)
		m.check("Resize", err == nil, err)
	}
}

func (m *model) flush() {
	off, n := m.index(), m.index()
	err := m.f.FlushRange(off, n)
	if off < 0 || n < 0 || off+n > len(m.want) {
		m.check("FlushRange", errors.Is(err, mmapfile.ErrOutOfRange), err)
		return
	}
	m.check("FlushRange", err == nil, err)
}

func (m *model) writeTo() {
	var w bytes.Buffer
	n, err := m.f.WriteTo(&w)
	ok := n == int64(len(m.want)-m.pos) && err == nil && bytes.Equal(w.Bytes(), m.want[m.pos:])
	m.pos = len(m.want)
	m.check("WriteTo", ok, n, err)
}

// finish closes the map and compares the file.
func (m *model) finish() {
	if err := m.f.Close(); err != nil {
		m.t.Error(err)
	}
	want := m.file
	if m.access == mmapfile.ReadWrite {
		want = append(m.head, m.want...)
	}
	got, err := os.ReadFile(m.path)
	if err != nil || !bytes.Equal(got, want) {
		m.t.Errorf("the file differs from what it should hold: %v", err)
	}
}
