package bolt

import (
	"encoding/hex"
	goerrors "errors"
	"fmt"
	"strings"

	"github.com/foliokv/folio"
	"github.com/foliokv/folio/bolt/errors"
)

type checkConfig struct {
	kvStringer KVStringer
	pageID     uint64
}

// A CheckOption changes what Tx.Check does.
type CheckOption func(options *checkConfig)

// WithKVStringer sets how keys are shown in findings. Findings here name pages and buckets, not
// keys, so it changes nothing.
func WithKVStringer(kvStringer KVStringer) CheckOption {
	return func(c *checkConfig) { c.kvStringer = kvStringer }
}

// WithPageId sets the page from which to check; below it nothing else is to be looked at. Here
// everything is checked in any case, for a page can only be judged by what refers to it; that
// a page past the end was asked for is a finding.
func WithPageId(pageId uint64) CheckOption {
	return func(c *checkConfig) { c.pageID = pageId }
}

// A KVStringer makes text for people of keys and values.
type KVStringer interface {
	KeyToString([]byte) string
	ValueToString([]byte) string
}

type hexStringer struct{}

// HexKVStringer returns a KVStringer that gives hexadecimal digits.
func HexKVStringer() KVStringer { return hexStringer{} }

func (hexStringer) KeyToString(key []byte) string     { return hex.EncodeToString(key) }
func (hexStringer) ValueToString(value []byte) string { return hex.EncodeToString(value) }

// Check verifies the state the transaction sees by walking all of it: checksums, structure, the
// order of keys, and that each page is in use once, or free, or waiting to be. Each finding is
// sent; the channel is closed at the end and must be read until then. The transaction must
// stay open meanwhile; others may read and write. A damaged meta page for which the other stands
// in is no finding, as in bbolt: the store is whole. kvcli check tells of it.
func (tx *Tx) Check(options ...CheckOption) <-chan error {
	if tx.db == nil {
		return found(errors.ErrTxClosed)
	}
	var cfg checkConfig
	for _, set := range options {
		set(&cfg)
	}
	if pages := uint64(tx.Size() / int64(tx.db.pageSize)); cfg.pageID != 0 && (cfg.pageID < 2 || cfg.pageID >= pages) {
		return found(fmt.Errorf("page ID (%d) out of range [%d, %d)", cfg.pageID, 2, pages))
	}
	ch := make(chan error)
	go func() {
		defer close(ch)
		for err := range tx.f.Check() {
			if !ofMeta(err) {
				ch <- err
			}
		}
	}()
	return ch
}

// ofMeta tells whether a finding concerns one of the two meta pages.
func ofMeta(err error) bool {
	var damage *folio.CorruptError
	return goerrors.As(err, &damage) && damage.Pgno < 2 && strings.HasPrefix(damage.Reason, "meta: ")
}

// found returns the channel of a check that found just err.
func found(err error) <-chan error {
	ch := make(chan error, 1)
	ch <- err
	close(ch)
	return ch
}
