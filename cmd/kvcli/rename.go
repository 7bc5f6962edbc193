package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/foliokv/folio"
	"github.com/spf13/cobra"
)

func newRenameCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:     "rename FILE BUCKET NEWBUCKET",
		GroupID: groupChange,
		Short:   "Move a bucket to another place or name",
		Long: `rename moves a bucket, with all inside it, in one transaction. Moving it into another
bucket under its own name is quick; under another name its content is copied.
The buckets on the new path are made where they are missing.

` + bucketPathHelp,
		Example: `  kvcli rename store.db src sources
  kvcli rename store.db users/admins admins`,
		ValidArgsFunction: c.completeArguments(fileArgument, bucketArgument),
		Args:              argCount(3, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			from, err := parseBucket(args[1])
			if err != nil {
				return err
			}
			to, err := parseBucket(args[2])
			if err != nil {
				return err
			}
			return c.update(args[0], toWrite, func(tx *folio.Tx) error {
				ctx, stop := interruptible(cmd.Context())
				defer stop()
				return from.rename(ctx, tx, to)
			})
		},
	}
}

// rename moves the bucket at p, which exists, to a path where nothing is.
func (p bucketPath) rename(ctx context.Context, tx *folio.Tx, to bucketPath) error {
	bucket, err := p.find(tx)
	if err != nil {
		return err
	}
	if len(to) >= len(p) && slices.EqualFunc(p, to[:len(p)], bytes.Equal) {
		return fmt.Errorf("%s cannot become %s, which is itself or inside it", p, to)
	}
	parent, name := to[:len(to)-1], to[len(to)-1]
	outer, err := parent.create(tx)
	if err != nil {
		return err
	}
	if childBucket(tx, outer, name) != nil || outer != nil && outer.Get(name) != nil {
		return fmt.Errorf("%s exists already", to)
	}
	if bytes.Equal(name, p[len(p)-1]) {
		source, err := p[:len(p)-1].find(tx)
		if err != nil {
			return err
		}
		return tx.MoveBucket(name, source, outer)
	}
	if err := copyContent(ctx, tx, bucket, p, &renamingSink{tx: tx, from: p, to: to}); err != nil {
		return err
	}
	_, err = p.drop(tx)
	return err
}

// A renamingSink stores buckets of from under to instead.
type renamingSink struct {
	tx       *folio.Tx
	from, to bucketPath
	bucket   *folio.Bucket
}

func (s *renamingSink) beginBucket(path bucketPath, sequence uint64) (err error) {
	renamed := slices.Concat(s.to, path[len(s.from):])
	if s.bucket, err = renamed.create(s.tx); err != nil {
		return err
	}
	return s.bucket.SetSequence(sequence)
}

func (s *renamingSink) put(key, value []byte) error { return s.bucket.Put(key, value) }
