package main

import (
	"iter"
	"path/filepath"
	"runtime"

	"go.etcd.io/bbolt"
)

func init() {
	register(Engine{
		Name:    "bbolt",
		Durable: "default options, 64 GiB mapping",
		NoSync:  "NoSync, NoGrowSync, map freelist, 64 GiB mapping (a crash of the machine may corrupt the file)",
		Open:    openBolt,
	})
}

var boltBucket = []byte("bench")

type boltStore struct{ db *bbolt.DB }

func openBolt(dir string, durable bool) (Store, error) {
	o := *bbolt.DefaultOptions
	if runtime.GOOS != "windows" { // where the file becomes as long as the mapping
		o.InitialMmapSize = 64 << 30 // else a writer that outgrows the mapping waits for every reader
	}
	if !durable {
		o.NoSync, o.NoGrowSync, o.FreelistType = true, true, bbolt.FreelistMapType
	}
	db, err := bbolt.Open(filepath.Join(dir, "data.bolt"), 0o600, &o)
	if err != nil {
		return nil, err
	}
	if err := ensureBoltBucket(db); err != nil {
		db.Close()
		return nil, err
	}
	return boltStore{db}, nil
}

func ensureBoltBucket(db *bbolt.DB) error {
	var found bool
	err := db.View(func(tx *bbolt.Tx) error {
		found = tx.Bucket(boltBucket) != nil
		return nil
	})
	if err != nil || found {
		return err
	}
	return db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket(boltBucket)
		return err
	})
}

func (s boltStore) Close() error { return s.db.Close() }

func (s boltStore) View(fn func(Reader) error) error {
	return s.db.View(func(tx *bbolt.Tx) error { return fn(boltTx{tx.Bucket(boltBucket)}) })
}

func (s boltStore) Update(fn func(Writer) error) error {
	return s.db.Update(func(tx *bbolt.Tx) error { return fn(boltTx{tx.Bucket(boltBucket)}) })
}

func (s boltStore) Batch(fn func(Writer) error) error {
	return s.db.Batch(func(tx *bbolt.Tx) error { return fn(boltTx{tx.Bucket(boltBucket)}) })
}

// Load is bbolt's best: sorted, full pages, 10,000 pairs a transaction.
func (s boltStore) Load(pairs iter.Seq2[[]byte, []byte]) error {
	return loadSorted(pairs, 10_000, func(fn func(Writer) error) error {
		return s.db.Update(func(tx *bbolt.Tx) error {
			b := tx.Bucket(boltBucket)
			b.FillPercent = 1
			return fn(boltTx{b})
		})
	})
}

type boltTx struct{ b *bbolt.Bucket }

func (t boltTx) Get(key []byte) ([]byte, error) { return t.b.Get(key), nil }
func (t boltTx) Put(key, value []byte) error    { return t.b.Put(key, value) }
func (t boltTx) Delete(key []byte) error        { return t.b.Delete(key) }

func (t boltTx) Scan(from []byte, fn func(key, value []byte) bool) error {
	c := t.b.Cursor()
	for k, v := c.Seek(from); k != nil && fn(k, v); k, v = c.Next() {
	}
	return nil
}

func (t boltTx) Reverse(fn func(key, value []byte) bool) error {
	c := t.b.Cursor()
	for k, v := c.Last(); k != nil && fn(k, v); k, v = c.Prev() {
	}
	return nil
}
