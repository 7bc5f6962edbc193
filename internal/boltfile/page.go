package boltfile

import "encoding/binary"

// A page is a branch or a leaf with its overflow. Every access checks what it reads: nothing
// holds that was checked before, for a file may change under its map.
type page struct {
	number uint64 // of the page that the bytes are in
	bytes  []byte
}

// page returns a branch or leaf of the file.
func (f *File) page(number uint64) (page, error) {
	if number < metaPages || number >= f.meta.pages {
		return page{}, damagef(number, "no such page: the file has pages %d to %d", metaPages, f.meta.pages-1)
	}
	size := uint64(len(f.data))
	at := number * f.pageSize
	if at+f.pageSize > size {
		return page{}, damagef(number, "it lies past the end of the file, which is cut short")
	}
	p := page{number, f.data[at : at+f.pageSize]}
	le := binary.LittleEndian
	if own := le.Uint64(p.bytes); own != number {
		return page{}, damagef(number, "it says that it is page %d", own)
	}
	if flags := p.flags(); flags != branchFlag && flags != leafFlag {
		return page{}, damagef(number, "flags %#x are neither those of a branch nor those of a leaf", flags)
	}
	pages := 1 + uint64(le.Uint32(p.bytes[12:]))
	if pages > f.meta.pages-number || at+pages*f.pageSize > size {
		return page{}, damagef(number, "%d pages of overflow do not fit the file", pages-1)
	}
	p.bytes = f.data[at : at+pages*f.pageSize]
	return p, p.checkCount()
}

// inlinePage returns the page inside a bucket's value.
func inlinePage(number uint64, b []byte) (page, error) {
	p := page{number, b}
	if len(b) < headerSize || p.flags() != leafFlag {
		return p, damagef(number, "a bucket inside it is not a leaf")
	}
	return p, p.checkCount()
}

func (p page) flags() uint16 { return binary.LittleEndian.Uint16(p.bytes[8:]) }
func (p page) isLeaf() bool  { return p.flags() == leafFlag }
func (p page) count() int    { return int(binary.LittleEndian.Uint16(p.bytes[10:])) }

func (p page) checkCount() error {
	if headerSize+p.count()*elementSize > len(p.bytes) {
		return damagef(p.number, "%d elements do not fit", p.count())
	}
	if p.count() == 0 && !p.isLeaf() {
		return damagef(p.number, "a branch without elements")
	}
	return nil
}

// A branchElement is a child of a branch. Its key lies from from to end in the page.
type branchElement struct {
	key       []byte
	child     uint64
	from, end uint64
}

func (p page) branchElement(i int) (branchElement, error) {
	at := headerSize + i*elementSize
	b := p.bytes[at:][:elementSize]
	le := binary.LittleEndian
	from := uint64(at) + uint64(le.Uint32(b))
	end := from + uint64(le.Uint32(b[4:]))
	if end > uint64(len(p.bytes)) {
		return branchElement{}, damagef(p.number, "the key of element %d lies outside", i)
	}
	return branchElement{p.bytes[from:end:end], le.Uint64(b[8:]), from, end}, nil
}

// A leafElement is a pair of a leaf. Its bytes lie from from to end in the page.
type leafElement struct {
	flags      uint32
	key, value []byte
	from, end  uint64
}

func (p page) leafElement(i int) (leafElement, error) {
	at := headerSize + i*elementSize
	b := p.bytes[at:][:elementSize]
	le := binary.LittleEndian
	from := uint64(at) + uint64(le.Uint32(b[4:]))
	value := from + uint64(le.Uint32(b[8:]))
	end := value + uint64(le.Uint32(b[12:]))
	if end > uint64(len(p.bytes)) {
		return leafElement{}, damagef(p.number, "element %d lies outside", i)
	}
	return leafElement{
		flags: le.Uint32(b),
		key:   p.bytes[from:value:value],
		value: p.bytes[value:end:end],
		from:  from, end: end,
	}, nil
}
