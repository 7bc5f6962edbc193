package main

import (
	"context"
	"os"
	"time"

	"github.com/foliokv/folio"
	"github.com/spf13/cobra"
)

func newCopyCommand(c *cli) *cobra.Command {
	var pageSize int
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "copy FILE NEW [BUCKET...]",
		Aliases: []string{"compact"},
		GroupID: groupChange,
		Short:   "Copy a store, or some of its buckets, to a new one with full pages",
		Long: `copy writes the content of a store, or the buckets named and those inside them, in
order to a new store, whose pages are full and which has no free ones. The new file
appears when it is complete, and one that exists is never overwritten.`,
		Example: `  kvcli copy store.db compacted.db
  kvcli compact store.db compacted.db
  kvcli copy store.db users.db users --page-size 16384`,
		ValidArgsFunction: c.completeArguments(fileArgument, fileArgument, bucketArgument),
		Args:              argCount(2, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var paths []bucketPath
			for _, arg := range args[min(2, len(args)):] {
				path, err := parseBucket(arg)
				if err != nil {
					return err
				}
				paths = append(paths, path)
			}
			return c.copyStore(cmd.Context(), args[0], args[1], paths, pageSize, asJSON)
		},
	}
	cmd.Flags().IntVar(&pageSize, "page-size", 0, "bytes in a page of the new store (default that of the old one)")
	addJSONFlag(cmd, &asJSON)
	return cmd
}

// copyStore makes the store in the file to of the buckets at the paths, or of all.
func (c *cli) copyStore(parent context.Context, from, to string, paths []bucketPath, pageSize int, asJSON bool) error {
	db, err := c.open(from, toRead, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	start := time.Now()
	ctx, stop := interruptible(parent)
	defer stop()
	if pageSize == 0 {
		pageSize = db.Info().PageSize
	}
	progress := c.newProgress("copying", -1, true)
	defer progress.finish()
	err = createWhole(to, func(partial string) error {
		if len(paths) == 0 {
			return c.compact(ctx, db, partial, pageSize, progress)
		}
		return c.fillStore(ctx, partial, pageSize, func(w *batchWriter) error {
			return explain(from, db.View(func(tx *folio.Tx) error {
				return copyBuckets(ctx, tx, paths, &countingSink{w, progress})
			}))
		})
	})
	if err != nil {
		return explainNew(to, err)
	}
	before, err := os.Stat(from)
	if err != nil {
		return err
	}
	after, err := os.Stat(to)
	if err != nil {
		return err
	}
	c.printFacts(asJSON,
		fact{"size_before", size(before.Size())},
		fact{"size_after", size(after.Size())},
		fact{"seconds", seconds(time.Since(start))})
	return nil
}

// compact copies all of a store to the new one in the file to.
func (c *cli) compact(ctx context.Context, from *folio.DB, to string, pageSize int, progress *progress) error {
	db, err := c.open(to, toCreate, &folio.Options{PageSize: pageSize})
	if err != nil {
		return err
	}
	err = cause(ctx, from.CompactWith(ctx, db, folio.CopyOptions{Progress: progress.report}))
	if closeErr := db.Close(); err == nil {
		err = closeErr
	}
	return explain(from.Path(), err)
}

func copyBuckets(ctx context.Context, tx *folio.Tx, paths []bucketPath, sink contentSink) error {
	for _, path := range paths {
		bucket, err := path.find(tx)
		if err != nil {
			return err
		}
		if err := copyContent(ctx, tx, bucket, path, sink); err != nil {
			return err
		}
	}
	return nil
}

// A countingSink tells a progress how many bytes of values went through it.
type countingSink struct {
	contentSink
	progress *progress
}

func (s *countingSink) put(key, value []byte) error {
	s.progress.advance(int64(len(value)))
	return s.contentSink.put(key, value)
}
