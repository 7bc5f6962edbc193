//go:build folioload

package main

import (
	"context"
	"iter"

	"github.com/foliokv/folio"
)

func (s folioStore) Load(pairs iter.Seq2[[]byte, []byte]) error {
	return s.db.Update(func(tx *folio.Tx) error {
		return tx.Bucket(folioBucket).Load(context.Background(), pairs)
	})
}

func (t folioTx) GetMany(keys [][]byte, fn func(i int, value []byte)) error {
	t.b.GetMany(keys, fn)
	return nil
}
