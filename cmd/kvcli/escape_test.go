package main

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"
)

func allBytes() []byte {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	return all
}

// What is escaped is one line of printable text, and unescapes to what it was.
func FuzzEscape(f *testing.F) {
	f.Add(allBytes(), `"`)
	f.Add([]byte("é\u200b\xff%\\n"), "%é")
	f.Add([]byte("a/b\\/c"), "/")
	f.Fuzz(func(t *testing.T, data []byte, special string) {
		for _, r := range special {
			if r >= 0x80 || !strings.ContainsRune(`/"'% ;#@-`, r) {
				t.Skip("only punctuation is special")
			}
		}
		escaped := appendEscaped(nil, data, special)
		if i := bytes.IndexFunc(escaped, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd && !bytes.ContainsRune(data, r) }); i >= 0 {
			t.Fatalf("%q escapes to %q, which does not show safely", data, escaped)
		}
		back, err := unescape(string(escaped))
		if err != nil || !bytes.Equal(back, data) {
			t.Fatalf("%q escapes to %q, which unescapes to %q, %v", data, escaped, back, err)
		}
		field := string(appendDumpField(nil, data))
		back, err = parseDumpField(field)
		if err != nil || !bytes.Equal(back, data) || strings.ContainsAny(field, "\t\n") {
			t.Fatalf("%q is %q in a dump, which is read as %q, %v", data, field, back, err)
		}
	})
}

// A bucket path shows as it is read, and completion offers what the shell reads.
func FuzzBucketPath(f *testing.F) {
	f.Add([]byte("a"), []byte("b/c"))
	f.Add([]byte(".."), []byte("."))
	f.Add(allBytes(), []byte(" ;#\"'"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if len(a) == 0 || len(b) == 0 {
			t.Skip("names are not empty")
		}
		path := bucketPath{a, b}
		back, err := parseBucketPath(path.String())
		if err != nil || !reflect.DeepEqual(back, path) {
			t.Fatalf("%q shows as %s, which is read as %q, %v", path, path, back, err)
		}
		commands, err := shellCommands("cd " + escapedWord(path.String()))
		if err != nil || len(commands) != 1 || len(commands[0]) != 2 {
			t.Fatalf("%s is offered as %s, which is read as %q, %v", path, escapedWord(path.String()), commands, err)
		}
		if back, err := parseBucketPath(commands[0][1]); err != nil || !reflect.DeepEqual(back, path) {
			t.Fatalf("%q is read as %q, %v", commands[0][1], back, err)
		}
	})
}

func TestUnescapeRefuses(t *testing.T) {
	for _, s := range []string{`\`, `a\`, `\x`, `\x1`, `\xg0`, `\q`, `\é`, `\0`} {
		if got, err := unescape(s); err == nil {
			t.Errorf("%s is read as %q", s, got)
		}
	}
}

func TestShellLine(t *testing.T) {
	for _, test := range []struct {
		line string
		want [][]string
	}{
		{``, nil},
		{`  # only a remark`, nil},
		{`get a`, [][]string{{"get", "a"}}},
		{`get a; get b;;get c # remark ; get d`, [][]string{{"get", "a"}, {"get", "b"}, {"get", "c"}}},
		{`get a#b`, [][]string{{"get", "a#b"}}},
		{`put "a b" 'c;d'`, [][]string{{"put", "a b", "c;d"}}},
		{`put a\ b c`, [][]string{{"put", `a\ b`, "c"}}},
		{`put "a\"b" 'c\d'`, [][]string{{"put", `a\"b`, `c\\d`}}},
		{`put "" ''`, [][]string{{"put", "", ""}}},
		{`put "0x41" 0x41`, [][]string{{"put", `\x30x41`, "0x41"}}},
		{`put "@f" "-" '--keys' @f - --keys`, [][]string{{"put", `\@f`, `\-`, `\--keys`, "@f", "-", "--keys"}}},
		{`put a"b c"d e`, [][]string{{"put", "ab cd", "e"}}},
	} {
		got, err := shellCommands(test.line)
		if err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s is read as %q, %v; want %q", test.line, got, err, test.want)
		}
	}
	for _, line := range []string{`get "a`, `get 'a`, `get "a\"`} {
		if got, err := shellCommands(line); err == nil {
			t.Errorf("%s is read as %q", line, got)
		}
	}
}

func TestPrefixEnd(t *testing.T) {
	for prefix, want := range map[string][]byte{
		"":         nil,
		"a":        []byte("b"),
		"a\xff":    []byte("b"),
		"\xff\xff": nil,
		"a\x00":    []byte("a\x01"),
	} {
		if got := prefixEnd([]byte(prefix)); !bytes.Equal(got, want) || (got == nil) != (want == nil) {
			t.Errorf("the end of prefix %q is %q, want %q", prefix, got, want)
		}
	}
}

func TestHistogram(t *testing.T) {
	var h histogram
	for i := range 1000 {
		h.record(time.Duration(i+1) * time.Microsecond)
	}
	for part, want := range map[float64]time.Duration{0.5: 500, 0.9: 900, 0.99: 990, 1: 1000} {
		want *= time.Microsecond
		if got := h.percentile(part); got < want || got > want+want/8 {
			t.Errorf("the percentile %v is %v, want about %v", part, got, want)
		}
	}
	for d := time.Duration(0); d < 1<<40; d += d/7 + 1 {
		if end := bucketEnd(bucketOf(d)); end <= d || end > d+d/16+1 {
			t.Fatalf("%d is in a bucket that ends at %d", d, end)
		}
	}
}

func TestSizesForPeople(t *testing.T) {
	for n, want := range map[size]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 1 << 40: "1.0 TiB"} {
		if got := n.short(); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}
