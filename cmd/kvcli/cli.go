package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// A cli is what all commands share: the standard streams, which of them are terminals, and
// the flags that every command has.
type cli struct {
	in  io.Reader
	out *bufio.Writer
	err io.Writer

	outTerminal bool
	errTerminal bool

	colours bool // on standard output

	timeout  time.Duration
	previous bool // open the state of the older meta
}

func newCLI(in, out, err *os.File) *cli {
	outTerminal := term.IsTerminal(int(out.Fd()))
	return &cli{
		in:          in,
		out:         bufio.NewWriterSize(out, 64<<10),
		err:         err,
		outTerminal: outTerminal,
		colours:     wantsColours(outTerminal),
		errTerminal: term.IsTerminal(int(err.Fd())),
		timeout:     time.Second,
	}
}

// finish flushes the output, reports err in one line, and returns the exit status.
func (c *cli) finish(err error) int {
	if flushErr := c.out.Flush(); err == nil {
		err = flushErr
	}
	if err == nil {
		return 0
	}
	if !isBrokenPipe(err) {
		fmt.Fprintln(c.err, "kvcli:", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	var negative *negativeError
	if errors.As(err, &negative) {
		return 1
	}
	return 2
}

// A negativeError is an answer rather than a failure: what was asked for is not there, or a
// check found something. The exit status is 1.
type negativeError struct{ message string }

func (e *negativeError) Error() string { return e.message }

func negativef(format string, args ...any) error {
	return &negativeError{fmt.Sprintf(format, args...)}
}

// usagef is an error in how cmd was called.
func usagef(cmd *cobra.Command, format string, args ...any) error {
	return fmt.Errorf("%s; '%s --help' shows how", fmt.Sprintf(format, args...), cmd.CommandPath())
}

// argCount accepts at least least and at most most arguments; most < 0 sets no bound.
func argCount(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= least && (most < 0 || len(args) <= most) {
			return nil
		}
		return usagef(cmd, "%d arguments given; usage: %s", len(args), cmd.UseLine())
	}
}

// isBrokenPipe tells that the reader of our output went away, which is its good right. (Where
// there is SIGPIPE the process ends by it before it gets here.)
func isBrokenPipe(err error) bool {
	const errorBrokenPipe, errorNoData = syscall.Errno(109), syscall.Errno(232)
	if runtime.GOOS == "windows" && (errors.Is(err, errorBrokenPipe) || errors.Is(err, errorNoData)) {
		return true
	}
	return errors.Is(err, syscall.EPIPE)
}
