package simfile

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// An Image is what a power loss may leave of the file.
type Image struct {
	// Name tells how it was made, for messages. With the same options the same file gives
	// images of the same names and content.
	Name string

	// Bytes is the file's content. It must not be changed, and is valid only within the body
	// of the loop over Images.
	Bytes []byte

	// Hash is of Bytes; two images with one hash are the same.
	Hash uint64
}

// ImageOptions say which images to make; the zero value is good.
type ImageOptions struct {
	// Seed of the random ones.
	Seed uint64

	// Random is how many subsets are drawn at random of each grain: whole writes, sectors of
	// 4096 bytes, sectors of 512 bytes. 0 means 4, negative means none.
	Random int

	// Each bounds for how many of the unflushed writes there are images about that one write
	// alone; if there are more, some are chosen at random. 0 means 32, negative means none.
	Each int

	// Grain is the size in bytes of what the random images tear finest: 512 if 0.
	Grain int64

	// Seen, if set, holds the hashes of images made before: these are left out, new ones are
	// added. Most of what a power loss may leave at one operation it may leave at the next too.
	Seen map[uint64]struct{}
}

// Images returns, one at a time, what a power loss at this moment may leave:
//
//	none, all              of the unflushed operations
//	without N, only N      one is missing, one alone is there (N counts from the oldest)
//	head of N, tail of N   one is torn in its middle, at a multiple of 512; the others are there
//	size alone             the length is the new one, added parts are zeros, no data arrived
//	size not               the data arrived, the length did not: what is past the old end is lost
//	writes R               a random subset of the operations
//	sectors 4096 R, 512 R  every write is torn at random; sometimes with "size alone" or "size not"
//	absent                 a new file whose directory entry is not durable: no file, Bytes is empty
//
// A flush that is under way counts for nothing. No image is given twice.
func (f *File) Images(o ImageOptions) iter.Seq[Image] {
	b := f.builder()
	if o.Seen == nil {
		o.Seen = map[uint64]struct{}{}
	}
	return func(yield func(Image) bool) {
		defer b.release()
		for p := range b.plans(o) {
			img := b.build(p)
			if _, ok := o.Seen[img.Hash]; ok {
				b.restore()
				continue
			}
			o.Seen[img.Hash] = struct{}{}
			if !yield(img) {
				return
			}
			b.restore()
		}
	}
}

// RandomImage returns one image as a power loss may leave it, torn sectors and all; it is the
// caller's own.
func (f *File) RandomImage(seed uint64) Image {
	b := f.builder()
	defer b.release()
	img := b.build(b.random(512, seed, 0))
	img.Bytes = slices.Clone(img.Bytes)
	return img
}

// lengths tells what becomes of the file's length.
type lengths uint8

const (
	natural lengths = iota // it follows from the operations that are there
	sizeNew                // as if all were there
	sizeOld                // as if none were there
)

// A plan says which operations of the log an image shows.
type plan struct {
	name    string
	keep    func(i int) bool               // nil: all
	sectors func(i int, sector int64) bool // nil: all of a kept write's
	grain   int64                          // sector size
	length  lengths
	absent  bool
}

// A builder makes images of one moment. Between two images buf is the disk followed by zeros.
type builder struct {
	disk   []byte
	log    []change
	final  int64 // the length as a process sees it
	listed bool
	buf    []byte
	hashes []uint64 // of the disk's blocks
	cut    int64    // the lowest length that the last image was cut to
}

func (f *File) builder() *builder {
	f.mu.RLock()
	defer f.mu.RUnlock()
	f.mustBeTracked()
	b := &builder{log: slices.Clone(f.log), final: f.size, listed: f.listed}
	n := max(int64(len(f.disk)), f.size)
	for _, c := range b.log {
		n = max(n, c.Off+c.Len)
	}
	b.disk = append(getMemory(len(f.disk))[:0], f.disk...)
	b.buf = getMemory(int(n))
	copy(b.buf, b.disk)
	clear(b.buf[len(b.disk):])
	for at := 0; at < len(b.disk); at += pageSize {
		b.hashes = append(b.hashes, xxhash.Sum64(b.disk[at:min(at+pageSize, len(b.disk))]))
	}
	return b
}

func (b *builder) release() {
	putMemory(b.disk)
	putMemory(b.buf)
	b.disk, b.buf = nil, nil
}

// plans returns what Images promises.
func (b *builder) plans(o ImageOptions) iter.Seq[plan] {
	return func(yield func(plan) bool) {
		none := func(int) bool { return false }
		if !b.listed && !yield(plan{name: "absent", keep: none, absent: true}) {
			return
		}
		ok := yield(plan{name: "none", keep: none}) && yield(plan{name: "all"}) &&
			yield(plan{name: "size alone", keep: none, length: sizeNew}) &&
			yield(plan{name: "size not", length: sizeOld})
		for _, i := range b.chosen(o) {
			ok = ok && b.single(i, yield)
		}
		count := or(o.Random, 4)
		for r := range count {
			ok = ok && yield(b.random(0, o.Seed, r)) && yield(b.random(4096, o.Seed, r)) &&
				yield(b.random(cmp.Or(o.Grain, 512), o.Seed, r))
		}
	}
}

func or(n, preset int) int {
	if n == 0 {
		return preset
	}
	return max(n, 0)
}

// chosen returns the numbers of the operations that get images of their own.
func (b *builder) chosen(o ImageOptions) []int {
	n := or(o.Each, 32)
	if len(b.log) <= n {
		n = len(b.log)
	}
	r := rand.New(rand.NewPCG(o.Seed, uint64(len(b.log))))
	chosen := r.Perm(len(b.log))[:n]
	slices.Sort(chosen)
	return chosen
}

// single yields the images about operation i.
func (b *builder) single(i int, yield func(plan) bool) bool {
	c := b.log[i]
	name := func(what string) string { return fmt.Sprintf("%s %d (%v)", what, i, c.Op) }
	ok := yield(plan{name: name("without"), keep: func(j int) bool { return j != i }}) &&
		yield(plan{name: name("only"), keep: func(j int) bool { return j == i }})
	if c.Kind != Write || c.Len <= 512 {
		return ok
	}
	half := (c.Off + c.Len/2) / 512
	head := func(j int, sector int64) bool { return j != i || sector < half }
	tail := func(j int, sector int64) bool { return j != i || sector >= half }
	return ok && yield(plan{name: name("head of"), sectors: head, grain: 512}) &&
		yield(plan{name: name("tail of"), sectors: tail, grain: 512})
}

// random returns the plan of a random image: of whole writes if grain is 0.
func (b *builder) random(grain int64, seed uint64, round int) plan {
	r := rand.New(rand.NewPCG(seed, uint64(round)<<32|uint64(len(b.log))<<16|uint64(grain)))
	p := plan{grain: grain, length: [...]lengths{natural, natural, sizeNew, sizeOld}[r.IntN(4)]}
	likely := [...]uint64{1 << 62, 1 << 63, 3 << 62}[r.IntN(3)] // a quarter, half, three quarters
	key := r.Uint64()
	draw := func(i int, sector int64) bool { return mix(key, uint64(i), uint64(sector)) < likely }
	if grain == 0 {
		p.name = fmt.Sprintf("writes %d", round)
		p.keep = func(i int) bool { return draw(i, 0) }
		return p
	}
	p.name = fmt.Sprintf("sectors %d %d", grain, round)
	p.keep = func(i int) bool { return b.log[i].Kind == Write || draw(i, 0) }
	p.sectors = draw
	return p
}

// mix hashes three numbers.
func mix(a, b, c uint64) uint64 {
	var p [24]byte
	binary.LittleEndian.PutUint64(p[0:], a)
	binary.LittleEndian.PutUint64(p[8:], b)
	binary.LittleEndian.PutUint64(p[16:], c)
	return xxhash.Sum64(p[:])
}

// build makes an image in buf.
func (b *builder) build(p plan) Image {
	size := int64(len(b.disk))
	b.cut = size
	for i, c := range b.log {
		if p.keep != nil && !p.keep(i) {
			continue
		}
		switch {
		case c.Kind == Truncate && p.length != sizeOld:
			if c.Len < size {
				clear(b.buf[c.Len:size])
				b.cut = min(b.cut, c.Len)
			}
			size = c.Len
		case c.Kind == Write && p.sectors == nil:
			copy(b.buf[c.Off:], c.data)
			size = max(size, c.Off+c.Len)
		case c.Kind == Write:
			size = max(size, b.tear(c, i, p))
		}
	}
	return b.finish(p, size)
}

// tear applies the sectors of a write that the plan keeps, and returns where the last one ends.
func (b *builder) tear(c change, i int, p plan) int64 {
	end := int64(0)
	for s := c.Off / p.grain; s*p.grain < c.Off+c.Len; s++ {
		if !p.sectors(i, s) {
			continue
		}
		from, to := max(s*p.grain, c.Off), min((s+1)*p.grain, c.Off+c.Len)
		copy(b.buf[from:to], c.data[from-c.Off:])
		end = to
	}
	return end
}

// finish gives the image its length and hash.
func (b *builder) finish(p plan, size int64) Image {
	switch {
	case p.absent:
		size = 0
	case p.length == sizeNew:
		size = b.final
	case p.length == sizeOld:
		size = int64(len(b.disk))
	}
	if size < int64(len(b.buf)) {
		b.cut = min(b.cut, size)
	}
	img := Image{Name: p.name, Bytes: b.buf[:size:size]}
	img.Hash = b.hash(img.Bytes)
	return img
}

// hash uses the disk's hashes where the image shows the disk.
func (b *builder) hash(image []byte) uint64 {
	same := b.untouched(len(image))
	sum := mix(uint64(len(image)), 0, 0)
	for i := 0; i*pageSize < len(image); i++ {
		h := uint64(0)
		if same[i] {
			h = b.hashes[i]
		} else {
			h = xxhash.Sum64(image[i*pageSize : min((i+1)*pageSize, len(image))])
		}
		sum += mix(uint64(i), h, 1)
	}
	return sum
}

// untouched tells which blocks of an image of n bytes surely are the disk's.
func (b *builder) untouched(n int) []bool {
	same := make([]bool, n/pageSize+1)
	for i := range same {
		end := (i + 1) * pageSize
		same[i] = end <= min(n, int(b.cut), len(b.disk))
	}
	for _, c := range b.log {
		eachPage(c.Op, func(p int64) {
			if p < int64(len(same)) {
				same[p] = false
			}
		})
	}
	return same
}

// restore makes buf the disk again.
func (b *builder) restore() {
	for _, c := range b.log {
		if c.Kind == Write {
			b.reset(c.Off, c.Off+c.Len)
		}
	}
	b.reset(b.cut, int64(len(b.buf)))
}

func (b *builder) reset(from, to int64) {
	n := int64(0)
	if from < int64(len(b.disk)) {
		n = int64(copy(b.buf[from:to], b.disk[from:]))
	}
	clear(b.buf[from+n : to])
}
