package boltfile

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// bbolt's limits on what a bucket holds.
const (
	MaxKeySize   = 32768     // bytes
	MaxValueSize = 1<<31 - 2 // bytes
)

// A Writer writes a new file: from its first page to its last, with full pages, the pages of a bucket
// before that of its parent which refers to it. It holds a page of each level of each bucket that is
// open. Keys and values that it is given must stay as they are until Close. After an error all calls
// return an error.
type Writer struct {
	at       io.WriterAt
	out      *bufio.Writer
	pageSize int
	pages    uint64          // given out
	open     []*bucketWriter // the root, and the buckets that are open inside each other
	head     []byte          // header and elements of the page being written
	err      error
}

// A bucketWriter is a bucket that is being filled.
type bucketWriter struct {
	name     []byte
	sequence uint64
	nested   bool // it holds buckets
	last     []byte
	levels   []level // from the leaves up
}

// A level is the page of a level that is being filled.
type level struct {
	elements []element
	size     int // bytes of the page so far
	emitted  bool
}

// An element is one of a leaf, or, with a child, one of a branch.
type element struct {
	flags      uint32
	child      uint64
	key, value []byte
}

func (e *element) size() int { return elementSize + len(e.key) + len(e.value) }

// NewWriter returns a writer to an empty file, with pages of pageSize bytes: a power of two from
// MinPageSize to 64 KiB.
func NewWriter(w io.WriterAt, pageSize int) (*Writer, error) {
	if pageSize < MinPageSize || pageSize > 64<<10 || pageSize&(pageSize-1) != 0 {
		return nil, fmt.Errorf("a page of %d bytes: it is a power of two from %d to %d", pageSize, MinPageSize, 64<<10)
	}
	start := io.NewOffsetWriter(w, metaPages*int64(pageSize))
	return &Writer{
		at: w, pageSize: pageSize, pages: metaPages,
		out:  bufio.NewWriterSize(start, 1<<20),
		open: []*bucketWriter{{}},
	}, nil
}

// Begin begins a bucket inside the one that is open, or at the top. What is put goes there until End.
func (w *Writer) Begin(name []byte, sequence uint64) error {
	if w.err != nil {
		return w.err
	}
	if len(w.open) > MaxNesting {
		w.err = fmt.Errorf("more than %d buckets lie in each other", MaxNesting)
		return w.err
	}
	if w.err = w.top().takes(name, nil); w.err == nil {
		w.open = append(w.open, &bucketWriter{name: name, sequence: sequence})
	}
	return w.err
}

// Put adds a pair to the bucket that is open. Keys rise, with the names of buckets among them.
func (w *Writer) Put(key, value []byte) error {
	if w.err != nil {
		return w.err
	}
	if len(w.open) == 1 {
		w.err = errors.New("a pair outside of all buckets")
		return w.err
	}
	if w.err = w.top().takes(key, value); w.err == nil {
		w.err = w.add(w.top(), 0, element{key: key, value: value})
	}
	return w.err
}

// End ends the bucket that is open.
func (w *Writer) End() error {
	if w.err != nil {
		return w.err
	}
	if len(w.open) == 1 {
		w.err = errors.New("no bucket is open")
		return w.err
	}
	b := w.top()
	value, err := w.finish(b)
	if err == nil {
		w.open = w.open[:len(w.open)-1]
		parent := w.top()
		parent.nested = true
		err = w.add(parent, 0, element{flags: bucketFlag, key: b.name, value: value})
	}
	w.err = err
	return err
}

// Close writes what is left and the metas. The file is not flushed.
func (w *Writer) Close() error {
	if w.err == nil && len(w.open) > 1 {
		w.err = errors.New("a bucket is open")
	}
	if w.err != nil {
		return w.err
	}
	w.err = w.close()
	if w.err == nil {
		w.err = errors.New("the writer is closed")
		return nil
	}
	return w.err
}

func (w *Writer) close() error {
	root, err := w.finishTree(w.top())
	if err != nil {
		return err
	}
	freelist, err := w.page(freelistFlag, nil) // of no pages
	if err != nil {
		return err
	}
	if err := w.out.Flush(); err != nil {
		return err
	}
	for i := range uint64(metaPages) {
		b := appendHeader(nil, i, metaFlag, 0, 0)
		m := meta{version: version, pageSize: uint32(w.pageSize), root: root, freelist: freelist, pages: w.pages, txid: i}
		b = m.append(b)
		b = append(b, make([]byte, w.pageSize-len(b))...)
		if _, err := w.at.WriteAt(b, int64(i)*int64(w.pageSize)); err != nil {
			return err
		}
	}
	return nil
}

func (w *Writer) top() *bucketWriter { return w.open[len(w.open)-1] }

// takes tells what keeps a pair from being the next.
func (b *bucketWriter) takes(key, value []byte) error {
	switch {
	case len(key) == 0:
		return errors.New("bbolt takes no empty keys and names")
	case len(key) > MaxKeySize:
		return fmt.Errorf("a key of %d bytes: bbolt takes %d", len(key), MaxKeySize)
	case len(value) > MaxValueSize:
		return fmt.Errorf("a value of %d bytes: bbolt takes %d", len(value), MaxValueSize)
	case b.last != nil && bytes.Compare(key, b.last) <= 0:
		return errors.New("keys do not rise")
	}
	b.last = key
	return nil
}

// add puts an element on the page of a level, after writing that if it is full.
func (w *Writer) add(b *bucketWriter, at int, e element) error {
	if at == len(b.levels) {
		b.levels = append(b.levels, level{size: headerSize})
	}
	l := &b.levels[at]
	// What is larger than a page goes on behind it, and others may use the room that is left.
	full := len(l.elements) > 0 && l.size+e.size() > roundUp(l.size, w.pageSize)
	if full && (at == 0 || len(l.elements) > 2) {
		if err := w.emit(b, at); err != nil {
			return err
		}
		l = &b.levels[at]
	}
	l.elements = append(l.elements, e)
	l.size += e.size()
	return nil
}

// emit writes the page of a level and gives its parent an element. A branch keeps its last
// element for the next page, so that none has a single child.
func (w *Writer) emit(b *bucketWriter, at int) error {
	l := &b.levels[at]
	n := len(l.elements)
	if at > 0 {
		n--
	}
	first := l.elements[0].key
	number, err := w.page(flagOf(at), l.elements[:n])
	if err != nil {
		return err
	}
	l.elements = append(l.elements[:0], l.elements[n:]...)
	l.emitted = true
	l.size = headerSize
	for i := range l.elements {
		l.size += l.elements[i].size()
	}
	return w.add(b, at+1, element{child: number, key: first})
}

// finish writes what is left of a bucket, and returns its value in its parent.
func (w *Writer) finish(b *bucketWriter) ([]byte, error) {
	le := binary.LittleEndian
	if leaf, ok := b.inline(w.pageSize); ok {
		value := le.AppendUint64(le.AppendUint64(nil, 0), b.sequence)
		value = appendHeader(value, 0, leafFlag, len(leaf), 0)
		value = appendElements(value, leafFlag, leaf)
		for _, e := range leaf {
			value = append(append(value, e.key...), e.value...)
		}
		return value, nil
	}
	root, err := w.finishTree(b)
	return le.AppendUint64(le.AppendUint64(nil, root), b.sequence), err
}

// inline tells whether a bucket is to be part of its parent's page, as bbolt has small ones, and
// returns what is in it.
func (b *bucketWriter) inline(pageSize int) ([]element, bool) {
	if len(b.levels) == 0 {
		return nil, true
	}
	leaf := b.levels[0]
	return leaf.elements, !leaf.emitted && !b.nested && leaf.size <= pageSize/4
}

// finishTree writes the pages of a bucket that are left, and returns its root.
func (w *Writer) finishTree(b *bucketWriter) (uint64, error) {
	if len(b.levels) == 0 {
		return w.page(leafFlag, nil)
	}
	for at := 0; ; at++ {
		l := b.levels[at]
		number, err := w.page(flagOf(at), l.elements)
		if err != nil || !l.emitted {
			return number, err
		}
		if err := w.add(b, at+1, element{child: number, key: l.elements[0].key}); err != nil {
			return 0, err
		}
	}
}

func flagOf(level int) uint16 {
	if level == 0 {
		return leafFlag
	}
	return branchFlag
}

// page writes a page of elements with its overflow, and returns its number.
func (w *Writer) page(flags uint16, elements []element) (uint64, error) {
	size := headerSize
	for i := range elements {
		size += elements[i].size()
	}
	padding := roundUp(size, w.pageSize) - size
	pages := (size + padding) / w.pageSize
	number := w.pages
	w.pages += uint64(pages)
	w.head = appendHeader(w.head[:0], number, flags, len(elements), pages-1)
	w.head = appendElements(w.head, flags, elements)
	w.out.Write(w.head) // an error stays with the bufio.Writer
	for i := range elements {
		w.out.Write(elements[i].key)
		w.out.Write(elements[i].value)
	}
	_, err := w.out.Write(make([]byte, padding))
	return number, err
}

func appendHeader(b []byte, number uint64, flags uint16, count, overflow int) []byte {
	le := binary.LittleEndian
	b = le.AppendUint64(b, number)
	b = le.AppendUint16(b, flags)
	b = le.AppendUint16(b, uint16(count))
	return le.AppendUint32(b, uint32(overflow))
}

// appendElements adds the elements of a page without what they point to.
func appendElements(b []byte, flags uint16, elements []element) []byte {
	le := binary.LittleEndian
	position := len(elements) * elementSize // counted from the element
	for _, e := range elements {
		if flags == leafFlag {
			b = le.AppendUint32(b, e.flags)
		}
		b = le.AppendUint32(b, uint32(position))
		b = le.AppendUint32(b, uint32(len(e.key)))
		if flags == leafFlag {
			b = le.AppendUint32(b, uint32(len(e.value)))
		} else {
			b = le.AppendUint64(b, e.child)
		}
		position += len(e.key) + len(e.value) - elementSize
	}
	return b
}

func roundUp(n, unit int) int { return (n + unit - 1) / unit * unit }
