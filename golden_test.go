package folio

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/foliokv/folio/internal/simfile"
)

// Golden files name every byte of the format, and the order in which a commit goes to the
// file. `go test -run Golden -update` writes them anew.

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *Update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is now\n%s", path, got)
	}
}

// A layout lists ranges of bytes with what they are.
type layout struct {
	b    []byte
	out  strings.Builder
	done int
}

func (d *layout) field(name string, n int) {
	line := fmt.Sprintf("%5d  %-24s %s", d.done, name, hex.EncodeToString(d.b[d.done:d.done+n]))
	if s := d.b[d.done : d.done+n]; n > 3 && strings.HasPrefix(name, "key") {
		line += fmt.Sprintf("  %q", s)
	}
	fmt.Fprintln(&d.out, strings.TrimRight(line, " "))
	d.done += n
}

// zeros wants zeros up to a place.
func (d *layout) zeros(t *testing.T, upto int) {
	t.Helper()
	if len(bytes.Trim(d.b[d.done:upto], "\x00")) > 0 {
		t.Errorf("bytes %d to %d are not zero", d.done, upto)
	}
	fmt.Fprintf(&d.out, "%5d  zeros to %d\n", d.done, upto)
	d.done = upto
}

func (d *layout) header() {
	d.field("kind", 1)
	d.field("level", 1)
	d.field("count", 2)
	d.field("prefix length", 2)
	d.field("zero", 2)
	d.field("cell start", 4)
	d.field("garbage", 4)
	d.field("pgno", 4)
	d.field("zero", 4)
	d.field("birth", 8)
}

func (d *layout) ref(name string) {
	d.field(name+": pgno", 4)
	d.field(name+": birth", 6)
	d.field(name+": count", 6)
	d.field(name+": checksum", 8)
}

func (d *layout) extent(name string) {
	d.field(name+": pgno", 4)
	d.field(name+": length", 4)
	d.field(name+": birth", 6)
	d.field(name+": checksum", 8)
}

func (d *layout) slots(n int) {
	for i := range n {
		d.field(fmt.Sprintf("slot %d: head", i), 4)
		d.field("        cell offset", 2)
		d.field("        key length", 2)
	}
}

func TestGoldenMeta(t *testing.T) {
	m := meta{
		pageSize: 4096, seed: 0x0102030405060708, txid: 0x1112, base: 0x1011,
		root: ref{0x21, 0x22, 0x23, 0x24}, log: ref{0x31, 0x32, 0x33, 0x34}, hwm: 0x4142,
		flags: metaFlushed, created: 0x5152535455565758,
	}
	d := &layout{b: m.encode()}
	for _, f := range []struct {
		name string
		n    int
	}{
		{"magic", 8}, {"format version", 4}, {"page size", 4}, {"required features", 4},
		{"optional features", 4}, {"checksum seed", 8}, {"txid", 8}, {"base txid", 8},
	} {
		d.field(f.name, f.n)
	}
	d.ref("root")
	d.ref("free log")
	d.field("high-water mark", 4)
	d.field("flags", 4)
	d.field("creation time", 8)
	d.zeros(t, metaSumOff)
	d.field("checksum", 8)
	d.zeros(t, 4096)
	golden(t, "meta.txt", d.out.String())
	back, err := decodeMeta(m.encode())
	if err != nil || back != m {
		t.Errorf("it comes back as %+v, %v", back, err)
	}
}

func TestGoldenLeaf(t *testing.T) {
	long := append([]byte("page 3"), bytes.Repeat([]byte("."), longInline-6)...)
	ext := make([]byte, extentSize)
	extent{pgno: 9, length: 5000, birth: 3, sum: 0x1234}.put(ext)
	keys := []storedKey{
		{bytes: []byte("page 1")}, {bytes: []byte("page 2")},
		{bytes: long, ext: extent{pgno: 7, length: 1500, birth: 2, sum: 0x77}, long: true}, {bytes: []byte("page 4")},
	}
	var nested Bucket
	nested.root, nested.sequence = ref{5, 4, 6, 0x99}, 8
	bodies := [][]byte{
		appendLeafCell(nil, cellInline, keys[0], []byte("value")),
		appendLeafCell(nil, cellExtent, keys[1], ext),
		appendLeafCell(nil, cellInline, keys[2], nil),
		appendLeafCell(nil, cellBucket, keys[3], nested.header()),
	}
	var cells []cell
	for i, k := range keys {
		cells = append(cells, cell{k.bytes, k.klen(), bodies[i]})
	}
	p := make(page, minPageSize)
	p.fill(0, cells)
	le.PutUint32(p[16:], 12)
	le.PutUint64(p[24:], 4)
	d := &layout{b: p}
	d.header()
	d.field("prefix", p.prefixLen())
	d.zeros(t, p.slotBase())
	d.slots(4)
	d.zeros(t, p.cellStart())
	head := func(i, payload int) {
		d.field(fmt.Sprintf("cell %d: flags", i), 1)
		d.field("        payload length", 2)
		if keys[i].long {
			d.extent("        key")
		}
		d.field("key", len(keys[i].bytes))
	}
	head(3, 0)
	d.ref("        root")
	d.field("        sequence", 8)
	d.field("        bucket flags", 4)
	head(2, 0)
	head(1, 0)
	d.extent("        value")
	head(0, 0)
	d.field("        value", 5)
	if d.done != len(p) {
		t.Errorf("the dump ends at %d", d.done)
	}
	golden(t, "leaf.txt", d.out.String())
	if err := p.validate(); err != nil {
		t.Error(err)
	}
}

func TestGoldenBranch(t *testing.T) {
	var cells []cell
	for i, sep := range []string{"", "key-b", "key-d"} {
		k := storedKey{bytes: []byte(sep)}
		cells = append(cells, cell{k.bytes, k.klen(), appendBranchCell(nil, ref{uint32(10 + i), 7, 100, 0xabc}, k)})
	}
	p := make(page, minPageSize)
	p.fill(1, cells)
	d := &layout{b: p}
	d.header()
	d.field("prefix", p.prefixLen())
	d.zeros(t, p.slotBase())
	d.slots(3)
	d.zeros(t, p.cellStart())
	for i := 2; i >= 0; i-- {
		d.ref(fmt.Sprintf("cell %d", i))
		d.field("key", len(cells[i].key))
	}
	golden(t, "branch.txt", d.out.String())
}

func TestGoldenFreeLog(t *testing.T) {
	w, pages := encodeLogSnapshot(minPageSize, 300, []run{{5, 1}, {100, 20}})
	if w.written == 0 || len(pages) != 1 {
		t.Fatal("one page holds it")
	}
	l := freeLog{tail: pages[0], hwm: 300}
	_, pages = l.encode(minPageSize, true, 310, []run{{7, 2}}, []run{{300, 1}})
	p := pages[0]
	ref{9, 8, 0, 0x55}.put(p[headerSize:])
	d := &layout{b: p}
	d.header()
	d.ref("page before")
	d.field("reset, mark 300", 3)
	d.field("free, 2 runs", 6)
	d.field("mark 310", 3)
	d.field("free, 1 run", 4)
	d.field("allocated, 1 run", 5)
	if d.done != int(le.Uint32(p[8:])) {
		t.Errorf("the records end at %d, the dump at %d", le.Uint32(p[8:]), d.done)
	}
	d.zeros(t, len(p))
	golden(t, "freelog.txt", d.out.String())
}

// The order of operations on the file: creation, a small commit, a large one, one Deferred and
// its flush, Close, and opening again.
func TestGoldenCommitOrder(t *testing.T) {
	var out strings.Builder
	on := func(_ int, op simfile.Op) { fmt.Fprintln(&out, "  "+op.String()) }
	step := func(name string) { fmt.Fprintln(&out, name) }
	f := simfile.New(simfile.Options{OnOp: on})
	open := func() *DB {
		db, err := openOn(f, (&Options{FlushInterval: -1}).withDefaults(), true)
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	step("create")
	db := open()
	put := func(d Durability, n int) {
		err := db.Update(func(tx *Tx) error {
			tx.SetDurability(d)
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			if err != nil {
				return err
			}
			return b.Put([]byte("k"), make([]byte, n))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	step("first small commit")
	put(Durable, 500)
	step("second small commit")
	put(Durable, 600)
	step("a value in an extent")
	put(Durable, 10000)
	step("more than is verified at open: the pages are flushed before the meta")
	put(Durable, flushFirst+1)
	step("a Deferred commit")
	put(Deferred, 700)
	step("Sync")
	if err := db.Sync(); err != nil {
		t.Fatal(err)
	}
	step("Close")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	step("open")
	f = f.Kill(simfile.Options{OnOp: on})
	db = open()
	step("Close of an unchanged store")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	golden(t, "commit-order.txt", out.String())
}
