package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/foliokv/folio"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

const shellHelp = `'kvcli FILE' opens a shell on a store: with history, line editing and completion on a
terminal, and otherwise for a script on standard input or in -c. A script stops at its
first error. 'help' in the shell lists its commands.`

// A shellOptions is how the shell was called.
type shellOptions struct {
	command  string
	readOnly bool
}

func (o *shellOptions) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&o.command, "command", "c", "", "run these commands of the shell, parted by semicolons")
	cmd.Flags().BoolVar(&o.readOnly, "read-only", false, "open the store in the shell for reading only, beside other readers")
}

// A session is a shell on an open store.
type session struct {
	c      *cli
	db     *folio.DB
	cwd    bucketPath
	style  pairStyle
	timing bool
	done   bool

	tx         *folio.Tx // nil outside begin and commit
	savepoints []namedSavepoint
	position   []byte // the key that seek, next and prev showed last
}

type namedSavepoint struct {
	name string
	*folio.Savepoint
}

// shell runs a shell on the store in the file name.
func (c *cli) shell(file string, options shellOptions) error {
	to := toWrite
	if options.readOnly || c.previous {
		to = toRead
	}
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no file and no command %s; 'kvcli --help' lists the commands, of which put and load make stores", file)
	}
	db, err := c.open(file, to, nil)
	if err != nil {
		return err
	}
	s := &session{c: c, db: db}
	switch stdin, isFile := c.in.(*os.File); {
	case options.command != "":
		err = s.runScript(strings.NewReader(options.command))
	case isFile && term.IsTerminal(int(stdin.Fd())) && c.outTerminal:
		err = s.interact()
	default:
		script := c.in
		c.in = scriptInput{}
		err = s.runScript(script)
	}
	if endErr := s.end(); err == nil {
		err = endErr
	}
	if closeErr := db.Close(); err == nil {
		err = closeErr
	}
	return err
}

// scriptInput stands for standard input while that holds the script.
type scriptInput struct{}

func (scriptInput) Read([]byte) (int, error) {
	return 0, errors.New("standard input holds the script, so - cannot be read from it")
}

// runScript runs a script up to its first error.
func (s *session) runScript(script io.Reader) error {
	in := bufio.NewReader(script)
	for number := 1; !s.done; number++ {
		line, readErr := in.ReadString('\n')
		if readErr != nil && readErr != io.EOF {
			return readErr
		}
		if err := s.runLine(strings.TrimRight(line, "\r\n")); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		if readErr == io.EOF {
			break
		}
	}
	return nil
}

// runLine runs the commands of a line up to the first error.
func (s *session) runLine(line string) error {
	commands, err := shellCommands(line)
	if err != nil {
		return err
	}
	for _, args := range commands {
		if s.done {
			return nil
		}
		if err := s.runCommand(args); err != nil {
			return err
		}
	}
	return nil
}

// runCommand runs one command, which Ctrl-C interrupts without ending the shell.
func (s *session) runCommand(args []string) error {
	ctx, stop := interruptible(context.Background())
	defer stop()
	root := newShellCommands(s)
	root.SetArgs(args)
	timing, start := s.timing, time.Now()
	err := root.ExecuteContext(ctx)
	if err == nil && timing {
		fmt.Fprintf(s.c.out, "took %v\n", time.Since(start).Round(time.Microsecond))
	}
	return err
}

// where is the path of the bucket the session is in, from the root.
func (s *session) where() string {
	return "/" + strings.TrimPrefix(s.cwd.String(), "/")
}

// end gives up what was not committed when the shell ends.
func (s *session) end() error {
	if s.tx == nil {
		return nil
	}
	wasWriting := s.tx.Writable()
	if err := s.closeTx(); err != nil || !wasWriting {
		return err
	}
	return errors.New("the transaction that begin opened was not committed, and is rolled back")
}

func (s *session) closeTx() error {
	tx := s.tx
	s.tx, s.savepoints = nil, nil
	return tx.Rollback()
}

// view runs fn in the transaction that is open, or in one of its own.
func (s *session) view(fn func(tx *folio.Tx) error) error {
	if s.tx == nil {
		return s.db.View(fn)
	}
	if err := fn(s.tx); err != nil {
		return err
	}
	return s.tx.Err()
}

// update runs fn in the transaction that is open, or in one of its own. In an open one,
// whatever of fn was done when it failed is undone.
func (s *session) update(fn func(tx *folio.Tx) error) error {
	if s.tx == nil {
		return s.db.Update(fn)
	}
	if !s.tx.Writable() {
		return errors.New("this transaction only reads: 'commit' ends it, 'begin' opens one that writes")
	}
	undo := s.tx.Savepoint()
	if err := fn(s.tx); err != nil {
		return errors.Join(err, undo.Rollback())
	}
	return undo.Release()
}

// inBucket makes of fn a function for view or update that gets the bucket the session is in.
func (s *session) inBucket(fn func(tx *folio.Tx, bucket *folio.Bucket) error) func(*folio.Tx) error {
	return func(tx *folio.Tx) error {
		if len(s.cwd) == 0 {
			return errors.New("the root holds only buckets: 'cd BUCKET' first; 'ls' lists them")
		}
		bucket, err := s.cwd.find(tx)
		if err != nil {
			return err
		}
		return fn(tx, bucket)
	}
}
