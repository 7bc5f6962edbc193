//go:build cgo && lmdb

package main

/*
#cgo LDFLAGS: -llmdb
#include <lmdb.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static int kv_get(MDB_txn *txn, MDB_dbi dbi, char *k, size_t kn, MDB_val *value) {
	MDB_val key = {kn, k};
	return mdb_get(txn, dbi, &key, value);
}

static int kv_put(MDB_txn *txn, MDB_dbi dbi, char *k, size_t kn, char *v, size_t vn, unsigned flags) {
	MDB_val key = {kn, k}, value = {vn, v};
	return mdb_put(txn, dbi, &key, &value, flags);
}

static int kv_del(MDB_txn *txn, MDB_dbi dbi, char *k, size_t kn) {
	MDB_val key = {kn, k};
	return mdb_del(txn, dbi, &key, 0);
}

// pair is key and value.
static int kv_seek(MDB_cursor *c, char *k, size_t kn, MDB_val *pair) {
	pair[0].mv_size = kn;
	pair[0].mv_data = k;
	return mdb_cursor_get(c, &pair[0], &pair[1], MDB_SET_RANGE);
}

static int kv_move(MDB_cursor *c, MDB_val *pair, int op) {
	return mdb_cursor_get(c, &pair[0], &pair[1], op);
}

// The loop of gets of a C program.
static int kv_gets(MDB_txn *txn, MDB_dbi dbi, char *keys, size_t kn, size_t n, size_t vn,
		size_t *found, uint64_t *sum) {
	for (size_t i = 0; i < n; i++) {
		MDB_val key = {kn, keys + i * kn}, value;
		int rc = mdb_get(txn, dbi, &key, &value);
		if (rc == MDB_NOTFOUND || (rc == 0 && value.mv_size != vn)) continue;
		if (rc != 0) return rc;
		uint64_t word;
		memcpy(&word, value.mv_data, sizeof word);
		*sum += word;
		(*found)++;
	}
	return 0;
}

#cgo noescape kv_get
#cgo nocallback kv_get
#cgo noescape kv_put
#cgo nocallback kv_put
#cgo noescape kv_del
#cgo nocallback kv_del
#cgo noescape kv_move
#cgo nocallback kv_move
#cgo noescape kv_gets
#cgo nocallback kv_gets
*/
import "C"

import (
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"runtime"
	"sync"
	"unsafe"
)

func init() {
	register(Engine{
		Name:    "lmdb",
		Durable: "MDB_NORDAHEAD, MDB_NOTLS; read transactions renewed",
		NoSync:  "also MDB_NOSYNC (consistent if the file system keeps the order of writes)",
		Open:    openLMDB,
	})
}

type lmdbStore struct {
	env    *C.MDB_env
	dbi    C.MDB_dbi
	writer sync.Mutex // queues writers in Go: one waiting inside C would hold a thread
	idle   chan *lmdbTx
}

// lmdbTx is a read transaction, kept and renewed, or a write transaction.
type lmdbTx struct {
	txn   *C.MDB_txn
	dbi   C.MDB_dbi
	flags C.uint
	pair  [2]C.MDB_val
}

const lmdbMapSize = 256 << 30 // address space only

func openLMDB(dir string, durable bool) (Store, error) {
	s := &lmdbStore{idle: make(chan *lmdbTx, 256)}
	if rc := C.mdb_env_create(&s.env); rc != 0 {
		return nil, lmdbError(rc)
	}
	C.mdb_env_set_mapsize(s.env, lmdbMapSize)
	C.mdb_env_set_maxreaders(s.env, 512)
	flags := C.uint(C.MDB_NOSUBDIR | C.MDB_NOTLS | C.MDB_NORDAHEAD)
	if !durable {
		flags |= C.MDB_NOSYNC
	}
	path := C.CString(filepath.Join(dir, "data.lmdb"))
	defer C.free(unsafe.Pointer(path))
	if rc := C.mdb_env_open(s.env, path, flags, 0o600); rc != 0 {
		C.mdb_env_close(s.env)
		return nil, lmdbError(rc)
	}
	if err := s.openTable(); err != nil {
		C.mdb_env_close(s.env)
		return nil, err
	}
	return s, nil
}

// openTable opens the unnamed table, which needs no write.
func (s *lmdbStore) openTable() error {
	var txn *C.MDB_txn
	if rc := C.mdb_txn_begin(s.env, nil, C.MDB_RDONLY, &txn); rc != 0 {
		return lmdbError(rc)
	}
	if rc := C.mdb_dbi_open(txn, nil, 0, &s.dbi); rc != 0 {
		C.mdb_txn_abort(txn)
		return lmdbError(rc)
	}
	return lmdbError(C.mdb_txn_commit(txn))
}

func (s *lmdbStore) Close() error {
	close(s.idle)
	for tx := range s.idle {
		C.mdb_txn_abort(tx.txn)
	}
	C.mdb_env_sync(s.env, 1)
	C.mdb_env_close(s.env)
	return nil
}

func (s *lmdbStore) View(fn func(Reader) error) error {
	tx, err := s.beginRead()
	if err != nil {
		return err
	}
	err = fn(tx)
	C.mdb_txn_reset(tx.txn)
	s.idle <- tx
	return err
}

func (s *lmdbStore) beginRead() (*lmdbTx, error) {
	select {
	case tx := <-s.idle:
		return tx, lmdbError(C.mdb_txn_renew(tx.txn))
	default:
	}
	tx := &lmdbTx{dbi: s.dbi}
	return tx, lmdbError(C.mdb_txn_begin(s.env, nil, C.MDB_RDONLY, &tx.txn))
}

func (s *lmdbStore) Update(fn func(Writer) error) error { return s.update(0, fn) }

func (s *lmdbStore) update(flags C.uint, fn func(Writer) error) error {
	s.writer.Lock()
	defer s.writer.Unlock()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	tx := &lmdbTx{dbi: s.dbi, flags: flags}
	if rc := C.mdb_txn_begin(s.env, nil, 0, &tx.txn); rc != 0 {
		return lmdbError(rc)
	}
	if err := fn(tx); err != nil {
		C.mdb_txn_abort(tx.txn)
		return err
	}
	return lmdbError(C.mdb_txn_commit(tx.txn))
}

// Load appends without searching.
func (s *lmdbStore) Load(pairs iter.Seq2[[]byte, []byte]) error {
	return loadSorted(pairs, 10_000, func(fn func(Writer) error) error {
		return s.update(C.MDB_APPEND, fn)
	})
}

func (t *lmdbTx) Get(key []byte) ([]byte, error) {
	rc := C.kv_get(t.txn, t.dbi, bytesOf(key), C.size_t(len(key)), &t.pair[1])
	if rc == C.MDB_NOTFOUND {
		return nil, nil
	}
	if rc != 0 {
		return nil, lmdbError(rc)
	}
	return sliceOf(t.pair[1]), nil
}

func (t *lmdbTx) Put(key, value []byte) error {
	return lmdbError(C.kv_put(t.txn, t.dbi, bytesOf(key), C.size_t(len(key)),
		bytesOf(value), C.size_t(len(value)), t.flags))
}

func (t *lmdbTx) Delete(key []byte) error {
	rc := C.kv_del(t.txn, t.dbi, bytesOf(key), C.size_t(len(key)))
	if rc == C.MDB_NOTFOUND {
		return nil
	}
	return lmdbError(rc)
}

func (t *lmdbTx) Scan(from []byte, fn func(key, value []byte) bool) error {
	return t.walk(from, C.MDB_FIRST, C.MDB_NEXT, fn)
}

func (t *lmdbTx) Reverse(fn func(key, value []byte) bool) error {
	return t.walk(nil, C.MDB_LAST, C.MDB_PREV, fn)
}

func (t *lmdbTx) walk(from []byte, first, next C.int, fn func(key, value []byte) bool) error {
	var c *C.MDB_cursor
	if rc := C.mdb_cursor_open(t.txn, t.dbi, &c); rc != 0 {
		return lmdbError(rc)
	}
	defer C.mdb_cursor_close(c)
	var rc C.int
	if from == nil {
		rc = C.kv_move(c, &t.pair[0], first)
	} else {
		rc = t.seek(c, from)
	}
	for rc == 0 && fn(sliceOf(t.pair[0]), sliceOf(t.pair[1])) {
		rc = C.kv_move(c, &t.pair[0], next)
	}
	if rc == C.MDB_NOTFOUND {
		return nil
	}
	return lmdbError(rc)
}

// seek gives LMDB a copy of the key in C's memory: it stands in pair until the cursor has moved.
func (t *lmdbTx) seek(c *C.MDB_cursor, from []byte) C.int {
	k := C.CBytes(from)
	defer C.free(k)
	return C.kv_seek(c, (*C.char)(k), C.size_t(len(from)), &t.pair[0])
}

func (s *lmdbStore) NativeGets(keys []byte, valueSize int) (int, uint64, error) {
	var found C.size_t
	var sum C.uint64_t
	err := s.View(func(r Reader) error {
		t := r.(*lmdbTx)
		return lmdbError(C.kv_gets(t.txn, t.dbi, bytesOf(keys), keySize, C.size_t(len(keys)/keySize),
			C.size_t(valueSize), &found, &sum))
	})
	return int(found), uint64(sum), err
}

func bytesOf(b []byte) *C.char { return (*C.char)(unsafe.Pointer(unsafe.SliceData(b))) }

func sliceOf(v C.MDB_val) []byte {
	return unsafe.Slice((*byte)(v.mv_data), int(v.mv_size))
}

func lmdbError(rc C.int) error {
	if rc == 0 {
		return nil
	}
	err := fmt.Errorf("lmdb: %s", C.GoString(C.mdb_strerror(rc)))
	if rc == C.MDB_TXN_FULL {
		return errors.Join(errUnsupported, err)
	}
	return err
}
