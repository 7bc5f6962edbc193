package folio

import (
	"fmt"
	"testing"
)

// decimalPage is a page of n entries whose keys are decimal numbers, as bench has them.
func decimalPage(level, n int) (page, [][]byte) {
	var cells []cell
	var keys [][]byte
	for i := range n {
		key := fmt.Appendf(nil, "%016d", 123400000+i*7)
		keys = append(keys, key)
		sk := storedKey{bytes: key}
		body := appendLeafCell(nil, cellInline, sk, make([]byte, 20))
		if level > 0 {
			body = appendBranchCell(nil, ref{pgno: 2 + uint32(i)}, sk)
		}
		cells = append(cells, cell{key, len(key), body})
	}
	p := make(page, 16384)
	p.fill(level, cells)
	return p, keys
}

func BenchmarkPageSearch(b *testing.B) {
	for _, level := range []int{0, 1} {
		for _, n := range []int{4, 30, 65, 130, 250} {
			b.Run(fmt.Sprintf("level=%d/entries=%d", level, n), func(b *testing.B) {
				p, keys := decimalPage(level, n)
				x := uint64(1)
				for b.Loop() {
					x = x*6364136223846793005 + 1442695040888963407
					p.bound(keys[x>>33*uint64(n)>>31])
				}
			})
		}
	}
}
