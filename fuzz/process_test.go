package fuzz

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/foliokv/folio"
	"github.com/foliokv/folio/internal/foliotest"
	"github.com/foliokv/folio/internal/model"
	"github.com/foliokv/folio/internal/testdir"
	"github.com/foliokv/folio/internal/workload"
)

// The process test kills a process in the midst of its work, over and over. The child, which is
// this test binary, writes with several goroutines and tells what was acknowledged. The parent
// kills it, opens the file and compares: each transaction notes itself in a bucket in which
// their order can be read, so the parent performs the same ones on the model, and the two must
// be alike. Then the next child goes on with the file.

var kills = flag.Int("kills", 0, "how many processes to kill; 0: 20, with -short 6")

const (
	childEnv   = "FOLIO_TEST_CHILD" // the path of the store that the child works on
	childSeed  = "FOLIO_TEST_SEED"
	workers    = 4
	eagerOnes  = 2 // workers whose transactions are Durable; the others' are Deferred
	batch      = 8 // Deferred transactions before one waits for them, at most
	notesEntry = "notes"
)

var childOptions = folio.Options{DirtyLimit: 256 << 10, FlushInterval: 3 * time.Millisecond, FlushBytes: 1 << 20}

// work performs transaction n of a worker. B is *folio.Bucket or *model.Bucket.
func work[B bucket[B]](seed uint64, worker, n int, b B, save func() savepoint) error {
	r := rand.New(rand.NewPCG(seed, uint64(worker)<<32|uint64(n)))
	key := func() []byte { return foliotest.Key(r.IntN(300)) }
	value := func(size int) []byte { return workload.Value(n, size).Bytes() }
	sub := fmt.Appendf(nil, "sub%d", r.IntN(3))
	var err error
	switch kind := r.IntN(16); kind {
	case 0, 1:
		from := r.IntN(300)
		err = b.DeleteRange(foliotest.Key(from), foliotest.Key(from+r.IntN(40)))
	case 2, 3, 4:
		for range 5 {
			err = errors.Join(err, b.Delete(key()))
		}
	case 5, 6: // in extents
		err = errors.Join(b.Put(foliotest.Key(r.IntN(4)), value(2000+r.IntN(200_000))), b.Put(key(), value(1)))
	case 7:
		err = b.Put(foliotest.Key(0), value(1<<20+r.IntN(1<<20)))
	case 8: // more than DirtyLimit
		for range 500 {
			err = errors.Join(err, b.Put(key(), value(1000)))
		}
	case 9:
		err = load(b, sub, 200+r.IntN(1000), value(100))
	case 10, 11:
		c, e := b.CreateBucketIfNotExists(sub)
		if err = e; err == nil {
			err = errors.Join(c.Put(key(), value(r.IntN(3000))), c.Delete(key()))
		}
	case 12:
		sp := save()
		err = errors.Join(b.Put(key(), value(5000)), b.DeleteRange(nil, foliotest.Key(200)), sp.Rollback(), b.Put(key(), value(10)))
	default:
		for range 1 + r.IntN(20) {
			err = errors.Join(err, b.Put(key(), value(r.IntN(600))))
		}
	}
	return err
}

// load makes a nested bucket anew.
func load[B bucket[B]](b B, name []byte, n int, value []byte) error {
	if err := b.DeleteBucket(name); err != nil && !errors.Is(err, folio.ErrBucketNotFound) && !errors.Is(err, model.ErrBucketNotFound) {
		return err
	}
	c, err := b.CreateBucketIfNotExists(name)
	if err != nil {
		return err
	}
	pairs := func(yield func(k, v []byte) bool) {
		for i := range n {
			if !yield(foliotest.Key(i), value) {
				return
			}
		}
	}
	if c, ok := any(c).(*folio.Bucket); ok {
		return c.Load(context.Background(), pairs)
	}
	for k, v := range pairs {
		err = errors.Join(err, c.Put(k, v))
	}
	return err
}

// A top is *folio.Tx or *model.Tx.
type top[B any] interface {
	CreateBucketIfNotExists(name []byte) (B, error)
}

// transaction performs and notes transaction n of a worker.
func transaction[B bucket[B]](tx top[B], seed uint64, worker, n int, save func() savepoint) error {
	notes, err := tx.CreateBucketIfNotExists([]byte(notesEntry))
	if err != nil {
		return err
	}
	i, err := notes.NextSequence()
	if err != nil {
		return err
	}
	if err := notes.Put(binary.BigEndian.AppendUint64(nil, i), fmt.Appendf(nil, "%d %d", worker, n)); err != nil {
		return err
	}
	b, err := tx.CreateBucketIfNotExists(fmt.Appendf(nil, "worker%d", worker))
	if err != nil {
		return err
	}
	return work(seed, worker, n, b, save)
}

// child works on the store until it is killed. It writes a line for each acknowledged
// transaction: the worker and its number.
func child(path string) error {
	var seed uint64
	if _, err := fmt.Sscan(os.Getenv(childSeed), &seed); err != nil {
		return err
	}
	db, err := folio.Open(path, 0o600, &childOptions)
	if err != nil {
		return err
	}
	done, err := noted(db)
	if err != nil {
		return err
	}
	failed := make(chan error)
	for worker := range workers {
		go func() { failed <- workOn(db, seed, worker, done[worker]) }()
	}
	go func() { failed <- copies(db, path) }()
	return <-failed
}

// What copies are called.
func copied(path string) string    { return path + ".copy" }
func compacted(path string) string { return path + ".compact" }

// copies makes copies of the store, over and over.
func copies(db *folio.DB, path string) error {
	for {
		err := db.View(func(tx *folio.Tx) error { return tx.CopyFile(copied(path), 0o600) })
		if err != nil {
			return err
		}
		if err := os.Remove(compacted(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		dst, err := folio.Open(compacted(path), 0o600, &childOptions)
		if err != nil {
			return err
		}
		if err := errors.Join(db.Compact(context.Background(), dst), dst.Close()); err != nil {
			return err
		}
	}
}

// workOn makes the transactions of a worker that follow number n.
func workOn(db *folio.DB, seed uint64, worker, n int) error {
	r := rand.New(rand.NewPCG(seed, uint64(worker)<<32|uint64(n)|1<<63))
	for {
		size, id := 1, 0
		if worker >= eagerOnes {
			size += r.IntN(batch)
		}
		for range size {
			n++
			err := db.Update(func(tx *folio.Tx) error {
				id = tx.ID()
				if worker >= eagerOnes {
					tx.SetDurability(folio.Deferred)
				}
				return transaction(tx, seed, worker, n, func() savepoint { return tx.Savepoint() })
			})
			if err != nil {
				return err
			}
		}
		if worker >= eagerOnes {
			if err := db.WaitDurable(context.Background(), id); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintf(os.Stdout, "%d %d\n", worker, n); err != nil { // one write, whole in the pipe
			return err
		}
	}
}

// noted returns the number of each worker's last transaction in the store, and an error if
// the notes are not those of whole transactions in order.
func noted(db *folio.DB) (done [workers]int, err error) {
	err = db.View(func(tx *folio.Tx) error {
		notes := tx.Bucket([]byte(notesEntry))
		if notes == nil {
			return nil
		}
		i := uint64(0)
		for k, v := range notes.All() {
			var worker, n int
			if _, err := fmt.Sscan(string(v), &worker, &n); err != nil {
				return err
			}
			if i++; binary.BigEndian.Uint64(k) != i || n != done[worker]+1 {
				return fmt.Errorf("note %d is %x: %s, after %d of that worker", i, k, v, done[worker])
			}
			done[worker] = n
		}
		if notes.Sequence() != i {
			return fmt.Errorf("%d notes, the sequence is %d", i, notes.Sequence())
		}
		return tx.Err()
	})
	return done, err
}

// A murder is the parent's side.
type murder struct {
	*testing.T
	path  string
	rand  *rand.Rand
	model *model.DB
	seen  uint64       // notes that the model has
	acked [workers]int // the last acknowledged transaction of each worker
	lines int          // acknowledgements in all

	copies, empty int // copies found, and those that a kill left empty
}

func TestProcessIsKilled(t *testing.T) {
	n := *kills
	if n == 0 {
		n = 20
		if testing.Short() {
			n = 6
		}
	}
	m := &murder{T: t, path: filepath.Join(testdir.New(t), "store"), rand: rand.New(rand.NewPCG(*seed, 0)), model: model.New()}
	for i := range n {
		m.kill()
		m.verify()
		if m.verifyCopies(); t.Failed() {
			t.Fatalf("seed %d, process %d", *seed, i)
		}
	}
	t.Logf("seed %d: %d processes killed, %d acknowledgements of %v transactions, %d copies, %d of them empty",
		*seed, n, m.lines, m.acked, m.copies, m.empty)
	if m.lines == 0 {
		t.Error("no transaction was acknowledged")
	}
}

// kill starts a child and kills it: most after some acknowledgements, some at any moment, such
// as while they open the store.
func (m *murder) kill() {
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	if emulator := os.Getenv("MMAPFILE_EMULATOR"); emulator != "" {
		cmd = exec.Command(emulator, os.Args[0], "-test.run=^$")
	}
	cmd.Env = append(os.Environ(), childEnv+"="+m.path, fmt.Sprintf("%s=%d", childSeed, *seed))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	foliotest.Must(m, err)
	foliotest.Must(m, cmd.Start())
	lines := bufio.NewReader(out)
	if m.rand.IntN(5) == 0 {
		time.Sleep(time.Duration(m.rand.Int64N(int64(60 * time.Millisecond))))
	} else {
		for range 1 + m.rand.IntN(60) {
			if !m.hear(lines) {
				break
			}
		}
		time.Sleep(time.Duration(m.rand.Int64N(int64(3 * time.Millisecond))))
	}
	foliotest.Must(m, cmd.Process.Kill())
	for m.hear(lines) {
	}
	cmd.Wait() // an error: it was killed
	if stderr.Len() > 0 {
		m.Errorf("the child says: %s", stderr.String())
	}
}

// hear notes an acknowledgement, and tells whether there was one.
func (m *murder) hear(lines *bufio.Reader) bool {
	line, err := lines.ReadString('\n')
	if err != nil {
		if err != io.EOF && !strings.Contains(err.Error(), "closed") {
			m.Errorf("reading what the child says: %v", err)
		}
		return false
	}
	var worker, n int
	if _, err := fmt.Sscan(line, &worker, &n); err != nil {
		m.Errorf("the child says %q", line)
		return false
	}
	m.acked[worker] = n
	m.lines++
	return true
}

// verify opens the store and compares it with the model.
func (m *murder) verify() {
	db, err := folio.Open(m.path, 0o600, nil)
	foliotest.Must(m, err)
	defer func() { foliotest.Must(m, db.Close()) }()
	foliotest.MustCheck(m, db)
	done, err := noted(db)
	foliotest.Must(m, err)
	for worker, n := range done {
		if n < m.acked[worker] || n > m.acked[worker]+2*batch {
			m.Errorf("worker %d: %d transactions are there, %d were acknowledged", worker, n, m.acked[worker])
		}
		m.acked[worker] = n // the open made them durable
	}
	foliotest.Must(m, db.View(func(tx *folio.Tx) error {
		m.follow(tx)
		return workload.DiffState(workload.AdaptTx(tx), m.model.State())
	}))
}

// verifyCopies looks at what copies the kill has left: whole ones, or none.
func (m *murder) verifyCopies() {
	for _, path := range []string{copied(m.path), compacted(m.path)} {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		db, err := folio.Open(path, 0o600, nil)
		foliotest.Must(m, err)
		foliotest.MustCheck(m, db)
		done, err := noted(db)
		foliotest.Must(m, err)
		for worker, n := range done {
			if n > m.acked[worker] {
				m.Errorf("%s has %d transactions of worker %d, the store %d", path, n, worker, m.acked[worker])
			}
		}
		if m.copies++; done == [workers]int{} {
			m.empty++
			foliotest.Must(m, db.View(func(tx *folio.Tx) error { return workload.DiffState(workload.AdaptTx(tx), model.Empty()) }))
		}
		foliotest.Must(m, db.Close())
	}
}

// follow performs on the model what the store notes beyond it.
func (m *murder) follow(tx *folio.Tx) {
	notes := tx.Bucket([]byte(notesEntry))
	if notes == nil {
		return
	}
	for _, v := range notes.Range(binary.BigEndian.AppendUint64(nil, m.seen+1), nil) {
		var worker, n int
		fmt.Sscan(string(v), &worker, &n) // noted has looked at it
		foliotest.Must(m, m.model.Update(func(tx *model.Tx) error {
			return transaction(tx, *seed, worker, n, func() savepoint { return tx.Savepoint() })
		}))
		m.seen++
	}
}
