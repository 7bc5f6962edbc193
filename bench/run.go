package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// config is what the flags say.
type config struct {
	engines   []Engine
	workloads []workload
	entries   []int
	count     int           // rounds
	budget    time.Duration // of one run of a workload that has no fixed number of operations
	patience  time.Duration // a workload that took longer is not repeated on that engine
	maxReads  int           // operations of one run of a workload that has a fixed number
	bulk      bool          // fill the shared stores by bulk load
	dir       string
	log       io.Writer
}

// record is one measured value, as a line of results.jsonl.
type record struct {
	Workload string   `json:"workload"`
	Metric   string   `json:"metric,omitempty"`
	Engine   string   `json:"engine"`
	Variant  string   `json:"variant,omitempty"`
	N        int      `json:"n"`
	Round    int      `json:"round"`
	Value    float64  `json:"value"`
	Unit     string   `json:"unit"`
	Allocs   *float64 `json:"allocs_per_op,omitempty"`
}

// runAll measures every workload: all engines take turns within a round, so that whatever else
// happens on the machine hits them alike.
func runAll(c config, emit func(record) error) error {
	for _, n := range c.entries {
		if err := runEntries(c, n, emit); err != nil {
			return err
		}
	}
	return nil
}

func runEntries(c config, n int, emit func(record) error) (err error) {
	dir, err := os.MkdirTemp(c.dir, "folio-bench-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	r := &runner{config: c, n: n, dir: dir, lab: map[string]*subject{}, emit: emit}
	defer func() { err = errors.Join(err, r.closeAll()) }()
	for _, w := range c.workloads {
		if err := r.workload(w); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
	}
	return nil
}

// runner holds the loaded store of each engine while the workloads of one size run.
type runner struct {
	config
	n    int
	dir  string
	lab  map[string]*subject
	emit func(record) error
}

// subject is an engine's loaded store: open in one mode, or closed (store is nil).
type subject struct {
	engine  Engine
	dir     string
	data    *dataset
	store   Store
	durable bool
	warm    bool
}

// turn is an engine, or a variant of the work on it, in one workload.
type turn struct {
	engine  Engine
	variant string
	run     func(*bench) ([]metric, error)
	done    bool
}

func (r *runner) workload(w workload) error {
	if w.on != shared {
		if err := r.closeAll(); err != nil { // idle stores have background work and memory
			return err
		}
	}
	turns := r.turns(w)
	for round := range r.count {
		for i := range turns {
			if turns[i].done {
				continue
			}
			if err := r.turn(w, &turns[i], round); err != nil {
				return fmt.Errorf("%s: %w", turns[i].engine.Name, err)
			}
		}
	}
	return nil
}

func (r *runner) turns(w workload) []turn {
	if w.on == noStore {
		return []turn{{engine: Engine{Name: "machine"}, run: w.run}}
	}
	var turns []turn
	for _, e := range r.engines {
		turns = append(turns, turn{engine: e, run: w.run})
		for _, v := range w.variants {
			if v.engine == e.Name {
				turns = append(turns, turn{engine: e, variant: v.name, run: v.run})
			}
		}
	}
	return turns
}

func (r *runner) turn(w workload, t *turn, round int) error {
	fmt.Fprintf(r.log, "n=%d %s, %s %s, round %d\n", r.n, w.name, t.engine.Name, t.variant, round+1)
	start := time.Now()
	metrics, err := r.measure(w, t, round)
	t.done = time.Since(start) > r.patience
	if errors.Is(err, errUnsupported) {
		t.done = true
		return nil
	}
	if err != nil {
		return err
	}
	for _, m := range metrics {
		rec := record{Workload: w.name, Metric: m.name, Engine: t.engine.Name, Variant: t.variant,
			N: r.n, Round: round + 1, Value: m.value, Unit: m.unit}
		if m.allocs >= 0 {
			rec.Allocs = &m.allocs
		}
		if err := r.emit(rec); err != nil {
			return err
		}
	}
	return nil
}

// measure prepares the kind of store that the workload asks for, runs it, checks what the store
// then holds, and puts things back.
func (r *runner) measure(w workload, t *turn, round int) ([]metric, error) {
	b := &bench{n: r.n, ops: min(r.n, r.maxReads), budget: r.budget, seed: uint64(round + 1)}
	if w.on == noStore {
		b.dir = r.dir
		return t.run(b)
	}
	if w.on == empty {
		return r.onEmpty(b, w, t)
	}
	s, err := r.subject(t.engine)
	if err != nil {
		return nil, err
	}
	switch w.on {
	case copied:
		return r.onCopy(b, w, t, s)
	case closed:
		b.open = func() (Store, error) { return t.engine.Open(s.dir, w.durable) }
		return t.run(b)
	}
	if err := s.open(w.durable, w.on != cold); err != nil {
		return nil, err
	}
	b.store, b.data = s.store, s.data
	settle()
	metrics, err := t.run(b)
	if w.on == shared || err != nil {
		return metrics, err
	}
	if w.on == changed {
		err = s.data.verify(s.store)
	}
	return metrics, errors.Join(err, s.close())
}

// onEmpty runs on a new store, filled by the workload.
func (r *runner) onEmpty(b *bench, w workload, t *turn) ([]metric, error) {
	dir, err := os.MkdirTemp(r.dir, t.engine.Name+"-*")
	if err != nil {
		return nil, err
	}
	s := &subject{engine: t.engine, dir: dir, data: newDataset(r.n)}
	return r.onOwn(b, w, t, s)
}

func (r *runner) onCopy(b *bench, w workload, t *turn, of *subject) ([]metric, error) {
	dir, err := os.MkdirTemp(r.dir, t.engine.Name+"-*")
	if err != nil {
		return nil, err
	}
	if err := os.CopyFS(dir, os.DirFS(of.dir)); err != nil {
		return nil, err
	}
	return r.onOwn(b, w, t, &subject{engine: t.engine, dir: dir, data: of.data.clone()})
}

// onOwn runs on a store of the run's own, which is removed afterwards.
func (r *runner) onOwn(b *bench, w workload, t *turn, s *subject) (metrics []metric, err error) {
	defer func() { err = errors.Join(err, os.RemoveAll(s.dir)) }()
	if err := s.open(w.durable, w.on == copied); err != nil {
		return nil, err
	}
	b.store, b.data = s.store, s.data
	settle()
	metrics, err = t.run(b)
	if err == nil && b.data != nil {
		err = b.data.verify(s.store)
	}
	if err := errors.Join(err, s.close()); err != nil || !w.fileSize {
		return metrics, err
	}
	size, err := folderSize(s.dir)
	return append(metrics, metric{name: "file size once closed", unit: "bytes", value: float64(size), allocs: -1}), err
}

// subject returns the engine's loaded store, which it makes at the first call.
func (r *runner) subject(e Engine) (*subject, error) {
	if s := r.lab[e.Name]; s != nil {
		return s, nil
	}
	fmt.Fprintf(r.log, "n=%d loading %s\n", r.n, e.Name)
	s := &subject{engine: e, dir: filepath.Join(r.dir, e.Name), data: newDataset(r.n)}
	r.lab[e.Name] = s
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		return nil, err
	}
	if err := s.open(false, false); err != nil {
		return nil, err
	}
	var err error
	if r.bulk {
		err = s.data.load(s.store)
	} else {
		_, err = loadRandom(&bench{store: s.store, data: s.data, n: r.n})
	}
	return s, errors.Join(err, s.close())
}

// open opens the store unless it is open in that mode, and reads all of it if it should be warm.
func (s *subject) open(durable, warm bool) error {
	if s.store != nil && s.durable == durable && s.warm == warm {
		return nil
	}
	if err := s.close(); err != nil {
		return err
	}
	store, err := s.engine.Open(s.dir, durable)
	if err != nil {
		return err
	}
	s.store, s.durable, s.warm = store, durable, warm
	if !warm {
		return nil
	}
	return s.data.verify(store)
}

func (s *subject) close() error {
	if s.store == nil {
		return nil
	}
	err := s.store.Close()
	s.store = nil
	return err
}

func (r *runner) closeAll() error {
	var errs []error
	for _, s := range r.lab {
		errs = append(errs, s.close())
	}
	return errors.Join(errs...)
}

func folderSize(dir string) (int64, error) {
	var size int64
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		size += info.Size()
		return nil
	})
	return size, err
}
