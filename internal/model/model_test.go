package model

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// begin returns a transaction with a bucket "b" of the keys a to e, and a nested bucket "n".
func begin(t *testing.T) (*Tx, *Bucket) {
	t.Helper()
	tx, err := New().Begin(true)
	if err != nil {
		t.Fatal(err)
	}
	b, err := tx.CreateBucket([]byte("b"))
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"a", "c", "e", "g"} {
		if err := b.Put([]byte(k), []byte(strings.ToUpper(k))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.CreateBucket([]byte("n")); err != nil {
		t.Fatal(err)
	}
	return tx, b
}

func keys(b *Bucket) string {
	var s []string
	for k, v := range b.All() {
		if v == nil {
			k = append(slices.Clone(k), '/')
		}
		s = append(s, string(k))
	}
	return strings.Join(s, " ")
}

func TestErrors(t *testing.T) {
	tx, b := begin(t)
	n := b.Bucket([]byte("n"))
	if _, err := b.CreateBucket([]byte("x")); err != nil {
		t.Fatal(err)
	}
	x := b.Bucket([]byte("x"))
	_, create := b.CreateBucket([]byte("n"))
	_, createOnKey := b.CreateBucketIfNotExists([]byte("a"))
	_, unnamed := tx.CreateBucket(nil)
	_, tooLong := tx.CreateBucket(make([]byte, MaxKeySize+1))
	atBucket := n.tx.top().Cursor()
	atBucket.First()
	for i, c := range []struct{ got, want error }{
		{create, ErrBucketExists},
		{createOnKey, ErrIncompatibleValue},
		{unnamed, ErrBucketNameRequired},
		{tooLong, ErrKeyTooLarge},
		{b.Put(nil, nil), ErrKeyRequired},
		{b.Put(make([]byte, MaxKeySize+1), nil), ErrKeyTooLarge},
		{b.Put(make([]byte, MaxKeySize), nil), nil},
		{b.Put([]byte("n"), nil), ErrIncompatibleValue},
		{b.Delete([]byte("n")), ErrIncompatibleValue},
		{b.Delete([]byte("none")), nil},
		{b.DeleteBucket([]byte("a")), ErrIncompatibleValue},
		{b.DeleteBucket([]byte("none")), ErrBucketNotFound},
		{(*Bucket)(nil).Put([]byte("k"), nil), ErrBucketNotFound},
		{tx.MoveBucket([]byte("none"), b, nil), ErrBucketNotFound},
		{tx.MoveBucket([]byte("a"), b, nil), ErrIncompatibleValue},
		{tx.MoveBucket([]byte("n"), b, b), ErrSameBuckets},
		{tx.MoveBucket([]byte("n"), b, n), ErrMoveIntoSelf},
		{tx.MoveBucket([]byte("b"), nil, n), ErrMoveIntoSelf},
		{tx.MoveBucket([]byte("n"), b, x), nil},
		{n.Put([]byte("k"), nil), ErrBucketNotFound}, // an old handle
		{atBucket.Delete(), ErrIncompatibleValue},
	} {
		if c.got != c.want {
			t.Errorf("case %d: %v, want %v", i, c.got, c.want)
		}
	}
	ro, _ := tx.db.Begin(false)
	if err := ro.DeleteBucket([]byte("b")); err != ErrTxNotWritable {
		t.Error(err)
	}
	if err := ro.Commit(); err != ErrTxNotWritable {
		t.Error(err)
	}
	if ro.Rollback() != nil || ro.Rollback() != ErrTxClosed {
		t.Error("a transaction does not end once")
	}
	if tx.Commit() != nil || b.Put([]byte("a"), nil) != ErrTxClosed || b.Get([]byte("a")) != nil {
		t.Error("a transaction is used after its end")
	}
}

func TestCountedTree(t *testing.T) {
	_, b := begin(t)
	key := func(k, _ []byte) string { return string(k) }
	got := fmt.Sprintln(b.Count(), b.CountRange([]byte("c"), []byte("n")), b.CountRange(nil, nil),
		b.CountRange(nil, []byte{}), b.CountRange([]byte("g"), []byte("c")), b.Rank([]byte("d")),
		b.Rank(nil), b.Rank([]byte("z")), key(b.At(0)), key(b.At(4)), key(b.At(5)) == "")
	if want := "5 3 5 0 0 2 0 5 a n true\n"; got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
}

func TestDeleteRangeTakesBuckets(t *testing.T) {
	_, b := begin(t)
	if err := b.DeleteRange([]byte("c"), []byte("g")); err != nil || keys(b) != "a g n/" {
		t.Fatal(err, keys(b))
	}
	if err := b.DeleteRange([]byte("g"), nil); err != nil || keys(b) != "a" {
		t.Fatal(err, keys(b))
	}
}

func TestSequences(t *testing.T) {
	_, b := begin(t)
	if err := b.SetSequence(41); err != nil {
		t.Fatal(err)
	}
	if n, err := b.NextSequence(); n != 42 || err != nil || b.Sequence() != 42 {
		t.Fatal(n, err)
	}
}

func TestSnapshotsStay(t *testing.T) {
	tx, b := begin(t)
	mid := tx.State()
	b.Bucket([]byte("n")).Put([]byte("deep"), []byte("1"))
	tx.Commit()
	db := tx.db
	old, _ := db.Begin(false)
	db.Update(func(tx *Tx) error {
		n := tx.Bucket([]byte("b")).Bucket([]byte("n"))
		return errors.Join(n.Put([]byte("deep"), []byte("2")), tx.Bucket([]byte("b")).Delete([]byte("a")))
	})
	deep := func(tx *Tx) string {
		return string(tx.Bucket([]byte("b")).Bucket([]byte("n")).Get([]byte("deep")))
	}
	now, _ := db.Begin(false)
	before, _ := FromState(mid).Begin(false)
	if deep(old) != "1" || deep(now) != "2" || deep(before) != "" {
		t.Fatalf("%q, %q, %q", deep(old), deep(now), deep(before))
	}
	if keys(old.Bucket([]byte("b"))) != "a c e g n/" || keys(now.Bucket([]byte("b"))) != "c e g n/" {
		t.Fatal("a snapshot changed")
	}
}

func TestSavepoints(t *testing.T) {
	tx, b := begin(t)
	ran := ""
	outer := tx.Savepoint()
	b.Put([]byte("h"), nil)
	tx.OnCommit(func() { ran += "outer" })
	inner := tx.Savepoint()
	b.Delete([]byte("a"))
	tx.OnCommit(func() { ran += "inner" })
	if inner.Rollback() != nil || keys(b) != "a c e g h n/" {
		t.Fatal(keys(b))
	}
	third := tx.Savepoint()
	b.DeleteRange(nil, nil)
	if outer.Release() != nil || third.Rollback() != ErrSavepointClosed || inner.Release() != ErrSavepointClosed {
		t.Fatal("an outer savepoint does not end the inner ones")
	}
	last := tx.Savepoint()
	b.Put([]byte("z"), nil)
	if last.Rollback() != nil || keys(b) != "" || tx.Commit() != nil || ran != "outer" {
		t.Fatal(keys(b), ran)
	}
}

func TestUpdateRollsBack(t *testing.T) {
	tx, _ := begin(t)
	tx.Commit()
	db, fail := tx.db, errors.New("fail")
	before := db.State()
	func() {
		defer func() { recover() }()
		db.Update(func(tx *Tx) error { tx.DeleteBucket([]byte("b")); panic("fail") })
	}()
	err := db.Update(func(tx *Tx) error { tx.DeleteBucket([]byte("b")); return fail })
	if err != fail || db.State() != before {
		t.Fatal("a failed transaction changed something")
	}
}

func TestCursorWithChanges(t *testing.T) {
	_, b := begin(t)
	c := b.Cursor()
	var got []string
	note := func(k, _ []byte) { got = append(got, string(k)) }
	note(c.Next())
	note(c.Seek([]byte("c")))
	c.Delete()
	note(c.Next())
	b.Put([]byte("d"), nil)
	note(c.Prev())
	note(c.Prev())
	note(c.Prev())
	b.Put([]byte("0"), nil)
	note(c.Prev())
	note(c.Last())
	note(c.Next())
	note(c.Prev())
	note(c.Seek([]byte("z")))
	note(c.Prev())
	note(c.First())
	want := []string{"", "c", "e", "d", "a", "", "0", "n", "", "g", "", "n", "0"}
	if !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
}

// Random operations give what a sorted slice gives.
func TestAgainstSlice(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	_, b := begin(t)
	b.DeleteRange(nil, nil)
	var want []string
	for range 5000 {
		k := fmt.Sprint(r.IntN(300))
		i, found := slices.BinarySearch(want, k)
		switch {
		case found && r.IntN(2) == 0:
			b.Delete([]byte(k))
			want = slices.Delete(want, i, i+1)
		case !found:
			b.Put([]byte(k), []byte(k))
			want = slices.Insert(want, i, k)
		}
		if b.Rank([]byte(k)) != uint64(i) || b.Count() != uint64(len(want)) {
			t.Fatal("wrong rank or count")
		}
		c := b.Cursor()
		next, _ := c.Seek([]byte(k))
		if i < len(want) && string(next) != want[i] || i == len(want) && next != nil {
			t.Fatalf("Seek(%s) gives %s", k, next)
		}
	}
	var back []string
	for k, v := range b.Backward() {
		if !bytes.Equal(k, v) {
			t.Fatal("a value is wrong")
		}
		back = append(back, string(k))
	}
	slices.Reverse(back)
	if keys(b) != strings.Join(want, " ") || !slices.Equal(back, want) {
		t.Fatal("the order is wrong")
	}
}
