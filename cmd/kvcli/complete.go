package main

import (
	"time"

	"github.com/foliokv/folio"
	"github.com/spf13/cobra"
)

// An argument is what a place on the command line takes, for completion.
type argument int

const (
	fileArgument argument = iota
	bucketArgument
	keyArgument
)

// completeArguments completes arguments of these kinds in the user's shell; the last kind
// stands for all that follow. Buckets and keys are those of the store in the first argument.
func (c *cli) completeArguments(kinds ...argument) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		kind := kinds[min(len(args), len(kinds)-1)]
		if kind == fileArgument {
			return nil, cobra.ShellCompDirectiveDefault
		}
		c.timeout = 100 * time.Millisecond // nobody waits long for a completion
		var found []string
		// Where the store cannot be read there is nothing to offer.
		_ = c.view(args[0], func(tx *folio.Tx) error {
			if kind == bucketArgument {
				found = completeBucket(tx, nil, word)
				return nil
			}
			path, err := parseBucket(args[1])
			if err == nil {
				found = completeKey(tx, path, word, 0)
			}
			return err
		})
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}
