package main

import (
	"context"
	"io"
	"os"
	"time"

	"github.com/foliokv/folio"
	"github.com/spf13/cobra"
)

func newBackupCommand(c *cli) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "backup FILE NEW",
		GroupID: groupChange,
		Short:   "Copy a store page by page, as it is at one moment",
		Long: `backup copies the pages of a store's current state to a new file, or to standard
output if NEW is -. It is consistent whatever others write meanwhile. The new file
appears when it is complete, and one that exists is never overwritten.`,
		Example: `  kvcli backup store.db backup.db
  kvcli backup store.db - | gzip > backup.db.gz`,
		Args: argCount(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			db, err := c.open(args[0], toRead, nil)
			if err != nil {
				return err
			}
			defer db.Close()
			return db.View(func(tx *folio.Tx) error {
				return c.backup(cmd.Context(), tx, args[1], asJSON)
			})
		},
	}
	addJSONFlag(cmd, &asJSON)
	return cmd
}

func (c *cli) backup(parent context.Context, tx *folio.Tx, to string, asJSON bool) error {
	start := time.Now()
	ctx, stop := interruptible(parent)
	defer stop()
	progress := c.newProgress("backing up", tx.Size(), true)
	defer progress.finish()
	copyTo := func(w io.Writer) error {
		_, err := tx.WriteToContext(ctx, w, folio.CopyOptions{Progress: progress.report})
		return explain(tx.DB().Path(), cause(ctx, err))
	}
	if to == "-" {
		return copyTo(c.out)
	}
	err := createWhole(to, func(partial string) error { return writeDurably(partial, copyTo) })
	if err != nil {
		return explainNew(to, err)
	}
	c.printFacts(asJSON,
		fact{"bytes", size(tx.Size())},
		fact{"txid", tx.ID()},
		fact{"seconds", seconds(time.Since(start))},
		fact{"rate", rateOf(tx.Size(), time.Since(start))})
	return nil
}

// writeDurably fills an empty file and flushes it.
func writeDurably(name string, write func(io.Writer) error) error {
	file, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if err = write(file); err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	return err
}
