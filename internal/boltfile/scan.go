package boltfile

import (
	"bytes"
	"encoding/binary"
)

// A Bucket is a bucket of a file.
type Bucket struct {
	// Sequence is what the bucket's NextSequence counted to.
	Sequence uint64

	root   uint64
	inline []byte // the bucket's page, if root is 0
	page   uint64 // that it lies in
	depth  int    // buckets around it
}

// IsSmall tells that the bucket is no more than a page. Damage is told by a scan.
func (f *File) IsSmall(b Bucket) bool {
	if b.inline != nil {
		return true
	}
	p, err := f.page(b.root)
	return err == nil && p.isLeaf()
}

// A Walk goes through buckets of a file, each once. It visits no page twice: where a file leads
// to one again, that is damage, and so a walk ends in a time that follows from the file's size.
type Walk struct {
	f     *File
	seen  pageSet
	bytes int64
}

// NewWalk returns a walk through f.
func (f *File) NewWalk() *Walk { return &Walk{f: f} }

// Visited is the number of bytes in the pages visited so far.
func (w *Walk) Visited() int64 { return w.bytes }

// visit returns a page that was not visited before.
func (w *Walk) visit(number uint64) (page, error) {
	p, err := w.f.page(number)
	if err != nil {
		return p, err
	}
	last := number + uint64(len(p.bytes))/w.f.pageSize - 1
	for n := number; n <= last; n++ {
		if !w.seen.add(n) {
			return p, damagef(n, "it is used twice")
		}
	}
	w.bytes += int64(len(p.bytes))
	return p, nil
}

// Scan returns a scanner of b, before its first entry.
func (w *Walk) Scan(b Bucket) *Scanner {
	s := &Scanner{walk: w, depth: b.depth}
	var p page
	if b.root == 0 && b.inline != nil {
		p, s.err = inlinePage(b.page, b.inline)
	} else {
		p, s.err = w.visit(b.root)
	}
	if s.err == nil {
		s.push(p, nil, nil)
	}
	return s
}

// A Scanner goes through the entries of a bucket in the order of their keys, which rise. It
// holds a path through the bucket's tree.
type Scanner struct {
	walk  *Walk
	depth int // of the bucket
	stack []frame
	key   []byte
	value []byte
	child Bucket
	err   error
}

// A frame is a page on the path.
type frame struct {
	page
	leaf   bool
	n      int    // of its elements
	next   int    // the element to come
	end    uint64 // of the elements read: they do not overlap, so that work follows the page's size
	lo, hi []byte // what the parent says of its keys: at least lo, less than hi; nil says nothing
}

// maxDepth bounds the height of a tree: each page above the leaves has two children or more.
const maxDepth = 64

func (s *Scanner) push(p page, lo, hi []byte) {
	n := p.count()
	s.stack = append(s.stack, frame{
		page: p, leaf: p.isLeaf(), n: n, lo: lo, hi: hi,
		end: headerSize + uint64(n)*elementSize,
	})
}

// Next goes to the next entry, and tells whether there is one. After it said no, Err tells why.
func (s *Scanner) Next() bool {
	for s.err == nil && len(s.stack) > 0 {
		at := &s.stack[len(s.stack)-1]
		switch {
		case at.next == at.n:
			s.stack = s.stack[:len(s.stack)-1]
		case at.leaf:
			s.err = s.read(at)
			return s.err == nil
		default:
			s.err = s.descend(at)
		}
	}
	return false
}

// Err is what ended the scan before the bucket's end.
func (s *Scanner) Err() error { return s.err }

// Key is the key of the entry. As all that the scanner returns it is valid until the file is closed.
func (s *Scanner) Key() []byte { return s.key }

// Value is the value of the entry: not nil, but for a bucket.
func (s *Scanner) Value() []byte { return s.value }

// Bucket is the bucket that the entry is, if its Value is nil.
func (s *Scanner) Bucket() Bucket { return s.child }

// descend enters the next child of a branch.
func (s *Scanner) descend(at *frame) error {
	if len(s.stack) == maxDepth {
		return damagef(at.number, "the tree is deeper than %d pages", maxDepth)
	}
	e, err := at.branchElement(at.next)
	if err != nil {
		return err
	}
	hi := at.hi
	if at.next+1 < at.n {
		after, err := at.branchElement(at.next + 1)
		if err != nil {
			return err
		}
		hi = after.key
	}
	switch {
	case e.from < at.end:
		return damagef(at.number, "element %d overlaps another", at.next)
	case at.next == 0 && bytes.Compare(e.key, at.lo) < 0:
		return damagef(at.number, "its first key lies before what its parent says")
	case hi != nil && bytes.Compare(e.key, hi) >= 0:
		return damagef(at.number, "key %d is not below the one after it", at.next)
	}
	p, err := s.walk.visit(e.child)
	if err != nil {
		return err
	}
	at.next, at.end = at.next+1, e.end
	s.push(p, e.key, hi)
	return nil
}

// read takes the next pair of a leaf.
func (s *Scanner) read(at *frame) error {
	i := at.next
	e, err := at.leafElement(i)
	if err != nil {
		return err
	}
	switch {
	case len(e.key) == 0:
		return damagef(at.number, "key %d is empty", i)
	case e.from < at.end:
		return damagef(at.number, "element %d overlaps another", i)
	case s.key != nil && bytes.Compare(s.key, e.key) >= 0:
		return damagef(at.number, "key %d is not above the one before it", i)
	case i == 0 && bytes.Compare(e.key, at.lo) < 0:
		return damagef(at.number, "its first key lies before what its parent says")
	case i == at.n-1 && at.hi != nil && bytes.Compare(e.key, at.hi) >= 0:
		return damagef(at.number, "its last key lies behind what its parent says")
	case e.flags > bucketFlag:
		return damagef(at.number, "flags %#x of element %d are not known", e.flags, i)
	}
	s.key, s.value = e.key, e.value
	at.next, at.end = i+1, e.end
	if e.flags == bucketFlag {
		s.value = nil
		return s.readBucket(at, e.value)
	}
	return nil
}

// readBucket takes the bucket that is a pair's value.
func (s *Scanner) readBucket(at *frame, b []byte) error {
	if len(b) < bucketHeaderSize {
		return damagef(at.number, "a bucket of %d bytes", len(b))
	}
	if s.depth == MaxNesting {
		return damagef(at.number, "more than %d buckets lie in each other", MaxNesting)
	}
	le := binary.LittleEndian
	s.child = Bucket{root: le.Uint64(b), Sequence: le.Uint64(b[8:]), page: at.number, depth: s.depth + 1}
	if s.child.root == 0 {
		s.child.inline = b[bucketHeaderSize:]
	}
	return nil
}

// A pageSet is a set of page numbers, a bit each, in blocks that are made when they are needed.
type pageSet struct{ blocks []*[blockPages / 64]uint64 }

const blockPages = 1 << 18

// add puts a number into the set, and tells whether it was not there.
func (s *pageSet) add(n uint64) bool {
	i := n / blockPages
	for uint64(len(s.blocks)) <= i {
		s.blocks = append(s.blocks, nil)
	}
	if s.blocks[i] == nil {
		s.blocks[i] = new([blockPages / 64]uint64)
	}
	word, bit := &s.blocks[i][n%blockPages/64], uint64(1)<<(n%64)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	return true
}
