package folio

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/cespare/xxhash/v2"
)

// This file is the format of a tree page, and search and change on its bytes. It knows
// nothing of transactions. What must hold:
//
//   - A page is its bytes, mapped or private alike; nothing is decoded into objects.
//   - Cell bytes never change once written: an update appends a cell and moves a slot. Refs
//     in branch cells and bucket headers in leaf cells are the exception; no slice of them is
//     ever handed out.
//   - A page read from a file passes validate before any other method sees it, so accessors
//     need no checks of their own.
//
// Header (32 bytes; all integers of the file are little-endian):
//
//	 0      1       2         4           6      8           12        16     20     24        32
//	+------+-------+---------+-----------+------+-----------+---------+------+------+---------+
//	| kind | level | count   | prefixLen | zero | cellStart | garbage | pgno | zero | birth   |
//	| u8   | u8    | u16     | u16       | u16  | u32       | u32     | u32  | u32  | u64     |
//	+------+-------+---------+-----------+------+-----------+---------+------+------+---------+
//
// Then prefixLen bytes that all keys of the page begin with, zeros up to a multiple of 8, the
// slots growing up, free space, and the cells growing down from the end of the page.
//
// Slot (8 bytes): head u32 | cell offset u16 | key length u16. The head is the four key bytes
// after the prefix as a big-endian number, zero-padded. Key length 0xffff marks a long key.
//
// Leaf cell:   flags u8 | payload length u16 | key | payload
// Branch cell: ref (24 bytes) | separator
//
// Where the key is long, its place is taken by an extent ref (22 bytes), which names the
// extent with the whole key, and the key's first longInline bytes. The separator in slot 0 of
// a branch is empty and stands for "before everything"; the prefix is that of the others.
type page []byte

const (
	headerSize = 32
	slotSize   = 8

	kindLeaf    = 1
	kindBranch  = 2
	kindFreeLog = 3

	maxLevel   = 31
	maxPrefix  = 256
	longInline = maxPrefix + 4 // key bytes of a long key that stand in the page
	longKey    = 0xffff

	leafKeyOff   = 3
	branchKeyOff = refSize

	askSlots = 5 * 64 // bytes of a page that have its header and, in general, most slots
)

// Flags of a leaf cell: what its payload is.
const (
	cellInline = 0 // the value
	cellExtent = 1 // an extent ref of the value
	cellBucket = 2 // a bucket header, see bucket.go
)

var le = binary.LittleEndian
var be = binary.BigEndian

const (
	refSize    = 24
	extentSize = 22

	// dirtyBit in a ref's pgno marks a page that is not in the file yet; the other bits index
	// the writer's table of dirty pages.
	dirtyBit = 1 << 31

	mask48 = 1<<48 - 1
)

// A ref is what a parent stores of a child:
//
//	 0        4         10        16         24
//	+--------+---------+---------+----------+
//	| pgno   | birth   | count   | checksum |
//	+--------+---------+---------+----------+
//
// A ref with pgno 0 stands for an empty tree.
type ref struct {
	pgno  uint32
	birth uint64 // txid of the transaction that sealed the page
	count uint64 // entries below
	sum   uint64 // checksum of the page
}

func getRef(b []byte) ref {
	_ = b[refSize-1]
	return ref{
		pgno:  le.Uint32(b),
		birth: le.Uint64(b[4:]) & mask48,
		count: le.Uint64(b[10:]) & mask48,
		sum:   le.Uint64(b[16:]),
	}
}

func (r ref) put(b []byte) {
	_ = b[refSize-1]
	le.PutUint32(b, r.pgno)
	le.PutUint64(b[4:], r.birth)
	le.PutUint64(b[10:], r.count) // its high 16 bits are the checksum's place
	le.PutUint64(b[16:], r.sum)
}

func (r ref) dirty() bool { return r.pgno&dirtyBit != 0 }

// An extent names a run of adjacent pages that holds one large value or long key, zero-padded
// to whole pages:
//
//	 0        4         8         14         22
//	+--------+---------+---------+----------+
//	| pgno   | length  | birth   | checksum |
//	+--------+---------+---------+----------+
//
// length is in bytes; the checksum covers the padding as well.
type extent struct {
	pgno   uint32
	length uint32
	birth  uint64
	sum    uint64
}

func getExtent(b []byte) extent {
	_ = b[extentSize-1]
	return extent{
		pgno:   le.Uint32(b),
		length: le.Uint32(b[4:]),
		birth:  le.Uint64(b[8:]) & mask48,
		sum:    le.Uint64(b[14:]),
	}
}

func (e extent) put(b []byte) {
	_ = b[extentSize-1]
	le.PutUint32(b, e.pgno)
	le.PutUint32(b[4:], e.length)
	le.PutUint64(b[8:], e.birth)
	le.PutUint64(b[14:], e.sum)
}

// pages is the number of pages the extent takes.
func (e extent) pages(pageSize int) uint32 {
	return uint32((int64(e.length) + int64(pageSize) - 1) / int64(pageSize))
}

// newDigest starts the checksum of a page or extent: xxhash64, seeded per database, over
// pgno, birth and the bytes.
func newDigest(seed uint64, pgno uint32, birth uint64) xxhash.Digest {
	var d xxhash.Digest
	var place [16]byte
	d.ResetWithSeed(seed)
	le.PutUint64(place[:], uint64(pgno))
	le.PutUint64(place[8:], birth)
	d.Write(place[:])
	return d
}

func checksum(seed uint64, pgno uint32, birth uint64, b []byte) uint64 {
	d := newDigest(seed, pgno, birth)
	d.Write(b)
	return d.Sum64()
}

// maxCell is the size above which a cell's value goes to an extent: with it, a page holds at
// least four cells whatever its prefix.
func maxCell(pageSize int) int { return (pageSize-headerSize-maxPrefix)/4 - slotSize }

// maxInlineKey is the length above which a key is long. A bucket header or an extent ref
// always fits beside a key that is not.
func maxInlineKey(pageSize int) int { return maxCell(pageSize) - 64 }

func (p page) kind() byte        { return p[0] }
func (p page) level() int        { return int(p[1]) }
func (p page) count() int        { return int(le.Uint16(p[2:])) }
func (p page) prefixLen() int    { return int(le.Uint16(p[4:])) }
func (p page) cellStart() int    { return int(le.Uint32(p[8:])) }
func (p page) garbage() int      { return int(le.Uint32(p[12:])) }
func (p page) pgno() uint32      { return le.Uint32(p[16:]) }
func (p page) birth() uint64     { return le.Uint64(p[24:]) }
func (p page) slotBase() int     { return slotBase(p.prefixLen()) }
func (p page) slot(i int) []byte { return p[p.slotBase()+i*slotSize:] }

// slotWord returns slot i as a number: the head in the low 32 bits, the cell's offset in the
// 16 above, the key length in the highest.
func (p page) slotWord(i int) uint64 {
	at := p.slotBase() + i*slotSize
	return le.Uint64(p[at : at+slotSize])
}

func slotBase(prefixLen int) int { return headerSize + (prefixLen+7)&^7 }

func (p page) prefix() []byte { return p[headerSize : headerSize+p.prefixLen()] }

// room is the number of bytes between slots and cells.
func (p page) room() int { return p.cellStart() - p.slotBase() - p.count()*slotSize }

// used is the number of bytes that slots and live cells take.
func (p page) used() int { return len(p) - p.slotBase() - p.room() - p.garbage() }

func head(b []byte) uint32 {
	if len(b) >= 4 {
		return be.Uint32(b)
	}
	var h uint32
	for i, c := range b {
		h |= uint32(c) << (24 - 8*i)
	}
	return h
}

// A keyLoader fetches the whole of a long key.
type keyLoader interface {
	loadKey(extent) ([]byte, error)
}

// search returns the first slot whose key is not less than key, and whether it is equal. In a
// branch, slot 0 is less than every key. Heads are compared within the slot array; a cell is
// touched only on a tie.
func (p page) search(key []byte, kl keyLoader) (int, bool, error) {
	lo, tie := p.bound(key)
	if !tie {
		return lo, false, nil
	}
	return p.searchTies(key, lo, kl)
}

// bound is search as far as the slots tell: tie says that slot lo has key's prefix and head,
// so that it, and those after it that do too, must be compared in full.
//
// This is where reads spend their time, so it makes no calls, and no branches by what it reads
// from slots: a processor that guesses wrong half of the time loses more than it saves.
func (p page) bound(key []byte) (lo int, tie bool) {
	w := le.Uint64(p[:8]) // kind, level, count, prefixLen
	n, pl := int(uint16(w>>16)), int(uint16(w>>32))
	if len(key) < 8 || len(key) < pl {
		return p.boundShort(key)
	}
	if uint8(w>>8) != 0 {
		lo = 1 // slot 0 is less than every key
	}
	diff, i := uint64(0), 0
	for ; i+8 <= pl; i += 8 {
		diff |= le.Uint64(key[i:i+8]) ^ le.Uint64(p[headerSize+i:headerSize+i+8])
	}
	if i < pl {
		i = min(i, len(key)-8) // the key may end before the padding does
		rest := le.Uint64(key[i:i+8]) ^ le.Uint64(p[headerSize+i:headerSize+i+8])
		diff |= rest << (8 * uint(i-pl) & 63)
	}
	if diff != 0 {
		return p.boundShort(key)
	}
	end := min(pl+4, len(key))
	h := be.Uint32(key[end-4:end]) << (8 * uint(pl+4-end))
	at := headerSize + (pl+7)&^7
	lo += p.countBelow(at+lo*slotSize, n-lo, uint64(h))
	at += lo * slotSize
	return lo, lo < n && le.Uint32(p[at:at+4]) == h
}

// boundShort is bound for short keys and those that end within the prefix or differ from it.
func (p page) boundShort(key []byte) (lo int, tie bool) {
	n := p.count()
	first := 0
	if p[1] != 0 {
		first = 1
	}
	if n <= first {
		return n, false
	}
	prefix := p.prefix()
	if !bytes.HasPrefix(key, prefix) {
		if bytes.Compare(key, prefix) < 0 {
			return first, false
		}
		return n, false
	}
	h := head(key[len(prefix):])
	lo = first + p.countBelow(p.slotBase()+first*slotSize, n-first, uint64(h))
	return lo, lo < n && le.Uint32(p.slot(lo)) == h
}

// A group of slots is as long as a cache line. Among up to manyGroups of them a search looks
// at one slot of each, in loads that do not wait for each other, and then at all of one group.
const (
	groupSlots = 8
	groupSize  = groupSlots * slotSize
	manyGroups = 8
)

// countBelow returns how many of the n slots from offset at on have a head below h.
func (p page) countBelow(at, n int, h uint64) int {
	if n < groupSlots {
		lo := 0
		for end := at + n*slotSize; at < end; at += slotSize {
			lo += less(p[at:at+4], h)
		}
		return lo
	}
	lo, size := 0, n
	for size > manyGroups*groupSlots {
		half := size / 2
		mid := at + (lo+half-1)*slotSize
		lo += half & -less(p[mid:mid+4], h)
		size -= half
	}
	groups := 0
	end := at + (lo+size)*slotSize
	for i := at + (lo+groupSlots-1)*slotSize; i < end; i += groupSize {
		groups += less(p[i:i+4], h)
	}
	lo = min(lo+groups*groupSlots, n-groupSlots)
	at += lo * slotSize
	g := (*[groupSize]byte)(p[at : at+groupSize])
	return lo + less(g[0:4], h) + less(g[8:12], h) + less(g[16:20], h) + less(g[24:28], h) +
		less(g[32:36], h) + less(g[40:44], h) + less(g[48:52], h) + less(g[56:60], h)
}

// less is 1 if the slot's head is below h, else 0.
func less(slot []byte, h uint64) int { return int((uint64(le.Uint32(slot)) - h) >> 63) }

// afterLast tells whether key comes after the last one of the page. It may say no where key
// does not begin with the page's prefix.
func (p page) afterLast(key []byte, kl keyLoader) (bool, error) {
	n, pl := p.count(), p.prefixLen()
	if n == 0 || p[1] != 0 && n == 1 || len(key) < pl || string(key[:pl]) != string(p[headerSize:headerSize+pl]) {
		return false, nil
	}
	last, h := le.Uint32(p.slot(n-1)), head(key[pl:])
	if last != h {
		return last < h, nil
	}
	c, err := p.compare(n-1, key, kl)
	return c < 0, err
}

// searchTies finishes a search among the slots from lo on that share prefix and head with key.
func (p page) searchTies(key []byte, lo int, kl keyLoader) (int, bool, error) {
	c, err := p.compare(lo, key, kl)
	if c >= 0 || err != nil {
		return lo, c == 0, err
	}
	h, n := uint32(p.slotWord(lo)), p.count()
	lo++
	hi := lo
	for step := 1; hi < n && uint32(p.slotWord(hi)) == h; step *= 2 {
		hi = min(hi+step, n)
	}
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		c := 1
		if uint32(p.slotWord(mid)) == h {
			if c, err = p.compare(mid, key, kl); err != nil {
				return 0, false, err
			}
		}
		switch {
		case c == 0:
			return mid, true, nil
		case c < 0:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return lo, false, nil
}

// compare compares the key in slot i with key; both begin with the page's prefix and have the
// same head.
func (p page) compare(i int, key []byte, kl keyLoader) (int, error) {
	w := p.slotWord(i)
	klen, seen := int(w>>48), p.prefixLen()+4
	if klen <= seen || len(key) <= seen {
		return klen - len(key), nil // the equal heads have shown all there is of one of them
	}
	if klen == longKey {
		return p.compareLong(i, key, kl)
	}
	off := int(uint16(w>>32)) + leafKeyOff
	if p[1] != 0 {
		off += branchKeyOff - leafKeyOff
	}
	return bytes.Compare(p[off+seen:off+klen], key[seen:]), nil
}

func (p page) compareLong(i int, key []byte, kl keyLoader) (int, error) {
	stored, e := p.longKey(i)
	if c := bytes.Compare(stored, key[:min(len(key), len(stored))]); c != 0 {
		return c, nil
	}
	whole, err := kl.loadKey(e)
	if err != nil {
		return 0, err
	}
	return bytes.Compare(whole, key), nil
}

// child returns the slot of the child of a branch that covers key.
func (p page) child(key []byte, kl keyLoader) (int, error) {
	i, found, err := p.search(key, kl)
	if !found {
		i--
	}
	return i, err
}

func (p page) cellOff(i int) int { return int(uint16(p.slotWord(i) >> 32)) }

func (p page) keyOff(i int) int {
	if p[1] == 0 {
		return p.cellOff(i) + leafKeyOff
	}
	return p.cellOff(i) + branchKeyOff
}

func (p page) isLong(i int) bool { return p.slotWord(i)>>48 == longKey }

// longKey returns what stands in the page of a long key, and the extent that has all of it.
func (p page) longKey(i int) ([]byte, extent) {
	off := p.keyOff(i)
	return p[off+extentSize : off+extentSize+longInline], getExtent(p[off:])
}

// storedKey returns the key in slot i, or what the page has of it when it is long.
func (p page) storedKey(i int) []byte {
	klen := int(le.Uint16(p.slot(i)[6:]))
	off := p.keyOff(i)
	if klen == longKey {
		return p[off+extentSize : off+extentSize+longInline : off+extentSize+longInline]
	}
	return p[off : off+klen : off+klen]
}

// key returns the whole key in slot i.
func (p page) key(i int, kl keyLoader) ([]byte, error) {
	if p.isLong(i) {
		_, e := p.longKey(i)
		return kl.loadKey(e)
	}
	return p.storedKey(i), nil
}

// keySpace is how many bytes of a cell belong to its key.
func keySpace(klen int) int {
	if klen == longKey {
		return extentSize + longInline
	}
	return klen
}

// payload returns flags and payload of the leaf cell in slot i.
func (p page) payload(i int) (byte, []byte) {
	s := p.slot(i)
	off := int(le.Uint16(s[4:]))
	from := off + leafKeyOff + keySpace(int(le.Uint16(s[6:])))
	to := from + int(le.Uint16(p[off+1:]))
	return p[off], p[from:to:to]
}

// ref returns the ref in slot i of a branch.
func (p page) ref(i int) ref { return getRef(p[p.cellOff(i):]) }

// setRef overwrites the ref in slot i of a branch.
func (p page) setRef(i int, r ref) { r.put(p[p.cellOff(i):]) }

// refPgno is ref(i).pgno.
func (p page) refPgno(i int) uint32 {
	off := int(uint16(p.slotWord(i) >> 32))
	return le.Uint32(p[off : off+4])
}

// appendRefPgnos appends the pages that a branch refers to.
func (p page) appendRefPgnos(pgnos []uint32) []uint32 {
	for i := range p.count() {
		pgnos = append(pgnos, p.refPgno(i))
	}
	return pgnos
}

// addCount adds d to the count of the ref in slot i.
func (p page) addCount(i int, d int64) {
	b := p[p.cellOff(i)+10:]
	v := le.Uint64(b)
	le.PutUint64(b, v&^mask48|uint64(int64(v)+d)&mask48)
}

// total is the number of entries in and below the page.
func (p page) total() uint64 {
	if p.level() == 0 {
		return uint64(p.count())
	}
	var sum uint64
	for i := range p.count() {
		sum += le.Uint64(p[p.cellOff(i)+10:]) & mask48
	}
	return sum
}

func (p page) cellSize(i int) int {
	s := p.slot(i)
	k := keySpace(int(le.Uint16(s[6:])))
	if p[1] != 0 {
		return branchKeyOff + k
	}
	return leafKeyOff + k + int(le.Uint16(p[int(le.Uint16(s[4:]))+1:]))
}

// A cell is an entry on its way into a page: the key as far as the page has it, the slot's
// key length, and the cell's bytes.
type cell struct {
	key  []byte
	klen int
	body []byte
}

func (c cell) size() int { return slotSize + len(c.body) }

// cell returns the entry in slot i.
func (p page) cell(i int) cell {
	s := p.slot(i)
	off := int(le.Uint16(s[4:]))
	return cell{p.storedKey(i), int(le.Uint16(s[6:])), p[off : off+p.cellSize(i)]}
}

// appendCells appends the cells of slots from to to.
func (p page) appendCells(cells []cell, from, to int) []cell {
	for i := from; i < to; i++ {
		cells = append(cells, p.cell(i))
	}
	return cells
}

// fits tells whether c can be inserted without building the page anew.
func (p page) fits(c cell) bool { return p.room() >= c.size() }

// insert makes c the new slot i. The caller has seen that it fits.
func (p page) insert(i int, c cell) {
	if (i > 0 || p[1] == 0) && !bytes.HasPrefix(c.key, p.prefix()) {
		p.setPrefix(commonLen(p.prefix(), c.key))
	}
	n := p.count()
	base := p.slotBase()
	copy(p[base+(i+1)*slotSize:base+(n+1)*slotSize], p[base+i*slotSize:base+n*slotSize])
	le.PutUint16(p[2:], uint16(n+1))
	p.place(i, c)
}

// setPrefix makes the prefix n bytes long, which all keys begin with. The caller has seen that there is room for a longer
// one. Cells stay where they are.
func (p page) setPrefix(n int) {
	count, from, to := p.count(), p.slotBase(), slotBase(n)
	copy(p[to:to+count*slotSize], p[from:from+count*slotSize])
	have := p.prefixLen()
	le.PutUint16(p[4:], uint16(n))
	if n > have {
		copy(p[headerSize:], p.storedKey(count - 1)[:n])
	}
	clear(p[headerSize+n : to])
	for i := min(p.level(), 1); i < count; i++ {
		k := p.storedKey(i)
		le.PutUint32(p.slot(i), head(k[min(n, len(k)):])) // shorter in a page that was made up
	}
}

// replace makes c the entry of slot i; the key stays the same. The caller has seen that
// there is room.
func (p page) replace(i int, c cell) {
	le.PutUint32(p[12:], uint32(p.garbage()+p.cellSize(i)))
	p.place(i, c)
}

func (p page) place(i int, c cell) {
	off := p.cellStart() - len(c.body)
	le.PutUint32(p[8:], uint32(off))
	copy(p[off:], c.body)
	var h uint32
	if pl := p.prefixLen(); len(c.key) > pl {
		h = head(c.key[pl:])
	}
	s := p.slot(i)
	le.PutUint32(s, h)
	le.PutUint16(s[4:], uint16(off))
	le.PutUint16(s[6:], uint16(c.klen))
}

// remove takes slots from to to out.
func (p page) remove(from, to int) {
	garbage := p.garbage()
	for i := from; i < to; i++ {
		garbage += p.cellSize(i)
	}
	le.PutUint32(p[12:], uint32(garbage))
	n := p.count()
	base := p.slotBase()
	copy(p[base+from*slotSize:], p[base+to*slotSize:base+n*slotSize])
	le.PutUint16(p[2:], uint16(n-(to-from)))
}

// build writes a page with these cells over p. The cells must not be in p's memory, and must
// fit (see spaceFor). In a branch the first cell gets the empty separator.
func (p page) build(kind byte, level int, cells []cell, prefixLen int) {
	clear(p[:headerSize])
	p[0], p[1] = kind, byte(level)
	le.PutUint16(p[2:], uint16(len(cells)))
	le.PutUint16(p[4:], uint16(prefixLen))
	le.PutUint32(p[8:], uint32(len(p)))
	base := slotBase(prefixLen)
	if prefixLen > 0 {
		clear(p[headerSize:base])
		copy(p[headerSize:], cells[len(cells)-1].key[:prefixLen])
	}
	for i, c := range cells {
		if level > 0 && i == 0 {
			c = cell{nil, 0, c.body[:branchKeyOff]}
		}
		p.place(i, c)
	}
	clear(p[base+len(cells)*slotSize : p.cellStart()])
}

// commonPrefix is the prefix length to build these cells with. That of a single cell is its
// whole key: a page that began without a prefix would never get one, for it is built anew only
// when a cell does not fit, and its heads would say nothing.
func commonPrefix(level int, cells []cell) int {
	if level > 0 && len(cells) > 0 {
		cells = cells[1:]
	}
	if len(cells) == 0 {
		return 0
	}
	return min(commonLen(cells[0].key, cells[len(cells)-1].key), maxPrefix)
}

func commonLen(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for ; i+8 <= n; i += 8 {
		if x := le.Uint64(a[i:]) ^ le.Uint64(b[i:]); x != 0 {
			return i + bits.TrailingZeros64(x)/8
		}
	}
	for ; i < n; i++ {
		if a[i] != b[i] {
			break
		}
	}
	return i
}

// cellsSize is the number of bytes that slots and cells take.
func cellsSize(cells []cell) int {
	n := 0
	for _, c := range cells {
		n += c.size()
	}
	return n
}

// spaceFor tells whether a page of this size takes the cells and their common prefix. It would take an entry more without
// the prefix, but then no head would tell one key from another.
func spaceFor(pageSize, level int, cells []cell) bool {
	return slotBase(commonPrefix(level, cells))+cellsSize(cells) <= pageSize
}

// fill writes a page with these cells and their common prefix over p.
func (p page) fill(level int, cells []cell) { p.fillWith(level, cells, commonPrefix(level, cells)) }

// fillWith is fill with a prefix of another length; it is shorter where there is no room for it.
func (p page) fillWith(level int, cells []cell, prefixLen int) {
	kind := byte(kindLeaf)
	if level > 0 {
		kind = kindBranch
	}
	room := (len(p) - headerSize - cellsSize(cells)) &^ 7
	p.build(kind, level, cells, min(prefixLen, room))
}

// validate checks that no offset, length or number in a page of a tree leads outside it, and
// that no two cells share a byte, so that a change of one leaves the others as they are. It
// says nothing of order or truth, which Check does.
func (p page) validate() error {
	if len(p) < headerSize || len(p) > maxPageSize {
		return fmt.Errorf("page of %d bytes", len(p))
	}
	switch {
	case p[0] == kindLeaf && p[1] == 0, p[0] == kindBranch && p[1] > 0 && p[1] <= maxLevel:
	default:
		return fmt.Errorf("kind %d with level %d", p[0], p[1])
	}
	n, pl, start := p.count(), p.prefixLen(), p.cellStart()
	base := slotBase(pl)
	if pl > maxPrefix || start > len(p) || base+n*slotSize > start {
		return fmt.Errorf("header out of range: %d slots, prefix of %d, cells from %d", n, pl, start)
	}
	if n == 0 && p[1] > 0 {
		return fmt.Errorf("branch without children")
	}
	var cells coverage
	for i := range n {
		if err := p.validateCell(i, pl, start); err != nil {
			return fmt.Errorf("slot %d: %w", i, err)
		}
		if off := p.cellOff(i); cells.overlaps(off, off+p.cellSize(i)) {
			return fmt.Errorf("slot %d: its cell overlaps another", i)
		}
	}
	return nil
}

// A coverage tells which bytes of a page belong to a cell.
type coverage [maxPageSize / 64]uint64

// overlaps adds the bytes from to to and tells whether any of them were there.
func (c *coverage) overlaps(from, to int) bool {
	for from < to {
		n := min(64-from%64, to-from)
		mask := ^uint64(0) >> (64 - n) << (from % 64)
		if c[from/64]&mask != 0 {
			return true
		}
		c[from/64] |= mask
		from += n
	}
	return false
}

func (p page) validateCell(i, prefixLen, start int) error {
	s := p.slot(i)
	off, klen := int(le.Uint16(s[4:])), int(le.Uint16(s[6:]))
	if off < start {
		return fmt.Errorf("cell at %d, before the cells", off)
	}
	fixed := leafKeyOff
	if p[1] > 0 {
		fixed = branchKeyOff
	}
	end := off + fixed + keySpace(klen)
	if end > len(p) {
		return fmt.Errorf("cell at %d ends outside the page", off)
	}
	leftmost := p[1] > 0 && i == 0
	if !leftmost && klen < prefixLen || klen > MaxKeySize && klen != longKey {
		return fmt.Errorf("key length %d", klen)
	}
	if klen == longKey {
		if _, e := p.longKey(i); e.pgno < 2 || e.pgno >= dirtyBit || e.length <= longInline || e.length > MaxKeySize {
			return fmt.Errorf("extent of a long key: page %d, length %d", e.pgno, e.length)
		}
	}
	if p[1] > 0 {
		if r := p.ref(i); r.pgno < 2 || r.dirty() {
			return fmt.Errorf("child %#x", r.pgno)
		}
		if leftmost && klen != 0 {
			return fmt.Errorf("leftmost separator of %d bytes", klen)
		}
		return nil
	}
	size := int(le.Uint16(p[off+1:]))
	if klen == 0 || end+size > len(p) {
		return fmt.Errorf("cell at %d: key of %d, payload of %d", off, klen, size)
	}
	return validatePayload(p[off], p[end:end+size])
}

func validatePayload(flags byte, b []byte) error {
	switch flags {
	case cellInline:
	case cellExtent:
		if len(b) != extentSize {
			return fmt.Errorf("extent ref of %d bytes", len(b))
		}
		if e := getExtent(b); e.pgno < 2 || e.pgno >= dirtyBit || e.length == 0 || e.length > MaxValueSize {
			return fmt.Errorf("extent at page %d, length %d", e.pgno, e.length)
		}
	case cellBucket:
		if len(b) < bucketHeaderSize {
			return fmt.Errorf("bucket header of %d bytes", len(b))
		}
		if r := getRef(b); r.dirty() || r.pgno == 1 {
			return fmt.Errorf("bucket root %#x", r.pgno)
		}
	default:
		return fmt.Errorf("cell flags %#x", flags)
	}
	return nil
}

// appendLeafCell appends a leaf cell to buf.
func appendLeafCell(buf []byte, flags byte, key storedKey, payload []byte) []byte {
	buf = append(buf, flags, byte(len(payload)), byte(len(payload)>>8))
	buf = key.appendTo(buf)
	return append(buf, payload...)
}

// A storedKey is a key in the form a page has it: whole, or its first bytes and an extent.
type storedKey struct {
	bytes []byte
	ext   extent // of a long key
	long  bool
}

func (k storedKey) klen() int {
	if k.long {
		return longKey
	}
	return len(k.bytes)
}

func (k storedKey) appendTo(buf []byte) []byte {
	if k.long {
		var e [extentSize]byte
		k.ext.put(e[:])
		buf = append(buf, e[:]...)
	}
	return append(buf, k.bytes...)
}

// appendBranchCell appends a branch cell to buf.
func appendBranchCell(buf []byte, r ref, sep storedKey) []byte {
	var b [refSize]byte
	r.put(b[:])
	return sep.appendTo(append(buf, b[:]...))
}
