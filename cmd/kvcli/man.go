package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"time"

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
			pages, err := manual(cmd.Root())
			if err != nil {
				return err
			}
			for name, page := range pages {
				if err := os.WriteFile(filepath.Join(args[0], name), page, 0o644); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// manual returns the manual pages by the names of their files.
func manual(root *cobra.Command) (map[string][]byte, error) {
	root.DisableAutoGenTag = true
	root.InitDefaultCompletionCmd()
	pages := map[string][]byte{}
	return pages, addManual(pages, root)
}

func addManual(pages map[string][]byte, cmd *cobra.Command) error {
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
	var page bytes.Buffer
	header := doc.GenManHeader{Title: strings.ToUpper(name), Section: "1", Source: "folio", Manual: "folio", Date: &time.Time{}}
	if err := doc.GenMan(cmd, &header, &page); err != nil {
		return err
	}
	// A page has no date, so that it is the same whenever it is made.
	pages[name+".1"] = bytes.Replace(page.Bytes(), []byte("Jan 0001"), nil, 1)
	for _, sub := range cmd.Commands() {
		if !sub.IsAvailableCommand() || sub.IsAdditionalHelpTopicCommand() {
			continue
		}
		if err := addManual(pages, sub); err != nil {
			return err
		}
	}
	return nil
}
