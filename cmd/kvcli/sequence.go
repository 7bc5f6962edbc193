package main

import (
	"fmt"
	"strconv"

	"github.com/foliokv/folio"
	"github.com/spf13/cobra"
)

func newSequenceCommand(c *cli) *cobra.Command {
	var next, asJSON bool
	cmd := &cobra.Command{
		Use:     "sequence FILE BUCKET [NUMBER]",
		GroupID: groupChange,
		Short:   "Show or set the sequence number of a bucket",
		Long: `sequence prints the number that Bucket.NextSequence returned last. With NUMBER it
sets it; with --next it takes the next one and prints that.

` + bucketPathHelp,
		Example: `  kvcli sequence store.db users
  kvcli sequence store.db users 1000
  kvcli sequence store.db users --next`,
		ValidArgsFunction: c.completeArguments(fileArgument, bucketArgument),
		Args:              argCount(2, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := parseBucket(args[1])
			if err != nil {
				return err
			}
			switch {
			case next && len(args) == 3:
				return usagef(cmd, "--next and NUMBER exclude each other")
			case next:
				return c.changeSequence(args[0], path, nil, asJSON)
			case len(args) == 3:
				number, err := strconv.ParseUint(args[2], 10, 64)
				if err != nil {
					return usagef(cmd, "%q is not a number from 0 to 18446744073709551615", args[2])
				}
				return c.changeSequence(args[0], path, &number, asJSON)
			}
			return c.view(args[0], func(tx *folio.Tx) error {
				bucket, err := path.find(tx)
				if err == nil {
					c.printSequence(path, bucket.Sequence(), asJSON)
				}
				return err
			})
		},
	}
	addJSONFlag(cmd, &asJSON)
	cmd.Flags().BoolVar(&next, "next", false, "take the next number")
	return cmd
}

// changeSequence sets the sequence of a bucket, or where number is nil takes and prints the
// next one.
func (c *cli) changeSequence(file string, path bucketPath, number *uint64, asJSON bool) error {
	var next uint64
	err := c.update(file, toWrite, func(tx *folio.Tx) error {
		bucket, err := path.find(tx)
		if err != nil {
			return err
		}
		if number != nil {
			return bucket.SetSequence(*number)
		}
		next, err = bucket.NextSequence()
		return err
	})
	if err == nil && number == nil {
		c.printSequence(path, next, asJSON)
	}
	return err
}

func (c *cli) printSequence(path bucketPath, number uint64, asJSON bool) {
	if asJSON {
		c.printFacts(true, fact{"bucket", path}, fact{"sequence", number})
		return
	}
	fmt.Fprintln(c.out, number)
}
