package main

import (
	"context"
	"io"
	"os"
	"time"

	"github.com/foliokv/folio"
)

// restore makes the new store in the file name from a dump: whole, or not at all.
func (c *cli) restore(parent context.Context, file, dumpName string, pageSize int, asJSON bool) error {
	in := c.in
	if dumpName != "-" {
		dump, err := os.Open(dumpName)
		if err != nil {
			return err
		}
		defer dump.Close()
		in = dump
	}
	start := time.Now()
	ctx, stop := interruptible(parent)
	defer stop()
	progress := c.newProgress("restoring", -1, true)
	defer progress.finish()
	var dump *dumpReader
	err := createWhole(file, func(partial string) error {
		return c.fillStore(ctx, partial, pageSize, func(w *batchWriter) (err error) {
			dump, err = readDump(interruptibleReader(ctx, in), w, progress)
			return err
		})
	})
	if err != nil {
		return explainNew(file, err)
	}
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	c.printFacts(asJSON,
		fact{"buckets", dump.buckets},
		fact{"pairs", dump.pairs},
		fact{"seconds", seconds(time.Since(start))},
		fact{"file_size", size(info.Size())})
	return nil
}

// fillStore has fill write the content of the new store in the file name. Nobody sees the
// store before it is complete, so its commits need not be durable one by one.
func (c *cli) fillStore(ctx context.Context, name string, pageSize int, fill func(*batchWriter) error) error {
	db, err := c.open(name, toCreate, &folio.Options{PageSize: pageSize, Durability: folio.Deferred})
	if err != nil {
		return err
	}
	w := &batchWriter{ctx: ctx, db: db, maxEntries: defaultBatch}
	err = fill(w)
	if err == nil && w.tx != nil {
		err = w.commit()
	}
	w.abort()
	if err == nil {
		err = db.Sync()
	}
	if closeErr := db.Close(); err == nil {
		err = closeErr
	}
	return err
}

// interruptibleReader is r, but a read that waits for more ends when ctx does.
func interruptibleReader(ctx context.Context, r io.Reader) io.Reader {
	out, in := io.Pipe()
	context.AfterFunc(ctx, func() { in.CloseWithError(context.Cause(ctx)) })
	go func() {
		_, err := io.Copy(in, r)
		in.CloseWithError(err)
	}()
	return out
}
