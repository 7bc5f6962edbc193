package folio

import (
	"context"
	"log/slog"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// This file tells Options.OnEvent what happens to the store. What must hold:
//
//   - No event costs anything on the path of a read transaction, except with TraceReaders.
//   - The function is called without any lock of the store, so that it may use the store.

// An Event is something that happened to a store and that no call returns: an EventGrown,
// EventShrunk, EventSlowFlush, EventLongReader, EventHandlerWait, EventNoSpace or EventLatched.
type Event interface {
	// record is the event as a line of a log.
	record() (slog.Level, string, []slog.Attr)
}

// EventGrown says that the file became longer. Steps that follow one another before the event
// is delivered become one event.
type EventGrown struct {
	From, To int64 // bytes
}

// EventShrunk says that free space at the end of the file was given back.
type EventShrunk struct {
	From, To int64 // bytes
}

// EventSlowFlush says that a flush took as long as Options.SlowFlush, or longer.
type EventSlowFlush struct {
	Took time.Duration
	Txid int // the newest transaction that it made durable
}

// EventLongReader says that a state has been replaced for as long as Options.LongReader and is
// still being read, so that its pages cannot be used again. It comes once for each such state,
// with the next commit.
type EventLongReader struct {
	Txid     int           // of the state
	Age      time.Duration // since the state was replaced
	Retained int64         // bytes of pages replaced since, which the state still needs
	Readers  []ReaderTrace // who reads it, with Options.TraceReaders; at most 16
}

// A ReaderTrace tells where a read transaction began.
type ReaderTrace struct {
	Since time.Time
	Stack string // a line of function, file and line for each call, the innermost first
}

// EventHandlerWait says that a transaction has been durable, or published if it is Deferred, for
// a second, and its commit handlers still wait for those of an earlier one to end. If these wait
// for its commit in turn, as Tx.OnCommit forbids, both wait for ever.
type EventHandlerWait struct {
	Txid    int // of the transaction that waits
	Running int // of the one whose handlers run; 0: it is about to run them
}

// EventNoSpace says that the file could not be made longer, as on a full disk. It comes again
// only after the file has grown meanwhile.
type EventNoSpace struct {
	Err error
}

// EventLatched says that a flush or the write of a meta failed: all writing has ended until the
// store is opened again.
type EventLatched struct {
	Err         error
	DurableTxid int // the newest durable transaction, which new readers see
}

func (e EventGrown) record() (slog.Level, string, []slog.Attr) {
	return slog.LevelInfo, "folio: the file has grown", []slog.Attr{slog.Int64("from", e.From), slog.Int64("to", e.To)}
}

func (e EventShrunk) record() (slog.Level, string, []slog.Attr) {
	return slog.LevelInfo, "folio: the file has shrunk", []slog.Attr{slog.Int64("from", e.From), slog.Int64("to", e.To)}
}

func (e EventSlowFlush) record() (slog.Level, string, []slog.Attr) {
	return slog.LevelWarn, "folio: slow flush", []slog.Attr{slog.Duration("took", e.Took), slog.Int("txid", e.Txid)}
}

func (e EventLongReader) record() (slog.Level, string, []slog.Attr) {
	attrs := []slog.Attr{slog.Int("txid", e.Txid), slog.Duration("age", e.Age), slog.Int64("retained", e.Retained)}
	for _, r := range e.Readers {
		attrs = append(attrs, slog.Group("reader", slog.Time("since", r.Since), slog.String("stack", r.Stack)))
	}
	return slog.LevelWarn, "folio: an old state is being read", attrs
}

func (e EventHandlerWait) record() (slog.Level, string, []slog.Attr) {
	return slog.LevelWarn, "folio: commit handlers wait", []slog.Attr{slog.Int("txid", e.Txid), slog.Int("running", e.Running)}
}

func (e EventNoSpace) record() (slog.Level, string, []slog.Attr) {
	return slog.LevelError, "folio: no space to grow", []slog.Attr{slog.Any("err", e.Err)}
}

func (e EventLatched) record() (slog.Level, string, []slog.Attr) {
	return slog.LevelError, "folio: latched", []slog.Attr{slog.Any("err", e.Err), slog.Int("durable", e.DurableTxid)}
}

// LogEvents returns a function for Options.OnEvent that writes each event to l: growth and
// shrinking at level Info, slow flushes, long readers and waiting handlers at Warn, the others
// at Error.
func LogEvents(l *slog.Logger) func(Event) {
	return func(e Event) {
		level, message, attrs := e.record()
		l.LogAttrs(context.Background(), level, message, attrs...)
	}
}

// maxEvents is how many events wait for Options.OnEvent; what comes on top is dropped.
const maxEvents = 256

// An eventQueue calls fn with one event after the other, on a goroutine that lives while there
// are any.
type eventQueue struct {
	fn      func(Event)
	mu      sync.Mutex
	idle    sync.Cond
	waiting []Event
	running bool
}

func (q *eventQueue) init(fn func(Event)) { q.fn, q.idle.L = fn, &q.mu }

// add may be called with DB.mu.
func (q *eventQueue) add(e Event) {
	if q.fn == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.merge(e) || len(q.waiting) == maxEvents {
		return
	}
	q.waiting = append(q.waiting, e)
	if !q.running {
		q.running = true
		go q.deliver()
	}
}

// merge makes a step of growth part of the one before it, if that has not been delivered.
func (q *eventQueue) merge(e Event) bool {
	grown, ok := e.(EventGrown)
	if !ok || len(q.waiting) == 0 {
		return false
	}
	last, ok := q.waiting[len(q.waiting)-1].(EventGrown)
	if ok {
		q.waiting[len(q.waiting)-1] = EventGrown{last.From, grown.To}
	}
	return ok
}

func (q *eventQueue) deliver() {
	q.mu.Lock()
	for len(q.waiting) > 0 {
		e := q.waiting[0]
		q.waiting = q.waiting[1:]
		q.mu.Unlock()
		q.fn(e)
		q.mu.Lock()
	}
	q.running = false
	q.idle.Broadcast()
	q.mu.Unlock()
}

// drain waits until every event is delivered.
func (q *eventQueue) drain() {
	q.mu.Lock()
	for q.running {
		q.idle.Wait()
	}
	q.mu.Unlock()
}

// A pastState is a state that was published once.
type pastState struct {
	txid     uint64
	replaced time.Time
	reported bool
}

// watchReaders forgets past states that nobody needs and reports those that have been read for
// long. It is called with mu.
func (db *DB) watchReaders(needed []uint64) {
	db.past = slices.DeleteFunc(db.past, func(p pastState) bool {
		_, found := slices.BinarySearch(needed, p.txid)
		return !found
	})
	if db.opts.OnEvent == nil {
		return
	}
	for i := range db.past {
		p := &db.past[i]
		if age := time.Since(p.replaced); !p.reported && age >= db.opts.LongReader && db.readBy(p.txid) {
			p.reported = true
			db.events.add(EventLongReader{
				Txid: int(p.txid), Age: age, Retained: db.retainedBy(p.txid), Readers: db.traces.of(p.txid),
			})
		}
	}
}

// retainedBy returns the bytes of pages that wait and that state s needs. It is called with mu.
func (db *DB) retainedBy(s uint64) int64 {
	var pages int64
	for _, waiting := range db.alloc.pending {
		for _, p := range waiting {
			if p.birth <= s && s < p.freed {
				pages += int64(p.n)
			}
		}
	}
	return pages << db.shift
}

// readerTraces remembers where each open read transaction began. It is nil unless
// Options.TraceReaders asks for it.
type readerTraces struct {
	mu   sync.Mutex
	open map[*readerSlot]readerTrace
}

type readerTrace struct {
	since time.Time
	calls []uintptr
}

// add is called by beginRead.
func (t *readerTraces) add(slot *readerSlot) {
	calls := make([]uintptr, 32)
	const skip = 3 // Callers, this, beginRead
	calls = calls[:runtime.Callers(skip, calls)]
	t.mu.Lock()
	t.open[slot] = readerTrace{time.Now(), calls}
	t.mu.Unlock()
}

func (t *readerTraces) remove(slot *readerSlot) {
	t.mu.Lock()
	delete(t.open, slot)
	t.mu.Unlock()
}

// of returns the traces of those who read a state, the oldest first.
func (t *readerTraces) of(txid uint64) []ReaderTrace {
	if t == nil {
		return nil
	}
	var found []readerTrace
	t.mu.Lock()
	for slot, r := range t.open {
		if slot.txid.Load() == txid {
			found = append(found, r)
		}
	}
	t.mu.Unlock()
	slices.SortFunc(found, func(a, b readerTrace) int { return a.since.Compare(b.since) })
	var traces []ReaderTrace
	for _, r := range found[:min(len(found), 16)] {
		traces = append(traces, ReaderTrace{r.since, stack(r.calls)})
	}
	return traces
}

// oldest returns when the first of those who read a state began.
func (t *readerTraces) oldest(txid uint64) (since time.Time, ok bool) {
	if traces := t.of(txid); len(traces) > 0 {
		return traces[0].Since, true
	}
	return time.Time{}, false
}

func stack(calls []uintptr) string {
	var b strings.Builder
	frames := runtime.CallersFrames(calls)
	for {
		f, more := frames.Next()
		if f.PC != 0 {
			b.WriteString(f.Function + " " + f.File + ":" + strconv.Itoa(f.Line) + "\n")
		}
		if !more {
			return b.String()
		}
	}
}
