package folio

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// Few open buckets or many, they are found, go, and come in the order of their names.
func TestOpenBuckets(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		var open openBuckets
		want := map[string]*Bucket{}
		for range 3 * (1 + rng.IntN(3*fewOpen)) {
			name := fmt.Sprint(rng.IntN(2 * fewOpen))
			switch rng.IntN(3) {
			case 0:
				open.remove([]byte(name))
				delete(want, name)
			default:
				b := &Bucket{writeBucket: &writeBucket{name: []byte(name)}}
				open.put(b)
				want[name] = b
			}
			for i := range 2 * fewOpen {
				if b := open.get([]byte(fmt.Sprint(i))); b != want[fmt.Sprint(i)] {
					t.Fatalf("%d: %p, not %p", i, b, want[fmt.Sprint(i)])
				}
			}
			var names, got []string
			for n := range want {
				names = append(names, n)
			}
			slices.Sort(names)
			for _, b := range open.inOrder(nil) {
				got = append(got, string(b.name))
			}
			if !slices.Equal(got, names) {
				t.Fatalf("%q, not %q", got, names)
			}
		}
	}
}
