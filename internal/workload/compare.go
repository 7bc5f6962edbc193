package workload

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cespare/xxhash/v2"

	"github.com/foliokv/folio/internal/model"
)

// A digest sums up pairs in order.
type digest struct{ sum uint64 }

func (d *digest) add(tag byte, p []byte) {
	var head [17]byte
	head[0] = tag
	binary.LittleEndian.PutUint64(head[1:], d.sum)
	binary.LittleEndian.PutUint64(head[9:], xxhash.Sum64(p))
	d.sum = xxhash.Sum64(head[:])
}

func (d *digest) pair(k, v []byte) {
	d.add('k', k)
	if v == nil {
		d.add('b', nil)
	} else {
		d.add('v', v)
	}
}

// Digest sums up all that a transaction sees: names, keys, values, sequences. Two states with
// one digest are the same. It reads by cursors, and returns the transaction's error if there is
// one.
func Digest(tx Tx) (uint64, error) {
	var d digest
	err := d.container(tx.Cursor(), tx.Bucket)
	return d.sum, errors.Join(err, tx.Err())
}

func (d *digest) container(c Cursor, sub func([]byte) Bucket) error {
	for k, v := c.First(); k != nil; k, v = c.Next() {
		d.pair(k, v)
		if v != nil {
			continue
		}
		b := sub(k)
		if b == nil {
			return fmt.Errorf("the cursor shows a bucket %s that is not there", show(k))
		}
		d.add('s', binary.LittleEndian.AppendUint64(nil, b.Sequence()))
		if err := d.container(b.Cursor(), b.Bucket); err != nil {
			return err
		}
		d.add('e', nil)
	}
	return nil
}

// Diff compares what two transactions see and returns the first difference as an error, or nil.
// Besides the content it compares what the counted tree tells.
func Diff(got, want Tx) error {
	err := diff("/", got.Cursor(), want.Cursor(), got.Bucket, want.Bucket)
	return errors.Join(err, got.Err())
}

func diff(path string, got, want Cursor, gotSub, wantSub func([]byte) Bucket) error {
	gk, gv := got.First()
	wk, wv := want.First()
	for gk != nil || wk != nil {
		if !bytes.Equal(gk, wk) || !bytes.Equal(gv, wv) || (gv == nil) != (wv == nil) {
			return fmt.Errorf("in %s there is %s, and should be %s", path, pair(gk, gv), pair(wk, wv))
		}
		if gv == nil {
			if err := diffBucket(path+show(gk)+"/", gotSub(gk), wantSub(wk)); err != nil {
				return err
			}
		}
		gk, gv = got.Next()
		wk, wv = want.Next()
	}
	return nil
}

func diffBucket(path string, got, want Bucket) error {
	if got == nil {
		return fmt.Errorf("%s is shown by the cursor, but is not there", path)
	}
	if g, w := got.Sequence(), want.Sequence(); g != w {
		return fmt.Errorf("the sequence of %s is %d, and should be %d", path, g, w)
	}
	if err := diff(path, got.Cursor(), want.Cursor(), got.Bucket, want.Bucket); err != nil {
		return err
	}
	return diffCounts(path, got, want)
}

func diffCounts(path string, got, want Bucket) error {
	n := want.Count()
	if g := got.Count(); g != n {
		return fmt.Errorf("%s counts %d keys, and should %d", path, g, n)
	}
	for _, i := range []uint64{0, n / 2, n - 1} {
		if n == 0 {
			break
		}
		gk, gv := got.At(i)
		wk, wv := want.At(i)
		if g, w := pair(gk, gv), pair(wk, wv); g != w {
			return fmt.Errorf("number %d in %s is %s, and should be %s", i, path, g, w)
		}
		if g := got.Rank(wk); g != i {
			return fmt.Errorf("the rank of %s in %s is %d, and should be %d", show(wk), path, g, i)
		}
	}
	return nil
}

// DiffState is Diff with a state of the model.
func DiffState(got Tx, want model.State) error {
	tx, err := model.FromState(want).Begin(false)
	if err != nil {
		return err
	}
	return Diff(got, AdaptTx(tx))
}

func digestState(s model.State) uint64 {
	tx, _ := model.FromState(s).Begin(false) // a new store is open
	sum, _ := Digest(AdaptTx(tx))            // the model meets no damage
	return sum
}
