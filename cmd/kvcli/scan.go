package main

import (
	"context"

	"github.com/foliokv/folio"
	"github.com/spf13/cobra"
)

// A scan prints the pairs of a range of keys.
type scan struct {
	keys    keyRange
	style   pairStyle
	limit   int64
	reverse bool
}

func (s *scan) addFlags(cmd *cobra.Command) {
	s.keys.addFlags(cmd)
	s.style.addFlags(cmd)
	cmd.Flags().Int64Var(&s.limit, "limit", -1, "print at most this many pairs; -1 prints all")
	cmd.Flags().BoolVar(&s.reverse, "reverse", false, "from the last key to the first")
}

func newScanCommand(c *cli) *cobra.Command {
	var s scan
	cmd := &cobra.Command{
		Use:     "scan FILE BUCKET",
		GroupID: groupLook,
		Short:   "Print keys and values in order",
		Long: `scan prints the pairs of a bucket in the order of their keys: one a line as key,
tab, value; a nested bucket as its name and a slash. To a pipe the bytes go as they
are (--as text and --key-as text keep any pair on one line); on a terminal they are
quoted, and long values cut.

` + formatHelp,
		Example: `  kvcli scan store.db users
  kvcli scan store.db src --prefix fmt/ --keys
  kvcli scan store.db users --from b --to d --limit 10
  kvcli scan store.db users --reverse --limit 1 --json`,
		ValidArgsFunction: c.completeArguments(fileArgument, bucketArgument),
		Args:              argCount(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := parseBucket(args[1])
			if err != nil {
				return err
			}
			lo, hi, err := s.keys.bounds(c, cmd)
			if err != nil {
				return err
			}
			return c.view(args[0], func(tx *folio.Tx) error {
				bucket, err := path.find(tx)
				if err != nil {
					return err
				}
				ctx, stop := interruptible(cmd.Context())
				defer stop()
				return s.run(ctx, c, bucket, lo, hi)
			})
		},
	}
	s.addFlags(cmd)
	return cmd
}

func (s *scan) run(ctx context.Context, c *cli, bucket *folio.Bucket, lo, hi []byte) error {
	s.style.keyAs = s.keys.keyAs
	pairs := bucket.Range(lo, hi)
	if s.reverse {
		pairs = backwardRange(bucket, lo, hi)
	}
	var line []byte
	left := s.limit
	for key, value := range pairs {
		if left == 0 {
			break
		}
		left--
		line = s.style.appendLine(line[:0], c.outTerminal, key, value)
		if _, err := c.out.Write(line); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}
