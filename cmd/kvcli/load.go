package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/foliokv/folio"
	"github.com/spf13/cobra"
)

// A load is one run of the load command.
type load struct {
	batch    int
	jobs     int
	sorted   bool
	resume   bool
	pageSize int
	json     bool
	dump     bool
	table    tableOptions
}

func newLoadCommand(c *cli) *cobra.Command {
	var l load
	cmd := &cobra.Command{
		Use:     "load FILE BUCKET SOURCE | load --dump NEW [SOURCE]",
		GroupID: groupChange,
		Short:   "Load a directory, a table or lines into a bucket",
		Long: `load stores what SOURCE holds in a bucket; store and bucket are made where they are
missing, and keys that are there already get the new value.

  a directory   every regular file below it: the key is its path inside the directory,
                with slashes, the value its content. Symbolic links and other things
                that are not regular files are skipped and counted.
  NAME.tsv      lines of fields parted by tabs: one field is the key, the rest the value
  NAME.csv      records: one field is the key, the rest the value (a record again if
                there is more than one field)
  NAME.jsonl    a JSON object a line: one member is the key, the rest the value (the
                text itself if it is just a string named "value", as scan --json has it)
  -             lines KEY, tab, VALUE from standard input; --type reads tables from there

Rows go in by transactions of --batch entries or 8 MiB, whichever comes first. Whoever
interrupts the command keeps what was committed; the same command again completes it,
with --resume without writing again what is there.

--sorted is faster where the rows come in the order of their keys, behind those that
are in the bucket: it fills pages one after the other, in one transaction; a row out of
order, as any other error, leaves the bucket as it was.

With --dump the new store NEW is made from what 'kvcli dump' wrote, on standard input or
in SOURCE: whole, or not at all.

` + bucketPathHelp,
		Example: `  kvcli load store.db src ./src
  kvcli load store.db people people.tsv
  kvcli load store.db people people.tsv --sorted
  kvcli load store.db people people.csv --header --key name
  kvcli load store.db people people.jsonl --key name
  kvcli dump store.db | kvcli load --dump restored.db
  printf 'carol\tCarol\n' | kvcli load store.db users -`,
		ValidArgsFunction: c.completeArguments(fileArgument, bucketArgument, fileArgument),
		Args: func(cmd *cobra.Command, args []string) error {
			if l.dump {
				return argCount(1, 2)(cmd, args)
			}
			return argCount(3, 3)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if l.dump {
				return c.restore(cmd.Context(), args[0], append(args, "-")[1], l.pageSize, l.json)
			}
			path, err := parseBucket(args[1])
			if err != nil {
				return err
			}
			if min(l.batch, l.jobs) < 1 {
				return usagef(cmd, "--batch and --jobs take numbers from 1 on")
			}
			if l.sorted && l.resume {
				return usagef(cmd, "--sorted and --resume exclude each other: a sorted load is stored whole or not at all")
			}
			return l.run(cmd.Context(), c, args[0], path, args[2])
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&l.batch, "batch", defaultBatch, "entries in a transaction, at most")
	flags.IntVar(&l.jobs, "jobs", 4, "files of a directory to read at a time")
	flags.IntVar(&l.pageSize, "page-size", 0, "bytes in a page of a new store: 4096 to 65536, a power of two")
	flags.BoolVar(&l.sorted, "sorted", false, "the rows come in the order of their keys")
	flags.BoolVar(&l.resume, "resume", false, "do not store again what is there with the same value")
	flags.BoolVar(&l.dump, "dump", false, "make a new store from a dump")
	flags.StringVar(&l.table.kind, "type", "", "what SOURCE is, whatever its name says: dir, tsv, csv, jsonl")
	flags.StringVar(&l.table.key, "key", "", "the field that is the key: a number from 1 on, or a name (default the first)")
	flags.BoolVar(&l.table.header, "header", false, "the first row of a .tsv or .csv names the fields")
	addJSONFlag(cmd, &l.json)
	return cmd
}

func (l *load) run(parent context.Context, c *cli, file string, path bucketPath, sourceName string) error {
	src, err := c.openSource(sourceName, file, l.table, l.jobs)
	if err != nil {
		return err
	}
	defer src.close()
	db, err := c.open(file, toCreate, &folio.Options{PageSize: l.pageSize})
	if err != nil {
		return err
	}
	start := time.Now()
	ctx, stop := interruptible(parent)
	defer stop()
	total := int64(-1)
	if c.errTerminal {
		total = src.size()
	}
	w := &feed{ctx: ctx, progress: c.newProgress("loading", total, true), skipped: tally{}}
	defer w.progress.finish()
	fill := l.fillByBatches
	if l.sorted {
		fill = l.fillSorted
	}
	loaded, err := fill(w, db, path, src)
	took := time.Since(start)
	if closeErr := db.Close(); err == nil {
		err = closeErr
	}
	if errors.Is(err, errInterrupted) {
		return fmt.Errorf("%s: interrupted: %d %s are stored; the same command again completes the load", file, loaded.entries, src.noun())
	}
	if err != nil {
		return explain(file, fmt.Errorf("%w (%d %s are stored)", err, loaded.entries, src.noun()))
	}
	return l.report(c, file, w, src, loaded, took)
}

// loaded is how much of a source was stored.
type loaded struct {
	entries int64
	bytes   int64 // of values
}

// fillByBatches stores what the source holds by transactions of bounded size.
func (l *load) fillByBatches(w *feed, db *folio.DB, path bucketPath, src source) (loaded, error) {
	batches := &batchWriter{ctx: w.ctx, db: db, path: path, maxEntries: l.batch, resume: l.resume}
	w.pairWriter = batches
	err := src.each(w)
	if err == nil {
		err = batches.finish()
	}
	batches.abort()
	return batches.loaded, err
}

// fillSorted stores what the source holds, which is in the order of the keys, in one
// transaction straight into full pages.
func (l *load) fillSorted(w *feed, db *folio.DB, path bucketPath, src source) (loaded, error) {
	var all sortedWriter
	err := db.Update(func(tx *folio.Tx) error {
		bucket, err := path.create(tx)
		if err != nil {
			return err
		}
		var srcErr error
		err = bucket.Load(w.ctx, func(yield func(key, value []byte) bool) {
			all.yield = yield
			w.pairWriter = &all
			srcErr = src.each(w)
		})
		if srcErr != nil && !errors.Is(srcErr, errLoadEnded) {
			return srcErr
		}
		return err
	})
	if err == nil {
		return all.loaded, nil
	}
	return loaded{}, cause(w.ctx, err)
}

// errLoadEnded tells a source that no more pairs are taken; Bucket.Load says why.
var errLoadEnded = errors.New("the load has ended")

// A sortedWriter gives pairs to Bucket.Load.
type sortedWriter struct {
	yield func(key, value []byte) bool
	loaded
}

func (s *sortedWriter) put(key, value []byte) error {
	if !s.yield(key, value) {
		return errLoadEnded
	}
	s.entries++
	s.bytes += int64(len(value))
	return nil
}

func (s *sortedWriter) putReader(key []byte, r io.Reader, size int64) error {
	value := make([]byte, size)
	if _, err := io.ReadFull(r, value); err != nil {
		return err
	}
	return s.put(key, value)
}

func (l *load) report(c *cli, file string, w *feed, src source, done loaded, took time.Duration) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	facts := []fact{
		{src.noun(), done.entries},
		{"bytes", size(done.bytes)},
		{"seconds", seconds(took)},
		{"rate", rateOf(done.bytes, took)},
		{"file_size", size(info.Size())},
	}
	for _, what := range w.skipped.names() {
		facts = append(facts, fact{"skipped_" + what, w.skipped[what]})
	}
	c.printFacts(l.json, facts...)
	return nil
}
