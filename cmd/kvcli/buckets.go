package main

import (
	"context"

	"github.com/foliokv/folio"
	"github.com/spf13/cobra"
)

func newBucketsCommand(c *cli) *cobra.Command {
	var asJSON, fast bool
	var depth int
	cmd := &cobra.Command{
		Use:     "buckets FILE [BUCKET]",
		GroupID: groupLook,
		Short:   "List the buckets, nested ones too, with counts and sizes",
		Long: `buckets lists the buckets of a store, or those inside BUCKET: path, entries, and
bytes of pages, those of the buckets inside it included.

` + bucketPathHelp,
		Example: `  kvcli buckets store.db
  kvcli buckets store.db users
  kvcli buckets store.db --depth 1 --fast --json`,
		ValidArgsFunction: c.completeArguments(fileArgument, bucketArgument),
		Args:              argCount(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := parseBucketPath(append(args, "/")[1])
			if err != nil {
				return err
			}
			t := &table{columns: []string{"bucket", "entries", "bytes"}}
			if fast {
				t.columns = t.columns[:2]
			}
			err = c.view(args[0], func(tx *folio.Tx) error {
				bucket, err := path.find(tx)
				if err != nil {
					return err
				}
				ctx, stop := interruptible(cmd.Context())
				defer stop()
				list := bucketList{ctx: ctx, tx: tx, table: t, sizes: !fast}
				return list.add(bucket, path, depth)
			})
			if err != nil {
				return err
			}
			c.printTable(asJSON, t)
			return nil
		},
	}
	addJSONFlag(cmd, &asJSON)
	cmd.Flags().IntVar(&depth, "depth", -1, "list this many levels; -1 lists all")
	cmd.Flags().BoolVar(&fast, "fast", false, "leave out the sizes, for which all pages are visited")
	return cmd
}

// A bucketList fills a table with buckets.
type bucketList struct {
	ctx   context.Context
	tx    *folio.Tx
	table *table
	sizes bool
}

// add adds the buckets inside parent, whose path is given, down to depth levels.
func (l *bucketList) add(parent *folio.Bucket, path bucketPath, depth int) error {
	if depth == 0 {
		return nil
	}
	for name, bucket := range childBuckets(l.tx, parent) {
		if l.ctx.Err() != nil {
			return context.Cause(l.ctx)
		}
		child := path.child(name)
		row := []any{child, bucket.Count()}
		if l.sizes {
			stats := bucket.Stats()
			row = append(row, size(stats.LeafAlloc+stats.BranchAlloc))
		}
		l.table.add(row...)
		if err := l.add(bucket, child, depth-1); err != nil {
			return err
		}
	}
	return nil
}
