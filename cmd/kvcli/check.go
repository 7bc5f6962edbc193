package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/foliokv/folio"
	"github.com/spf13/cobra"
)

func newCheckCommand(c *cli) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "check FILE",
		GroupID: groupCheck,
		Short:   "Verify every page and invariant of a store",
		Long: `check reads every page that the store's current state reaches and verifies
checksums, order, levels, counts and the accounting of free pages. It prints every
finding on a line of its own; exit status 1 if there is any.`,
		Example: `  kvcli check store.db
  kvcli check store.db --json`,
		Args: argCount(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, start := args[0], time.Now()
			db, err := c.open(file, toRead, nil)
			if errors.Is(err, folio.ErrCorrupt) {
				c.printFinding(asJSON, err)
				return negativef("%s: damaged so that it does not open; 'kvcli salvage %s NEW' brings what is whole into a new store", file, file)
			}
			if err != nil {
				return err
			}
			findings, bytes, err := c.check(cmd.Context(), db, asJSON)
			if closeErr := db.Close(); err == nil {
				err = closeErr
			}
			if err != nil {
				return explain(file, err)
			}
			if findings > 0 {
				return negativef("%s: %d findings; 'kvcli salvage %s NEW' brings what is whole into a new store", file, findings, file)
			}
			c.printFacts(asJSON,
				fact{"findings", 0},
				fact{"checked", size(bytes)},
				fact{"seconds", seconds(time.Since(start))})
			return nil
		},
	}
	addJSONFlag(cmd, &asJSON)
	return cmd
}

// check prints the findings as they come, and returns how many there were and how much of the
// file is in use.
func (c *cli) check(parent context.Context, db *folio.DB, asJSON bool) (findings int, bytes int64, err error) {
	ctx, stop := interruptible(parent)
	defer stop()
	progress := c.newProgress("checking", -1, false)
	defer progress.finish()
	var outErr error
	err = db.View(func(tx *folio.Tx) error {
		bytes = tx.Size()
		for finding := range tx.CheckContext(ctx, folio.CheckOptions{Progress: progress.report}) {
			if ctx.Err() != nil {
				continue // the last one is that it was interrupted
			}
			findings++
			progress.clear()
			c.printFinding(asJSON, finding)
			if outErr = c.out.Flush(); outErr != nil {
				stop() // nobody reads the findings: the walk need not go on
			}
		}
		return outErr
	})
	if err == nil && ctx.Err() != nil {
		err = fmt.Errorf("%w with %d findings so far", context.Cause(ctx), findings)
	}
	return findings, bytes, err
}

func (c *cli) printFinding(asJSON bool, finding error) {
	var damage *folio.CorruptError
	switch {
	case asJSON && errors.As(finding, &damage):
		c.printObject([]fact{{"page", damage.Pgno}, {"finding", finding.Error()}})
	case asJSON:
		c.printObject([]fact{{"finding", finding.Error()}})
	default:
		fmt.Fprintln(c.out, c.paint(red, finding.Error()))
	}
}
