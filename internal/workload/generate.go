package workload

import (
	"iter"
	"math/rand/v2"
	"slices"
)

// Generate returns a list of about n operations that depends on the seed alone.
func Generate(seed uint64, n int, p Profile) []Op {
	r := rand.New(rand.NewPCG(seed, 0xF0110))
	g := generator{p: p, draw: r.IntN, known: map[string]bool{}}
	for len(g.ops) < n {
		g.step()
	}
	return g.finish()
}

// Decode returns the list that bytes stand for, as a fuzzer makes them: every byte is one
// choice, and similar bytes give similar lists. No list has more than 5,000 operations.
func Decode(data []byte, p Profile) []Op {
	draw := func(n int) int {
		v := 0
		for room := 1; room < n && len(data) > 0; room <<= 8 {
			v = v<<8 | int(data[0])
			data = data[1:]
		}
		return v % max(n, 1)
	}
	g := generator{p: p, draw: draw, known: map[string]bool{}}
	for len(data) > 0 && len(g.ops) < 5000 {
		g.step()
	}
	return g.finish()
}

// DecodeAny is Decode with the profile that the first byte chooses.
func DecodeAny(data []byte) []Op {
	if len(data) == 0 {
		return nil
	}
	return Decode(data[1:], Profiles[int(data[0])%len(Profiles)])
}

// A generator makes lists that mean something: it knows what is open.
type generator struct {
	p       Profile
	draw    func(n int) int // a number below n
	ops     []Op
	writing bool
	saves   int
	readers []int
	cursors []int           // of the transactions, by number
	known   map[string]bool // buckets that probably are there
	used    []Blob          // some of the keys that were put
}

func (g *generator) add(op Op) { g.ops = append(g.ops, op) }

func (g *generator) one(in int) bool { return g.draw(in) == in-1 }

func (g *generator) finish() []Op {
	if g.writing {
		g.add(Op{Kind: Commit})
	}
	return g.ops
}

// step adds an operation, with what it needs before it.
func (g *generator) step() {
	switch {
	case !g.writing:
		g.between()
	case g.one(max(g.p.TxLen, 2)):
		g.endTx()
	case g.draw(16) < 3:
		g.reader()
	case g.draw(16) < 11:
		g.operation(g.pick(g.p.Changes), g.txFor(true))
	default:
		g.operation(g.pick(g.p.Queries), g.txFor(false))
	}
}

// between adds what stands between write transactions.
func (g *generator) between() {
	switch n := g.draw(32); {
	case n < 22:
		g.add(Op{Kind: []Kind{Update, Update, Begin}[g.draw(3)]})
		g.writing, g.saves = true, 0
		g.dropCursors(0)
	case n < 29:
		g.reader()
	case n < 30:
		g.add(Op{Kind: Sync})
	default:
		g.add(Op{Kind: Reopen})
		g.readers = nil
	}
}

func (g *generator) endTx() {
	end := []Kind{Commit, Commit, Commit, Commit, Commit, Commit, Rollback, Fail, Panic}[g.draw(9)]
	g.add(Op{Kind: end})
	g.writing = false
	if end != Commit {
		clear(g.known)
	}
}

// reader opens, uses or ends a read transaction.
func (g *generator) reader() {
	switch {
	case len(g.readers) < g.p.Readers && (len(g.readers) == 0 || g.one(4)):
		n := 1
		for slices.Contains(g.readers, n) {
			n++
		}
		g.readers = append(g.readers, n)
		g.dropCursors(n)
		g.add(Op{Kind: Read, N: n})
	case g.one(6):
		i := g.draw(len(g.readers))
		g.add(Op{Kind: EndRead, N: g.readers[i]})
		g.readers = slices.Delete(g.readers, i, i+1)
	default:
		g.operation(g.pick(g.p.Queries), g.readers[g.draw(len(g.readers))])
	}
}

// txFor chooses the transaction of an operation: mostly the one that writes.
func (g *generator) txFor(change bool) int {
	if len(g.readers) == 0 || change && !g.one(64) || !change && !g.one(4) {
		return 0
	}
	return g.readers[g.draw(len(g.readers))]
}

func (g *generator) pick(from []Weight) Kind {
	sum := 0
	for _, w := range from {
		sum += w.N
	}
	n := g.draw(sum)
	for _, w := range from {
		if n -= w.N; n < 0 {
			return w.Kind
		}
	}
	return Get
}

// operation adds an operation of a kind.
func (g *generator) operation(k Kind, tx int) {
	op := Op{Kind: k, Tx: tx}
	switch k {
	case Save, Undo, Release:
		g.savepoint(k)
		return
	case First, Last, Next, Prev, Seek, Remove:
		g.moveCursor(op)
		return
	}
	op.Path = g.path(tx, k)
	g.fill(&op)
	if k == Load && g.one(2) {
		clear(g.known)
		g.add(Op{Kind: DeleteRange, Tx: tx, Path: op.Path})
	}
	g.add(op)
	if k == Put || k == PutReader {
		g.remember(op.Key)
	}
}

// remember keeps a key in mind, so that others meet it.
func (g *generator) remember(key Blob) {
	if len(g.used) < 64 {
		g.used = append(g.used, key)
	} else {
		g.used[g.draw(len(g.used))] = key
	}
}

func (g *generator) savepoint(k Kind) {
	if k == Save || g.saves == 0 {
		g.saves++
		g.add(Op{Kind: Save})
		return
	}
	g.add(Op{Kind: k, N: g.saves - 1 - g.draw(min(g.saves, 4))})
}

// dropCursors forgets the cursors of a transaction.
func (g *generator) dropCursors(tx int) {
	g.cursors = slices.DeleteFunc(g.cursors, func(n int) bool { return n/10 == tx })
}

// moveCursor uses one of two cursors; one that was not opened yet is opened first.
func (g *generator) moveCursor(op Op) {
	op.N = op.Tx*10 + g.draw(2)
	if !slices.Contains(g.cursors, op.N) || g.one(32) {
		g.cursors = append(g.cursors, op.N)
		g.add(Op{Kind: Cursors, Tx: op.Tx, Path: g.path(op.Tx, Cursors), N: op.N})
		g.add(Op{Kind: Seek, Tx: op.Tx, N: op.N, Key: g.key()})
	}
	if op.Kind == Seek {
		op.Key = g.key()
	}
	g.add(op)
}

// fill draws the arguments that the kind needs.
func (g *generator) fill(op *Op) {
	for _, a := range syntax[op.Kind].args {
		switch a {
		case 'd':
			op.To = g.path(op.Tx, Move)
			op.To = op.To[:g.draw(len(op.To)+1)]
		case 'k':
			op.Key = g.bound(op.Kind)
		case 'h':
			op.Hi = g.bound(op.Kind)
		case 'v':
			op.Value = Value(g.draw(256), g.p.ValueLens[g.draw(len(g.p.ValueLens))])
		case 'n':
			op.N = g.number(op)
		}
	}
}

func (g *generator) number(op *Op) int {
	switch op.Kind {
	case Load:
		op.Value.Len = min(op.Value.Len, 300)
		op.Key.Len = min(op.Key.Len, 100)
		return g.draw(g.p.Loads + 1)
	case GetMany:
		return g.draw(30)
	case SetSeq:
		return g.draw(g.p.Seqs)
	case Cursors:
		n := op.Tx*10 + g.draw(2)
		g.cursors = append(g.cursors, n)
		return n
	case Sweep, Scatter:
		return 1 + g.draw(5)
	}
	return g.draw(g.p.Keys)
}

// key draws a key: often one that was put before.
func (g *generator) key() Blob {
	switch n := g.draw(200); {
	case n == 199:
		return Literal("")
	case n < 100 && len(g.used) > 0:
		return g.used[g.draw(len(g.used))]
	}
	return Blob{
		Shape: g.p.Shapes[g.draw(len(g.p.Shapes))],
		ID:    g.draw(g.p.Keys),
		Len:   g.p.KeyLens[g.draw(len(g.p.KeyLens))],
	}.trimmed()
}

// trimmed drops a length that has no meaning.
func (b Blob) trimmed() Blob {
	if b.Shape == 'b' {
		b.Len = 0
	}
	return b
}

// bound draws a key, or for a range, a prefix or a suffix also none.
func (g *generator) bound(k Kind) Blob {
	switch k {
	case CountRange, Range, DeleteRange:
		if g.one(4) {
			return Nil
		}
	case Prefix:
		return []Blob{Literal("k"), Literal("k0"), Literal("k01"), Literal("..."), Literal("\x00"), g.key()}[g.draw(6)]
	case Scatter:
		return []Blob{Literal("\x00"), Literal("x"), Literal("\xff\xff")}[g.draw(3)]
	}
	return g.key()
}

// path draws a bucket and sees to it that it is there, mostly. A cursor may be the root's.
func (g *generator) path(tx int, k Kind) Path {
	if k == Cursors && g.one(16) {
		return nil
	}
	depth := 1 + g.draw(g.p.Depth)
	var p Path
	for range depth {
		p = append(p, Key(g.draw(g.p.Buckets), 0))
	}
	if tx == 0 && g.writing {
		g.ensure(p, k)
	}
	return p
}

func (g *generator) ensure(p Path, k Kind) {
	upto := len(p)
	if k == Create || k == Ensure || g.one(32) {
		upto--
	}
	for i := 1; i <= upto; i++ {
		name := p[:i].String()
		if !g.known[name] {
			g.known[name] = true
			g.add(Op{Kind: Ensure, Path: p[:i]})
		}
	}
	if k == Drop || k == Move {
		clear(g.known)
	}
}

// Exhaustive returns every list of n steps over a small alphabet: changes of two keys and a
// nested bucket, savepoints, ends of transactions, and a reader that stays open.
func Exhaustive(n int) iter.Seq[[]Op] {
	steps := alphabet()
	return func(yield func([]Op) bool) {
		choice := make([]int, n)
		for {
			if !yield(assemble(steps, choice)) || !advance(choice, len(steps)) {
				return
			}
		}
	}
}

func alphabet() [][]Op {
	scripts := []string{
		"put w /k0 k1 v1*3", "put w /k0 k1 v2*1500", "put w /k0 k2*900 v3*100", "delete w /k0 k1",
		"deleterange w /k0 - -", "create w /k0/k3", "drop w /k0/k3", "nextseq w /k0",
		"savepoint", "undo 0", "undo 1", "commit\nupdate", "fail\nupdate",
		"endread 1\nread 1\nall r1 /k0",
	}
	var steps [][]Op
	for _, s := range scripts {
		ops, err := Parse(s)
		if err != nil {
			panic(err) // the scripts are constants
		}
		steps = append(steps, ops)
	}
	return steps
}

func assemble(steps [][]Op, choice []int) []Op {
	ops := []Op{{Kind: Update}, {Kind: Ensure, Path: Path{Key(0, 0)}}}
	for _, c := range choice {
		ops = append(ops, steps[c]...)
	}
	return append(ops, Op{Kind: All, Path: Path{Key(0, 0)}}, Op{Kind: Commit})
}

// advance counts choice up, as the digits of a number.
func advance(choice []int, base int) bool {
	for i := range choice {
		if choice[i]++; choice[i] < base {
			return true
		}
		choice[i] = 0
	}
	return false
}

// Shrink returns a part of ops for which fails is still true, from which no operation and no
// run of operations can be left out. It calls fails many times.
func Shrink(ops []Op, fails func([]Op) bool) []Op {
	for size := max(1, len(ops)/2); size >= 1; {
		smaller := false
		for at := 0; at+size <= len(ops); {
			rest := slices.Concat(ops[:at], ops[at+size:])
			if fails(rest) {
				ops, smaller = rest, true
			} else {
				at += size
			}
		}
		if !smaller || size > 1 {
			size /= 2
		}
	}
	return ops
}
