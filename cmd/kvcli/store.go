package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/foliokv/folio"
)

// An access says what a command wants of a store's file.
type access int

const (
	toRead   access = iota // the file must exist, and is not changed
	toWrite                // the file must exist
	toCreate               // the file is created where it is missing
)

// view runs fn in a read transaction of the store in the file name.
func (c *cli) view(name string, fn func(tx *folio.Tx) error) error {
	db, err := c.open(name, toRead, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	return explain(name, db.View(fn))
}

// update runs fn in a write transaction of the store in the file name.
func (c *cli) update(name string, to access, fn func(tx *folio.Tx) error) error {
	db, err := c.open(name, to, nil)
	if err != nil {
		return err
	}
	err = db.Update(fn)
	if closeErr := db.Close(); err == nil {
		err = closeErr
	}
	return explain(name, err)
}

// open opens the store in the file name. Of options it uses what decides about a new file.
func (c *cli) open(name string, to access, options *folio.Options) (*folio.DB, error) {
	if err := checkFile(name, to); err != nil {
		return nil, err
	}
	if options == nil {
		options = &folio.Options{}
	}
	options.ReadOnly = to == toRead
	options.Timeout = c.timeout
	if c.previous && to == toRead {
		if err := c.havePrevious(name); err != nil {
			return nil, err
		}
		options.Previous = true
	}
	db, err := folio.Open(name, 0o644, options)
	if errors.Is(err, folio.ErrTimeout) {
		return nil, c.inUse(name)
	}
	return db, explainOpen(name, err)
}

// havePrevious tells why there is no state before the newest.
func (c *cli) havePrevious(name string) error {
	in, err := c.inspect(name)
	if err != nil {
		return err
	}
	defer in.Close()
	metas := in.Metas()
	for _, m := range metas {
		if m.Err != nil {
			return fmt.Errorf("%s: there is no previous state: the meta in slot %d is not valid: %v", name, m.Slot, m.Err)
		}
	}
	if txid := metas[0].Txid; txid == metas[1].Txid {
		return fmt.Errorf("%s: there is no previous state: both metas are of txid %d, as a proper close leaves them", name, txid)
	}
	return nil
}

// inUse says who has the lock on the file name.
func (c *cli) inUse(name string) error {
	return fmt.Errorf("%s is in use by %s (waited %v): stop that process, or wait longer with --timeout",
		name, lockHolder(name), c.timeout)
}

// checkFile refuses what cannot be a store before anything is opened: opening a pipe would
// block, and a missing file would be created.
func checkFile(name string, to access) error {
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist) && to == toCreate:
		return nil
	case err != nil:
		return explainOpen(name, err)
	case info.IsDir():
		return fmt.Errorf("%s is a directory, not a folio store", name)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file, so not a folio store", name)
	}
	return nil
}

// explainOpen says why the store in the file name could not be opened, and what to do.
func explainOpen(name string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: no such file", name)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: permission denied", name)
	case errors.Is(err, folio.ErrInvalid) && isBolt(name):
		return fmt.Errorf("%s is a bbolt file, not a folio store: 'kvcli import-bolt %s NEW' makes one of it", name, name)
	case errors.Is(err, folio.ErrInvalid):
		return fmt.Errorf("%s is not a folio store", name)
	case errors.Is(err, folio.ErrVersionMismatch):
		return fmt.Errorf("%s is a folio store of another format version: 'kvcli dump' it with the kvcli that wrote it", name)
	default:
		return explain(name, err)
	}
}

// explain says what an error of the open store in the file name means. It keeps the chain.
func explain(name string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, folio.ErrCorrupt):
		return fmt.Errorf("%s is damaged: %w; 'kvcli check %s' lists what is wrong, 'kvcli salvage %s NEW' brings the rest into a new store", name, err, name, name)
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%s: the disk is full: %w", name, err)
	default:
		return fmt.Errorf("%s: %w", name, err)
	}
}
