package main

import (
	"context"
	"fmt"
	"time"

	"github.com/foliokv/folio"
	"github.com/spf13/cobra"
)

func newSalvageCommand(c *cli) *cobra.Command {
	var asJSON, unproven bool
	cmd := &cobra.Command{
		Use:     "salvage DAMAGED NEW",
		GroupID: groupCheck,
		Short:   "Bring what can be read of a damaged store into a new one",
		Long: `salvage walks the trees of a damaged store and stores all that is whole in the new
store NEW; DAMAGED is never changed. Where a page of a tree is lost, all pages of the
file are searched for those below it. Such a page is taken only if the list of free
pages says that it is in use, so that nothing old or deleted comes back.

The report says how many pairs were recovered, and of these
  unverified  stood in pages that are consistent, but whose checksum is lost
  placed      were put into their bucket from below lost pages
  apart       are in a bucket per tree inside "lost+found", because it is not known to
              which bucket they belong
and for every lost page or value its bucket, the range of its keys, how many entries
it had and how many of them were found again. Exit status 1 if anything is lost.

If the list of free pages is lost, too, pages below lost pages may be old versions, and
are left. If both metas are lost, large values cannot be verified, and are left.
--unproven takes these all the same: the pages apart, the values as they are.`,
		Example: `  kvcli salvage store.db rescued.db
  kvcli salvage store.db rescued.db --json
  kvcli salvage store.db rescued.db --unproven`,
		ValidArgsFunction: c.completeArguments(fileArgument),
		Args:              argCount(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			start := time.Now()
			report, err := c.salvage(cmd.Context(), args[0], args[1], unproven)
			if err != nil {
				return explainNew(args[1], err)
			}
			c.printSalvage(report, time.Since(start), asJSON)
			if len(report.Losses) > 0 {
				return negativef("%s: %d pages or values are lost, and with them at least %d entries", args[0], len(report.Losses), report.Lost)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&unproven, "unproven", false, "also take what may be old or damaged")
	addJSONFlag(cmd, &asJSON)
	return cmd
}

func (c *cli) salvage(parent context.Context, from, to string, unproven bool) (report *folio.SalvageReport, err error) {
	in, err := c.inspect(from)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	ctx, stop := interruptible(parent)
	defer stop()
	progress := c.newProgress("salvaging", -1, false)
	defer progress.finish()
	return report, createWhole(to, func(partial string) error {
		db, err := c.open(partial, toCreate, &folio.Options{PageSize: in.PageSize()})
		if err != nil {
			return err
		}
		report, err = in.Salvage(ctx, db, folio.SalvageOptions{Progress: progress.report, Unproven: unproven})
		if closeErr := db.Close(); err == nil {
			err = closeErr
		}
		return cause(ctx, err)
	})
}

func (c *cli) printSalvage(r *folio.SalvageReport, took time.Duration, asJSON bool) {
	if !asJSON {
		for _, l := range r.Losses {
			fmt.Fprintln(c.out, c.paint(red, lossText(l)))
		}
		for _, path := range r.Named {
			fmt.Fprintf(c.out, "bucket %v: its entry is lost; name and sequence are those of an older page\n", bucketPath(path))
		}
	}
	facts := []fact{
		{"buckets", r.Buckets}, {"pairs", r.Pairs}, {"unverified", r.Unverified}, {"placed", r.Placed}, {"apart", r.Apart},
	}
	if r.LostAndFound != "" {
		facts = append(facts, fact{"apart_in", bucketPath{[]byte(r.LostAndFound)}})
	}
	if r.Redone > 0 {
		facts = append(facts, fact{"redo_log_records", r.Redone})
	}
	if r.RedoDamage != nil {
		facts = append(facts, fact{"redo_log", r.RedoDamage.Error()})
	}
	facts = append(facts,
		fact{"lost_pages_or_values", len(r.Losses)}, fact{"lost_entries", r.Lost}, fact{"txid", r.Txid},
		fact{"checksums", r.Verified}, fact{"free_list", r.FreeLog}, fact{"seconds", seconds(took)})
	c.printFacts(asJSON, facts...)
	if !asJSON {
		return
	}
	for _, l := range r.Losses {
		c.printObject(lossFacts(l))
	}
	for _, path := range r.Named {
		c.printObject([]fact{{"named", bucketPath(path)}})
	}
}

func lossText(l folio.SalvageLoss) string {
	where := "the bucket tree"
	if len(l.Bucket) > 0 {
		where = "bucket " + bucketPath(l.Bucket).String()
	}
	if l.Key != nil {
		return fmt.Sprintf("page %d: %s: key %s is lost: %v", l.Pgno, where, appendEscaped(nil, l.Key, ""), l.Reason)
	}
	text := fmt.Sprintf("page %d: %s", l.Pgno, where)
	if l.Pgno == 0 {
		text = where
	}
	if l.Lo != nil {
		text += fmt.Sprintf(", from key %s", appendEscaped(nil, l.Lo, ""))
	}
	if l.Hi != nil {
		text += fmt.Sprintf(", below key %s", appendEscaped(nil, l.Hi, ""))
	}
	if l.Entries > 0 {
		text += fmt.Sprintf(": %d of %d entries found", l.Recovered, l.Entries)
	}
	return fmt.Sprintf("%s: %v", text, l.Reason)
}

func lossFacts(l folio.SalvageLoss) []fact {
	facts := []fact{{"lost", "page"}, {"page", l.Pgno}, {"pages", l.Pages}, {"bucket", bucketPath(l.Bucket)}}
	if l.Key != nil {
		facts[0].value = "entry"
		facts = append(facts, fact{"key", string(appendEscaped(nil, l.Key, ""))})
	}
	if l.Lo != nil {
		facts = append(facts, fact{"from", string(appendEscaped(nil, l.Lo, ""))})
	}
	if l.Hi != nil {
		facts = append(facts, fact{"below", string(appendEscaped(nil, l.Hi, ""))})
	}
	return append(facts, fact{"entries", l.Entries}, fact{"recovered", l.Recovered}, fact{"reason", l.Reason.Error()})
}
