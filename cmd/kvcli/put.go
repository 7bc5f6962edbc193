package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/foliokv/folio"
	"github.com/spf13/cobra"
)

func newPutCommand(c *cli) *cobra.Command {
	var keyAs, as format
	cmd := &cobra.Command{
		Use:     "put FILE BUCKET KEY VALUE",
		GroupID: groupChange,
		Short:   "Store a value under a key",
		Long: `put stores a value under a key, in place of the one that is there. The store and
the buckets on the path are made where they are missing.

` + inputHelp + "\n\n" + formatHelp,
		Example: `  kvcli put store.db users alice 'Alice Liddell'
  kvcli put store.db users/admins root @people.tsv
  echo from a pipe | kvcli put store.db users bob -
  kvcli put store.db counters visits 42 --as uint64`,
		ValidArgsFunction: c.completeArguments(fileArgument, bucketArgument, keyArgument, fileArgument),
		Args:              argCount(4, 4),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := parseBucket(args[1])
			if err != nil {
				return err
			}
			key, err := c.input(keyAs, args[2])
			if err != nil {
				return err
			}
			if args[2] == "-" && args[3] == "-" {
				return usagef(cmd, "standard input cannot be both KEY and VALUE")
			}
			store, err := c.putter(as, key, args[3])
			if err != nil {
				return err
			}
			return c.update(args[0], toCreate, func(tx *folio.Tx) error {
				bucket, err := path.create(tx)
				if err != nil {
					return err
				}
				return explainPut(path, key, store(bucket))
			})
		},
	}
	addFormatFlag(cmd, &keyAs, "key-as", "how KEY is written")
	addFormatFlag(cmd, &as, "as", "how VALUE is written")
	return cmd
}

// putter returns a function that stores the value which the argument describes under key. A
// file goes in without being held in memory.
func (c *cli) putter(as format, key []byte, arg string) (func(*folio.Bucket) error, error) {
	if as == formatAuto && strings.HasPrefix(arg, "@") {
		if info, err := os.Stat(arg[1:]); err == nil && info.Mode().IsRegular() {
			return func(bucket *folio.Bucket) error { return putFile(bucket, key, arg[1:]) }, nil
		}
	}
	value, err := c.input(as, arg)
	return func(bucket *folio.Bucket) error { return bucket.Put(key, value) }, err
}

// putFile stores the content of a regular file under key.
func putFile(bucket *folio.Bucket, key []byte, name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	return bucket.PutReader(key, file, info.Size())
}

// explainPut adds to an error of storing a pair what it was about.
func explainPut(path bucketPath, key []byte, err error) error {
	if err == nil {
		return nil
	}
	const enough = 40
	shown := quote(key[:min(len(key), enough)])
	if len(key) > enough {
		shown += "..."
	}
	return fmt.Errorf("storing %s in bucket %s: %w", shown, path, err)
}
