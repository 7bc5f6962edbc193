package folio_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/foliokv/folio"
	"github.com/foliokv/folio/internal/foliotest"
	"github.com/foliokv/folio/internal/model"
	"github.com/foliokv/folio/internal/simfile"
	"github.com/foliokv/folio/internal/workload"
)

// Everything at once: goroutines whose transactions succeed, fail, panic and use savepoints,
// Durable and Deferred, with nested buckets, long keys, large values and a tiny DirtyLimit, on a
// disk that is full now and then, or fails to write pages; readers that hold snapshots; copies; power losses. What the
// transactions gave is compared with the oracle in the order of their ids.
//
//	go test . -run TestStress -v -seed 1000 -rounds 5000 -timeout 0
func TestStress(t *testing.T) {
	var sum stressCounts
	for i := range uint64(4 * *folio.Rounds) {
		seed := *folio.Seed + i
		if err := stress(seed, &sum); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
	t.Logf("%d transactions committed, %d failed, %d rolled back; %d errors of a full or ailing disk; %d snapshots, %d copies, %d power losses, %d latched",
		sum.committed.Load(), sum.failed.Load(), sum.undone.Load(), sum.full.Load(), sum.snapshots.Load(), sum.copies.Load(), sum.losses.Load(), sum.latched.Load())
}

// stressCounts tell that a run has met what it is for.
type stressCounts struct {
	committed, failed, undone, full, snapshots, copies, losses, latched atomic.Int64
}

// stressProfile is one of the model tests', at times with values that are written without the
// mutex.
func stressProfile(r *rand.Rand) workload.Profile {
	p := workload.Profiles[r.IntN(len(workload.Profiles))]
	if r.IntN(3) == 0 {
		p.ValueLens = append(slices.Repeat(p.ValueLens, 8), 1<<20+r.IntN(10000))
	}
	p.Loads = min(p.Loads, 300)
	p.Keys = min(p.Keys, 60)
	return p
}

// A stressRun is one round: a store, several phases, and what happened in them.
type stressRun struct {
	*stressCounts
	seed    uint64
	profile workload.Profile
	opts    folio.Options
	f       *simfile.File
	db      *folio.DB
	tight   bool // the disk is full at times
	ailing  bool // writes of pages fail at times

	disk struct { // what the hook of the file knows; see onOp
		sync.Mutex
		log      redoLogs
		rand     *rand.Rand
		next     int // operation at which the disk fills up or is cleared
		full     bool
		images   []stressImage
		snapshot int   // operation at which an image is taken
		acked    []int // transactions acknowledged as durable
	}

	mu    sync.Mutex
	done  map[int]*workload.Trace // by id: committed and not yet applied to the oracle
	seen  []stressSnapshot
	order []int               // ids applied to the oracle
	after map[int]model.State // the oracle after each
	sums  map[int]uint64      // and its digest, where asked for
	began model.State
}

// A stressImage is what a power loss leaves, and what had been acknowledged before.
type stressImage struct {
	bytes []byte
	acked []int
}

// A stressSnapshot is what a read transaction saw.
type stressSnapshot struct {
	id     int
	digest uint64
}

func stress(seed uint64, sum *stressCounts) error {
	r := rand.New(rand.NewPCG(seed, 0x57e55))
	s := &stressRun{stressCounts: sum, seed: seed, profile: stressProfile(r), tight: r.IntN(2) == 0, ailing: seed%3 == 2,
		done: map[int]*workload.Trace{}, after: map[int]model.State{}, sums: map[int]uint64{}, began: model.Empty()}
	s.opts = folio.Options{
		PageSize:      []int{4 << 10, 4 << 10, 4 << 10, 16 << 10}[r.IntN(4)],
		DirtyLimit:    []int64{0, 24 << 10, 64 << 10, 300 << 10}[r.IntN(4)],
		Durability:    folio.Durability(r.IntN(2)),
		FlushInterval: []time.Duration{-1, time.Millisecond}[r.IntN(2)],
		FlushBytes:    []int64{0, 30 << 10}[r.IntN(2)],
		MaxSize:       []int64{0, 0, 0, 3 << 20}[r.IntN(4)],
		Verify:        folio.Verify(r.IntN(3)),
	}
	s.disk.rand = rand.New(rand.NewPCG(seed, 0xd15c))
	s.f = simfile.New(s.fileOptions())
	for phase := range 3 {
		if err := s.phase(phase); err != nil {
			return fmt.Errorf("phase %d, %+v, profile %s, full at times %v, ailing %v: %w", phase, s.opts, s.profile.Name, s.tight, s.ailing, err)
		}
		s.f = s.f.Kill(s.fileOptions())
	}
	s.f.Release()
	return nil
}

func (s *stressRun) fileOptions() simfile.Options {
	return simfile.Options{Seed: s.seed, PrivateMaps: true, MapAhead: 64 << 10, OnOp: s.onOp, Direct: s.seed%2 == 1}
}

// onOp is the disk: it takes its time, is full and is cleared, fails, and loses its power.
func (s *stressRun) onOp(n int, op simfile.Op) {
	d := &s.disk
	d.Lock()
	d.log.look(s.f, s.opts.PageSize)
	defer d.Unlock()
	if s.tight && n >= d.next {
		d.next = n + 1 + d.rand.IntN(60)
		if d.full = !d.full; d.full {
			size, _ := s.f.Size()
			s.f.SetCapacity(size + int64(d.rand.IntN(20))<<12)
		} else {
			s.f.SetCapacity(0)
		}
	}
	if s.ailing && n >= d.next && op.Kind == simfile.Write && d.rand.IntN(15) == 0 {
		s.f.Fail(simfile.Fault{At: n, Kind: simfile.Write, From: 2 * int64(s.opts.PageSize), Spare: d.log.holds, Reach: simfile.Reach(d.rand.IntN(3))})
	}
	if n == d.snapshot {
		d.images = append(d.images, stressImage{s.f.RandomImage(s.seed).Bytes, slices.Clone(d.acked)})
	}
	if op.Kind == simfile.SyncEnd && d.rand.IntN(2) == 0 {
		time.Sleep(time.Duration(d.rand.IntN(50)) * time.Microsecond)
	}
}

// A redoLogs is where the metas name redo logs. That a write there fails leaves it open, like that of a meta,
// what is durable.
type redoLogs struct {
	from, to [2]atomic.Int64
}

func (l *redoLogs) look(f *simfile.File, pageSize int) {
	for slot := range 2 {
		var b [8]byte
		if _, err := f.ReadAt(b[:], int64(slot*pageSize)+112); err == nil {
			from := int64(binary.LittleEndian.Uint32(b[:]))
			l.from[slot].Store(from * int64(pageSize))
			l.to[slot].Store((from + int64(binary.LittleEndian.Uint32(b[4:]))) * int64(pageSize))
		}
	}
}

func (l *redoLogs) holds(off int64) bool {
	return l.from[0].Load() <= off && off < l.to[0].Load() || l.from[1].Load() <= off && off < l.to[1].Load()
}

// clear gives the disk room for good.
func (s *stressRun) clear() {
	s.disk.Lock()
	defer s.disk.Unlock()
	s.disk.next, s.disk.full = math.MaxInt, false
	s.f.SetCapacity(0)
	s.f.Heal()
}

// phase opens the store, lets everybody work on it, and compares.
func (s *stressRun) phase(phase int) (err error) {
	s.disk.next, s.disk.snapshot = 20, s.disk.rand.IntN(300)
	s.disk.images, s.disk.acked = nil, nil
	if s.db, err = foliotest.Open(s.f, &s.opts); err != nil {
		return err
	}
	if s.seed%2 == 0 {
		s.db.SealAhead(1)
	}
	timer := time.AfterFunc(10*time.Minute, func() {
		debug.SetTraceback("all")
		panic(fmt.Sprintf("seed %d hangs", s.seed))
	})
	defer timer.Stop()
	errs := make(chan error, 100)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() { errs <- s.writer(phase*10 + g) })
	}
	var over atomic.Bool
	var readers sync.WaitGroup
	var held []*folio.Tx
	for g := range 3 {
		readers.Go(func() {
			for i := 0; !over.Load(); i++ {
				if err := s.reader(rand.New(rand.NewPCG(s.seed, uint64(phase*1000+g*100+i)))); err != nil {
					errs <- fmt.Errorf("reader: %w", err)
					return
				}
			}
		})
	}
	readers.Go(func() { // these see what they see until all is over
		for range 3 {
			time.Sleep(time.Millisecond)
			tx, err := s.db.Begin(false)
			if err != nil {
				errs <- err
				return
			}
			held = append(held, tx)
		}
	})
	wg.Wait()
	over.Store(true)
	readers.Wait()
	close(errs)
	for e := range errs {
		err = errors.Join(err, e)
	}
	if err != nil {
		return err
	}
	s.clear()
	if err := s.oracle(); err != nil {
		return err
	}
	last := math.MaxInt
	if err := s.db.Sync(); s.ailing && errors.Is(err, syscall.EIO) {
		s.latched.Add(1)
		if last, err = s.afterLatch(held); err != nil {
			return fmt.Errorf("latched: %w", err)
		}
	} else {
		if err := s.compare(held); err != nil {
			return err
		}
		if err := s.db.Close(); err != nil {
			return fmt.Errorf("close: %w", err)
		}
	}
	if err := s.reopened(last); err != nil {
		return err
	}
	// Ids of transactions that changed nothing come again.
	s.began = s.state(last)
	s.order = nil
	clear(s.after)
	clear(s.sums)
	return nil
}

// writer performs transactions one after the other.
func (s *stressRun) writer(g int) error {
	r := rand.New(rand.NewPCG(s.seed, uint64(g)))
	for i := range 12 {
		if err := s.transaction(r); err != nil {
			return fmt.Errorf("transaction %d of goroutine %d: %w", i, g, err)
		}
		if r.IntN(12) == 0 {
			if err := s.bearable(s.db.Sync()); err != nil {
				return fmt.Errorf("sync: %w", err)
			}
		}
	}
	return nil
}

var errStress = errors.New("the closure's own")

// transaction runs one write transaction, and notes it if it succeeds.
func (s *stressRun) transaction(r *rand.Rand) (err error) {
	ops := workload.GenerateBody(r.Uint64(), 1+r.IntN(30), s.profile)
	for i := range ops {
		if ops[i].Kind == workload.Scatter {
			ops[i].Value.Len = min(ops[i].Value.Len, 1000) // it puts thousands
		}
	}
	if r.IntN(10) == 0 {
		ops = append(ops, workload.Op{Kind: workload.Check})
	}
	end := "ccccccccfpr"[r.IntN(11)]
	lazy := r.IntN(3)
	var trace *workload.Trace
	id, durable := 0, true
	body := func(tx *folio.Tx) (err error) {
		id = tx.ID()
		durable = s.opts.Durability == folio.Durable
		if lazy == 0 {
			durable = !durable
			tx.SetDurability(folio.Durability(1 - s.opts.Durability))
		}
		fault := func(err error) error { return s.bearable(err) }
		between := func() {
			if r.IntN(20) == 0 {
				time.Sleep(time.Duration(r.IntN(100)) * time.Microsecond)
			}
		}
		trace, err = workload.Record(workload.AdaptTx(tx), foliotest.Errors, ops, between, fault)
		switch {
		case err != nil:
			return err
		case end == 'f':
			return errStress
		case end == 'p':
			panic(errStress)
		}
		return nil
	}
	switch {
	case end == 'r' || r.IntN(4) == 0 && end != 'p':
		err = s.begun(body, end == 'r')
	case r.IntN(4) == 0:
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(r.IntN(2000))*time.Microsecond)
		err = thrown(func() error { return s.db.UpdateContext(ctx, body) })
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			return nil
		}
	default:
		err = thrown(func() error { return s.db.Update(body) })
	}
	switch {
	case errors.Is(err, errStress):
		s.undone.Add(1)
		return nil
	case err != nil:
		s.failed.Add(1)
		return s.bearable(err)
	case end != 'c':
		return fmt.Errorf("a transaction that ends with %c commits", end)
	}
	s.committed.Add(1)
	s.mu.Lock()
	s.done[id] = trace
	s.mu.Unlock()
	if !durable && r.IntN(4) == 0 {
		if err := s.db.WaitDurable(context.Background(), id); err != nil {
			return s.bearable(err)
		}
		durable = true
	}
	if durable {
		s.disk.Lock()
		s.disk.acked = append(s.disk.acked, id)
		s.disk.Unlock()
	}
	return nil
}

func (s *stressRun) begun(body func(*folio.Tx) error, undo bool) error {
	tx, err := s.db.Begin(true)
	if err != nil {
		return err
	}
	if err := body(tx); err != nil || undo {
		if lost := tx.Rollback(); lost != nil {
			return lost
		}
		if err == nil {
			err = errStress
		}
		return err
	}
	return tx.Commit()
}

// thrown returns what fn panics with as its error.
func thrown(fn func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			if r != errStress {
				panic(r)
			}
			err = errStress
		}
	}()
	return fn()
}

// bearable returns nil for what a full disk or a full store may lead to, else err.
func (s *stressRun) bearable(err error) error {
	bounded := s.tight || s.opts.MaxSize > 0
	if err == nil || s.ailing && errors.Is(err, syscall.EIO) || (bounded || s.ailing) && (errors.Is(err, syscall.ENOSPC) || errors.Is(err, folio.ErrMaxSizeReached) ||
		strings.Contains(err.Error(), "of its group, could not be written")) {
		if err != nil {
			s.full.Add(1)
		}
		return nil
	}
	return err
}

// reader looks at a snapshot twice, with time between, or copies it.
func (s *stressRun) reader(r *rand.Rand) error {
	tx, err := s.db.Begin(false)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	before, err := workload.Digest(workload.AdaptTx(tx))
	if err != nil {
		return s.bearable(err)
	}
	s.snapshots.Add(1)
	s.mu.Lock()
	s.seen = append(s.seen, stressSnapshot{tx.ID(), before})
	s.mu.Unlock()
	time.Sleep(time.Duration(r.IntN(3000)) * time.Microsecond)
	after, err := workload.Digest(workload.AdaptTx(tx))
	switch {
	case err != nil:
		return s.bearable(err)
	case after != before:
		return fmt.Errorf("the snapshot of %d has changed", tx.ID())
	case r.IntN(8) == 0:
		return s.copied(tx, before)
	}
	return nil
}

// copied copies the snapshot and opens the copy.
func (s *stressRun) copied(tx *folio.Tx, want uint64) error {
	s.copies.Add(1)
	var b bytes.Buffer
	if _, err := tx.WriteTo(&b); err != nil {
		if err := s.bearable(err); err != nil {
			return fmt.Errorf("copy: %w", err)
		}
		return nil
	}
	_, got, err := digestOf(b.Bytes())
	if err == nil && got != want {
		err = fmt.Errorf("the copy of %d differs", tx.ID())
	}
	return err
}

// digestOf opens a file that is in memory.
func digestOf(image []byte) (id int, sum uint64, err error) {
	db, err := foliotest.Open(simfile.FromImage(image, simfile.Options{}), nil)
	if err != nil {
		return 0, 0, err
	}
	err = foliotest.Check(db)
	if err == nil {
		err = db.View(func(tx *folio.Tx) (err error) {
			id = tx.ID()
			sum, err = workload.Digest(workload.AdaptTx(tx))
			return err
		})
	}
	return id, sum, errors.Join(err, db.Close())
}

// oracle performs what was committed in order and compares what it gave.
func (s *stressRun) oracle() error {
	ids := make([]int, 0, len(s.done))
	for id := range s.done {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	m := model.FromState(s.state(math.MaxInt))
	for _, id := range ids {
		err := m.Update(func(tx *model.Tx) error { return s.done[id].Replay(workload.AdaptTx(tx)) })
		if err != nil {
			return fmt.Errorf("transaction %d: %w", id, err)
		}
		s.order = append(s.order, id)
		s.after[id] = m.State()
	}
	clear(s.done)
	return nil
}

// last returns the last transaction that a snapshot of id has in it, 0 for none.
func (s *stressRun) last(id int) int {
	i, found := slices.BinarySearch(s.order, id)
	if found {
		return id
	} else if i == 0 {
		return 0
	}
	return s.order[i-1]
}

func (s *stressRun) state(id int) model.State {
	if id = s.last(id); id > 0 {
		return s.after[id]
	}
	return s.began
}

func (s *stressRun) digest(id int) (uint64, error) {
	id = s.last(id)
	if sum, ok := s.sums[id]; ok {
		return sum, nil
	}
	tx, err := model.FromState(s.state(id)).Begin(false)
	if err != nil {
		return 0, err
	}
	s.sums[id], err = workload.Digest(workload.AdaptTx(tx))
	return s.sums[id], err
}

// compare compares all that was seen with the oracle.
func (s *stressRun) compare(held []*folio.Tx) error {
	if err := foliotest.Check(s.db); err != nil {
		return fmt.Errorf("check: %w", err)
	}
	if err := s.db.View(func(tx *folio.Tx) error { return workload.DiffState(workload.AdaptTx(tx), s.state(math.MaxInt)) }); err != nil {
		return err
	}
	for _, tx := range held {
		if err := workload.DiffState(workload.AdaptTx(tx), s.state(tx.ID())); err != nil {
			return fmt.Errorf("the snapshot of %d, at its end: %w", tx.ID(), err)
		}
		if err := tx.Rollback(); err != nil {
			return err
		}
	}
	return s.compareSeen()
}

// compareSeen compares what readers saw, and what power losses left.
func (s *stressRun) compareSeen() error {
	for _, seen := range s.seen {
		if want, err := s.digest(seen.id); err != nil || want != seen.digest {
			return fmt.Errorf("a reader of %d saw another state (%v)", seen.id, err)
		}
	}
	s.seen = nil
	for _, image := range s.disk.images {
		s.losses.Add(1)
		if err := s.lost(image); err != nil {
			return fmt.Errorf("after a power loss: %w", err)
		}
	}
	return nil
}

// afterLatch compares what a latched store shows, and what it leaves when it is closed: the state of
// the transaction that it returns.
func (s *stressRun) afterLatch(held []*folio.Tx) (last int, err error) {
	for _, tx := range held {
		if err := workload.DiffState(workload.AdaptTx(tx), s.state(tx.ID())); err != nil && !errors.Is(tx.Err(), syscall.EIO) {
			return 0, fmt.Errorf("the snapshot of %d: %w", tx.ID(), err)
		}
		_ = tx.Rollback()
	}
	err = s.db.View(func(tx *folio.Tx) error {
		last = tx.ID()
		return workload.DiffState(workload.AdaptTx(tx), s.state(last))
	})
	if err != nil {
		return 0, fmt.Errorf("the state of %d: %w", last, err)
	}
	for _, acked := range s.disk.acked {
		if acked > last {
			before, _ := s.digest(acked - 1)
			if after, err := s.digest(acked); after != before || err != nil {
				return 0, fmt.Errorf("there is the state of %d, and %d was acknowledged (%v)", last, acked, err)
			}
		}
	}
	if err := s.db.Close(); !errors.Is(err, syscall.EIO) {
		return 0, fmt.Errorf("close: %w", err)
	}
	return last, s.compareSeen()
}

// lost opens what a power loss left: a state not older than what was acknowledged.
func (s *stressRun) lost(image stressImage) error {
	id, sum, err := digestOf(image.bytes)
	if err != nil {
		return err
	}
	if want, err := s.digest(id); err != nil || want != sum {
		return fmt.Errorf("there is another state than that of %d (%v)", id, err)
	}
	for _, acked := range image.acked {
		before, err := s.digest(acked - 1)
		if err != nil {
			return err
		}
		if after, err := s.digest(acked); acked > id && after != before { // what changes nothing waits for nobody
			return fmt.Errorf("there is the state of %d, and %d was acknowledged (%v)", id, acked, err)
		}
	}
	return nil
}

// reopened compares what the file holds after Close, which is the state of a transaction.
func (s *stressRun) reopened(id int) error {
	if n := s.f.OpenMaps(); n > 0 {
		return fmt.Errorf("%d maps are left open", n)
	}
	db, err := foliotest.Open(s.f.Kill(simfile.Options{}), nil)
	if err != nil {
		return err
	}
	err = foliotest.Check(db)
	if err == nil {
		err = db.View(func(tx *folio.Tx) error {
			if err := workload.DiffState(workload.AdaptTx(tx), s.state(id)); err != nil {
				return fmt.Errorf("the state of %d, which has id %d: %w", id, tx.ID(), err)
			}
			return nil
		})
	}
	if err = errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("opened again: %w", err)
	}
	return nil
}
