package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func newManCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "man DIRECTORY",
		Short:   "Write the manual pages into a directory",
		Long:    `man writes a manual page for kvcli and each of its commands into a directory.`,
		Example: `  mkdir man; kvcli man man`,
		Hidden:  true,
		Args:    argCount(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			root.DisableAutoGenTag = true
			return doc.GenManTree(root, &doc.GenManHeader{Title: "KVCLI", Section: "1", Source: "folio", Manual: "folio"}, args[0])
		},
	}
}
