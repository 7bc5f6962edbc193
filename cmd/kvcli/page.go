package main

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/foliokv/folio"
	"github.com/spf13/cobra"
)

func newPageCommand(c *cli) *cobra.Command {
	var asHex, asJSON bool
	var keyAs, as format
	cmd := &cobra.Command{
		Use:     "page FILE N",
		GroupID: groupLook,
		Short:   "Show what stands in a page of the file",
		Long: `page decodes page N of the file: its header, and every entry in order with its place
in the page. It works on damaged files, too. What stands in a free page, and in one
that holds a part of a large value, is old or means nothing by itself; 'kvcli pages'
tells what each page is for. --hex prints the bytes, sixteen a line.

Exit status 1 if the page is not sound.

` + formatHelp,
		Example: `  kvcli page store.db 2
  kvcli page store.db 0
  kvcli page store.db 2 --hex
  kvcli page store.db 2 --json`,
		ValidArgsFunction: c.completeArguments(fileArgument),
		Args:              argCount(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			pgno, err := strconv.ParseUint(args[1], 10, 31)
			if err != nil {
				return usagef(cmd, "%s is not the number of a page", args[1])
			}
			in, err := c.inspect(args[0])
			if err != nil {
				return err
			}
			defer in.Close()
			if asHex {
				return c.dumpPage(in, uint32(pgno))
			}
			return c.showPage(in, uint32(pgno), pairStyle{json: asJSON, keyAs: keyAs, as: as})
		},
	}
	cmd.Flags().BoolVar(&asHex, "hex", false, "print the bytes of the page")
	addFormatFlag(cmd, &keyAs, "key-as", "how to print keys")
	addFormatFlag(cmd, &as, "as", "how to print values")
	addJSONFlag(cmd, &asJSON)
	return cmd
}

func (c *cli) dumpPage(in *folio.Inspector, pgno uint32) error {
	data, err := in.ReadPage(pgno)
	if err != nil {
		return err
	}
	dumper := hex.Dumper(c.out)
	defer dumper.Close()
	_, err = dumper.Write(data)
	return err
}

func (c *cli) showPage(in *folio.Inspector, pgno uint32, style pairStyle) error {
	info, err := in.Page(pgno)
	if err != nil {
		return err
	}
	if info.Kind == folio.MetaPage {
		c.printFacts(style.json, append([]fact{{"page", pgno}, {"kind", info.Kind.String()}}, metaFacts(in.Metas()[pgno], in.State() == int(pgno))...)...)
	} else {
		c.printFacts(style.json, pageFacts(info)...)
		c.printEntries(info, style)
	}
	if info.Err != nil {
		return negativef("page %d: %v", pgno, info.Err)
	}
	return nil
}

func pageFacts(info *folio.PageInfo) []fact {
	facts := []fact{{"page", info.Pgno}, {"kind", info.Kind.String()}}
	if info.FreeKnown {
		facts = append(facts, fact{"free", info.Free})
	}
	if info.Kind == folio.UnknownPage {
		return facts
	}
	facts = append(facts, fact{"txid", info.Birth})
	if info.Kind == folio.FreeLogPage {
		return append(facts, fact{"before", refFact(info.Before)})
	}
	return append(facts,
		fact{"level", info.Level},
		fact{"entries", len(info.Entries)},
		fact{"prefix", fmt.Sprintf("%q", info.Prefix)},
		fact{"room", size(info.Room)},
		fact{"garbage", size(info.Garbage)})
}

// printEntries prints the entries of a page, or the records of one of the free log.
func (c *cli) printEntries(info *folio.PageInfo, style pairStyle) {
	if len(info.Entries)+len(info.Records) > 0 && !style.json {
		c.out.WriteByte('\n')
	}
	t := &table{columns: []string{"slot", "at", "bytes", "key", "what", "value"}}
	for i, e := range info.Entries {
		key := string(style.keyAs.orEscaped().append(nil, e.Key))
		if e.LongKey != nil {
			key += "... (" + extentText(e.LongKey) + ")"
		}
		what, value := c.entry(e, style)
		t.add(i, e.CellStart, e.CellSize, key, what, value)
	}
	c.printTable(style.json, t)
	records := &table{columns: []string{"record", "high_water_mark", "pages"}}
	for _, r := range info.Records {
		mark := ""
		if len(r.Runs) == 0 {
			mark = strconv.FormatUint(r.Mark, 10)
		}
		records.add(r.Kind, mark, runsText(r.Runs))
	}
	c.printTable(style.json, records)
}

// orEscaped is f, or where the user was silent text with escapes: entries are lines.
func (f format) orEscaped() format {
	if f == formatAuto || f == formatRaw {
		return formatText
	}
	return f
}

// entry returns what kind of entry it is, and its value.
func (c *cli) entry(e folio.PageEntry, style pairStyle) (what, value string) {
	switch {
	case e.Child != nil:
		return "child", refFact(*e.Child).String()
	case e.Inline != nil:
		return "bucket", fmt.Sprintf("inline, %d entries, sequence %d", len(e.Inline.Entries), e.Sequence)
	case e.Bucket != nil:
		return "bucket", fmt.Sprintf("%v, sequence %d", refFact(*e.Bucket), e.Sequence)
	case e.Extent != nil:
		return "large value", extentText(e.Extent)
	}
	return "value", string(style.as.orEscaped().append(nil, e.Value))
}

func extentText(e *folio.ExtentRef) string {
	return fmt.Sprintf("%d bytes in %d pages from %d of txid %d, checksum %016x", e.Length, e.Pages, e.Pgno, e.Birth, e.Checksum)
}

func runsText(runs []folio.PageRun) string {
	var parts []string
	for _, r := range runs {
		if r.N == 1 {
			parts = append(parts, strconv.Itoa(int(r.Pgno)))
			continue
		}
		parts = append(parts, fmt.Sprintf("%d-%d", r.Pgno, int(r.Pgno)+r.N-1))
	}
	return strings.Join(parts, " ")
}
