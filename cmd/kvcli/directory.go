package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// A dirSource gives the regular files below a directory.
type dirSource struct {
	root  string
	store string // the file of the store, which is left out
	jobs  int    // files to read at a time
}

func newDirSource(name, store string, jobs int) (source, error) {
	root, err := filepath.EvalSymlinks(name) // a walk does not follow even its root
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(root)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is not a directory", name)
	}
	return &dirSource{root: root, store: store, jobs: jobs}, err
}

func (d *dirSource) noun() string { return "files" }

func (d *dirSource) close() error { return nil }

func (d *dirSource) size() int64 {
	var total int64
	// What cannot be read here is reported by each; this is for the progress bar only.
	_ = filepath.WalkDir(d.root, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return nil
		}
		if info, err := entry.Info(); err == nil {
			total += info.Size()
		}
		return nil
	})
	return total
}

// A dirEntry is something below the directory.
type dirEntry struct {
	name    string // of the file
	key     string
	size    int64
	skipped string        // what it is, if it is not stored
	ready   chan struct{} // closed when content and err are there
	content []byte        // of a small file, read ahead
	err     error
}

// smallFile bounds what is read ahead of the store, and so does aheadFiles.
const (
	smallFile  = 1 << 20
	aheadFiles = 64
)

// each stores the files in the order of the walk, while others are being read.
func (d *dirSource) each(w *feed) error {
	store, err := os.Stat(d.store)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(w.ctx)
	var workers sync.WaitGroup
	defer workers.Wait()
	defer cancel()
	inOrder := make(chan *dirEntry, aheadFiles)
	toRead := make(chan *dirEntry, aheadFiles)
	workers.Go(func() {
		defer close(inOrder)
		defer close(toRead)
		d.walk(ctx, store, toRead, inOrder)
	})
	for range d.jobs {
		workers.Go(func() {
			for entry := range toRead {
				entry.read()
			}
		})
	}
	for entry := range inOrder {
		if err := entry.load(w); err != nil {
			return err
		}
	}
	return nil
}

// walk gives all that is below the directory to both channels.
func (d *dirSource) walk(ctx context.Context, store fs.FileInfo, toRead, inOrder chan<- *dirEntry) {
	err := filepath.WalkDir(d.root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		found, err := d.describe(name, entry, store)
		if err != nil {
			return err
		}
		for _, queue := range []chan<- *dirEntry{toRead, inOrder} {
			select {
			case queue <- found:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		inOrder <- &dirEntry{err: err, ready: closedChannel}
	}
}

var closedChannel = func() chan struct{} {
	ch := make(chan struct{})
	close(ch)
	return ch
}()

func (d *dirSource) describe(name string, entry fs.DirEntry, store fs.FileInfo) (*dirEntry, error) {
	found := &dirEntry{name: name, ready: make(chan struct{})}
	if !entry.Type().IsRegular() {
		found.skipped = kindOfIrregular(entry.Type())
		return found, nil
	}
	info, err := entry.Info()
	if err != nil {
		return nil, err
	}
	relative, err := filepath.Rel(d.root, name)
	if err != nil {
		return nil, err
	}
	found.key, found.size = filepath.ToSlash(relative), info.Size()
	if os.SameFile(info, store) {
		found.skipped = "store"
	}
	return found, nil
}

// read reads the content if it is small.
func (e *dirEntry) read() {
	defer close(e.ready)
	if e.skipped == "" && e.size <= smallFile {
		e.content, e.err = os.ReadFile(e.name)
	}
}

// load stores the file.
func (e *dirEntry) load(w *feed) error {
	<-e.ready
	switch {
	case e.err != nil:
		return e.err
	case e.skipped != "":
		w.skipped[e.skipped]++
		return nil
	}
	defer w.progress.advance(e.size)
	if e.size <= smallFile {
		return w.put([]byte(e.key), e.content)
	}
	file, err := os.Open(e.name)
	if err != nil {
		return err
	}
	defer file.Close()
	err = w.putReader([]byte(e.key), file, e.size)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%s became shorter while it was read", e.name)
	}
	return err
}

func kindOfIrregular(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeSymlink != 0:
		return "symlinks"
	case mode&fs.ModeNamedPipe != 0:
		return "pipes"
	case mode&fs.ModeSocket != 0:
		return "sockets"
	case mode&fs.ModeDevice != 0:
		return "devices"
	default:
		return "others"
	}
}
