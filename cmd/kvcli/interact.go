package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/peterh/liner"
)

// interact runs the shell on a terminal until the user leaves it.
func (s *session) interact() error {
	cooked, err := liner.TerminalMode()
	if err != nil {
		return err
	}
	editor := liner.NewLiner()
	defer editor.Close()
	raw, err := liner.TerminalMode()
	if err != nil {
		return err
	}
	editor.SetCtrlCAborts(true)
	editor.SetTabCompletionStyle(liner.TabPrints)
	editor.SetWordCompleter(s.complete)
	held := make(chan os.Signal, 1)
	signal.Notify(held, os.Interrupt) // however often it is pressed, Ctrl-C does not end the shell
	defer signal.Stop(held)
	history := openHistory(editor)
	defer history.Close()
	for !s.done {
		line, err := editor.Prompt(s.prompt())
		switch {
		case errors.Is(err, liner.ErrPromptAborted):
			continue
		case errors.Is(err, io.EOF):
			fmt.Fprintln(s.c.out)
			return nil
		case err != nil:
			return err
		}
		if strings.TrimSpace(line) == "" {
			continue
		}
		editor.AppendHistory(line)
		fmt.Fprintln(history, line)
		// Commands and pagers get the terminal as the shell found it.
		if err := cooked.ApplyMode(); err != nil {
			return err
		}
		s.runPaged(line)
		if err := raw.ApplyMode(); err != nil {
			return err
		}
	}
	return nil
}

// prompt shows the store, the bucket, and what kind of transaction is open.
func (s *session) prompt() string {
	state := ""
	switch {
	case s.tx == nil:
	case s.tx.Writable():
		state = "*"
	default:
		state = " (read)"
	}
	name := appendEscaped(nil, []byte(filepath.Base(s.db.Path())), "")
	return fmt.Sprintf("%s:%s%s> ", name, s.where(), state)
}

// runPaged runs a line whose output, if it does not fit on the terminal, goes through a pager.
func (s *session) runPaged(line string) {
	screen := s.c.out
	pages := newPager(screen)
	s.c.out.Flush()
	s.c.out = pages.writer()
	err := s.runLine(line)
	if flushErr := s.c.out.Flush(); err == nil {
		err = flushErr
	}
	s.c.out = screen
	if closeErr := pages.close(); err == nil {
		err = closeErr
	}
	if err != nil && !errors.Is(err, errPagerLeft) {
		fmt.Fprintln(s.c.err, "error:", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	screen.Flush()
}

// openHistory reads the lines of earlier sessions into the editor, and returns where new ones
// go. Where there is no home there is no history.
func openHistory(editor *liner.State) io.WriteCloser {
	name := os.Getenv("KVCLI_HISTORY")
	if home, err := os.UserHomeDir(); name == "" && err == nil {
		name = filepath.Join(home, ".kvcli_history")
	}
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return noHistory{}
	}
	if _, err := editor.ReadHistory(file); err != nil {
		editor.ClearHistory() // the file holds something else
	}
	return file
}

type noHistory struct{}

func (noHistory) Write(p []byte) (int, error) { return len(p), nil }
func (noHistory) Close() error                { return nil }
