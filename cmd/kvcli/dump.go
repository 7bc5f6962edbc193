package main

import (
	"github.com/foliokv/folio"
	"github.com/spf13/cobra"
)

func newDumpCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:     "dump FILE [BUCKET]",
		GroupID: groupChange,
		Short:   "Write a store as text that 'load --dump' restores exactly",
		Long: `dump writes the content of a store, or of one bucket and those inside it, to standard
output as text with checksums. 'kvcli load --dump NEW' makes a store of it.

` + dumpFormatHelp,
		Example: `  kvcli dump store.db > store.dump
  kvcli dump store.db | kvcli load --dump restored.db
  kvcli dump store.db users/admins`,
		ValidArgsFunction: c.completeArguments(fileArgument, bucketArgument),
		Args:              argCount(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := parseBucketPath(append(args, "/")[1])
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
				progress := c.newProgress("dumping", -1, true)
				defer progress.finish()
				dump, err := newDumpWriter(c.out, progress)
				if err != nil {
					return err
				}
				if err := copyContent(ctx, tx, bucket, path, dump); err != nil {
					return err
				}
				return dump.end()
			})
		},
	}
}
