package main

import (
	"bytes"
	"iter"

	"github.com/foliokv/folio"
	"github.com/spf13/cobra"
)

// A keyRange says which keys of a bucket a command is about.
type keyRange struct {
	keyAs            format
	prefix, from, to string
}

func (r *keyRange) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.prefix, "prefix", "", "only keys that begin with this")
	cmd.Flags().StringVar(&r.from, "from", "", "only this key and those after it")
	cmd.Flags().StringVar(&r.to, "to", "", "only keys before this one")
	addFormatFlag(cmd, &r.keyAs, "key-as", "how keys are written")
}

// isSet tells whether any flag limits the range.
func (r *keyRange) isSet(cmd *cobra.Command) bool {
	return cmd.Flags().Changed("prefix") || cmd.Flags().Changed("from") || cmd.Flags().Changed("to")
}

// bounds are the first key of the range and the first behind it; nil is open.
func (r *keyRange) bounds(c *cli, cmd *cobra.Command) (lo, hi []byte, err error) {
	read := func(name, s string) (key []byte) {
		if err == nil && cmd.Flags().Changed(name) {
			key, err = c.input(r.keyAs, s)
		}
		return key
	}
	prefix, from, to := read("prefix", r.prefix), read("from", r.from), read("to", r.to)
	lo, hi = prefix, prefixEnd(prefix)
	if from != nil && bytes.Compare(from, lo) > 0 {
		lo = from
	}
	if to != nil && (hi == nil || bytes.Compare(to, hi) < 0) {
		hi = to
	}
	return lo, hi, err
}

// prefixEnd is the first key behind all that begin with prefix; nil if there is none.
func prefixEnd(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < 0xff {
			end := bytes.Clone(prefix[:i+1])
			end[i]++
			return end
		}
	}
	return nil
}

// backwardRange is Bucket.Range from its end to its beginning.
func backwardRange(bucket *folio.Bucket, lo, hi []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		cursor := bucket.Cursor()
		key, value := cursor.Last()
		if hi != nil {
			if at, _ := cursor.Seek(hi); at == nil {
				key, value = cursor.Last()
			} else {
				key, value = cursor.Prev()
			}
		}
		for key != nil && bytes.Compare(key, lo) >= 0 && yield(key, value) {
			key, value = cursor.Prev()
		}
	}
}

// A pairStyle is how a command prints keys and values.
type pairStyle struct {
	keyAs, as format
	json      bool
	keysOnly  bool
}

func (s *pairStyle) addFlags(cmd *cobra.Command) {
	addFormatFlag(cmd, &s.as, "as", "how to print values")
	addJSONFlag(cmd, &s.json)
	cmd.Flags().BoolVar(&s.keysOnly, "keys", false, "print keys only")
}

// shortValue is how much of a value is shown on a terminal where the user asked for no format.
const shortValue = 200

// appendLine appends the line for a pair: key, tab, value. A nested bucket (value nil) is its
// name and a slash.
func (s *pairStyle) appendLine(dst []byte, terminal bool, key, value []byte) []byte {
	if s.json {
		return s.appendJSON(dst, key, value)
	}
	dst = s.keyAs.orDefault(terminal).append(dst, key)
	switch {
	case value == nil:
		dst = append(dst, '/')
	case s.keysOnly:
	case terminal && s.as == formatAuto && len(value) > shortValue:
		dst = appendQuoted(append(dst, '\t'), value[:shortValue])
		dst = append(dst, "... "+size(len(value)).short()...)
	default:
		dst = s.as.orDefault(terminal).append(append(dst, '\t'), value)
	}
	return append(dst, '\n')
}

// appendJSON appends the pair as a JSON object in a line.
func (s *pairStyle) appendJSON(dst, key, value []byte) []byte {
	dst = s.keyAs.appendField(append(dst, '{'), "key", key)
	switch {
	case value == nil:
		dst = append(dst, `,"bucket":true`...)
	case !s.keysOnly:
		dst = s.as.appendField(append(dst, ','), "value", value)
	}
	return append(dst, "}\n"...)
}
