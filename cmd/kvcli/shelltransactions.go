package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/foliokv/folio"
	"github.com/spf13/cobra"
)

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
