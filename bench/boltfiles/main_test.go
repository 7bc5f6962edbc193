package boltfiles

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/foliokv/folio/internal/boltfile"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

var (
	update = flag.Bool("update", false, "write the files that internal/boltfile's tests read")
	seed   = flag.Uint64("seed", 1, "of random tests; each round takes the next one")
	rounds = flag.Int("rounds", 40, "of random tests")
)

// A program fills bbolt files at random.
type program struct {
	*rand.Rand
	pageSize int
}

func newProgram(seed uint64) *program {
	return &program{rand.New(rand.NewPCG(seed, 0)), 0}
}

// options are those of a new file.
func (p *program) options() *bbolt.Options {
	sizes := []int{1024, 4096, 16384, 65536}
	if p.pageSize == 0 {
		p.pageSize = sizes[p.IntN(len(sizes))]
	}
	o := *bbolt.DefaultOptions
	o.PageSize = p.pageSize
	o.NoSync, o.NoGrowSync = true, true
	o.NoFreelistSync = p.IntN(3) == 0
	if p.IntN(2) == 0 {
		o.FreelistType = bbolt.FreelistMapType
	}
	return &o
}

// change does something to a bucket, or to one in it.
func (p *program) change(b *bbolt.Bucket, depth int) error {
	for range 1 + p.IntN(3) {
		switch roll := p.IntN(20); {
		case roll < 4 && depth < 5:
			child, err := b.CreateBucketIfNotExists(p.name())
			if err == bolterrors.ErrIncompatibleValue {
				continue
			}
			if err != nil {
				return err
			}
			if err := p.change(child, depth+1); err != nil {
				return err
			}
		case roll < 5:
			if err := b.DeleteBucket(p.name()); err != nil && err != bolterrors.ErrBucketNotFound && err != bolterrors.ErrIncompatibleValue {
				return err
			}
		case roll < 7:
			if err := b.SetSequence(p.Uint64()); err != nil {
				return err
			}
		case roll < 9:
			if err := p.deleteSome(b); err != nil {
				return err
			}
		default:
			if err := p.putSome(b); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *program) name() []byte { return fmt.Appendf(nil, "bucket %d", p.IntN(6)) }

func (p *program) putSome(b *bbolt.Bucket) error {
	n := 1 + p.IntN(1<<p.IntN(9))
	for range n {
		if err := b.Put(p.key(), p.value()); err != nil {
			return err
		}
	}
	return nil
}

func (p *program) key() []byte {
	key := fmt.Appendf(nil, "%06d", p.IntN(1_000_000))
	if p.IntN(200) == 0 {
		key = append(key, make([]byte, p.IntN(3*p.pageSize/2))...)
	}
	return key[:min(len(key), bbolt.MaxKeySize)]
}

func (p *program) value() []byte {
	value := make([]byte, p.IntN(1<<p.IntN(8)))
	if p.IntN(300) == 0 {
		value = make([]byte, p.IntN(5*p.pageSize))
	}
	for i := range value {
		value[i] = byte(p.Uint32())
	}
	return value
}

func (p *program) deleteSome(b *bbolt.Bucket) error {
	n := p.IntN(100)
	c := b.Cursor()
	for k, v := c.Seek(p.key()); k != nil && n > 0; k, v = c.Next() {
		if v != nil {
			if err := b.Delete(bytes.Clone(k)); err != nil {
				return err
			}
			c.Seek(k)
		}
		n--
	}
	return nil
}

// run does a transaction or several.
func (p *program) run(db *bbolt.DB) error {
	for range 1 + p.IntN(6) {
		err := db.Update(func(tx *bbolt.Tx) error {
			for range 1 + p.IntN(3) {
				b, err := tx.CreateBucketIfNotExists(p.name())
				if err != nil {
					return err
				}
				if err := p.change(b, 1); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// newFile makes a bbolt file, and closes it.
func newFile(t testing.TB, options *bbolt.Options, fill func(db *bbolt.DB) error) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bolt")
	edit(t, path, options, fill)
	return path
}

// edit opens a bbolt file for writing, and closes it.
func edit(t testing.TB, path string, options *bbolt.Options, change func(db *bbolt.DB) error) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, options)
	if err != nil {
		t.Fatal(err)
	}
	if err := change(db); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// view reads a bbolt file by bbolt.
func view(t testing.TB, path string, fn func(tx *bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.View(fn); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// check is bbolt's own check of a file.
func check(t testing.TB, path string) {
	t.Helper()
	view(t, path, func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			t.Errorf("bbolt's check: %v", err)
		}
		return nil
	})
}

// compareFile reads a file by bbolt and by boltfile, pair by pair.
func compareFile(t testing.TB, path string) {
	t.Helper()
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := boltfile.Open(path, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	view(t, path, func(tx *bbolt.Tx) error {
		return f.Guard(func() error { return compareBucket(f.NewWalk(), f.Root(), tx.Cursor(), tx.Bucket) })
	})
	after, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if !before.ModTime().Equal(after.ModTime()) || before.Size() != after.Size() {
		t.Error("reading changed the file")
	}
}

// compareBucket compares a bucket and all in it.
func compareBucket(walk *boltfile.Walk, b boltfile.Bucket, c *bbolt.Cursor, child func(name []byte) *bbolt.Bucket) error {
	s := walk.Scan(b)
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if !s.Next() {
			return fmt.Errorf("no key %q: %v", k, s.Err())
		}
		if !bytes.Equal(k, s.Key()) || !bytes.Equal(v, s.Value()) || (v == nil) != (s.Value() == nil) {
			return fmt.Errorf("%q: %d bytes, want %q: %d bytes", s.Key(), len(s.Value()), k, len(v))
		}
		if v != nil {
			continue
		}
		nested := child(k)
		if nested.Sequence() != s.Bucket().Sequence {
			return fmt.Errorf("sequence of %q is %d, want %d", k, s.Bucket().Sequence, nested.Sequence())
		}
		if err := compareBucket(walk, s.Bucket(), nested.Cursor(), nested.Bucket); err != nil {
			return fmt.Errorf("in %q: %w", k, err)
		}
	}
	if s.Next() || s.Err() != nil {
		return fmt.Errorf("key %q is one too many; %v", s.Key(), s.Err())
	}
	return nil
}

// copyBucket writes a bucket and all in it.
func copyBucket(w *boltfile.Writer, c *bbolt.Cursor, child func(name []byte) *bbolt.Bucket) error {
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if v != nil {
			if err := w.Put(k, v); err != nil {
				return err
			}
			continue
		}
		nested := child(k)
		if err := w.Begin(k, nested.Sequence()); err != nil {
			return err
		}
		if err := copyBucket(w, nested.Cursor(), nested.Bucket); err != nil {
			return err
		}
		if err := w.End(); err != nil {
			return err
		}
	}
	return nil
}

// number is a key that sorts by i.
func number(i int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(i)) }
