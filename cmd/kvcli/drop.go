package main

import (
	"github.com/foliokv/folio"
	"github.com/spf13/cobra"
)

func newDropCommand(c *cli) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "drop FILE BUCKET",
		GroupID: groupChange,
		Short:   "Delete a bucket and all inside it",
		Long: `drop deletes a bucket with all its pairs and nested buckets, in one transaction, and
prints how many entries it had.

` + bucketPathHelp,
		Example: `  kvcli drop store.db src
  kvcli drop store.db users/admins`,
		ValidArgsFunction: c.completeArguments(fileArgument, bucketArgument),
		Args:              argCount(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := parseBucket(args[1])
			if err != nil {
				return err
			}
			var entries uint64
			err = c.update(args[0], toWrite, func(tx *folio.Tx) (err error) {
				entries, err = path.drop(tx)
				return err
			})
			if err == nil {
				c.printFacts(asJSON, fact{"dropped", path}, fact{"entries", entries})
			}
			return err
		},
	}
	addJSONFlag(cmd, &asJSON)
	return cmd
}

// drop deletes the bucket at the path, and tells how many entries it had.
func (p bucketPath) drop(tx *folio.Tx) (entries uint64, err error) {
	bucket, err := p.find(tx)
	if err != nil {
		return 0, err
	}
	entries = bucket.Count()
	parent, name := p[:len(p)-1], p[len(p)-1]
	if len(parent) == 0 {
		return entries, tx.DeleteBucket(name)
	}
	outer, err := parent.find(tx)
	if err != nil {
		return 0, err
	}
	return entries, outer.DeleteBucket(name)
}
