package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"github.com/foliokv/folio"
	"github.com/spf13/cobra"
)

func (s *session) getCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "get KEY",
		Short: "Print the value of a key",
		Args:  shellArgs(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			key, err := s.c.input(formatAuto, args[0])
			if err != nil {
				return err
			}
			return s.view(s.inBucket(func(tx *folio.Tx, bucket *folio.Bucket) error {
				value, err := getValue(tx, bucket, s.cwd, key)
				if err != nil {
					return err
				}
				s.c.printValue(s.style, key, value)
				if !s.c.outTerminal && !s.style.json && s.style.as == formatAuto {
					s.c.out.WriteByte('\n')
				}
				return nil
			}))
		},
	}
}

func (s *session) putCommand() *cobra.Command {
	var as format
	cmd := &cobra.Command{
		Use:   "put KEY VALUE",
		Short: "Store a value under a key",
		Args:  shellArgs(2, 2),
		RunE: func(_ *cobra.Command, args []string) error {
			key, err := s.c.input(formatAuto, args[0])
			if err != nil {
				return err
			}
			store, err := s.c.putter(as, key, args[1])
			if err != nil {
				return err
			}
			return s.update(s.inBucket(func(_ *folio.Tx, bucket *folio.Bucket) error {
				return explainPut(s.cwd, key, store(bucket))
			}))
		},
	}
	addFormatFlag(cmd, &as, "as", "how VALUE is written")
	return cmd
}

func (s *session) delCommand() *cobra.Command {
	var keys keyRange
	cmd := &cobra.Command{
		Use:   "del [KEY...]",
		Short: "Delete keys, or a range of them",
		RunE: func(cmd *cobra.Command, args []string) error {
			if keys.isSet(cmd) == (len(args) > 0) {
				return errors.New("name either keys or a range")
			}
			lo, hi, err := keys.bounds(s.c, cmd)
			if err != nil {
				return err
			}
			named := make([][]byte, len(args))
			for i, arg := range args {
				if named[i], err = s.c.input(keys.keyAs, arg); err != nil {
					return err
				}
			}
			return s.update(s.inBucket(func(tx *folio.Tx, bucket *folio.Bucket) error {
				if len(named) > 0 {
					return deleteKeys(tx, s.cwd, named)
				}
				s.c.printFacts(s.style.json, fact{"deleted", bucket.CountRange(lo, hi)})
				return bucket.DeleteRange(lo, hi)
			}))
		},
	}
	keys.addFlags(cmd)
	return cmd
}

func (s *session) scanCommand() *cobra.Command {
	var sc scan
	cmd := &cobra.Command{
		Use:   "scan",
		Short: "Print keys and values in order",
		Args:  shellArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			lo, hi, err := sc.keys.bounds(s.c, cmd)
			if err != nil {
				return err
			}
			if sc.style.as == formatAuto {
				sc.style.as = s.style.as
			}
			sc.style.json = sc.style.json || s.style.json
			return s.view(s.inBucket(func(_ *folio.Tx, bucket *folio.Bucket) error {
				return sc.run(cmd.Context(), s.c, bucket, lo, hi)
			}))
		},
	}
	sc.addFlags(cmd)
	return cmd
}

func (s *session) countCommand() *cobra.Command {
	var keys keyRange
	cmd := &cobra.Command{
		Use:   "count",
		Short: "Print how many entries there are, or are in a range",
		Args:  shellArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			lo, hi, err := keys.bounds(s.c, cmd)
			if err != nil {
				return err
			}
			return s.view(s.inBucket(func(_ *folio.Tx, bucket *folio.Bucket) error {
				n := bucket.Count()
				if keys.isSet(cmd) {
					n = bucket.CountRange(lo, hi)
				}
				_, err := fmt.Fprintln(s.c.out, n)
				return err
			}))
		},
	}
	keys.addFlags(cmd)
	return cmd
}

func (s *session) rankCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rank KEY",
		Short: "Print how many keys come before KEY",
		Args:  shellArgs(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			key, err := s.c.input(formatAuto, args[0])
			if err != nil {
				return err
			}
			return s.view(s.inBucket(func(_ *folio.Tx, bucket *folio.Bucket) error {
				_, err := fmt.Fprintln(s.c.out, bucket.Rank(key))
				return err
			}))
		},
	}
}

func (s *session) atCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "at NUMBER",
		Short: "Print the pair before which there are NUMBER others",
		Args:  shellArgs(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			n, err := strconv.ParseUint(args[0], 10, 64)
			if err != nil {
				return fmt.Errorf("%s is not a number from 0 on", args[0])
			}
			return s.view(s.inBucket(func(tx *folio.Tx, bucket *folio.Bucket) error {
				key, value := bucket.At(n)
				return s.show(tx, key, value)
			}))
		},
	}
}

func (s *session) seekCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "seek KEY",
		Short: "Print the first pair at or after KEY",
		Args:  shellArgs(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			key, err := s.c.input(formatAuto, args[0])
			if err != nil {
				return err
			}
			return s.view(s.inBucket(func(tx *folio.Tx, bucket *folio.Bucket) error {
				key, value := bucket.Cursor().Seek(key)
				return s.show(tx, key, value)
			}))
		},
	}
}

// stepCommand is next or prev.
func (s *session) stepCommand(name, short string, step func(*folio.Cursor) (key, value []byte)) *cobra.Command {
	return &cobra.Command{
		Use:   name,
		Short: short,
		Args:  shellArgs(0, 0),
		RunE: func(*cobra.Command, []string) error {
			return s.view(s.inBucket(func(tx *folio.Tx, bucket *folio.Bucket) error {
				key, value := step(bucket.Cursor())
				return s.show(tx, key, value)
			}))
		},
	}
}

// next moves to the first key behind the position; without one to the first.
func (s *session) next(cursor *folio.Cursor) (key, value []byte) {
	if s.position == nil {
		return cursor.First()
	}
	if key, value = cursor.Seek(s.position); bytes.Equal(key, s.position) {
		return cursor.Next()
	}
	return key, value
}

// prev moves to the last key before the position; without one to the last.
func (s *session) prev(cursor *folio.Cursor) (key, value []byte) {
	if s.position == nil {
		return cursor.Last()
	}
	if key, _ := cursor.Seek(s.position); key == nil {
		return cursor.Last()
	}
	return cursor.Prev()
}

// show prints a pair that a cursor found, and remembers its key.
func (s *session) show(tx *folio.Tx, key, value []byte) error {
	if key == nil {
		if tx.Err() != nil {
			return tx.Err()
		}
		return negativef("there is no such pair in bucket %s", s.cwd)
	}
	s.position = bytes.Clone(key)
	_, err := s.c.out.Write(s.style.appendLine(nil, s.c.outTerminal, key, value))
	return err
}

func (s *session) sequenceCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "sequence [NUMBER]",
		Short: "Show or set the sequence number of the bucket",
		Args:  shellArgs(0, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return s.view(s.inBucket(func(_ *folio.Tx, bucket *folio.Bucket) error {
					_, err := fmt.Fprintln(s.c.out, bucket.Sequence())
					return err
				}))
			}
			number, err := strconv.ParseUint(args[0], 10, 64)
			if err != nil {
				return fmt.Errorf("%s is not a number from 0 on", args[0])
			}
			return s.update(s.inBucket(func(_ *folio.Tx, bucket *folio.Bucket) error {
				return bucket.SetSequence(number)
			}))
		},
	}
}
