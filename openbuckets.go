package folio

import (
	"bytes"
	"slices"
)

// fewOpen is how many open buckets are looked for one by one.
const fewOpen = 8

// An openBuckets is the nested buckets of a bucket that a write transaction has open. Few are a
// list, of which the first costs no allocation; many are a map.
type openBuckets struct {
	list  []*Bucket          // all of them, in no order, while they are few
	many  map[string]*Bucket // all of them otherwise
	first [1]*Bucket
}

func (o *openBuckets) get(name []byte) *Bucket {
	if o.many != nil {
		return o.many[string(name)]
	}
	if i := o.index(name); i >= 0 {
		return o.list[i]
	}
	return nil
}

func (o *openBuckets) index(name []byte) int {
	return slices.IndexFunc(o.list, func(b *Bucket) bool { return bytes.Equal(b.name, name) })
}

// put adds a bucket, in the place of one of the same name.
func (o *openBuckets) put(b *Bucket) {
	o.remove(b.name)
	switch {
	case o.many != nil:
		o.many[string(b.name)] = b
	case len(o.list) == 0:
		o.list = append(o.first[:0], b)
	case len(o.list) < fewOpen:
		o.list = append(o.list, b)
	default:
		o.many = make(map[string]*Bucket, 2*fewOpen)
		for _, c := range append(o.list, b) {
			o.many[string(c.name)] = c
		}
		o.list, o.first[0] = nil, nil
	}
}

func (o *openBuckets) remove(name []byte) {
	if o.many != nil {
		delete(o.many, string(name))
	} else if i := o.index(name); i >= 0 {
		o.list = slices.Delete(o.list, i, i+1)
	}
}

// inOrder returns the buckets in the order of their names, in buf if it is large enough. Buckets
// may come and go while the caller goes through them.
func (o *openBuckets) inOrder(buf []*Bucket) []*Bucket {
	buf = append(buf, o.list...)
	for _, b := range o.many {
		buf = append(buf, b)
	}
	slices.SortFunc(buf, func(b, c *Bucket) int { return bytes.Compare(b.name, c.name) })
	return buf
}
