package bolt

import (
	"encoding/hex"
	"fmt"

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
// stay open meanwhile; others may read and write.
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
	return tx.f.Check()
}

// found returns the channel of a check that found just err.
func found(err error) <-chan error {
	ch := make(chan error, 1)
	ch <- err
	close(ch)
	return ch
}
