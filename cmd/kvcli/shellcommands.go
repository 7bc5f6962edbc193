package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/foliokv/folio"
	"github.com/spf13/cobra"
)

// newShellCommands are the commands that can be typed in the shell.
func newShellCommands(s *session) *cobra.Command {
	root := &cobra.Command{
		Use:           "kvcli",
		Short:         "Commands of the shell",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(_ *cobra.Command, args []string) error {
			return fmt.Errorf("there is no command %s; 'help' lists them", args[0])
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetUsageTemplate(shellUsage)
	root.SetOut(s.c.out)
	root.SetErr(s.c.out)
	root.AddCommand(
		s.cdCommand(), s.pwdCommand(), s.lsCommand(), s.getCommand(), s.putCommand(), s.delCommand(),
		s.scanCommand(), s.countCommand(), s.rankCommand(), s.atCommand(),
		s.seekCommand(), s.stepCommand("next", "Print the pair after the last one shown", s.next),
		s.stepCommand("prev", "Print the pair before the last one shown", s.prev),
		s.mkdirCommand(), s.dropCommand(), s.renameCommand(), s.sequenceCommand(),
		s.beginCommand(), s.commitCommand(), s.rollbackCommand(), s.savepointCommand(), s.releaseCommand(),
		s.checkCommand(), s.formatCommand(), s.timingCommand(), s.exitCommand(),
	)
	return root
}

const shellUsage = `usage: {{.Use}}
{{- if .HasAvailableSubCommands}}
{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}
{{- end}}
{{- if .HasAvailableLocalFlags}}

{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}
{{- end}}
`

// shellArgs is argCount for the shell.
func shellArgs(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= least && (most < 0 || len(args) <= most) {
			return nil
		}
		return fmt.Errorf("usage: %s", cmd.Use)
	}
}

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

func (s *session) beginCommand() *cobra.Command {
	return &cobra.Command{
		Use:       "begin [read]",
		Short:     "Open a transaction; until commit or rollback all commands are part of it",
		Args:      shellArgs(0, 1),
		ValidArgs: []string{"read"},
		RunE: func(_ *cobra.Command, args []string) (err error) {
			switch {
			case s.tx != nil:
				return errors.New("a transaction is open already; 'savepoint' opens a part of it that can be undone")
			case len(args) == 1 && args[0] != "read":
				return errors.New("usage: begin [read]")
			}
			s.tx, err = s.db.Begin(len(args) == 0 && !s.db.IsReadOnly())
			return err
		},
	}
}

var errNoTransaction = errors.New("no transaction is open; 'begin' opens one")

func (s *session) commitCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "commit",
		Short: "Make the transaction durable",
		Args:  shellArgs(0, 0),
		RunE: func(*cobra.Command, []string) error {
			switch {
			case s.tx == nil:
				return errNoTransaction
			case !s.tx.Writable():
				return s.closeTx()
			}
			tx := s.tx
			s.tx, s.savepoints = nil, nil
			return tx.Commit()
		},
	}
}

func (s *session) rollbackCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rollback [SAVEPOINT]",
		Short: "Undo the transaction, or all since a savepoint",
		Args:  shellArgs(0, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			if s.tx == nil {
				return errNoTransaction
			}
			if len(args) == 0 {
				return s.closeTx()
			}
			savepoint, err := s.popSavepoint(args[0])
			if err != nil {
				return err
			}
			return savepoint.Rollback()
		},
	}
}

func (s *session) savepointCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "savepoint NAME",
		Short: "Begin a part of the transaction that can be undone",
		Args:  shellArgs(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			switch {
			case s.tx == nil:
				return errNoTransaction
			case !s.tx.Writable():
				return errors.New("this transaction only reads, so that there is nothing to undo")
			}
			s.savepoints = append(s.savepoints, namedSavepoint{args[0], s.tx.Savepoint()})
			return nil
		},
	}
}

func (s *session) releaseCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "release SAVEPOINT",
		Short: "Keep what was done since a savepoint, and forget the savepoint",
		Args:  shellArgs(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			if s.tx == nil {
				return errNoTransaction
			}
			savepoint, err := s.popSavepoint(args[0])
			if err != nil {
				return err
			}
			return savepoint.Release()
		},
	}
}

// popSavepoint takes the last savepoint of that name, and those inside it, off the list.
func (s *session) popSavepoint(name string) (*folio.Savepoint, error) {
	for i, savepoint := range slices.Backward(s.savepoints) {
		if savepoint.name == name {
			s.savepoints = s.savepoints[:i]
			return savepoint.Savepoint, nil
		}
	}
	return nil, fmt.Errorf("there is no savepoint %s", name)
}

func (s *session) checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Verify every page and invariant of the store",
		Args:  shellArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			findings, _, err := s.c.check(cmd.Context(), s.db, s.style.json)
			if err == nil && findings > 0 {
				err = negativef("%d findings", findings)
			}
			return err
		},
	}
}

func (s *session) formatCommand() *cobra.Command {
	return &cobra.Command{
		Use:       ".format [auto|" + strings.Join(formatNames, "|") + "|lines]",
		Short:     "Show or choose how values are printed; lines is a JSON object a line",
		Args:      shellArgs(0, 1),
		ValidArgs: append([]string{"auto", "lines"}, formatNames...),
		RunE: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) == 0 && s.style.json:
				fmt.Fprintln(s.c.out, "lines")
			case len(args) == 0 && s.style.as == formatAuto:
				fmt.Fprintln(s.c.out, "auto")
			case len(args) == 0:
				fmt.Fprintln(s.c.out, s.style.as)
			case args[0] == "auto":
				s.style = pairStyle{}
			case args[0] == "lines":
				s.style = pairStyle{json: true}
			default:
				var as format
				if err := as.Set(args[0]); err != nil {
					return fmt.Errorf("there is no format %s: %w, auto, lines", args[0], err)
				}
				s.style = pairStyle{as: as}
			}
			return nil
		},
	}
}

func (s *session) timingCommand() *cobra.Command {
	return &cobra.Command{
		Use:       ".timing on|off",
		Short:     "Print how long each command takes",
		Args:      shellArgs(1, 1),
		ValidArgs: []string{"on", "off"},
		RunE: func(_ *cobra.Command, args []string) error {
			if args[0] != "on" && args[0] != "off" {
				return errors.New("usage: .timing on|off")
			}
			s.timing = args[0] == "on"
			return nil
		},
	}
}

func (s *session) exitCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "exit",
		Aliases: []string{"quit", ".exit", ".quit"},
		Short:   "Leave the shell",
		Args:    shellArgs(0, 0),
		RunE: func(*cobra.Command, []string) error {
			s.done = true
			return nil
		},
	}
}
