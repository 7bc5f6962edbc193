package main

import (
	"fmt"
	"time"

	"github.com/foliokv/folio"
	"github.com/spf13/cobra"
)

func newInfoCommand(c *cli) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "info FILE",
		GroupID: groupLook,
		Short:   "Show what a store is: format, age, sizes, free space",
		Long: `info shows the version of the store's format, when it was made, its newest and its
newest durable transaction, how its file is used, and what its two metas say ('kvcli
meta' tells more). It reads a few pages only,
however large the store is; 'kvcli stats' looks into the trees.`,
		Example: `  kvcli info store.db
  kvcli info store.db --json`,
		ValidArgsFunction: c.completeArguments(fileArgument),
		Args:              argCount(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			db, err := c.open(args[0], toRead, nil)
			if err != nil {
				return err
			}
			defer db.Close()
			var facts []fact
			err = db.View(func(tx *folio.Tx) error {
				facts = storeFacts(db, tx)
				return nil
			})
			if err != nil {
				return explain(args[0], err)
			}
			in, err := c.inspect(args[0])
			if err != nil {
				return err
			}
			defer in.Close()
			for _, m := range in.Metas() {
				facts = append(facts, fact{fmt.Sprintf("meta_%d", m.Slot), metaSummary(m)})
			}
			c.printFacts(asJSON, facts...)
			return nil
		},
	}
	addJSONFlag(cmd, &asJSON)
	return cmd
}

// metaSummary is a meta in one line.
func metaSummary(m folio.MetaInfo) string {
	if m.Err != nil {
		return fmt.Sprintf("not valid: %v", m.Err)
	}
	return fmt.Sprintf("txid %d, written %s", m.Txid, howWritten(m))
}

// storeFacts are the facts about the store as a whole.
func storeFacts(db *folio.DB, tx *folio.Tx) []fact {
	stats, info := db.Stats(), db.Info()
	inUse := stats.PageN - stats.FreePageN - stats.PendingPageN
	buckets := 0
	for range childBuckets(tx, nil) {
		buckets++
	}
	return []fact{
		{"file", db.Path()},
		{"format_version", info.Version},
		{"created", info.Created.UTC().Format(time.RFC3339)},
		{"txid", stats.Txid},
		{"durable_txid", stats.DurableTxid},
		{"buckets", buckets},
		{"file_size", size(stats.FileSize)},
		{"page_size", info.PageSize},
		{"pages", stats.PageN},
		{"pages_in_use", inUse},
		{"free_pages", stats.FreePageN},
		{"pending_pages", stats.PendingPageN},
		{"in_use", size(inUse) * size(info.PageSize)},
	}
}
