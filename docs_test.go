package folio

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/foliokv/folio/internal/testdir"
)

// docTable returns the rows of a table of docs/format.md that a comment names.
func docTable(t *testing.T, doc, name string) [][]string {
	t.Helper()
	_, rest, ok := strings.Cut(doc, "<!-- table: "+name+" -->\n\n")
	if !ok {
		t.Fatalf("no table %q", name)
	}
	table, _, _ := strings.Cut(rest, "\n\n")
	var rows [][]string
	for _, line := range strings.Split(table, "\n")[2:] {
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	return rows
}

func readDoc(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("docs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// field reads a number as a table says it is stored.
func field(b []byte, off, size int) uint64 {
	var v [8]byte
	copy(v[:], b[off:off+size])
	return binary.LittleEndian.Uint64(v[:])
}

// Every field of the byte tables stands where the code puts it: each structure is encoded with
// numbers of its own in every field, which must be found again at the offsets of the table.
func TestDocsByteTables(t *testing.T) {
	doc := readDoc(t, "format.md")
	r := ref{pgno: 0x01020304, birth: 0x112233445566, count: 0x060504030201, sum: 0x8877665544332211}
	e := extent{pgno: 0x01020304, length: 0x05060708, birth: 0x112233445566, sum: 0x8877665544332211}
	var refBytes [refSize]byte
	r.put(refBytes[:])
	var extentBytes [extentSize]byte
	e.put(extentBytes[:])

	m := meta{
		pageSize: 8192, required: 0x11, optional: 0x22, seed: 0x3333333333333333, txid: 0x4444, base: 0x1111,
		root: r, log: ref{pgno: 9, birth: 8, sum: 7}, hwm: 0x66, flags: metaClean | metaFlushed, created: 0x7777777777777777,
		redo: redoPlace{5, 64},
	}
	metaBytes := m.encode()[:metaSize]
	logRef := make([]byte, refSize)
	m.log.put(logRef)

	p := make(page, 4096)
	p.fill(0, []cell{leafCell("apple", cellInline, "red"), leafCell("apricot", cellExtent, string(extentBytes[:]))})
	le.PutUint32(p[12:], 0x55)
	le.PutUint32(p[16:], 0x66)
	le.PutUint64(p[24:], 0x77)

	b := Bucket{root: r, sequence: 0x8877665544332211}
	inline := Bucket{root: ref{count: 3}, inline: page("the page")}
	var countOnly [refSize]byte
	inline.root.put(countOnly[:])

	branch := appendBranchCell(nil, r, storedKey{bytes: []byte("separator")})
	leaf := leafCell("apricot", cellExtent, "payload").body

	w, pages := encodeLogSnapshot(4096, 1000, []run{{10, 3}})
	log := pages[0]
	r.put(log[headerSize:])

	redo := &DB{seed: 0x3333333333333333}
	redo.redo = redoLog{at: run{5, 64}, base: 0x1111, used: 3 * redoBlock}
	record := redo.record([]*group{{ops: []byte("changes")}}, 0x2222, 0x4444)
	recordSum := checksum(redo.seed, 5+3, 0x1111, record[8:redoHeader+len("changes")])

	for _, c := range []struct {
		table  string
		bytes  []byte
		size   int // of the fixed part
		fields map[string]any
	}{
		{"meta", metaBytes, metaSize, map[string]any{
			"magic": metaMagic[:], "version": metaVersion, "pageSize": 8192, "required": 0x11, "optional": 0x22,
			"seed": m.seed, "txid": 0x4444, "base": 0x1111, "root": refBytes[:], "log": logRef,
			"hwm": 0x66, "flags": 3, "created": m.created, "redoPgno": 5, "redoPages": 64, "checksum": xxhash.Sum64(metaBytes[:504]),
		}},
		{"ref", refBytes[:], refSize, map[string]any{
			"pgno": r.pgno, "birth": r.birth, "count": r.count, "checksum": r.sum,
		}},
		{"extent", extentBytes[:], extentSize, map[string]any{
			"pgno": e.pgno, "length": e.length, "birth": e.birth, "checksum": e.sum,
		}},
		{"header", p[:headerSize], headerSize, map[string]any{
			"kind": kindLeaf, "level": 0, "count": 2, "prefixLen": 2, "cellStart": p.cellStart(), "garbage": p.garbage(),
			"pgno": p.pgno(), "birth": p.birth(),
		}},
		{"slot", p.slot(1)[:slotSize], slotSize, map[string]any{
			"head": be.Uint32([]byte("rico")), "cell": p.cellOff(1), "keyLength": len("apricot"),
		}},
		{"leaf cell", leaf, leafKeyOff, map[string]any{"flags": cellExtent, "payloadLength": len("payload"), "key": []byte("apricot")}},
		{"branch cell", branch, branchKeyOff, map[string]any{"ref": refBytes[:], "separator": []byte("separator")}},
		{"bucket", b.header(), bucketHeaderSize, map[string]any{"root": refBytes[:], "sequence": b.sequence, "flags": 0}},
		{"bucket", inline.header(), bucketHeaderSize, map[string]any{"root": countOnly[:], "sequence": 0, "flags": bucketInline, "page": []byte("the page")}},
		{"redo record", record, redoHeader, map[string]any{"checksum": recordSum, "base": 0x1111, "before": 0x2222, "after": 0x4444, "length": len("changes"), "changes": []byte("changes")}},
		{"log page", log, logRecords, map[string]any{"header": []byte(log[:headerSize]), "before": refBytes[:], "records": []byte{logReset, 0xe8, 0x07, logFree, 1, 10, 3}}},
	} {
		at := 0
		for _, row := range docTable(t, doc, c.table) {
			name := row[2]
			off, err := strconv.Atoi(row[0])
			if err != nil {
				continue // a place that depends on what is before it
			}
			if off != at {
				t.Errorf("%s: field %s is said to be at %d, the one before it ends at %d", c.table, name, off, at)
			}
			size, err := strconv.Atoi(row[1])
			if err != nil {
				if off != c.size {
					t.Errorf("%s: the fixed part ends at %d, not at %d", c.table, c.size, off)
				}
				if want, ok := c.fields[name].([]byte); ok && !strings.HasPrefix(string(c.bytes[off:]), string(want)) {
					t.Errorf("%s: field %s at %d is % x, not % x", c.table, name, off, c.bytes[off:], want)
				}
				continue
			}
			at = off + size
			want := c.fields[name]
			if name == "zero" {
				want = make([]byte, size)
			}
			switch want := want.(type) {
			case nil:
				t.Errorf("%s: nothing to compare field %s with", c.table, name)
			case []byte:
				if string(c.bytes[off:at]) != string(want) {
					t.Errorf("%s: field %s at %d is % x, not % x", c.table, name, off, c.bytes[off:at], want)
				}
			default:
				if got := fmt.Sprint(field(c.bytes, off, size)); got != fmt.Sprint(want) {
					t.Errorf("%s: field %s at %d is %s, not %v", c.table, name, off, got, want)
				}
			}
		}
		if at != c.size {
			t.Errorf("%s: the table ends at %d, the structure at %d", c.table, at, c.size)
		}
	}
	if end := int(le.Uint32(log[8:])); end != logRecords+w.written {
		t.Errorf("records of a log page end at %d, its header says %d", logRecords+w.written, end)
	}
}

func leafCell(key string, flags byte, payload string) cell {
	sk := storedKey{bytes: []byte(key)}
	return cell{sk.bytes, sk.klen(), appendLeafCell(nil, flags, sk, []byte(payload))}
}

// The checksum is of what the table says, in that order.
func TestDocsChecksum(t *testing.T) {
	var in []byte
	for _, row := range docTable(t, readDoc(t, "format.md"), "checksum") {
		if want := strconv.Itoa(len(in)); row[0] != want {
			t.Errorf("field %s at %s, want %s", row[2], row[0], want)
		}
		v := map[string]uint64{"pgno": 7, "birth": 9}[row[2]]
		if row[2] == "bytes" {
			in = append(in, "contents"...)
		} else {
			in = binary.LittleEndian.AppendUint64(in, v)
		}
	}
	d := xxhash.NewWithSeed(42)
	d.Write(in)
	if d.Sum64() != checksum(42, 7, 9, []byte("contents")) {
		t.Error("the checksum is of something else")
	}
}

func TestDocsConstants(t *testing.T) {
	doc := readDoc(t, "format.md")
	values := map[string]int64{
		"headerSize": headerSize, "slotSize": slotSize, "refSize": refSize, "extentSize": extentSize,
		"bucketHeaderSize": bucketHeaderSize, "metaSize": metaSize, "metaVersion": metaVersion, "metaPages": metaPages,
		"minPageSize": minPageSize, "maxPageSize": maxPageSize, "maxPrefix": maxPrefix, "longInline": longInline,
		"longKey": longKey, "maxLevel": maxLevel, "maxPgno": maxPgno, "MaxKeySize": MaxKeySize,
		"MaxValueSize": MaxValueSize, "creationTxid": creationTxid, "kindLeaf": kindLeaf, "kindBranch": kindBranch,
		"kindFreeLog": kindFreeLog, "cellInline": cellInline, "cellExtent": cellExtent, "cellBucket": cellBucket,
		"bucketInline": bucketInline, "metaClean": metaClean, "metaFlushed": metaFlushed, "logReset": logReset,
		"logHwm": logHwm, "logFree": logFree, "logAlloc": logAlloc, "logRecords": logRecords,
	}
	rows := docTable(t, doc, "constants")
	if len(rows) != len(values) {
		t.Errorf("%d constants in the table, %d known here", len(rows), len(values))
	}
	for _, row := range rows {
		if v, ok := values[row[0]]; !ok || row[1] != fmt.Sprint(v) {
			t.Errorf("constant %s is %s in the table, %d in the code", row[0], row[1], v)
		}
	}
	for _, row := range docTable(t, doc, "limits") {
		size, _ := strconv.Atoi(row[0])
		if !validPageSize(size) || row[1] != fmt.Sprint(maxCell(size)) || row[2] != fmt.Sprint(maxInlineKey(size)) {
			t.Errorf("limits %v, in the code %d %d", row, maxCell(size), maxInlineKey(size))
		}
	}
	for _, row := range docTable(t, doc, "log records") {
		if v, ok := values[row[1]]; !ok || row[0] != fmt.Sprint(v) {
			t.Errorf("record %s has tag %s in the table, %d in the code", row[1], row[0], v)
		}
	}
}

// dump shows bytes as od does, without the lines that are all zero.
func dump(b []byte) string {
	var s strings.Builder
	for off := 0; off < len(b); off += 16 {
		line := b[off:min(off+16, len(b))]
		if strings.Trim(string(line), "\x00") != "" {
			fmt.Fprintf(&s, "%06x  % x\n", off, line)
		}
	}
	return s.String()
}

// The examples at the end of docs/format.md are what the code writes.
func TestDocsFormatExamples(t *testing.T) {
	doc := readDoc(t, "format.md")
	_, doc, _ = strings.Cut(doc, "## 17. Examples")
	p := make(page, 4096)
	p.fill(0, []cell{leafCell("apple", cellInline, "red"), leafCell("apricot", cellInline, "")})
	le.PutUint32(p[16:], 7)
	le.PutUint64(p[24:], 9)

	_, pages := encodeLogSnapshot(4096, 1000, []run{{10, 3}, {500, 1}})
	l := freeLog{tail: pages[0], hwm: 1000}
	_, pages = l.encode(4096, true, 1000, []run{{20, 1}}, []run{{10, 2}})
	log := pages[0]

	for _, want := range []string{
		dump(p),
		fmt.Sprintf("`%016x`", checksum(0x0123456789abcdef, 7, 9, p)),
		dump(log[logRecords:le.Uint32(log[8:])]),
	} {
		if !strings.Contains(doc, want) {
			t.Errorf("the examples lack\n%s", want)
		}
	}
}

// A reader in another language, docs/reader.py, written from docs/format.md alone, finds what is in a store and
// accounts for every page.
func TestDocsReader(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 here")
	}
	for _, size := range []int{minPageSize, 16 << 10} {
		path := filepath.Join(testdir.New(t), "store")
		want := storeForReader(t, path, size)
		cmd := exec.Command(python, "docs/reader.py", path)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		got, err := cmd.Output()
		if err != nil {
			t.Fatalf("pages of %d bytes: %v\n%s", size, err, &stderr)
		}
		sameListing(t, fmt.Sprintf("reader.py, pages of %d bytes", size), string(got), want)
	}
}

// sameListing compares what was read with what was written, line by line.
func sameListing(t *testing.T, what, got, want string) {
	t.Helper()
	clip := func(s string) string { return s[:min(len(s), 200)] }
	lines := strings.Split(strings.ReplaceAll(got, "\r\n", "\n"), "\n")
	for i, line := range strings.Split(want, "\n") {
		if i >= len(lines) || lines[i] != line {
			t.Errorf("%s: line %d of %d is not %q", what, i+1, len(lines), clip(line))
			return
		}
	}
	if n := strings.Count(want, "\n") + 1; len(lines) > n {
		t.Errorf("%s: line %d, %q, is too many", what, n+1, clip(lines[n]))
	}
}

// storeForReader makes a store with everything that the format has and returns its listing.
func storeForReader(t *testing.T, path string, pageSize int) string {
	t.Helper()
	try := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	db, err := Open(path, 0o600, &Options{PageSize: pageSize})
	try(err)
	rng := rand.New(rand.NewPCG(1, uint64(pageSize)))
	for round := range 8 {
		try(db.Update(func(tx *Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("large"))
			try(err)
			for range 60 {
				key := fmt.Appendf(nil, "prefix/%d", rng.IntN(1000))
				switch rng.IntN(20) {
				case 0: // a long key
					key = bytes.Repeat(key, 1000)
				case 1: // long keys that part at their ends only, so that separators are long too
					key = fmt.Appendf(bytes.Repeat([]byte("z"), pageSize/2-500), "%02d", rng.IntN(20))
				case 2:
					key = append(key, 0)
				}
				if len(key) > MaxKeySize {
					key = key[:MaxKeySize]
				}
				if rng.IntN(3) == 0 {
					try(b.Delete(key))
					continue
				}
				try(b.Put(key, make([]byte, rng.IntN(600)+rng.IntN(10)/9*rng.IntN(20_000))))
			}
			nested, err := b.CreateBucketIfNotExists(fmt.Appendf(nil, "nested %d", round%5))
			try(err)
			_, err = nested.CreateBucketIfNotExists([]byte("empty"))
			try(err)
			_, err = nested.NextSequence()
			try(err)
			inline, err := tx.CreateBucket(fmt.Appendf(nil, "inline %d", round))
			try(err)
			return errors.Join(inline.Put([]byte("k"), []byte("v")), inline.Put([]byte("k2"), nil))
		}))
	}
	var list strings.Builder
	try(db.View(func(tx *Tx) error {
		listForReader(&list, &tx.root, "")
		return nil
	}))
	try(db.Close())
	return list.String()
}

func listForReader(w *strings.Builder, b *Bucket, path string) {
	for k, v := range b.All() {
		if at := fmt.Sprintf("%s%x", path, k); v != nil {
			fmt.Fprintf(w, "%s %d %x\n", at, len(v), v)
		} else {
			nested := b.Bucket(k)
			fmt.Fprintf(w, "%s bucket %d\n", at, nested.Sequence())
			listForReader(w, nested, at+"/")
		}
	}
}

// Links between the documents lead somewhere, and tests that they name exist.
func TestDocsNames(t *testing.T) {
	link := regexp.MustCompile(`\]\(([a-z-]+\.md)(#[a-z0-9-]*)?\)`)
	name := regexp.MustCompile("`((?:Test|Fuzz|Example)[A-Za-z0-9_]*)`")
	known := testNames(t)
	entries, err := os.ReadDir("docs")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".md") {
			continue
		}
		doc := readDoc(t, e.Name())
		for _, m := range link.FindAllStringSubmatch(doc, -1) {
			if _, err := os.Stat("docs/" + m[1]); err != nil {
				t.Errorf("%s: %v", e.Name(), err)
			}
		}
		for _, m := range name.FindAllStringSubmatch(doc, -1) {
			if !known[m[1]] {
				t.Errorf("%s names %s, which is no test", e.Name(), m[1])
			}
		}
	}
}

// CONTRIBUTING.md says where each file of the engine belongs.
func TestDocsFiles(t *testing.T) {
	text, err := os.ReadFile("CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !strings.HasSuffix(file, "_test.go") && !strings.Contains(string(text), "`"+file+"`") {
			t.Errorf("CONTRIBUTING.md does not say where %s belongs", file)
		}
	}
}

// testNames returns the names of all tests in the directories with tests of the engine.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	fn := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Example)\w*)\(`)
	known := map[string]bool{}
	for _, dir := range []string{".", "fuzz", "fuzz/mutate", "mmapfile", "internal/model", "internal/simfile", "internal/workload", "cmd/kvcli"} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if !strings.HasSuffix(e.Name(), "_test.go") {
				continue
			}
			b, err := os.ReadFile(dir + "/" + e.Name())
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range fn.FindAllSubmatch(b, -1) {
				known[string(m[1])] = true
			}
		}
	}
	return known
}
