package main

import (
	"context"

	"github.com/foliokv/folio"
	"github.com/spf13/cobra"
)

func newStatsCommand(c *cli) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "stats FILE [BUCKET]",
		GroupID: groupLook,
		Short:   "Show the shape of the trees: depth, pages, fill",
		Long: `stats shows the size of the file, what of it is free and in how many pieces, and for each bucket right
inside the root, or inside BUCKET, the entries, the depth of its tree, its leaf and
branch pages, the pages of values too large for a leaf, and how full all these are;
the buckets inside it are included. A bucket so small that it stands in a page of the
one around it is inline.`,
		Example: `  kvcli stats store.db
  kvcli stats store.db users
  kvcli stats store.db --json`,
		ValidArgsFunction: c.completeArguments(fileArgument, bucketArgument),
		Args:              argCount(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := parseBucketPath(append(args, "/")[1])
			if err != nil {
				return err
			}
			facts, t, err := c.stats(cmd.Context(), args[0], path)
			if err != nil {
				return err
			}
			c.printFacts(asJSON, facts...)
			if !asJSON && len(t.rows) > 0 {
				c.out.WriteByte('\n')
			}
			c.printTable(asJSON, t)
			return nil
		},
	}
	addJSONFlag(cmd, &asJSON)
	return cmd
}

func (c *cli) stats(parent context.Context, file string, path bucketPath) (facts []fact, t *table, err error) {
	free, err := c.freeFacts(file)
	if err != nil {
		return nil, nil, err
	}
	db, err := c.open(file, toRead, nil)
	if err != nil {
		return nil, nil, err
	}
	defer db.Close()
	ctx, stop := interruptible(parent)
	defer stop()
	t = &table{columns: []string{"bucket", "entries", "depth", "leaf_pages", "branch_pages", "value_pages", "fill"}}
	err = db.View(func(tx *folio.Tx) error {
		bucket, err := path.find(tx)
		if err != nil {
			return err
		}
		if len(path) == 0 {
			facts = append(storeFacts(db, tx), free...)
		} else {
			facts = []fact{{"bucket", path}, {"entries", bucket.Count()}, {"sequence", bucket.Sequence()}}
			t.addTree(path, bucket)
		}
		for name, bucket := range childBuckets(tx, bucket) {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			t.addTree(path.child(name), bucket)
		}
		return nil
	})
	return facts, t, explain(file, err)
}

// freeFacts tell in how many pieces the free pages lie.
func (c *cli) freeFacts(file string) ([]fact, error) {
	in, err := c.inspect(file)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	runs, known := in.Free()
	if !known {
		return []fact{{"free_extents", "not known: the list of free pages is damaged"}}, nil
	}
	largest := 0
	for _, r := range runs {
		largest = max(largest, r.N)
	}
	return []fact{{"free_extents", len(runs)}, {"largest_free_extent", size(largest) * size(in.PageSize())}}, nil
}

// addTree adds the row for a bucket.
func (t *table) addTree(path bucketPath, bucket *folio.Bucket) {
	s := bucket.Stats()
	fill := inline
	if alloc := s.LeafAlloc + s.BranchAlloc; alloc > 0 {
		fill = fraction(s.LeafInuse+s.BranchInuse) / fraction(alloc)
	}
	t.add(path, bucket.Count(), s.Depth, s.LeafPageN, s.BranchPageN, s.LeafOverflowN, fill)
}

// inline is the fill of a bucket that has no pages: it stands in a page of the one around it.
const inline fraction = -1
