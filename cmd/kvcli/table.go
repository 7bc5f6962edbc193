package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// tableOptions say how to read a table.
type tableOptions struct {
	kind   string // tsv, csv or jsonl
	key    string // number or name of the key's field; "" is the first
	header bool   // the first row names the fields
}

// A tableSource gives the rows of a table.
type tableSource struct {
	options tableOptions
	name    string
	length  int64
	file    io.Closer
	in      *bufio.Reader
	counter *countingReader
}

func newTableSource(file io.ReadCloser, name string, length int64, options tableOptions) (source, error) {
	if options.header && options.kind == "jsonl" {
		return nil, errors.New("--header is for .tsv and .csv: the members of JSON objects have names")
	}
	counter := &countingReader{r: file}
	in := bufio.NewReaderSize(counter, 1<<20)
	if mark, err := in.Peek(3); err == nil && string(mark) == "\ufeff" {
		in.Discard(3)
	}
	return &tableSource{options: options, name: name, length: length, file: file, in: in, counter: counter}, nil
}

func (t *tableSource) noun() string { return "rows" }

func (t *tableSource) size() int64 { return t.length }

func (t *tableSource) close() error { return t.file.Close() }

func (t *tableSource) each(w *feed) error {
	t.counter.progress = w.progress
	if t.length < 0 {
		t.counter.r = interruptibleReader(w.ctx, t.counter.r)
	}
	switch t.options.kind {
	case "csv":
		return t.eachRecord(w)
	case "jsonl":
		return t.eachLine(func(line []byte) error { return t.putObject(w, line) })
	default:
		return t.eachTSV(w)
	}
}

// eachLine calls fn with every line that is not empty, and adds the line's number to errors.
func (t *tableSource) eachLine(fn func(line []byte) error) error {
	for number := 1; ; number++ {
		line, err := t.in.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return err
		}
		atEnd := err == io.EOF
		if line = bytes.TrimSuffix(line, []byte("\n")); len(line) > 0 {
			if err := fn(line); err != nil {
				return t.at(number, err)
			}
		}
		if atEnd {
			return nil
		}
	}
}

func (t *tableSource) at(line int, err error) error {
	if errors.Is(err, errInterrupted) {
		return err
	}
	return fmt.Errorf("%s, line %d: %w", t.name, line, err)
}

func (t *tableSource) eachTSV(w *feed) error {
	field, header := -1, t.options.header
	return t.eachLine(func(line []byte) (err error) {
		if field < 0 {
			var names []string
			if header {
				names = strings.Split(string(line), "\t")
			}
			if field, err = t.options.keyField(names); err != nil || header {
				return err
			}
		}
		key, value, err := cutField(line, field)
		if err != nil {
			return err
		}
		return w.put(key, value)
	})
}

// cutField parts a line of tab-separated fields into the field with the given index and the
// others.
func cutField(line []byte, index int) (field, rest []byte, err error) {
	if index == 0 {
		field, rest, found := bytes.Cut(line, []byte("\t"))
		if !found {
			return nil, nil, errors.New("there is no tab between key and value")
		}
		return field, rest, nil
	}
	fields := bytes.Split(line, []byte("\t"))
	if index >= len(fields) {
		return nil, nil, fmt.Errorf("the key is field %d, but there are only %d", index+1, len(fields))
	}
	field = fields[index]
	return field, bytes.Join(slices.Delete(fields, index, index+1), []byte("\t")), nil
}

// keyField is the index of the key's field, given the names of the fields if they have any.
func (o tableOptions) keyField(names []string) (int, error) {
	if o.key == "" {
		return 0, nil
	}
	if i := slices.Index(names, o.key); i >= 0 {
		return i, nil
	}
	n, err := strconv.Atoi(o.key)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("there is no field %q (--key takes a number from 1 on, or with --header a name)", o.key)
	}
	return n - 1, nil
}

func (t *tableSource) eachRecord(w *feed) error {
	records := csv.NewReader(t.in)
	records.ReuseRecord = true
	field, header := -1, t.options.header
	for {
		record, err := records.Read()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		line, _ := records.FieldPos(0)
		if field < 0 {
			var names []string
			if header {
				names = record
			}
			if field, err = t.options.keyField(names); err != nil {
				return t.at(line, err)
			}
			if header {
				continue
			}
		}
		if field >= len(record) {
			return t.at(line, fmt.Errorf("the key is field %d, but there are only %d", field+1, len(record)))
		}
		key := []byte(record[field])
		if err := w.put(key, recordValue(slices.Delete(record, field, field+1))); err != nil {
			return t.at(line, err)
		}
	}
}

// recordValue is what is stored of the fields beside the key: one as it is, several as a record.
func recordValue(fields []string) []byte {
	if len(fields) == 1 {
		return []byte(fields[0])
	}
	var b bytes.Buffer
	if len(fields) > 0 {
		w := csv.NewWriter(&b)
		_ = w.Write(fields) // to memory, and the separator is valid
		w.Flush()
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// A member of a JSON object.
type member struct {
	name  string
	value json.RawMessage
}

// putObject stores a line that is a JSON object.
func (t *tableSource) putObject(w *feed, line []byte) error {
	members, err := parseObject(line)
	if err != nil {
		return err
	}
	index := 0
	if t.options.key != "" {
		index = slices.IndexFunc(members, func(m member) bool { return m.name == t.options.key })
	}
	if index < 0 || len(members) == 0 {
		return fmt.Errorf("the object has no member %q", t.options.key)
	}
	key, err := keyOf(members[index])
	if err != nil {
		return err
	}
	members = slices.Delete(members, index, index+1)
	if len(members) == 1 && members[0].name == "bucket" && string(members[0].value) == "true" {
		w.skipped["buckets"]++
		return nil
	}
	value, err := valueOf(members)
	if err != nil {
		return err
	}
	return w.put(key, value)
}

// parseObject reads the members of a JSON object in their order.
func parseObject(line []byte) ([]member, error) {
	var members []member
	d := json.NewDecoder(bytes.NewReader(line))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("it is not a JSON object")
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		m := member{name: name.(string)} // names are strings, or Token had failed
		if err := d.Decode(&m.value); err != nil {
			return nil, err
		}
		members = append(members, m)
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("something follows the JSON object")
	}
	return members, nil
}

// keyOf is the text of a string or number, or the bytes of a member that scan --json wrote in base64.
func keyOf(m member) ([]byte, error) {
	if m.name == "key_base64" {
		return base64Of(m)
	}
	var text string
	if json.Unmarshal(m.value, &text) == nil && m.value[0] == '"' {
		return []byte(text), nil
	}
	var number json.Number
	if json.Unmarshal(m.value, &number) != nil {
		return nil, fmt.Errorf("member %q is the key, but neither a string nor a number", m.name)
	}
	return []byte(number), nil
}

// valueOf is what is stored of the members beside the key.
func valueOf(members []member) ([]byte, error) {
	if len(members) == 1 && members[0].name == "value_base64" {
		return base64Of(members[0])
	}
	if len(members) == 1 && members[0].name == "value" {
		var text string
		if members[0].value[0] == '"' && json.Unmarshal(members[0].value, &text) == nil {
			return []byte(text), nil
		}
		return members[0].value, nil
	}
	if len(members) == 0 {
		return []byte{}, nil
	}
	value := []byte{'{'}
	for _, m := range members {
		value = append(append(value, jsonText(m.name)...), ':')
		value = append(append(value, m.value...), ',')
	}
	value[len(value)-1] = '}'
	return value, nil
}

func base64Of(m member) ([]byte, error) {
	var text string
	if err := json.Unmarshal(m.value, &text); err != nil {
		return nil, fmt.Errorf("member %q is not a string", m.name)
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("member %q: %w", m.name, err)
	}
	return data, nil
}

// A countingReader tells a progress what is read through it.
type countingReader struct {
	r        io.Reader
	progress *progress
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if c.progress != nil {
		c.progress.advance(int64(n))
	}
	return n, err
}
