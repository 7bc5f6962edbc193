package main

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"
)

const dumpHeader = "folio-dump 1\n"

const dumpFormatHelp = `A dump is lines of text, with fields parted by tabs:

  folio-dump 1                        the first line, with the format's version
  bucket  PATH  SEQUENCE              the pairs that follow belong to this bucket
  pair    KEY   VALUE
  more    VALUE                       the value of the last pair goes on
  sum     HASH                        xxhash64 of all bytes before this line, in hexadecimal
  end     BUCKETS  PAIRS  HASH        the last line: how many there were, and a last sum

PATH is written as in BUCKET arguments. KEY and VALUE are text in which \\, \n, \t, \r
and \xNN are escapes, or, where escapes would take most of the room, % and base64; a
text that begins with % has a backslash before it. Buckets and keys come in order, so
that two stores with the same content have the same dump.`

// Bounds of a dump's lines and of what a reader holds before it can verify it.
const (
	dumpChunk    = 48 << 10
	dumpSumEvery = 1 << 20
)

// A dumpWriter writes a dump; it is a contentSink.
type dumpWriter struct {
	out            io.Writer
	sum            *xxhash.Digest // of all that was written
	sinceSum       int
	buckets, pairs uint64
	line           []byte
	progress       *progress
}

func newDumpWriter(out io.Writer, progress *progress) (*dumpWriter, error) {
	d := &dumpWriter{out: out, sum: xxhash.New(), progress: progress}
	d.line = append(d.line, dumpHeader...)
	return d, d.writeLine()
}

func (d *dumpWriter) beginBucket(path bucketPath, sequence uint64) error {
	d.buckets++
	d.line = fmt.Appendf(d.line[:0], "bucket\t%s\t%d\n", path, sequence)
	return d.writeLine()
}

func (d *dumpWriter) put(key, value []byte) error {
	d.pairs++
	d.progress.advance(int64(len(value)))
	d.line = appendDumpField(append(d.line[:0], "pair\t"...), key)
	for {
		chunk := value[:min(len(value), dumpChunk)]
		d.line = append(appendDumpField(append(d.line, '\t'), chunk), '\n')
		if err := d.writeLine(); err != nil {
			return err
		}
		if value = value[len(chunk):]; len(value) == 0 {
			break
		}
		d.line = append(d.line[:0], "more"...)
	}
	if d.sinceSum < dumpSumEvery {
		return nil
	}
	d.sinceSum = 0
	d.line = fmt.Appendf(d.line[:0], "sum\t%016x\n", d.sum.Sum64())
	return d.writeLine()
}

func (d *dumpWriter) end() error {
	d.line = fmt.Appendf(d.line[:0], "end\t%d\t%d\t%016x\n", d.buckets, d.pairs, d.sum.Sum64())
	return d.writeLine()
}

func (d *dumpWriter) writeLine() error {
	d.sinceSum += len(d.line)
	d.sum.Write(d.line)
	_, err := d.out.Write(d.line)
	return err
}

// appendDumpField appends data as text, or as % and base64 if in the beginning of the data
// escapes would take most of the room.
func appendDumpField(dst, data []byte) []byte {
	start, sample := len(dst), data[:min(len(data), 1024)]
	dst = appendEscaped(dst, sample, "")
	if len(dst)-start > 2*len(sample)+16 {
		return base64.StdEncoding.AppendEncode(append(dst[:start], '%'), data)
	}
	dst = dst[:start]
	if len(data) > 0 && data[0] == '%' {
		dst = append(dst, '\\')
	}
	return appendEscaped(dst, data, "")
}

func parseDumpField(field string) ([]byte, error) {
	if encoded, ok := strings.CutPrefix(field, "%"); ok {
		return base64.StdEncoding.DecodeString(encoded)
	}
	return unescape(field)
}

// A dumpReader reads a dump and gives a sink what the sums vouch for.
type dumpReader struct {
	in             *bufio.Reader
	sum            *xxhash.Digest // of the lines before the current one
	line           int
	buckets, pairs uint64
	open           bool        // the last pair may go on
	pending        []dumpEntry // read, but not yet vouched for
	progress       *progress
}

// A dumpEntry is a bucket, or a pair of the last bucket before it.
type dumpEntry struct {
	path       bucketPath // nil for a pair
	sequence   uint64
	key, value []byte
}

// readDump gives sink the content of a dump. What it has given when it fails is a beginning
// of the dump.
func readDump(in io.Reader, sink contentSink, progress *progress) (*dumpReader, error) {
	d := &dumpReader{in: bufio.NewReaderSize(in, 1<<20), sum: xxhash.New(), progress: progress}
	for {
		line, err := d.in.ReadBytes('\n')
		d.line++
		switch {
		case err == io.EOF:
			return d, fmt.Errorf("the dump is cut off at line %d", d.line)
		case err != nil:
			return d, err
		case d.line == 1 && string(line) != dumpHeader:
			return d, errors.New("this is not a dump of version 1: its first line is not \"folio-dump 1\"")
		}
		d.progress.advance(int64(len(line)))
		if d.line > 1 {
			done, err := d.readLine(string(line[:len(line)-1]), sink)
			if err != nil {
				return d, fmt.Errorf("line %d of the dump: %w", d.line, err)
			}
			if done {
				return d, d.expectEOF()
			}
		}
		d.sum.Write(line)
	}
}

func (d *dumpReader) expectEOF() error {
	if _, err := d.in.ReadByte(); err != io.EOF {
		return errors.New("something follows the end of the dump")
	}
	return nil
}

var errDumpSyntax = errors.New("its syntax is wrong")

func (d *dumpReader) readLine(line string, sink contentSink) (done bool, err error) {
	kind, rest, _ := strings.Cut(line, "\t")
	fields := strings.Split(rest, "\t")
	if want := map[string]int{"bucket": 2, "pair": 2, "more": 1, "sum": 1, "end": 3}[kind]; want != len(fields) {
		return false, errDumpSyntax
	}
	if kind != "more" {
		d.open = kind == "pair"
	}
	switch kind {
	case "bucket":
		return false, d.readBucket(fields[0], fields[1])
	case "pair":
		return false, d.readPair(fields[0], fields[1])
	case "more":
		return false, d.readMore(fields[0])
	case "sum":
		return false, d.flush(fields[0], sink)
	}
	if fields[0] != strconv.FormatUint(d.buckets, 10) || fields[1] != strconv.FormatUint(d.pairs, 10) {
		return false, fmt.Errorf("it ends %s buckets and %s pairs, but %d and %d came before", fields[0], fields[1], d.buckets, d.pairs)
	}
	return true, d.flush(fields[2], sink)
}

func (d *dumpReader) readBucket(path, sequence string) error {
	p, err := parseBucket(path)
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(sequence, 10, 64)
	if err != nil {
		return errDumpSyntax
	}
	d.buckets++
	d.pending = append(d.pending, dumpEntry{path: p, sequence: n})
	return nil
}

func (d *dumpReader) readPair(keyField, valueField string) error {
	key, keyErr := parseDumpField(keyField)
	value, err := parseDumpField(valueField)
	if err := errors.Join(keyErr, err); err != nil {
		return err
	}
	if d.buckets == 0 {
		return errors.New("a pair comes before any bucket")
	}
	d.pairs++
	d.pending = append(d.pending, dumpEntry{key: key, value: value})
	return nil
}

func (d *dumpReader) readMore(field string) error {
	chunk, err := parseDumpField(field)
	if err != nil {
		return err
	}
	if !d.open || len(d.pending) == 0 {
		return errors.New("there is no pair that could go on here")
	}
	last := &d.pending[len(d.pending)-1]
	last.value = append(last.value, chunk...)
	return nil
}

// flush gives the sink what is pending, if the sum is right.
func (d *dumpReader) flush(sum string, sink contentSink) error {
	if got := fmt.Sprintf("%016x", d.sum.Sum64()); got != sum {
		return fmt.Errorf("the dump was changed: the sum of the lines before is %s, not %s", got, sum)
	}
	for _, entry := range d.pending {
		var err error
		if entry.path != nil {
			err = sink.beginBucket(entry.path, entry.sequence)
		} else {
			err = sink.put(entry.key, entry.value)
		}
		if err != nil {
			return err
		}
	}
	clear(d.pending)
	d.pending = d.pending[:0]
	return nil
}
