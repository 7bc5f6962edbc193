package fuzz

import (
	"encoding/binary"
	"io"

	"github.com/cespare/xxhash/v2"
)

// What the tests here know of the file format (docs/format.md), by themselves: a mistake that
// they shared with the engine would hide.

const (
	metaSize = 512
	metaPage = 12 // places in a meta
	metaSeed = 24
	metaTxid = 32
	metaRoot = 48
	metaLog  = 72
	metaHwm  = 96
	metaSum  = 504

	pageHeader = 32
	logPrev    = 32 // the ref in a page of the free log
	refSum     = 16 // places in a ref
	extentSum  = 14 // and in an extent's ref
)

var le = binary.LittleEndian

const mask48 = 1<<48 - 1

// A part is what a ref in the file covers: a page, or an extent.
type part struct {
	kind   string // "leaf", "branch", "log" or "extent"
	pgno   uint32
	pages  int
	refs   []int // where the refs to it are
	extent bool
}

// An image is a store as bytes.
type image []byte

func (b image) pageSize() int { return int(le.Uint32(b[metaPage:])) }
func (b image) hwm() int      { return int(le.Uint32(b[b.newest()+metaHwm:])) }

// newest returns the place of the meta with the highest txid.
func (b image) newest() int {
	if second := b.pageSize(); le.Uint64(b[second+metaTxid:]) > le.Uint64(b[metaTxid:]) {
		return second
	}
	return 0
}

// parts lists what the metas refer to, children before parents. Both metas must be of one
// state, as Close leaves them.
func (b image) parts() []part {
	var all []part
	roots, logs := []int{metaRoot, b.pageSize() + metaRoot}, []int{metaLog, b.pageSize() + metaLog}
	b.tree(&all, roots)
	b.log(&all, logs)
	return all
}

// tree appends the page that the refs lead to, after what is below it.
func (b image) tree(all *[]part, refs []int) {
	pgno := le.Uint32(b[refs[0]:])
	if pgno == 0 {
		return
	}
	at := int(pgno) * b.pageSize()
	kind := "leaf"
	if b[at+1] > 0 {
		kind = "branch"
	}
	slots := at + pageHeader + (int(le.Uint16(b[at+4:]))+7)&^7
	for i := range int(le.Uint16(b[at+2:])) {
		slot := slots + 8*i
		b.cell(all, at, int(le.Uint16(b[slot+4:])), int(le.Uint16(b[slot+6:])), kind == "branch")
	}
	*all = append(*all, part{kind: kind, pgno: pgno, pages: 1, refs: refs})
}

// cell appends what a cell refers to.
func (b image) cell(all *[]part, page, off, klen int, branch bool) {
	cell, key := page+off, page+off+3
	if branch {
		b.tree(all, []int{cell})
		key = cell + 24
	}
	if klen == 0xffff {
		b.extent(all, key)
		klen = 22 + 260
	}
	switch payload := key + klen; {
	case branch:
	case b[cell] == 1:
		b.extent(all, payload)
	case b[cell] == 2 && le.Uint32(b[payload+32:]) == 0:
		b.tree(all, []int{payload})
	}
}

func (b image) extent(all *[]part, at int) {
	size := b.pageSize()
	*all = append(*all, part{kind: "extent", pgno: le.Uint32(b[at:]), pages: (int(le.Uint32(b[at+4:])) + size - 1) / size,
		refs: []int{at}, extent: true})
}

func (b image) log(all *[]part, refs []int) {
	pgno := le.Uint32(b[refs[0]:])
	if pgno == 0 {
		return
	}
	b.log(all, []int{int(pgno)*b.pageSize() + logPrev})
	*all = append(*all, part{kind: "log", pgno: pgno, pages: 1, refs: refs})
}

// seal makes all checksums right again after the image was changed; the parts are those from
// before.
func (b image) seal(parts []part) {
	if len(b) < metaSize || b.pageSize() < 4096 || b.pageSize() > 64<<10 {
		return
	}
	size := b.pageSize()
	seed := le.Uint64(b[metaSeed:])
	for _, p := range parts {
		from, to := int(p.pgno)*size, (int(p.pgno)+p.pages)*size
		if to > len(b) {
			continue
		}
		for _, ref := range p.refs {
			if ref+refSum+8 > len(b) {
				continue
			}
			birth, sum := le.Uint64(b[ref+4:])&mask48, ref+refSum
			if p.extent {
				birth, sum = le.Uint64(b[ref+8:])&mask48, ref+extentSum
			}
			le.PutUint64(b[sum:], pageSum(seed, le.Uint32(b[ref:]), birth, b[from:to]))
		}
	}
	b.sealMetas(size)
}

func (b image) sealMetas(size int) {
	for _, at := range []int{0, size} {
		if at+metaSize <= len(b) {
			le.PutUint64(b[at+metaSum:], xxhash.Sum64(b[at:at+metaSum]))
		}
	}
}

func pageSum(seed uint64, pgno uint32, birth uint64, p []byte) uint64 {
	d := xxhash.NewWithSeed(seed)
	var place [16]byte
	le.PutUint64(place[:], uint64(pgno))
	le.PutUint64(place[8:], birth)
	d.Write(place[:])
	d.Write(p)
	return d.Sum64()
}

// logLength returns the number of pages of the free log.
func logLength(f interface {
	io.ReaderAt
	Size() (int64, error)
}) int {
	n, _ := f.Size()
	b := make(image, n)
	f.ReadAt(b, 0) // a file in memory
	var all []part
	b.log(&all, []int{b.newest() + metaLog})
	return len(all)
}
