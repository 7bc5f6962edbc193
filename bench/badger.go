package main

import (
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

func init() {
	register(Engine{
		Name:    "badger",
		Durable: "SyncWrites",
		NoSync:  "default options (memory-mapped log, not flushed)",
		Open:    openBadger,
	})
}

type badgerStore struct{ db *badger.DB }

func openBadger(dir string, durable bool) (Store, error) {
	db, err := badger.Open(badger.DefaultOptions(dir).WithLogger(nil).WithSyncWrites(durable))
	if err != nil {
		return nil, err
	}
	return badgerStore{db}, nil
}

func (s badgerStore) Close() error { return s.db.Close() }

func (s badgerStore) View(fn func(Reader) error) error {
	return s.db.View(func(tx *badger.Txn) error { return fn(&badgerTx{tx: tx}) })
}

func (s badgerStore) Update(fn func(Writer) error) error {
	err := s.db.Update(func(tx *badger.Txn) error { return fn(&badgerTx{tx: tx}) })
	if errors.Is(err, badger.ErrTxnTooBig) {
		return fmt.Errorf("%w: %w", errUnsupported, err)
	}
	return err
}

type badgerTx struct {
	tx    *badger.Txn
	value []byte
}

func (t *badgerTx) Put(key, value []byte) error { return t.tx.Set(key, value) }
func (t *badgerTx) Delete(key []byte) error     { return t.tx.Delete(key) }

func (t *badgerTx) Get(key []byte) ([]byte, error) {
	item, err := t.tx.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	t.value, err = item.ValueCopy(t.value)
	return t.value, err
}

func (t *badgerTx) Scan(from []byte, fn func(key, value []byte) bool) error {
	it := t.tx.NewIterator(badger.DefaultIteratorOptions)
	defer it.Close()
	it.Seek(from)
	return t.walk(it, fn)
}

func (t *badgerTx) Reverse(fn func(key, value []byte) bool) error {
	o := badger.DefaultIteratorOptions
	o.Reverse = true
	it := t.tx.NewIterator(o)
	defer it.Close()
	it.Rewind()
	return t.walk(it, fn)
}

func (t *badgerTx) walk(it *badger.Iterator, fn func(key, value []byte) bool) error {
	var err error
	for more := true; more && it.Valid(); it.Next() {
		item := it.Item()
		if t.value, err = item.ValueCopy(t.value); err != nil {
			return err
		}
		more = fn(item.Key(), t.value)
	}
	return nil
}
