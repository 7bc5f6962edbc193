package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// A format is a way to write bytes down, and to read them back.
type format string

const (
	// formatAuto stands for the user's silence: output is quoted on a terminal and raw
	// elsewhere; input is text with escapes, 0x.., @file or -.
	formatAuto   format = ""
	formatRaw    format = "raw"
	formatText   format = "text"
	formatHex    format = "hex"
	formatBase64 format = "base64"
	formatJSON   format = "json"
	formatUint64 format = "uint64"

	// formatQuoted is what formatAuto means on a terminal; it has no name for users.
	formatQuoted format = "quoted"
)

var formatNames = []string{"raw", "text", "hex", "base64", "json", "uint64"}

const formatHelp = `Formats (--as for values, --key-as for keys): raw bytes; text, with \xNN, \n, \t
and \\ for what a line cannot hold; hex; base64; json, a document as it is;
uint64, eight bytes with the highest first, as a decimal number.`

const inputHelp = `A KEY or VALUE is text in which \xNN, \n, \t and \\ are escapes; 0x.. is bytes in
hexadecimal, @FILE a file's content and - what standard input holds. With --as or
--key-as the argument is in that format and nothing else; raw takes it as it is.`

// String, Set and Type make a format a flag.
func (f *format) String() string { return string(*f) }

func (f *format) Set(s string) error {
	if !slices.Contains(formatNames, s) {
		return fmt.Errorf("it is one of %s", strings.Join(formatNames, ", "))
	}
	*f = format(s)
	return nil
}

func (f *format) Type() string { return "format" }

func addFormatFlag(cmd *cobra.Command, f *format, name, what string) {
	cmd.Flags().Var(f, name, what+": "+strings.Join(formatNames, ", "))
	// The error tells that the flag does not exist.
	_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(toCompletions(formatNames), cobra.ShellCompDirectiveNoFileComp))
}

func toCompletions(names []string) []cobra.Completion { return names }

var _ pflag.Value = (*format)(nil)

// orDefault is f, or where the user was silent what suits the output.
func (f format) orDefault(terminal bool) format {
	switch {
	case f != formatAuto:
		return f
	case terminal:
		return formatQuoted
	default:
		return formatRaw
	}
}

// append appends data in the format.
func (f format) append(dst, data []byte) []byte {
	switch f {
	case formatText:
		return appendEscaped(dst, data, "")
	case formatQuoted:
		return appendQuoted(dst, data)
	case formatHex:
		return hex.AppendEncode(dst, data)
	case formatBase64:
		return base64.StdEncoding.AppendEncode(dst, data)
	case formatJSON:
		return append(dst, jsonDocument(data)...)
	case formatUint64:
		if len(data) != 8 {
			return hex.AppendEncode(append(dst, "0x"...), data)
		}
		return strconv.AppendUint(dst, binary.BigEndian.Uint64(data), 10)
	default:
		return append(dst, data...)
	}
}

// jsonDocument is data itself, in one line, if it is JSON, and otherwise a JSON string: of
// the text, or of the base64 of what is not UTF-8.
func jsonDocument(data []byte) []byte {
	var compact bytes.Buffer
	switch {
	case json.Compact(&compact, data) == nil:
		return compact.Bytes()
	case utf8.Valid(data):
		return jsonText(string(data))
	default:
		return jsonText(base64.StdEncoding.EncodeToString(data))
	}
}

// jsonText is v as JSON in one line, with < and > left alone.
func jsonText(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // only values that JSON has are given to it
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// appendField appends data as the member name of a JSON object. In the user's silence text is
// a string, and what is not UTF-8 goes by the name name_base64.
func (f format) appendField(dst []byte, name string, data []byte) []byte {
	switch {
	case f == formatJSON:
		return append(append(dst, `"`+name+`":`...), jsonDocument(data)...)
	case f == formatUint64 && len(data) == 8:
		return append(f.append(append(dst, `"`+name+`":"`...), data), '"')
	case f == formatAuto || f == formatRaw || f == formatQuoted:
		if !utf8.Valid(data) {
			return formatBase64.appendField(dst, name+"_base64", data)
		}
		return append(append(dst, `"`+name+`":`...), jsonText(string(data))...)
	default:
		return append(append(dst, `"`+name+`":`...), jsonText(string(f.append(nil, data)))...)
	}
}

// parse reads an argument in the format.
func (f format) parse(s string) (data []byte, err error) {
	switch f {
	case formatRaw:
		return []byte(s), nil
	case formatText, formatAuto:
		return unescape(s)
	case formatHex:
		data, err = hex.DecodeString(s)
	case formatBase64:
		data, err = base64.StdEncoding.DecodeString(s)
	case formatJSON:
		if data = []byte(s); !json.Valid(data) {
			err = errors.New("the syntax is wrong")
		}
	case formatUint64:
		var n uint64
		n, err = strconv.ParseUint(s, 10, 64)
		data = binary.BigEndian.AppendUint64(nil, n)
	}
	if err != nil {
		return nil, fmt.Errorf("%s is not %s: %w", quote([]byte(s)), f, err)
	}
	return data, nil
}

// input reads a KEY or VALUE argument, which may stand for a file or standard input.
func (c *cli) input(f format, s string) ([]byte, error) {
	if f != formatAuto {
		return f.parse(s)
	}
	switch {
	case s == "-":
		return io.ReadAll(c.in)
	case strings.HasPrefix(s, "@"):
		return os.ReadFile(s[1:])
	case strings.HasPrefix(s, "0x"):
		data, err := hex.DecodeString(s[2:])
		if err != nil {
			return nil, fmt.Errorf("%s is not hexadecimal; for the text itself use --as text or --key-as text", s)
		}
		return data, nil
	default:
		return f.parse(s)
	}
}
