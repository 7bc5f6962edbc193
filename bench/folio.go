package main

import (
	"context"
	"iter"
	"path/filepath"

	"github.com/foliokv/folio"
)

func init() {
	register(Engine{
		Name:    "folio",
		Durable: "Durable (default)",
		NoSync:  "Deferred, flushed on Sync and Close only, 256 MiB DirtyLimit (consistent after any crash)",
		Open:    openFolio(folio.VerifyOnce),
	})
	register(Engine{
		Name:    "folio-noverify",
		Durable: "as folio, VerifyNever",
		NoSync:  "as folio, VerifyNever",
		Open:    openFolio(folio.VerifyNever),
	})
}

var folioBucket = []byte("bench")

type folioStore struct{ db *folio.DB }

func openFolio(verify folio.Verify) func(string, bool) (Store, error) {
	return func(dir string, durable bool) (Store, error) {
		o := &folio.Options{Verify: verify}
		if !durable {
			o.Durability, o.FlushInterval, o.FlushBytes = folio.Deferred, -1, -1
			o.DirtyLimit = 256 << 20
		}
		db, err := folio.Open(filepath.Join(dir, "data.folio"), 0o600, o)
		if err != nil {
			return nil, err
		}
		err = ensureFolioBucket(db)
		if err != nil {
			db.Close()
			return nil, err
		}
		return folioStore{db}, nil
	}
}

func ensureFolioBucket(db *folio.DB) error {
	var found bool
	err := db.View(func(tx *folio.Tx) error {
		found = tx.Bucket(folioBucket) != nil
		return nil
	})
	if err != nil || found {
		return err
	}
	return db.Update(func(tx *folio.Tx) error {
		_, err := tx.CreateBucket(folioBucket)
		return err
	})
}

func (s folioStore) Close() error { return s.db.Close() }

func (s folioStore) View(fn func(Reader) error) error {
	return s.db.View(func(tx *folio.Tx) error { return fn(folioTx{tx.Bucket(folioBucket)}) })
}

func (s folioStore) Update(fn func(Writer) error) error {
	return s.db.Update(func(tx *folio.Tx) error { return fn(folioTx{tx.Bucket(folioBucket)}) })
}

func (s folioStore) Load(pairs iter.Seq2[[]byte, []byte]) error {
	return s.db.Update(func(tx *folio.Tx) error {
		return tx.Bucket(folioBucket).Load(context.Background(), pairs)
	})
}

type folioTx struct{ b *folio.Bucket }

func (t folioTx) Get(key []byte) ([]byte, error) { return t.b.Get(key), nil }
func (t folioTx) Put(key, value []byte) error    { return t.b.Put(key, value) }
func (t folioTx) Delete(key []byte) error        { return t.b.Delete(key) }

func (t folioTx) GetMany(keys [][]byte, fn func(i int, value []byte)) error {
	t.b.GetMany(keys, fn)
	return nil
}

func (t folioTx) Scan(from []byte, fn func(key, value []byte) bool) error {
	c := t.b.Cursor()
	for k, v := c.Seek(from); k != nil && fn(k, v); k, v = c.Next() {
	}
	return nil
}

func (t folioTx) Reverse(fn func(key, value []byte) bool) error {
	c := t.b.Cursor()
	for k, v := c.Last(); k != nil && fn(k, v); k, v = c.Prev() {
	}
	return nil
}
