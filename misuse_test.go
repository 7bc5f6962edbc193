package folio_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/foliokv/folio"
	"github.com/foliokv/folio/internal/foliotest"
)

// wants ends the test unless err is the wanted one.
func wants(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s gives %v, want %v", what, err, want)
	}
}

var (
	longKey    = bytes.Repeat([]byte("k"), folio.MaxKeySize)
	tooLongKey = append(slices.Clone(longKey), 'k')
)

func TestErrorsByName(t *testing.T) {
	db := open(t, nil)
	update(t, db, func(b *folio.Bucket) error {
		_, err := b.CreateBucket([]byte("sub"))
		must(t, err)
		must(t, b.Put([]byte("key"), []byte("value")))
		sub := []byte("sub")
		for _, c := range []struct {
			name string
			err  error
			want error
		}{
			{"Put of an empty key", b.Put(nil, nil), folio.ErrKeyRequired},
			{"Put of an empty, non-nil key", b.Put([]byte{}, nil), folio.ErrKeyRequired},
			{"Put of a long key", b.Put(tooLongKey, nil), folio.ErrKeyTooLarge},
			{"Put over a bucket", b.Put(sub, nil), folio.ErrIncompatibleValue},
			{"Delete of a bucket", b.Delete(sub), folio.ErrIncompatibleValue},
			{"PutReader of an empty key", b.PutReader(nil, strings.NewReader(""), 0), folio.ErrKeyRequired},
			{"PutReader of a long key", b.PutReader(tooLongKey, strings.NewReader(""), 0), folio.ErrKeyTooLarge},
			{"PutReader over a bucket", b.PutReader(sub, strings.NewReader("x"), 1), folio.ErrIncompatibleValue},
			{"PutReader, too large", b.PutReader([]byte("k"), strings.NewReader(""), folio.MaxValueSize+1), folio.ErrValueTooLarge},
			{"DeleteBucket of a missing one", b.DeleteBucket([]byte("none")), folio.ErrBucketNotFound},
			{"DeleteBucket without a name", b.DeleteBucket(nil), folio.ErrBucketNotFound},
			{"DeleteBucket of a key", b.DeleteBucket([]byte("key")), folio.ErrIncompatibleValue},
			{"MoveBucket to the same place", b.MoveBucket(sub, b), folio.ErrSameBuckets},
			{"MoveBucket of a missing one", b.MoveBucket([]byte("none"), b.Bucket(sub)), folio.ErrBucketNotFound},
			{"MoveBucket of a key", b.MoveBucket([]byte("key"), b.Bucket(sub)), folio.ErrIncompatibleValue},
			{"MoveBucket to nil", b.MoveBucket(sub, nil), folio.ErrBucketNotFound},
		} {
			wants(t, c.name, c.err, c.want)
		}
		for name, want := range map[string]error{
			"": folio.ErrBucketNameRequired, "sub": folio.ErrBucketExists, "key": folio.ErrIncompatibleValue,
			string(tooLongKey): folio.ErrKeyTooLarge,
		} {
			_, err := b.CreateBucket([]byte(name))
			wants(t, fmt.Sprintf("CreateBucket(%.10q)", name), err, want)
			if want != folio.ErrBucketExists {
				_, err = b.CreateBucketIfNotExists([]byte(name))
				wants(t, fmt.Sprintf("CreateBucketIfNotExists(%.10q)", name), err, want)
			}
		}
		must(t, b.Delete(nil))
		must(t, b.Delete([]byte("none")))
		must(t, b.Delete(tooLongKey))
		c := b.Cursor()
		c.Seek(sub)
		wants(t, "Cursor.Delete of a bucket", c.Delete(), folio.ErrIncompatibleValue)
		if b.Get(sub) != nil || b.Get(nil) != nil || b.Get(tooLongKey) != nil || b.Bucket([]byte("key")) != nil || b.Bucket(nil) != nil {
			t.Error("Get or Bucket finds what is not there")
		}
		if v := b.Get([]byte("key")); string(v) != "value" {
			t.Errorf("after all these errors the value is %q", v)
		}
		return nil
	})
}

func TestNilBucket(t *testing.T) {
	db := open(t, nil)
	must(t, db.Update(func(tx *folio.Tx) error {
		b := tx.Bucket([]byte("none"))
		if b != nil {
			t.Fatal("a missing bucket is not nil")
		}
		_, err := b.CreateBucket([]byte("x"))
		wants(t, "CreateBucket", err, folio.ErrBucketNotFound)
		_, err = b.CreateBucketIfNotExists([]byte("x"))
		wants(t, "CreateBucketIfNotExists", err, folio.ErrBucketNotFound)
		_, err = b.NextSequence()
		wants(t, "NextSequence", err, folio.ErrBucketNotFound)
		for what, err := range map[string]error{
			"Put": b.Put([]byte("k"), nil), "Delete": b.Delete([]byte("k")), "DeleteBucket": b.DeleteBucket([]byte("k")),
			"DeleteRange": b.DeleteRange(nil, nil), "SetSequence": b.SetSequence(1),
			"PutReader": b.PutReader([]byte("k"), strings.NewReader(""), 0), "MoveBucket": b.MoveBucket([]byte("k"), b),
		} {
			wants(t, what, err, folio.ErrBucketNotFound)
		}
		return nothingIn(b)
	}))
}

// nothingIn reads through a bucket in every way and returns an error if anything is there.
func nothingIn(b *folio.Bucket) error {
	n := b.Count() + b.CountRange(nil, nil) + b.Rank([]byte("z")) + b.Sequence()
	for range b.All() {
		n++
	}
	for range b.Backward() {
		n++
	}
	for range b.Prefix(nil) {
		n++
	}
	for range b.Range(nil, nil) {
		n++
	}
	if k, v := b.At(0); n != 0 || k != nil || v != nil || b.Get([]byte("k")) != nil || b.Bucket([]byte("k")) != nil {
		return fmt.Errorf("a bucket that is not there has something: %d", n)
	}
	return nil
}

func TestUseAfterEnd(t *testing.T) {
	for _, writable := range []bool{false, true} {
		db := open(t, nil)
		fill(t, db, 10, 10)
		tx, err := db.Begin(writable)
		must(t, err)
		b := tx.Bucket([]byte("b"))
		c := b.Cursor()
		c.First()
		var sp *folio.Savepoint
		if writable {
			sp = tx.Savepoint()
		}
		must(t, tx.Rollback())
		wants(t, "Rollback", tx.Rollback(), folio.ErrTxClosed)
		wants(t, "Commit", tx.Commit(), folio.ErrTxClosed)
		for what, err := range map[string]error{
			"Put": b.Put([]byte("k"), nil), "Delete": b.Delete([]byte("k")), "DeleteBucket": b.DeleteBucket([]byte("k")),
			"DeleteRange": b.DeleteRange(nil, nil), "SetSequence": b.SetSequence(1), "Cursor.Delete": c.Delete(),
			"ForEach":         b.ForEach(func(k, v []byte) error { return nil }),
			"Tx.DeleteBucket": tx.DeleteBucket([]byte("b")),
		} {
			wants(t, what, err, folio.ErrTxClosed)
		}
		_, err = tx.CreateBucket([]byte("x"))
		wants(t, "Tx.CreateBucket", err, folio.ErrTxClosed)
		if k, _ := c.Next(); k != nil {
			t.Error("a cursor goes on after the end")
		}
		must(t, nothingIn(b))
		if tx.Bucket([]byte("b")) != nil || tx.DB() != nil {
			t.Error("an ended transaction gives a bucket or a store")
		}
		if writable {
			wants(t, "Savepoint.Rollback", sp.Rollback(), folio.ErrTxClosed)
			wants(t, "Savepoint.Release", sp.Release(), folio.ErrTxClosed)
		}
		for err := range tx.Check() {
			wants(t, "Check", err, folio.ErrTxClosed)
		}
	}
}

func TestWriteInReadTransaction(t *testing.T) {
	db := open(t, nil)
	fill(t, db, 10, 10)
	must(t, db.View(func(tx *folio.Tx) error {
		b := tx.Bucket([]byte("b"))
		c := b.Cursor()
		c.First()
		_, seq := b.NextSequence()
		_, create := tx.CreateBucket([]byte("x"))
		_, ensure := b.CreateBucketIfNotExists([]byte("x"))
		for what, err := range map[string]error{
			"Put": b.Put([]byte("k"), nil), "Delete": b.Delete([]byte("k")), "DeleteBucket": b.DeleteBucket([]byte("k")),
			"DeleteRange": b.DeleteRange(nil, nil), "SetSequence": b.SetSequence(1), "Cursor.Delete": c.Delete(),
			"NextSequence": seq, "CreateBucket": create, "CreateBucketIfNotExists": ensure,
			"MoveBucket": tx.MoveBucket([]byte("b"), nil, b), "PutReader": b.PutReader([]byte("k"), strings.NewReader(""), 0),
		} {
			wants(t, what, err, folio.ErrTxNotWritable)
		}
		if tx.Writable() || b.Writable() || tx.Savepoint() != nil {
			t.Error("a read transaction is writable")
		}
		return nil
	}))
	tx, err := db.Begin(false)
	must(t, err)
	wants(t, "Commit of a read transaction", tx.Commit(), folio.ErrTxNotWritable)
	must(t, tx.Rollback())
}

func TestUseAfterClose(t *testing.T) {
	db := open(t, nil)
	foliotest.MustClose(t, db)
	_, read := db.Begin(false)
	_, write := db.Begin(true)
	for what, err := range map[string]error{
		"Begin(false)": read, "Begin(true)": write,
		"View":        db.View(func(*folio.Tx) error { return nil }),
		"Update":      db.Update(func(*folio.Tx) error { return nil }),
		"WaitDurable": db.WaitDurable(t.Context(), math.MaxInt),
	} {
		wants(t, what, err, folio.ErrDatabaseNotOpen)
	}
	must(t, db.Close())
}

// mustPanic runs fn and returns what it panicked with.
func mustPanic(t *testing.T, fn func()) (thrown any) {
	t.Helper()
	defer func() {
		if thrown = recover(); thrown == nil {
			t.Error("no panic")
		}
	}()
	fn()
	return nil
}

func TestPanics(t *testing.T) {
	db := open(t, nil)
	fill(t, db, 10, 10)
	boom := errors.New("boom")
	for name, fn := range map[string]func(tx *folio.Tx) error{
		"panic":       func(*folio.Tx) error { panic(boom) },
		"nil pointer": func(*folio.Tx) error { var p *int; *p = 1; return nil },
		"Commit":      func(tx *folio.Tx) error { return tx.Commit() },
		"Rollback":    func(tx *folio.Tx) error { return tx.Rollback() },
	} {
		t.Run(name, func(t *testing.T) {
			thrown := mustPanic(t, func() { db.View(fn) })
			if name == "panic" && thrown != boom {
				t.Errorf("View panics with %v", thrown)
			}
			thrown = mustPanic(t, func() {
				db.Update(func(tx *folio.Tx) error {
					must(t, tx.Bucket([]byte("b")).Put([]byte("lost"), nil))
					return fn(tx)
				})
			})
			if name == "panic" && thrown != boom {
				t.Errorf("Update panics with %v", thrown)
			}
			view(t, db, func(b *folio.Bucket) error {
				if b.Get([]byte("lost")) != nil {
					t.Error("a panic commits")
				}
				return nil
			})
			update(t, db, func(b *folio.Bucket) error { return b.Put([]byte("after"), nil) })
		})
	}
	foliotest.MustCheck(t, db)
}

// Exit of a goroutine in the midst of a closure rolls back too.
func TestGoexitInClosure(t *testing.T) {
	db := open(t, nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		db.Update(func(tx *folio.Tx) error {
			if _, err := tx.CreateBucket([]byte("lost")); err != nil {
				return err
			}
			runtime.Goexit()
			return nil
		})
	}()
	<-done
	must(t, db.View(func(tx *folio.Tx) error {
		if tx.Bucket([]byte("lost")) != nil {
			t.Error("an abandoned transaction commits")
		}
		return nil
	}))
	fill(t, db, 10, 10)
}

// Input slices may be used again as soon as a call returns.
func TestInputsAreCopied(t *testing.T) {
	db := open(t, nil)
	update(t, db, func(b *folio.Bucket) error {
		key, v := make([]byte, 8), make([]byte, 10000)
		for i := range 500 {
			copy(key, fmt.Sprintf("%08d", i))
			n := 1 + i*37%len(v)
			for j := range v[:n] {
				v[j] = byte(i)
			}
			must(t, b.Put(key, v[:n]))
			clear(key)
			clear(v)
		}
		name := []byte("bucket")
		c, err := b.CreateBucket(name)
		must(t, err)
		clear(name)
		return c.Put([]byte("k"), []byte("v"))
	})
	view(t, db, func(b *folio.Bucket) error {
		for i := range 500 {
			v := b.Get(fmt.Appendf(nil, "%08d", i))
			if len(v) != 1+i*37%10000 || bytes.Count(v, []byte{byte(i)}) != len(v) {
				t.Fatalf("value %d is another", i)
			}
		}
		if string(b.Bucket([]byte("bucket")).Get([]byte("k"))) != "v" {
			t.Error("the nested bucket is gone")
		}
		return nil
	})
}

// Slices returned in a write transaction stay intact until it ends, whatever it does.
func TestReturnedSlicesStay(t *testing.T) {
	for _, o := range []*folio.Options{nil, {DirtyLimit: 32 << 10}} {
		db := open(t, o)
		fill(t, db, 400, 100)
		update(t, db, func(b *folio.Bucket) error {
			var got [][]byte
			var want []string
			keep := func(p []byte) {
				got, want = append(got, p), append(want, string(p))
			}
			for round := range 6 {
				sp := b.Tx().Savepoint()
				for i := range 400 {
					must(t, b.Put(foliotest.Key(i), value(i+round, 100+(i%7)*700+round)))
					keep(b.Get(foliotest.Key(i)))
					if i%3 == 0 {
						must(t, b.Delete(foliotest.Key(i)))
					}
				}
				for k, v := range b.All() {
					keep(k)
					keep(v)
				}
				if round%2 == 0 {
					must(t, sp.Rollback())
				} else {
					must(t, b.DeleteRange(foliotest.Key(100), foliotest.Key(200)))
				}
				for i := range got {
					if string(got[i]) != want[i] {
						t.Fatalf("round %d: slice %d of %d bytes has changed", round, i, len(got[i]))
					}
				}
			}
			return nil
		})
	}
}
