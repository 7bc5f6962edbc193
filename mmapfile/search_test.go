package mmapfile_test

import (
	"math"
	"regexp"
	"testing"

	"github.com/foliokv/folio/mmapfile"
)

func TestFind(t *testing.T) {
	f := openTemp(t, "abcabcabc", mmapfile.ReadOnly)
	for _, c := range []struct {
		sub         string
		start, end  int
		first, last int
	}{
		{"abc", 0, -1, 0, 6}, {"abc", 1, -1, 3, 6}, {"abc", 0, 8, 0, 3}, {"abc", 0, 9, 0, 6}, {"abc", 7, -1, -1, -1},
		{"abc", 3, 6, 3, 3}, {"abc", 3, 5, -1, -1}, {"x", 0, -1, -1, -1}, {"abc", 0, math.MaxInt, 0, 6},
		{"abc", -5, -1, 0, 6}, {"abc", 9, -1, -1, -1}, {"abc", 10, -1, -1, -1}, {"abc", 6, 3, -1, -1},
		{"", 2, 5, 2, 5}, {"", 9, -1, 9, 9}, {"", 10, -1, -1, -1}, {"abc", 0, 0, -1, -1}, {"abc", math.MaxInt, -1, -1, -1},
		{"abcabcabc", 0, -1, 0, 0}, {"abcabcabca", 0, -1, -1, -1}, {"abc", math.MinInt, math.MinInt, 0, 6},
	} {
		if i, err := f.Find([]byte(c.sub), c.start, c.end); i != c.first || err != nil {
			t.Errorf("Find%v: %d, %v", c, i, err)
		}
		if i, err := f.FindLast([]byte(c.sub), c.start, c.end); i != c.last || err != nil {
			t.Errorf("FindLast%v: %d, %v", c, i, err)
		}
	}
	if f.Tell() != 0 {
		t.Errorf("the position moved to %d", f.Tell())
	}
}

func TestMove(t *testing.T) {
	for _, access := range []mmapfile.Access{mmapfile.ReadWrite, mmapfile.Copy} {
		for _, c := range []struct {
			dst, src, count int
			want            string
		}{
			{0, 5, 3, "5673456789"}, {2, 0, 8, "0101234567"}, {0, 2, 8, "2345678989"}, {4, 4, 6, "0123456789"},
			{10, 0, 0, "0123456789"}, {0, 10, 0, "0123456789"}, {0, 0, 10, "0123456789"},
		} {
			f := openTemp(t, "0123456789", access)
			if err := f.Move(c.dst, c.src, c.count); err != nil || string(f.Bytes()) != c.want {
				t.Errorf("%v: %q, %v", c, f.Bytes(), err)
			}
		}
		f := openTemp(t, "0123456789", access)
		for _, c := range [][3]int{
			{8, 0, 3}, {0, 8, 3}, {-1, 0, 1}, {0, -1, 1}, {0, 0, -1}, {0, 0, 11}, {11, 0, 0}, {0, 11, 0},
			{1, 0, math.MaxInt}, {math.MaxInt, 0, math.MaxInt}, {math.MinInt, 0, 1}, {0, 1, math.MinInt},
		} {
			wantError(t, "outside", f.Move(c[0], c[1], c[2]), mmapfile.ErrOutOfRange)
		}
		if string(f.Bytes()) != "0123456789" {
			t.Errorf("a failed Move left %q", f.Bytes())
		}
	}
	f := openTemp(t, "0123456789", mmapfile.ReadOnly)
	wantError(t, "read-only", f.Move(0, 0, 0), mmapfile.ErrReadOnly)
}

func TestRegularExpressions(t *testing.T) {
	f := openTemp(t, "Grüße an alle. Viele Grüße!", mmapfile.ReadOnly)
	re := regexp.MustCompile(`Gr\S+e`)
	if got := re.FindAllIndex(f.Bytes(), -1); len(got) != 2 {
		t.Errorf("%v", got)
	}
	if got := re.FindReaderIndex(f); len(got) != 2 || string(f.Bytes()[got[0]:got[1]]) != "Grüße" {
		t.Errorf("by runes: %v", got)
	}
}
