package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/foliokv/folio"
	"github.com/spf13/cobra"
)

func (s *session) cdCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "cd [BUCKET]",
		Short: "Go to a bucket; / is the root, .. the one around",
		Args:  shellArgs(0, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			path, err := s.cwd.resolve(append(args, "/")[0])
			if err != nil {
				return err
			}
			err = s.view(func(tx *folio.Tx) error {
				_, err := path.find(tx)
				return err
			})
			if err == nil {
				s.cwd, s.position = path, nil
			}
			return err
		},
	}
}

func (s *session) pwdCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "pwd",
		Short: "Print where you are",
		Args:  shellArgs(0, 0),
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(s.c.out, s.where())
			return err
		},
	}
}

func (s *session) lsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "ls [BUCKET]",
		Short: "List the buckets here, and how many entries there are",
		Args:  shellArgs(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := s.cwd.resolve(append(args, ".")[0])
			if err != nil {
				return err
			}
			t := &table{columns: []string{"bucket", "entries"}}
			var entries uint64
			err = s.view(func(tx *folio.Tx) error {
				bucket, err := path.find(tx)
				if err != nil {
					return err
				}
				if bucket != nil {
					entries = bucket.Count()
				}
				for name, child := range childBuckets(tx, bucket) {
					if cmd.Context().Err() != nil {
						return context.Cause(cmd.Context())
					}
					t.add(bucketPath{name}.clone(), child.Count())
				}
				return nil
			})
			if err != nil {
				return err
			}
			if len(t.rows) > 0 {
				s.c.printTable(s.style.json, t)
			}
			if keys := entries - uint64(len(t.rows)); len(path) > 0 {
				fmt.Fprintf(s.c.out, "%d keys\n", keys)
			}
			return nil
		},
	}
}

func (s *session) mkdirCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "mkdir BUCKET",
		Short: "Make a bucket, and those on the path to it",
		Args:  shellArgs(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			path, err := s.resolveBucket(args[0])
			if err != nil {
				return err
			}
			return s.update(func(tx *folio.Tx) error {
				_, err := path.create(tx)
				return err
			})
		},
	}
}

// resolveBucket reads the path of a bucket, which the root is not.
func (s *session) resolveBucket(arg string) (bucketPath, error) {
	path, err := s.cwd.resolve(arg)
	if err == nil && len(path) == 0 {
		err = errors.New("the root is not a bucket: name one")
	}
	return path, err
}

func (s *session) dropCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "drop BUCKET",
		Short: "Delete a bucket and all inside it",
		Args:  shellArgs(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			path, err := s.resolveBucket(args[0])
			if err != nil {
				return err
			}
			var entries uint64
			err = s.update(func(tx *folio.Tx) (err error) {
				entries, err = path.drop(tx)
				return err
			})
			if err == nil {
				s.c.printFacts(s.style.json, fact{"dropped", path}, fact{"entries", entries})
			}
			return err
		},
	}
}

func (s *session) renameCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rename BUCKET NEWBUCKET",
		Short: "Move a bucket to another place or name",
		Args:  shellArgs(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			from, err := s.resolveBucket(args[0])
			if err != nil {
				return err
			}
			to, err := s.resolveBucket(args[1])
			if err != nil {
				return err
			}
			return s.update(func(tx *folio.Tx) error { return from.rename(cmd.Context(), tx, to) })
		},
	}
}
