package main

import (
	"errors"
	"fmt"

	"github.com/foliokv/folio"
	"github.com/spf13/cobra"
)

func newDelCommand(c *cli) *cobra.Command {
	var keys keyRange
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "del FILE BUCKET [KEY...]",
		GroupID: groupChange,
		Short:   "Delete keys",
		Long: `del deletes the keys named, or all in a range, in one transaction. If one of the
named keys does not exist nothing is deleted, and the exit status is 1. A range
takes the nested buckets in it along, and prints how many entries went.

` + inputHelp,
		Example: `  kvcli del store.db users alice
  kvcli del store.db src --prefix fmt/
  kvcli del store.db users --from b --to c`,
		ValidArgsFunction: c.completeArguments(fileArgument, bucketArgument, keyArgument),
		Args:              argCount(2, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if keys.isSet(cmd) == (len(args) > 2) {
				return usagef(cmd, "name either keys or a range")
			}
			path, err := parseBucket(args[1])
			if err != nil {
				return err
			}
			if keys.isSet(cmd) {
				return keys.delete(c, cmd, args[0], path, asJSON)
			}
			named := make([][]byte, len(args)-2)
			for i, arg := range args[2:] {
				if named[i], err = c.input(keys.keyAs, arg); err != nil {
					return err
				}
			}
			return c.update(args[0], toWrite, func(tx *folio.Tx) error {
				return deleteKeys(tx, path, named)
			})
		},
	}
	keys.addFlags(cmd)
	addJSONFlag(cmd, &asJSON)
	return cmd
}

// deleteKeys deletes all the keys, or fails.
func deleteKeys(tx *folio.Tx, path bucketPath, keys [][]byte) error {
	bucket, err := path.find(tx)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if _, err := getValue(tx, bucket, path, key); err != nil {
			return err
		}
		if err := bucket.Delete(key); err != nil {
			return fmt.Errorf("deleting %s from bucket %s: %w", quote(key), path, err)
		}
	}
	return nil
}

// delete deletes the range, and prints how much that was.
func (r *keyRange) delete(c *cli, cmd *cobra.Command, file string, path bucketPath, asJSON bool) error {
	lo, hi, err := r.bounds(c, cmd)
	if err != nil {
		return err
	}
	var deleted uint64
	err = c.update(file, toWrite, func(tx *folio.Tx) error {
		bucket, err := path.find(tx)
		if err != nil {
			return err
		}
		deleted = bucket.CountRange(lo, hi)
		return errors.Join(tx.Err(), bucket.DeleteRange(lo, hi))
	})
	if err == nil {
		c.printFacts(asJSON, fact{"deleted", deleted})
	}
	return err
}
