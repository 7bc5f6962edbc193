package folio

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"sync/atomic"
)

// The reader table says which snapshots are being read. The technique is LMDB's: a reader
// announces its txid in a slot of its own, the writer looks at all slots before it reuses a
// page. What must hold:
//
//   - A slot is written by its reader only; finding and leaving one takes no lock.
//   - The writer may see a slot late. That is safe: a reader trusts its snapshot only when it
//     is still the published one after the announcement, so whoever looked before the
//     announcement had counted the published snapshot as needed anyway.
type readerTable struct {
	blocks [readerBlocks]atomic.Pointer[[]readerSlot]
}

// A readerSlot fills a cache line, so that readers on different cores do not share one.
type readerSlot struct {
	txid  atomic.Uint64 // of the snapshot being read; 0: the slot is free
	begun atomic.Uint64 // transactions that began in this slot
	_     [48]byte
}

// Block i of the table has firstBlock<<i slots. Blocks are made when those before are full.
const readerBlocks = 20

func firstBlock() int { return 16 * runtime.GOMAXPROCS(0) }

func newReaderTable() *readerTable {
	t := &readerTable{}
	b := make([]readerSlot, firstBlock())
	t.blocks[0].Store(&b)
	return t
}

// enter announces a reader of txid and returns its slot.
func (t *readerTable) enter(txid uint64) *readerSlot {
	for i := range t.blocks {
		block := t.block(i)
		// A random place to start keeps readers that begin at once apart. A crowded block is
		// left after a few tries, the last is searched to its end.
		tries := 8
		if i == len(t.blocks)-1 {
			tries = len(block)
		}
		at := int(rand.Uint32() >> 1)
		for k := range tries {
			s := &block[(at+k)%len(block)]
			if s.txid.Load() == 0 && s.txid.CompareAndSwap(0, txid) {
				return s
			}
		}
	}
	// Every slot of a table of millions is taken: wait for one.
	runtime.Gosched()
	return t.enter(txid)
}

func (t *readerTable) block(i int) []readerSlot {
	if b := t.blocks[i].Load(); b != nil {
		return *b
	}
	b := make([]readerSlot, len(*t.blocks[0].Load())<<i)
	t.blocks[i].CompareAndSwap(nil, &b)
	return *t.blocks[i].Load()
}

func (s *readerSlot) leave() { s.txid.Store(0) }

// each calls fn with the txid of every open read transaction.
func (t *readerTable) each(fn func(txid uint64)) {
	for i := range t.blocks {
		b := t.blocks[i].Load()
		if b == nil {
			return
		}
		for j := range *b {
			if txid := (*b)[j].txid.Load(); txid != 0 {
				fn(txid)
			}
		}
	}
}

// open is the number of open read transactions.
func (t *readerTable) open() int {
	n := 0
	t.each(func(uint64) { n++ })
	return n
}

// begun is the number of read transactions that began.
func (t *readerTable) begun() uint64 {
	var n uint64
	for i := range t.blocks {
		b := t.blocks[i].Load()
		if b == nil {
			break
		}
		for j := range *b {
			n += (*b)[j].begun.Load()
		}
	}
	return n
}

// appendNeeded adds to an empty list the states that may still be read: those of open readers,
// and the others given, except 0; sorted, each once.
func (t *readerTable) appendNeeded(s []uint64, others ...uint64) []uint64 {
	s = slices.Grow(s, 2*len(others))
	t.each(func(txid uint64) { s = append(s, txid) })
	for _, txid := range others {
		if txid != 0 {
			s = append(s, txid)
		}
	}
	slices.Sort(s)
	return slices.Compact(s)
}
