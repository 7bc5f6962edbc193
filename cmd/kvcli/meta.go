package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/foliokv/folio"
	"github.com/spf13/cobra"
)

func newMetaCommand(c *cli) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "meta FILE",
		GroupID: groupCheck,
		Short:   "Show both metas of a store, whole or damaged",
		Long: `meta shows what is in the two meta slots, from which every open starts: the state's
transaction, the root of its trees, and how it was written. It reads nothing else, so
it works whatever else is damaged. Exit status 1 if neither meta is valid.

Every commit writes the slot that the one before it did not; after a proper close both
have the same state. --previous, with any command that only reads, takes the older one.`,
		Example: `  kvcli meta store.db
  kvcli meta store.db --json`,
		ValidArgsFunction: c.completeArguments(fileArgument),
		Args:              argCount(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			in, err := c.inspect(args[0])
			if err != nil {
				return err
			}
			defer in.Close()
			for i, m := range in.Metas() {
				if i > 0 && !asJSON {
					c.out.WriteByte('\n')
				}
				c.printFacts(asJSON, metaFacts(m, i == in.State())...)
			}
			if in.State() < 0 {
				return negativef("%s: neither meta is valid; 'kvcli salvage %s NEW' looks for the pages", args[0], args[0])
			}
			return nil
		},
	}
	addJSONFlag(cmd, &asJSON)
	return cmd
}

// inspect opens a file for looking at its pages.
func (c *cli) inspect(name string) (*folio.Inspector, error) {
	if err := checkFile(name, toRead); err != nil {
		return nil, err
	}
	in, err := folio.Inspect(name, &folio.Options{Timeout: c.timeout, Previous: c.previous})
	if errors.Is(err, folio.ErrTimeout) {
		return nil, c.inUse(name)
	}
	return in, explainOpen(name, err)
}

func metaFacts(m folio.MetaInfo, opened bool) []fact {
	if m.Err != nil {
		return []fact{{"slot", m.Slot}, {"opened", opened}, {"error", m.Err.Error()}}
	}
	return []fact{
		{"slot", m.Slot},
		{"opened", opened},
		{"txid", m.Txid},
		{"durable_before", m.Base},
		{"written", howWritten(m)},
		{"pages", m.Pages},
		{"page_size", m.PageSize},
		{"root", refFact(m.Root)},
		{"free_log", refFact(m.FreeLog)},
		{"redo_log", runFact(m.Redo)},
		{"format_version", m.Version},
		{"features_required", fmt.Sprintf("%#x", m.Required)},
		{"features_optional", fmt.Sprintf("%#x", m.Optional)},
		{"seed", fmt.Sprintf("%016x", m.Seed)},
		{"created", m.Created.UTC().Format(time.RFC3339)},
	}
}

// howWritten says what a meta vouches for.
func howWritten(m folio.MetaInfo) string {
	switch {
	case m.Short:
		return "the file is too short for it"
	case m.Clean:
		return "at a proper close"
	case m.Flushed:
		return "after its pages were flushed"
	default:
		return "with its pages"
	}
}

// A refFact is a reference to a page.
type refFact folio.PageRef

func (r refFact) String() string {
	if r.Pgno == 0 {
		return "none"
	}
	return fmt.Sprintf("page %d of txid %d, %d entries, checksum %016x", r.Pgno, r.Birth, r.Count, r.Checksum)
}

// A runFact is adjacent pages.
type runFact folio.PageRun

func (r runFact) String() string {
	if r.N == 0 {
		return "none"
	}
	return fmt.Sprintf("%d pages from %d on", r.N, r.Pgno)
}

func (r runFact) MarshalJSON() ([]byte, error) {
	if r.N == 0 {
		return []byte("null"), nil
	}
	return fmt.Appendf(nil, `{"page":%d,"pages":%d}`, r.Pgno, r.N), nil
}

func (r refFact) MarshalJSON() ([]byte, error) {
	if r.Pgno == 0 {
		return []byte("null"), nil
	}
	return fmt.Appendf(nil, `{"page":%d,"txid":%d,"entries":%d,"checksum":"%016x"}`, r.Pgno, r.Birth, r.Count, r.Checksum), nil
}
