package folio

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/foliokv/folio/internal/backing"
)

// This file walks the state of a file that may be damaged anywhere, and notes of every page
// what it holds and whose it is. What must hold:
//
//   - Nothing is trusted before it is verified, and no page is claimed twice, so a walk ends
//     whatever the file says.
//   - A page is believed to be the one that its parent means because its checksum matches.
//     Where the seed of the checksums is lost with both metas, its number, its birth and its
//     structure must do; of an extent, which has neither, nothing is believed then.
//   - Where a page is lost, the walk notes what is known of it from above: the bucket, the
//     range of its keys and how many entries it held.

// A survey is one walk.
type survey struct {
	ctx      context.Context
	progress func(done int64)
	done     int64

	f        backing.File
	pageSize int
	seed     uint64
	sealed   bool // the seed is known
	trusting bool // extents are believed without it
	root     ref
	log      ref
	redo     run
	txid     uint64
	books    *runSet // free pages, nil if that is not known
	end      uint32  // of a state found without a meta: its high-water mark, if books are there

	kinds   []PageKind // by page
	owners  []uint32   // by page: index in buckets
	buckets []*surveyed
	walked  int // of buckets
	inCell  map[cellAt]*surveyed
	bufs    [maxLevel + 1]page
}

// A surveyed is a bucket that the walk found; the first one is the bucket tree.
type surveyed struct {
	id       uint32
	parent   *surveyed
	name     []byte
	root     ref
	sequence uint64
	losses   []*loss
	nested   bool // it has buckets in it
	loose    bool // no entry that was found refers to it
	depth    int
}

// A cellAt is the place of a cell.
type cellAt struct {
	pgno uint32
	slot int
}

// A loss is a page, or an extent, that the walk should have found.
type loss struct {
	bucket *surveyed
	r      ref
	level  int    // of the page, -1 if it is not known
	lo, hi []byte // bounds of its keys, nil: none
	pages  int
	value  bool // the value of key lo
	reason error
	trees  []*orphan // found elsewhere, in the order of their keys
}

// maxSurveyDepth is how deep buckets may be nested for the walk to follow.
const maxSurveyDepth = 1000

var (
	errClaimed = errors.New("another page refers to it, too")
	errOutside = errors.New("it is outside the file")
)

// newSurvey prepares a walk of the state that in looks at.
func (in *Inspector) newSurvey(ctx context.Context) *survey {
	pages := min(int64(in.Pages()), (in.size+int64(in.pageSize)-1)/int64(in.pageSize))
	s := &survey{
		ctx: ctx, progress: func(int64) {}, f: in.f, pageSize: in.pageSize,
		kinds: make([]PageKind, pages), owners: make([]uint32, pages), inCell: map[cellAt]*surveyed{},
	}
	for i := range min(metaPages, len(s.kinds)) {
		s.kinds[i] = MetaPage
		if in.slots[i].err != nil {
			s.kinds[i] = DamagedPage
		}
	}
	if in.at >= 0 {
		m := in.slots[in.at].meta
		s.seed, s.sealed, s.root, s.log, s.txid = m.seed, true, m.root, m.log, m.txid
		s.redo = runOf(m.redo)
		s.books = in.freePages()
	}
	return s
}

// run walks the bucket tree and all buckets.
func (s *survey) run() error {
	s.chain()
	if s.redo.n > 0 {
		_ = s.claim(s.redo.start, s.redo.n, RedoLogPage, &surveyed{}) // should it be taken, the meta is a forged one
	}
	s.add(nil, nil, s.root, 0)
	return s.walk()
}

// walk walks the buckets that were not walked yet, and those it finds on the way.
func (s *survey) walk() error {
	for ; s.walked < len(s.buckets); s.walked++ {
		b := s.buckets[s.walked]
		s.tree(b, b.root, -1, nil, nil)
		if err := s.ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// add takes a bucket up, to be walked.
func (s *survey) add(parent *surveyed, name []byte, root ref, sequence uint64) *surveyed {
	b := &surveyed{id: uint32(len(s.buckets)), parent: parent, name: bytes.Clone(name), root: root, sequence: sequence}
	if parent != nil {
		b.depth = parent.depth + 1
	}
	s.buckets = append(s.buckets, b)
	return b
}

// path returns the names that lead to a bucket.
func (b *surveyed) path() [][]byte {
	var path [][]byte
	for ; b.parent != nil; b = b.parent {
		path = append([][]byte{b.name}, path...)
	}
	return path
}

// claim takes a run of pages for a bucket, unless one of them is taken.
func (s *survey) claim(pgno, n uint32, kind PageKind, b *surveyed) error {
	if pgno < metaPages || uint64(pgno)+uint64(n) > uint64(len(s.kinds)) {
		return errOutside
	}
	for i := pgno; i < pgno+n; i++ {
		if s.kinds[i] != UnknownPage {
			return errClaimed
		}
	}
	for i := pgno; i < pgno+n; i++ {
		s.kinds[i], s.owners[i] = kind, b.id
	}
	s.advance(int64(n))
	return nil
}

func (s *survey) mark(pgno, n uint32, kind PageKind) {
	for i := pgno; i < pgno+n; i++ {
		s.kinds[i] = kind
	}
}

func (s *survey) advance(n int64) {
	if s.done += n; s.done%1024 < n {
		s.progress(s.done)
	}
}

// chain claims the pages of the free log as far as they are whole.
func (s *survey) chain() {
	owner := &surveyed{}
	for r := s.log; r.pgno != 0; {
		if s.claim(r.pgno, 1, FreeLogPage, owner) != nil {
			return
		}
		p := s.bufs[0].sized(s.pageSize)
		if s.read(r, p) != nil || p.kind() != kindFreeLog {
			s.mark(r.pgno, 1, DamagedPage)
			return
		}
		r = getRef(p[headerSize:])
	}
}

// sized is p, or a page of this size if p has none.
func (p page) sized(n int) page {
	if len(p) == n {
		return p
	}
	return make(page, n)
}

// read reads the page of r and tells whether it is what r means.
func (s *survey) read(r ref, p page) error {
	if err := readFull(s.f, p, int64(r.pgno)*int64(s.pageSize)); err != nil {
		return err
	}
	switch {
	case s.sealed && checksum(s.seed, r.pgno, r.birth, p) != r.sum:
		if p.pgno() == r.pgno && p.birth() != r.birth && p.birth() <= mask48 && p.validate() == nil {
			return fmt.Errorf("there is a page of txid %d instead of %d", p.birth(), r.birth)
		}
		return errors.New("checksum does not match")
	case p.pgno() != r.pgno || p.birth() != r.birth:
		return fmt.Errorf("says it is page %d of txid %d, not of %d", p.pgno(), p.birth(), r.birth)
	case !s.sealed && p.kind() != kindFreeLog:
		return p.sound(r.pgno)
	}
	return nil
}

// readTree is read for a page of a tree, of a level unless that is -1.
func (s *survey) readTree(r ref, level int, p page) error {
	if err := s.read(r, p); err != nil {
		return err
	}
	if err := p.validate(); err != nil {
		return err
	}
	if level >= 0 && p.level() != level {
		return fmt.Errorf("level %d below a page of level %d", p.level(), level+1)
	}
	if r.count != p.total() {
		return fmt.Errorf("%d entries below, the page above says %d", p.total(), r.count)
	}
	return nil
}

// tree walks the page of r and all below it; keys there are in [lo, hi).
func (s *survey) tree(b *surveyed, r ref, level int, lo, hi []byte) {
	if r.pgno == 0 || s.ctx.Err() != nil {
		return
	}
	lost := func(err error) {
		b.losses = append(b.losses, &loss{
			bucket: b, r: r, level: level, lo: bytes.Clone(lo), hi: bytes.Clone(hi), pages: 1, reason: err,
		})
	}
	if err := s.claim(r.pgno, 1, LeafPage, b); err != nil {
		lost(err)
		return
	}
	p := s.buffer(level)
	if err := s.readTree(r, level, p); err != nil {
		s.mark(r.pgno, 1, DamagedPage)
		lost(err)
		return
	}
	s.mark(r.pgno, 1, kindOf(p))
	if p.level() == 0 {
		s.leaf(b, r, p)
		return
	}
	s.branch(b, p, lo, hi)
}

// buffer returns the buffer for the page of a level; a page of unknown level gets its own.
func (s *survey) buffer(level int) page {
	if level < 0 {
		return make(page, s.pageSize)
	}
	s.bufs[level] = s.bufs[level].sized(s.pageSize)
	return s.bufs[level]
}

// branch walks what is below a branch.
func (s *survey) branch(b *surveyed, p page, lo, hi []byte) {
	bounds := s.bounds(b, p, lo, hi)
	for i := range p.count() {
		s.tree(b, p.ref(i), p.level()-1, bounds[i].lo, bounds[i].hi)
	}
}

type bounds struct{ lo, hi []byte }

// bounds returns the bounds of the children of a branch. A long separator that is lost leaves
// the range open on one side and begins with what the page has of it on the other.
func (s *survey) bounds(b *surveyed, p page, lo, hi []byte) []bounds {
	all := make([]bounds, p.count())
	all[0].lo = lo
	all[len(all)-1].hi = hi
	for i := 1; i < len(all); i++ {
		sep := p.storedKey(i)
		if p.isLong(i) {
			whole, err := s.longKey(p, i, b)
			if err != nil {
				all[i].lo, all[i-1].hi = sep, hi
				continue
			}
			sep = whole
		}
		all[i].lo, all[i-1].hi = sep, sep
	}
	return all
}

// longKey claims and returns the long key in slot i.
func (s *survey) longKey(p page, i int, b *surveyed) ([]byte, error) {
	inline, e := p.longKey(i)
	whole, err := s.extent(e, b)
	if err == nil && !bytes.HasPrefix(whole, inline) {
		err = errors.New("begins with other bytes")
	}
	return whole, err
}

// extent claims an extent, verifies it, and returns its content if it is a key.
func (s *survey) extent(e extent, b *surveyed) ([]byte, error) {
	n := e.pages(s.pageSize)
	if err := s.claim(e.pgno, n, ExtentPage, b); err != nil {
		return nil, err
	}
	content, err := s.readExtent(e, e.length <= MaxKeySize)
	if err != nil && err != errNoSeed {
		s.mark(e.pgno, n, DamagedPage)
	}
	return content, err
}

var errNoSeed = errors.New("its checksum cannot be compared: both metas are lost")

// readExtent verifies an extent, and returns its content if keep is set.
func (s *survey) readExtent(e extent, keep bool) ([]byte, error) {
	if !s.sealed && !s.trusting {
		return nil, errNoSeed
	}
	left := int64(e.pages(s.pageSize)) * int64(s.pageSize)
	off := int64(e.pgno) * int64(s.pageSize)
	d := newDigest(s.seed, e.pgno, e.birth)
	chunk := min(left, verifyChunk)
	if keep {
		chunk = left
	}
	buf := make([]byte, chunk)
	for left > 0 {
		b := buf[:min(left, chunk)]
		if err := readFull(s.f, b, off); err != nil {
			return nil, err
		}
		d.Write(b)
		left -= int64(len(b))
		off += int64(len(b))
	}
	if s.sealed && d.Sum64() != e.sum {
		return nil, errors.New("checksum of the extent does not match")
	}
	if keep {
		return buf[:e.length], nil
	}
	return nil, nil
}

// leaf walks what the cells of a leaf lead to.
func (s *survey) leaf(b *surveyed, r ref, p page) {
	for i := range p.count() {
		key := p.storedKey(i)
		flags, v := p.payload(i)
		if p.isLong(i) {
			_, e := p.longKey(i)
			whole, err := s.longKey(p, i, b)
			if err != nil {
				b.loseEntry(e, s.pageSize, key, fmt.Errorf("the long key: %w", err))
				s.loseSlot(r.pgno, i)
				continue
			}
			key = whole
		}
		switch flags {
		case cellExtent:
			e := getExtent(v)
			if _, err := s.extent(e, b); err != nil {
				b.loseEntry(e, s.pageSize, key, fmt.Errorf("the value: %w", err))
				s.loseSlot(r.pgno, i)
			}
		case cellBucket:
			s.bucket(b, r, i, key, v)
		}
	}
}

// loseSlot remembers that the entry in a slot is lost.
func (s *survey) loseSlot(pgno uint32, slot int) { s.inCell[cellAt{pgno, slot}] = lostEntry }

// lostEntry stands in inCell for an entry that cannot be had.
var lostEntry = &surveyed{}

// loseEntry notes that the entry with key is lost with an extent.
func (b *surveyed) loseEntry(e extent, pageSize int, key []byte, err error) {
	b.losses = append(b.losses, &loss{
		bucket: b, r: ref{pgno: e.pgno, birth: e.birth, count: 1}, level: -1, lo: bytes.Clone(key),
		pages: int(e.pages(pageSize)), value: true, reason: err,
	})
}

// bucket takes up the bucket in a slot of a leaf.
func (s *survey) bucket(b *surveyed, r ref, slot int, name, header []byte) {
	var c Bucket
	err := c.setHeader(header)
	if err == nil && b.depth >= maxSurveyDepth {
		err = fmt.Errorf("nested deeper than %d", maxSurveyDepth)
	}
	if err != nil {
		b.losses = append(b.losses, &loss{bucket: b, r: ref{pgno: r.pgno, birth: r.birth, count: 1}, level: -1, lo: bytes.Clone(name), value: true, reason: err})
		s.loseSlot(r.pgno, slot)
		return
	}
	b.nested = true
	if c.inline == nil {
		s.inCell[cellAt{r.pgno, slot}] = s.add(b, name, c.root, c.sequence)
	}
}

// sound tells whether a page of which no checksum is known is one of a tree, complete and in
// order, that was written at pgno. Noise does not pass; a changed value does.
func (p page) sound(pgno uint32) error {
	switch {
	case p.pgno() != pgno:
		return fmt.Errorf("says it is page %d", p.pgno())
	case p.birth() == 0 || p.birth() > mask48:
		return fmt.Errorf("birth %d", p.birth())
	case le.Uint16(p[6:]) != 0 || le.Uint32(p[20:]) != 0:
		return errors.New("reserved bytes are not zero")
	}
	if err := p.validate(); err != nil {
		return err
	}
	if p.count() == 0 {
		return errors.New("has no entries")
	}
	size := 0
	for i := range p.count() {
		size += p.cellSize(i)
		if err := p.soundKey(i); err != nil {
			return fmt.Errorf("slot %d: %w", i, err)
		}
	}
	if want := len(p) - p.cellStart() - size; p.garbage() != want {
		return fmt.Errorf("%d garbage bytes, the header says %d", want, p.garbage())
	}
	return nil
}

// soundKey tells whether prefix, head and place of the key in slot i are right.
func (p page) soundKey(i int) error {
	if p.level() > 0 && i == 0 {
		return nil
	}
	key, pl := p.storedKey(i), p.prefixLen()
	if !bytes.HasPrefix(key, p[headerSize:headerSize+pl]) {
		return errors.New("the key lacks the page's prefix")
	}
	if le.Uint32(p.slot(i)) != head(key[pl:]) {
		return errors.New("head is not that of the key")
	}
	if i == 0 || p.level() > 0 && i == 1 {
		return nil
	}
	c := bytes.Compare(p.storedKey(i-1), key)
	if c > 0 || c == 0 && !(p.isLong(i) && p.isLong(i-1)) {
		return errors.New("key is not above the one before it")
	}
	return nil
}
