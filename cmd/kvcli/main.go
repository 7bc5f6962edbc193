// Command kvcli looks into, changes, moves, checks and measures folio stores.
//
// Exit status: 0 when what was asked for was found or done, 1 when a key or bucket was not
// found or a check has findings, 2 for wrong usage and for failures, with one line on
// standard error that says what happened.
package main

import (
	"context"
	"os"
	"slices"

	"github.com/spf13/cobra"
)

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	c := newCLI(os.Stdin, os.Stdout, os.Stderr)
	root := newRootCommand(c)
	root.SetArgs(args)
	return c.finish(root.ExecuteContext(context.Background()))
}

// The groups under which help lists the commands.
const (
	groupLook    = "look"
	groupChange  = "change"
	groupCheck   = "check"
	groupMeasure = "measure"
)

// readers are the commands that do not change the store they open.
var readers = []string{
	"kvcli", "get", "scan", "buckets", "info", "stats", "page", "pages", "top", "dump", "copy", "backup", "export-bolt", "check", "salvage",
}

func newRootCommand(c *cli) *cobra.Command {
	var shell shellOptions
	root := &cobra.Command{
		Use:   "kvcli FILE",
		Short: "Look into, change, move, check and measure folio stores",
		Long: `kvcli looks into, changes, moves, checks and measures folio stores.

` + shellHelp + `

` + bucketPathHelp + `

Exit status: 0 found or done, 1 not found or findings, 2 wrong usage or failure.`,
		Example: `  kvcli store.db -c 'cd users; scan --limit 3; get alice'
  printf 'begin\ncd users\nput dave Dave\ncommit\n' | kvcli store.db
  echo ls | kvcli store.db --read-only`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef(cmd, "there is no command %s", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return c.shell(args[0], shell)
		},
	}
	shell.addFlags(root)
	root.SetIn(c.in)
	root.SetOut(c.out)
	root.SetErr(c.err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef(cmd, "%v", err)
	})
	root.PersistentFlags().DurationVar(&c.timeout, "timeout", c.timeout,
		"how long to wait for a store that another process holds; 0 waits for ever")
	root.PersistentFlags().BoolVar(&c.previous, "previous", false,
		"open the state before the newest durable one, read-only: that of the older meta")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if c.previous && !slices.Contains(readers, cmd.Name()) {
			return usagef(cmd, "--previous only reads, and %s writes", cmd.Name())
		}
		return nil
	}
	root.AddGroup(
		&cobra.Group{ID: groupLook, Title: "Look:"},
		&cobra.Group{ID: groupChange, Title: "Change and move:"},
		&cobra.Group{ID: groupCheck, Title: "Check and rescue:"},
		&cobra.Group{ID: groupMeasure, Title: "Measure:"},
	)
	root.AddCommand(
		newGetCommand(c), newScanCommand(c), newBucketsCommand(c), newInfoCommand(c), newStatsCommand(c),
		newPutCommand(c), newDelCommand(c), newLoadCommand(c), newDumpCommand(c), newCopyCommand(c),
		newImportBoltCommand(c), newExportBoltCommand(c),
		newBackupCommand(c), newRenameCommand(c), newDropCommand(c), newSequenceCommand(c),
		newPageCommand(c), newPagesCommand(c), newTopCommand(c), newMetaCommand(c), newSalvageCommand(c),
		newCheckCommand(c), newBenchCommand(c), newManCommand(),
	)
	return root
}
