package main

import (
	"errors"
	"io"

	"github.com/cockroachdb/pebble/v2"
)

func init() {
	register(Engine{
		Name:    "pebble",
		Durable: "pebble.Sync, 256 MiB block cache",
		NoSync:  "pebble.NoSync (log written, not flushed), 256 MiB block cache",
		Open:    openPebble,
	})
}

type pebbleStore struct {
	db    *pebble.DB
	write *pebble.WriteOptions
}

func openPebble(dir string, durable bool) (Store, error) {
	cache := pebble.NewCache(256 << 20)
	defer cache.Unref()
	db, err := pebble.Open(dir, &pebble.Options{
		Cache:              cache,
		FormatMajorVersion: pebble.FormatNewest,
		Logger:             quiet{},
	})
	if err != nil {
		return nil, err
	}
	if durable {
		return pebbleStore{db, pebble.Sync}, nil
	}
	return pebbleStore{db, pebble.NoSync}, nil
}

func (s pebbleStore) Close() error { return s.db.Close() }

func (s pebbleStore) View(fn func(Reader) error) error {
	r := &pebbleReader{snap: s.db.NewSnapshot()}
	return errors.Join(fn(r), r.release(), r.snap.Close())
}

func (s pebbleStore) ReadPoint(key []byte, fn func(value []byte) error) error {
	v, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return fn(nil)
	}
	if err != nil {
		return err
	}
	return errors.Join(fn(v), closer.Close())
}

func (s pebbleStore) Update(fn func(Writer) error) error {
	b := s.db.NewBatch()
	if err := fn(pebbleWriter{b}); err != nil {
		return errors.Join(err, b.Close())
	}
	return errors.Join(b.Commit(s.write), b.Close())
}

type pebbleWriter struct{ b *pebble.Batch }

func (w pebbleWriter) Put(key, value []byte) error { return w.b.Set(key, value, nil) }
func (w pebbleWriter) Delete(key []byte) error     { return w.b.Delete(key, nil) }

// pebbleReader holds on to the last value it returned until its next call.
type pebbleReader struct {
	snap *pebble.Snapshot
	last io.Closer
}

func (r *pebbleReader) release() error {
	if r.last == nil {
		return nil
	}
	err := r.last.Close()
	r.last = nil
	return err
}

func (r *pebbleReader) Get(key []byte) ([]byte, error) {
	if err := r.release(); err != nil {
		return nil, err
	}
	v, closer, err := r.snap.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	r.last = closer
	return v, err
}

func (r *pebbleReader) Scan(from []byte, fn func(key, value []byte) bool) error {
	it, err := r.snap.NewIter(nil)
	if err != nil {
		return err
	}
	for ok := it.SeekGE(from); ok && fn(it.Key(), it.Value()); ok = it.Next() {
	}
	return errors.Join(it.Error(), it.Close())
}

func (r *pebbleReader) Reverse(fn func(key, value []byte) bool) error {
	it, err := r.snap.NewIter(nil)
	if err != nil {
		return err
	}
	for ok := it.Last(); ok && fn(it.Key(), it.Value()); ok = it.Prev() {
	}
	return errors.Join(it.Error(), it.Close())
}

// quiet drops pebble's log.
type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(string, ...any) { panic("pebble: fatal error") }
