package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
)

const (
	keySize   = 16
	valueSize = 100
)

// dataset is what a store should hold: entry i has the key 2i in decimal, and a value made of i and
// its version, which counts its puts. Odd numbers are never stored. Version 0 is absent; a byte
// is enough, and leaves memory to the stores, for 255 puts are never lost together.
type dataset struct{ version []uint8 }

func newDataset(n int) *dataset { return &dataset{make([]uint8, n)} }

func (d *dataset) clone() *dataset { return &dataset{slices.Clone(d.version)} }

func (d *dataset) renew(i int) (version uint8) {
	d.version[i] = max(1, d.version[i]+1)
	return d.version[i]
}

func appendKey(buf []byte, number int) []byte {
	var k [keySize]byte
	for at := keySize - 2; at >= 0; at -= 2 {
		rest := number / 100
		two := byte(number - rest*100)
		k[at], k[at+1], number = '0'+two/10, '0'+two%10, rest
	}
	return append(buf, k[:]...)
}

func keyNumber(key []byte) int {
	number := 0
	for _, c := range key {
		number = number*10 + int(c-'0')
	}
	return number
}

// appendValue appends a value that does not compress; its first word depends on i only. It is cheap, for it is a part
// of what is measured: no word waits for the one before.
func appendValue(buf []byte, i int, version uint8, size int) []byte {
	const word = 8
	at := len(buf)
	buf = slices.Grow(buf, size+word)[:at+size+word]
	value := buf[at:]
	binary.LittleEndian.PutUint64(value, mix(uint64(i)))
	seed := mix(uint64(i)<<8 | uint64(version))
	for k := word; k < size; k += word {
		binary.LittleEndian.PutUint64(value[k:], mix(seed+uint64(k)))
	}
	return buf[:at+size]
}

// mix is the finalizer of splitmix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// checkValue is the check inside timed loops: the length and the first word.
func checkValue(i int, value []byte) error {
	if len(value) != valueSize || binary.LittleEndian.Uint64(value) != mix(uint64(i)) {
		return fmt.Errorf("entry %d: wrong value of %d bytes", i, len(value))
	}
	return nil
}

// verify reads a whole store and compares every byte. Untimed, it also warms the store up.
func (d *dataset) verify(s Store) error {
	return s.View(d.verifyReader)
}

func (d *dataset) verifyReader(r Reader) error {
	var bad error
	var want []byte
	next := d.after(-1)
	err := r.Scan(nil, func(key, value []byte) bool {
		i := keyNumber(key) / 2
		if next >= len(d.version) || i != next {
			bad = fmt.Errorf("scan: entry %d instead of %d", i, next)
			return false
		}
		want = appendValue(want[:0], i, d.version[i], valueSize)
		if !bytes.Equal(value, want) {
			bad = fmt.Errorf("scan: entry %d has not version %d", i, d.version[i])
			return false
		}
		next = d.after(i)
		return true
	})
	if err == nil && bad == nil && next < len(d.version) {
		bad = fmt.Errorf("scan: ended before entry %d", next)
	}
	return errors.Join(err, bad)
}

// after returns the next present entry.
func (d *dataset) after(i int) int {
	for i++; i < len(d.version) && d.version[i] == 0; i++ {
	}
	return i
}

// batch holds the keys and values of one transaction, which stay as they are until it ends.
type batch struct {
	data  *dataset
	arena []byte
}

// next makes the next version of entry i.
func (b *batch) next(i int) (key, value []byte) {
	at := len(b.arena)
	b.arena = appendKey(b.arena, 2*i)
	b.arena = appendValue(b.arena, i, b.data.renew(i), valueSize)
	return b.arena[at : at+keySize : at+keySize], b.arena[at+keySize : at+keySize+valueSize]
}

func (b *batch) put(w Writer, i int) error { return w.Put(b.next(i)) }

func (b *batch) delete(w Writer, i int) error {
	at := len(b.arena)
	b.data.version[i] = 0
	b.arena = appendKey(b.arena, 2*i)
	return w.Delete(b.arena[at:])
}

// transactions makes ops changes of entries pick(0), pick(1), ..., perTx in each transaction.
func (b *batch) transactions(s Store, ops, perTx int, pick func(int) int, change func(Writer, int) error) error {
	for done := 0; done < ops; done += perTx {
		b.arena = b.arena[:0]
		err := s.Update(func(w Writer) error {
			for j := done; j < min(done+perTx, ops); j++ {
				if err := change(w, pick(j)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func newBatch(d *dataset, perTx int) *batch {
	return &batch{d, make([]byte, 0, perTx*(keySize+valueSize+8))}
}

// ordered yields the pairs of the dataset, all of which it makes present.
func (d *dataset) ordered() iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		var key, value []byte
		for i := range d.version {
			key = appendKey(key[:0], 2*i)
			value = appendValue(value[:0], i, d.renew(i), valueSize)
			if !yield(key, value) {
				return
			}
		}
	}
}

// loadSorted is Load for engines that do it by transactions of perTx puts.
func loadSorted(pairs iter.Seq2[[]byte, []byte], perTx int, update func(func(Writer) error) error) error {
	arena := make([]byte, 0, perTx*(keySize+valueSize))
	flush := func() error {
		defer func() { arena = arena[:0] }()
		return update(func(w Writer) error {
			for rest := arena; len(rest) > 0; rest = rest[keySize+valueSize:] {
				if err := w.Put(rest[:keySize], rest[keySize:keySize+valueSize]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for k, v := range pairs {
		arena = append(append(arena, k...), v...)
		if len(arena) < perTx*(keySize+valueSize) {
			continue
		}
		if err := flush(); err != nil {
			return err
		}
	}
	if len(arena) == 0 {
		return nil
	}
	return flush()
}

// load fills an empty store in key order, by the engine's own way if it has one.
func (d *dataset) load(s Store) error {
	if l, ok := s.(Loader); ok {
		return l.Load(d.ordered())
	}
	return loadSorted(d.ordered(), 10_000, s.Update)
}

func permutation(rng *rand.Rand, n int) []uint32 {
	p := make([]uint32, n)
	for i := range p {
		p[i] = uint32(i)
	}
	rng.Shuffle(n, func(i, j int) { p[i], p[j] = p[j], p[i] })
	return p
}
