package workload

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// A Blob describes a key, a name or a value in a few characters. Its text is
//
//   - nil
//     "abc"      these bytes, quoted as in Go
//     k7         the number 7 as a key: "k007"
//     k7*255     the same, filled up to 255 bytes at its end
//     p7*255     filled up at its beginning: such keys of one length share a long prefix
//     b7         a few of the bytes 00, 'a' and ff: such keys are often prefixes of each other
//     v7*4096    4096 bytes that look random; 7 is their seed
type Blob struct {
	Shape byte // '-', '"', 'k', 'p', 'b' or 'v'; 0 is '-'
	ID    int
	Len   int    // 0: no filling; of a 'v' the length
	Text  string // of a '"'
}

// Nil is the Blob for nil.
var Nil = Blob{Shape: '-'}

// Literal returns the Blob for s.
func Literal(s string) Blob { return Blob{Shape: '"', Text: s} }

// Key returns the key with a number, at least n bytes long.
func Key(id, n int) Blob { return Blob{Shape: 'k', ID: id, Len: n} }

// Value returns a value of n bytes.
func Value(id, n int) Blob { return Blob{Shape: 'v', ID: id, Len: n} }

// Bytes returns what the Blob describes; nil for Nil, else never nil.
func (b Blob) Bytes() []byte {
	switch b.Shape {
	case '"':
		return append([]byte{}, b.Text...)
	case 'k':
		return pad(fmt.Appendf(nil, "k%03d", b.ID), b.Len, false)
	case 'p':
		return pad(fmt.Appendf(nil, "%03d", b.ID), b.Len, true)
	case 'b':
		return ternary(b.ID)
	case 'v':
		return noise(b.ID, b.Len)
	}
	return nil
}

// pad fills key up to n bytes.
func pad(key []byte, n int, before bool) []byte {
	fill := bytes.Repeat([]byte("."), max(0, n-len(key)))
	if before {
		return append(fill, key...)
	}
	return append(key, fill...)
}

// ternary writes id+1 in the digits 1 to 3, as the bytes 00, 'a' and ff: every number has its
// own sequence, and none is empty.
func ternary(id int) []byte {
	key := []byte{}
	for id++; id > 0; id = (id - 1) / 3 {
		key = append(key, [...]byte{0, 'a', 0xff}[(id-1)%3])
	}
	return key
}

// noise returns n bytes that depend on id.
func noise(id, n int) []byte {
	p := make([]byte, 0, n+8)
	x := uint64(id)*0x9E3779B97F4A7C15 + 0x1234567
	for len(p) < n {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		p = binary.LittleEndian.AppendUint64(p, x)
	}
	return p[:n]
}

// String returns the text.
func (b Blob) String() string {
	switch b.Shape {
	case '"':
		return strings.NewReplacer(" ", `\x20`, "/", `\x2f`).Replace(strconv.Quote(b.Text))
	case 'k', 'p', 'b', 'v':
		if b.Len == 0 && b.Shape != 'v' {
			return fmt.Sprintf("%c%d", b.Shape, b.ID)
		}
		return fmt.Sprintf("%c%d*%d", b.Shape, b.ID, b.Len)
	}
	return "-"
}

// ParseBlob reads what String wrote.
func ParseBlob(s string) (Blob, error) {
	if s == "-" {
		return Nil, nil
	}
	if strings.HasPrefix(s, `"`) {
		text, err := strconv.Unquote(s)
		return Literal(text), err
	}
	if s == "" || !strings.Contains("kpbv", s[:1]) {
		return Nil, fmt.Errorf("%q is no key or value", s)
	}
	id, n, filled := strings.Cut(s[1:], "*")
	b := Blob{Shape: s[0]}
	var err error
	if b.ID, err = strconv.Atoi(id); err != nil {
		return Nil, err
	}
	if filled {
		b.Len, err = strconv.Atoi(n)
	}
	return b, err
}

// A Path names a bucket by the names on the way to it; its text is "/k1/k2", the root's "/".
type Path []Blob

// String returns the text.
func (p Path) String() string {
	if len(p) == 0 {
		return "/"
	}
	var s strings.Builder
	for _, b := range p {
		s.WriteString("/" + b.String())
	}
	return s.String()
}

// ParsePath reads what String wrote.
func ParsePath(s string) (Path, error) {
	rest, ok := strings.CutPrefix(s, "/")
	if !ok {
		return nil, fmt.Errorf("%q is no path", s)
	}
	if rest == "" {
		return nil, nil
	}
	var p Path
	for name := range strings.SplitSeq(rest, "/") {
		b, err := ParseBlob(name)
		if err != nil {
			return nil, err
		}
		p = append(p, b)
	}
	return p, nil
}
