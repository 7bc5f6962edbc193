package main

import (
	"fmt"

	"github.com/foliokv/folio"
	"github.com/spf13/cobra"
)

func newGetCommand(c *cli) *cobra.Command {
	var keyAs, as format
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "get FILE BUCKET KEY",
		GroupID: groupLook,
		Short:   "Print the value of a key",
		Long: `get prints the value of a key: its very bytes to a pipe or file, quoted on a
terminal. Exit status 1 if there is no such key or bucket.

` + inputHelp + "\n\n" + formatHelp,
		Example: `  kvcli get store.db users alice
  kvcli get store.db src fmt/print.go > print.go
  kvcli get store.db users/admins root --as hex
  kvcli get store.db users alice --json`,
		ValidArgsFunction: c.completeArguments(fileArgument, bucketArgument, keyArgument),
		Args:              argCount(3, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := parseBucket(args[1])
			if err != nil {
				return err
			}
			key, err := c.input(keyAs, args[2])
			if err != nil {
				return err
			}
			return c.view(args[0], func(tx *folio.Tx) error {
				bucket, err := path.find(tx)
				if err != nil {
					return err
				}
				value, err := getValue(tx, bucket, path, key)
				if err != nil {
					return err
				}
				c.printValue(pairStyle{json: asJSON, keyAs: keyAs, as: as}, key, value)
				return nil
			})
		},
	}
	addFormatFlag(cmd, &keyAs, "key-as", "how KEY is written")
	addFormatFlag(cmd, &as, "as", "how to print the value")
	addJSONFlag(cmd, &asJSON)
	return cmd
}

// getValue returns the value of key in the bucket at path; a missing one is a negativeError.
func getValue(tx *folio.Tx, bucket *folio.Bucket, path bucketPath, key []byte) ([]byte, error) {
	value := bucket.Get(key)
	switch {
	case value != nil:
		return value, nil
	case tx.Err() != nil:
		return nil, tx.Err()
	case bucket.Bucket(key) != nil:
		return nil, fmt.Errorf("%s is a bucket, not a key", path.child(key))
	default:
		return nil, negativef("there is no key %s in bucket %s", quote(key), path)
	}
}

// printValue prints one value by itself, or with its key as JSON.
func (c *cli) printValue(style pairStyle, key, value []byte) {
	if style.json {
		c.out.Write(style.appendJSON(nil, key, value))
		return
	}
	as := style.as.orDefault(c.outTerminal)
	if as == formatRaw {
		c.out.Write(value)
		return
	}
	c.out.Write(append(as.append(nil, value), '\n'))
}
