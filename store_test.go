package folio

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/foliokv/folio/internal/testdir"
)

// A golden store is a whole file: the same operations give the same bytes on every platform,
// and every platform reads them. A change of where pages are put changes it, too.

const goldenStore = "testdata/store.folio.gz"

// writeGoldenStore makes the store in a file and returns the file and the listing.
func writeGoldenStore(t *testing.T) (file []byte, list string) {
	t.Helper()
	path := filepath.Join(testdir.New(t), "store")
	m := meta{
		pageSize: DefaultPageSize, seed: 0x0123456789abcdef, txid: creationTxid, base: creationTxid,
		hwm: metaPages, flags: metaClean | metaFlushed, created: 1_700_000_000_000_000_000,
	}.encode()
	ok(t, os.WriteFile(path, append(m, m...), 0o600))
	list = storeForReader(t, path, DefaultPageSize)
	file, err := os.ReadFile(path)
	ok(t, err)
	return file, list
}

func TestGoldenStore(t *testing.T) {
	file, list := writeGoldenStore(t)
	if *Update {
		var b bytes.Buffer
		z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
		z.Write(file)
		ok(t, z.Close())
		ok(t, os.WriteFile(goldenStore, b.Bytes(), 0o644))
	}
	f, err := os.Open(goldenStore)
	ok(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	ok(t, err)
	want, err := io.ReadAll(z)
	ok(t, err)
	if !bytes.Equal(file, want) {
		t.Errorf("the same operations give another file (if that is meant, -update): %s", firstDifference(file, want))
	}
	path := filepath.Join(testdir.New(t), "golden")
	ok(t, os.WriteFile(path, want, 0o600))
	readGoldenStore(t, path, list)
}

// readGoldenStore opens the golden file with folio, for reading and for writing, and reads it
// with the reader that was written from docs/format.md alone.
func readGoldenStore(t *testing.T, path, list string) {
	t.Helper()
	if python, err := exec.LookPath("python3"); err == nil {
		got, err := exec.Command(python, "docs/reader.py", path).Output()
		if err != nil {
			t.Errorf("reader.py: %v", err)
		}
		sameListing(t, "reader.py", string(got), list)
	}
	for _, readOnly := range []bool{true, false} {
		db, err := Open(path, 0o600, &Options{ReadOnly: readOnly})
		ok(t, err)
		sound(t, db)
		var got strings.Builder
		ok(t, db.View(func(tx *Tx) error {
			listForReader(&got, &tx.root, "")
			return nil
		}))
		sameListing(t, "folio", got.String(), list)
		if !readOnly {
			ok(t, db.Update(put("new", []byte("value"))))
			sound(t, db)
		}
		ok(t, db.Close())
	}
}

func firstDifference(a, b []byte) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("page %d, byte %d: % x instead of % x", i/DefaultPageSize, i%DefaultPageSize,
				a[i:min(i+16, len(a))], b[i:min(i+16, len(b))])
		}
	}
	return fmt.Sprintf("%d bytes instead of %d", len(a), len(b))
}
