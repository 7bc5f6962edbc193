package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// appendEscaped appends data so that it shows safely on a terminal, takes one line, and
// unescape gives it back: printable UTF-8 as it is, a backslash before itself and before the
// ASCII characters in special, \n \t \r, and \xNN for every other byte.
func appendEscaped(dst, data []byte, special string) []byte {
	for len(data) > 0 {
		plain := 0
		for plain < len(data) && isPlain(data[plain], special) {
			plain++
		}
		dst = append(dst, data[:plain]...)
		if data = data[plain:]; len(data) == 0 {
			break
		}
		r, size := utf8.DecodeRune(data)
		switch {
		case r == '\\' || r < utf8.RuneSelf && strings.ContainsRune(special, r):
			dst = append(dst, '\\', byte(r))
		case r == '\n':
			dst = append(dst, `\n`...)
		case r == '\t':
			dst = append(dst, `\t`...)
		case r == '\r':
			dst = append(dst, `\r`...)
		case r == utf8.RuneError && size == 1, !unicode.IsPrint(r):
			for _, b := range data[:size] {
				dst = append(dst, '\\', 'x', hexDigits[b>>4], hexDigits[b&15])
			}
		default:
			dst = append(dst, data[:size]...)
		}
		data = data[size:]
	}
	return dst
}

const hexDigits = "0123456789abcdef"

// isPlain tells that a byte stands for itself: ASCII that is printable and needs no backslash.
func isPlain(b byte, special string) bool {
	return ' ' <= b && b <= '~' && b != '\\' && (special == "" || strings.IndexByte(special, b) < 0)
}

// quote shows data in double quotes, safely for a terminal.
func quote(data []byte) string {
	return string(appendQuoted(nil, data))
}

func appendQuoted(dst, data []byte) []byte {
	dst = append(dst, '"')
	dst = appendEscaped(dst, data, `"`)
	return append(dst, '"')
}

var errLoneBackslash = errors.New(`it ends in a lone backslash; write \\ for a backslash`)

// unescape reads what appendEscaped writes. A backslash before any ASCII punctuation or a
// space makes it stand for itself.
func unescape(s string) ([]byte, error) {
	out := make([]byte, 0, len(s))
	for {
		i := strings.IndexByte(s, '\\')
		if i < 0 {
			return append(out, s...), nil
		}
		out = append(out, s[:i]...)
		if s = s[i+1:]; s == "" {
			return nil, errLoneBackslash
		}
		b, width, err := escapedByte(s)
		if err != nil {
			return nil, err
		}
		out = append(out, b)
		s = s[width:]
	}
}

// escapedByte reads the part of an escape behind its backslash; s is not empty.
func escapedByte(s string) (b byte, width int, err error) {
	switch ch := s[0]; {
	case ch == 'n':
		return '\n', 1, nil
	case ch == 't':
		return '\t', 1, nil
	case ch == 'r':
		return '\r', 1, nil
	case ch == 'x' && len(s) >= 3:
		n, err := strconv.ParseUint(s[1:3], 16, 8)
		if err != nil {
			return 0, 0, fmt.Errorf(`\%s is not a byte: it takes two hexadecimal digits`, s[:3])
		}
		return byte(n), 3, nil
	case ch < utf8.RuneSelf && (unicode.IsPunct(rune(ch)) || unicode.IsSymbol(rune(ch)) || ch == ' '):
		return ch, 1, nil
	default:
		r, _ := utf8.DecodeRuneInString(s)
		return 0, 0, fmt.Errorf(`\%c is not an escape; write \\ for a backslash`, r)
	}
}
