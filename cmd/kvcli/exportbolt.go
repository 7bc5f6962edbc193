package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"time"

	"github.com/foliokv/folio"
	"github.com/foliokv/folio/internal/boltfile"
	"github.com/spf13/cobra"
)

func newExportBoltCommand(c *cli) *cobra.Command {
	var pageSize int
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "export-bolt FILE NEW",
		GroupID: groupChange,
		Short:   "Write a store as a bbolt file",
		Long: `export-bolt writes all that the store FILE holds to the new file NEW as bbolt has it: all
buckets with their sequences and pairs, in full pages. Then it reads the file again and
compares the counts and a checksum of all names, sequences, keys and values.

NEW appears when it is complete and compared, and a file that exists is never overwritten.
What bbolt does not take, a value of 2,147,483,647 bytes, is an error.`,
		Example: `  kvcli export-bolt store.db new.bolt
  kvcli export-bolt store.db new.bolt --json`,
		ValidArgsFunction: c.completeArguments(fileArgument, fileArgument),
		Args:              argCount(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.exportBolt(cmd.Context(), args[0], args[1], pageSize, asJSON)
		},
	}
	cmd.Flags().IntVar(&pageSize, "page-size", 4096, "bytes in a page of the new file: 1024 to 65536, a power of two")
	addJSONFlag(cmd, &asJSON)
	return cmd
}

// exportBolt writes the store in the file from to the bbolt file to.
func (c *cli) exportBolt(parent context.Context, from, to string, pageSize int, asJSON bool) error {
	db, err := c.open(from, toRead, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	start := time.Now()
	ctx, stop := interruptible(parent)
	defer stop()
	var content contentCount
	err = createWhole(to, func(partial string) error {
		err := db.View(func(tx *folio.Tx) (err error) {
			content, err = c.writeBolt(ctx, tx, partial, pageSize)
			return err
		})
		if errors.Is(err, folio.ErrCorrupt) {
			return explain(from, err)
		}
		if err != nil {
			return explain(to, err)
		}
		copied, err := c.sumBolt(ctx, partial)
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
	c.printFacts(asJSON, append(content.facts(),
		fact{"seconds", seconds(took)},
		fact{"rate", rateOf(info.Size(), took)},
		fact{"file_size", size(info.Size())})...)
	return nil
}

// writeBolt fills an empty file with what the store of tx holds, and sums it up.
func (c *cli) writeBolt(ctx context.Context, tx *folio.Tx, to string, pageSize int) (contentCount, error) {
	progress := c.newProgress("exporting", -1, true)
	defer progress.finish()
	sink := &boltSink{progress: progress}
	file, err := os.OpenFile(to, os.O_WRONLY, 0)
	if err != nil {
		return sink.sum.contentCount, err
	}
	sink.w, err = boltfile.NewWriter(file, pageSize)
	if err == nil {
		err = walkTree(ctx, tx, sink)
	}
	if err == nil {
		err = sink.w.Close()
	}
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	return sink.sum.contentCount, err
}

// sumBolt returns the sum of what the bbolt file name has.
func (c *cli) sumBolt(ctx context.Context, name string) (sum contentCount, err error) {
	file, err := c.openBolt(name)
	if err != nil {
		return sum, err
	}
	defer file.Close()
	progress := c.newProgress("checking", file.Size(), true)
	defer progress.finish()
	content := newBoltContent(ctx, name, file, progress)
	err = content.each(func(_ bucketPath, _ boltfile.Bucket, pairs iter.Seq2[[]byte, []byte]) error {
		for range pairs {
		}
		return nil
	})
	return content.sum.contentCount, err
}

// A boltSink writes a bbolt file, and sums up what it wrote.
type boltSink struct {
	w        *boltfile.Writer
	sum      contentSum
	path     bucketPath
	progress *progress
	untold   int64 // bytes
}

func (s *boltSink) begin(name []byte, sequence uint64) error {
	s.path = append(s.path, name)
	s.sum.begin(name, sequence)
	if err := s.w.Begin(name, sequence); err != nil {
		return fmt.Errorf("bucket %s: %w", s.path, err)
	}
	return nil
}

func (s *boltSink) put(key, value []byte) error {
	if err := s.w.Put(key, value); err != nil {
		return explainPut(s.path, key, err)
	}
	s.sum.put(key, value)
	if s.untold += int64(len(key) + len(value)); s.untold > 1<<20 {
		s.progress.advance(s.untold)
		s.untold = 0
	}
	return nil
}

func (s *boltSink) end() error {
	s.path = s.path[:len(s.path)-1]
	s.sum.end()
	return s.w.End()
}
