package main

import (
	"context"
	"fmt"
	"iter"
	"os"
	"time"

	"github.com/foliokv/folio"
	"github.com/foliokv/folio/internal/boltfile"
	"github.com/spf13/cobra"
)

func newImportBoltCommand(c *cli) *cobra.Command {
	var pageSize int
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "import-bolt OLD NEW",
		GroupID: groupChange,
		Short:   "Make a store of a bbolt file",
		Long: `import-bolt makes the new store NEW of the bbolt file OLD: all buckets, however they
nest, with their sequences and pairs. Then it reads the store again and compares the
counts and a checksum of all names, sequences, keys and values.

OLD is opened for reading only, under bbolt's lock: a program that has it open for
writing must close it first. A damaged file is an error; but with one of its two meta
pages damaged the other counts, as for bbolt, and the report says so. NEW appears when it
is complete and compared, and a file that exists is never overwritten.

'kvcli export-bolt' is the way back.`,
		Example: `  kvcli import-bolt old.bolt new.db
  kvcli import-bolt old.bolt new.db --page-size 16384 --json`,
		ValidArgsFunction: c.completeArguments(fileArgument, fileArgument),
		Args:              argCount(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.importBolt(cmd.Context(), args[0], args[1], pageSize, asJSON)
		},
	}
	cmd.Flags().IntVar(&pageSize, "page-size", 0, "bytes in a page of the new store: 4096 to 65536, a power of two")
	addJSONFlag(cmd, &asJSON)
	return cmd
}

// importBolt makes the store in the file to of the bbolt file from.
func (c *cli) importBolt(parent context.Context, from, to string, pageSize int, asJSON bool) error {
	file, err := c.openBolt(from)
	if err != nil {
		return err
	}
	defer file.Close()
	start := time.Now()
	ctx, stop := interruptible(parent)
	defer stop()
	var content contentCount
	err = createWhole(to, func(partial string) error {
		var err error
		if content, err = c.fillFromBolt(ctx, from, file, partial, pageSize); err != nil {
			return err
		}
		copied, err := c.sumStore(ctx, partial, content.pairs)
		if err != nil {
			return err
		}
		return checkSame(from, content, to, copied)
	})
	if err != nil {
		return explainNew(to, err)
	}
	info, err := os.Stat(to)
	if err != nil {
		return err
	}
	took := time.Since(start)
	facts := append(content.facts(),
		fact{"seconds", seconds(took)},
		fact{"rate", rateOf(file.Size(), took)},
		fact{"size_before", size(file.Size())},
		fact{"size_after", size(info.Size())})
	if file.ValidMetas() == 1 {
		facts = append(facts, fact{"damaged_metas", 1})
	}
	c.printFacts(asJSON, facts...)
	return nil
}

// fillFromBolt stores what a bbolt file holds in the new store in the file to, and sums it up.
func (c *cli) fillFromBolt(ctx context.Context, from string, file *boltfile.File, to string, pageSize int) (contentCount, error) {
	progress := c.newProgress("importing", file.Size(), true)
	defer progress.finish()
	content := newBoltContent(ctx, from, file, progress)
	// Nobody sees the store before it is complete, so its commits need not be durable one by one.
	db, err := c.open(to, toCreate, &folio.Options{PageSize: pageSize, Durability: folio.Deferred})
	if err != nil {
		return content.sum.contentCount, err
	}
	w := &bucketImporter{ctx: ctx, db: db, file: file}
	err = content.each(func(path bucketPath, b boltfile.Bucket, pairs iter.Seq2[[]byte, []byte]) error {
		return explain(to, cause(ctx, w.take(path, b, pairs)))
	})
	if err == nil {
		err = explain(to, w.finish())
	}
	w.abort()
	if closeErr := db.Close(); err == nil {
		err = closeErr
	}
	return content.sum.contentCount, err
}

// A bucketImporter stores buckets by transactions: a store keeps every bucket that a
// transaction has opened in memory, and a load goes through all of them, so none has many.
type bucketImporter struct {
	ctx  context.Context
	db   *folio.DB
	file *boltfile.File
	tx   *folio.Tx // nil between batches
	load int       // what the buckets of the batch weigh
}

const (
	smallBucket = 1
	largeBucket = 5
	bucketBatch = 500
)

// take makes the bucket at path of b and its pairs.
func (w *bucketImporter) take(path bucketPath, b boltfile.Bucket, pairs iter.Seq2[[]byte, []byte]) (err error) {
	if w.tx == nil {
		if w.tx, err = w.db.Begin(true); err != nil {
			return err
		}
	}
	bucket, err := path.create(w.tx)
	if err == nil && b.Sequence != 0 {
		err = bucket.SetSequence(b.Sequence)
	}
	switch {
	case err != nil:
	case w.file.IsSmall(b):
		w.load += smallBucket
		err = putAll(path, bucket, pairs)
	default:
		w.load += largeBucket
		if err = bucket.Load(w.ctx, pairs); err != nil {
			err = fmt.Errorf("bucket %s: %w", path, err)
		}
	}
	if err != nil || w.load < bucketBatch {
		return err
	}
	return w.commit()
}

// putAll stores pairs one by one, which for a few is less work than a load.
func putAll(path bucketPath, bucket *folio.Bucket, pairs iter.Seq2[[]byte, []byte]) error {
	for key, value := range pairs {
		if err := bucket.Put(key, value); err != nil {
			return explainPut(path, key, err)
		}
	}
	return nil
}

// finish makes all durable.
func (w *bucketImporter) finish() error {
	if err := w.commit(); err != nil {
		return err
	}
	return w.db.Sync()
}

func (w *bucketImporter) commit() error {
	if w.tx == nil {
		return nil
	}
	tx := w.tx
	w.tx, w.load = nil, 0
	return tx.Commit()
}

// abort gives up what is not committed.
func (w *bucketImporter) abort() {
	if w.tx != nil {
		_ = w.tx.Rollback() // the store goes, too
		w.tx = nil
	}
}
