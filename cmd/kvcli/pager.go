package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/term"
)

// errPagerLeft tells that the user has seen enough.
var errPagerLeft = errors.New("the pager was left")

// A pager holds the output of a command back until it is longer than the screen, and then
// gives it to the program in PAGER, or less.
type pager struct {
	screen  io.Writer
	rows    int // 0 does not page
	program []string
	held    bytes.Buffer
	lines   int
	running *exec.Cmd
	pipe    io.WriteCloser
}

func newPager(screen io.Writer) *pager {
	p := &pager{screen: screen, program: strings.Fields(os.Getenv("PAGER"))}
	if _, set := os.LookupEnv("PAGER"); !set {
		p.program = []string{"less"}
	}
	_, rows, err := term.GetSize(int(os.Stdout.Fd()))
	if err == nil && len(p.program) > 0 {
		if _, err := exec.LookPath(p.program[0]); err == nil {
			p.rows = rows
		}
	}
	return p
}

func (p *pager) writer() *bufio.Writer { return bufio.NewWriter(p) }

func (p *pager) Write(data []byte) (int, error) {
	switch {
	case p.rows == 0:
		return p.screen.Write(data)
	case p.running != nil:
		if _, err := p.pipe.Write(data); err != nil {
			return 0, errPagerLeft
		}
		return len(data), nil
	}
	p.held.Write(data)
	if p.lines += bytes.Count(data, []byte("\n")); p.lines < p.rows {
		return len(data), nil
	}
	return len(data), p.start()
}

// start runs the program and gives it what was held back.
func (p *pager) start() (err error) {
	p.running = exec.Command(p.program[0], p.program[1:]...)
	p.running.Stdout, p.running.Stderr = os.Stdout, os.Stderr
	if p.pipe, err = p.running.StdinPipe(); err != nil {
		return err
	}
	if err := p.running.Start(); err != nil {
		return err
	}
	if _, err := p.pipe.Write(p.held.Bytes()); err != nil {
		return errPagerLeft
	}
	p.held.Reset()
	return nil
}

// close shows what is left, and waits until the user leaves the program.
func (p *pager) close() error {
	if p.running == nil {
		_, err := p.screen.Write(p.held.Bytes())
		return err
	}
	// What could go wrong went wrong in Write, and how a pager exits means nothing.
	_ = p.pipe.Close()
	_ = p.running.Wait()
	return nil
}
