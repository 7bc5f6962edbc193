package mmapfile_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/foliokv/folio/mmapfile"
)

func TestAdvise(t *testing.T) {
	content := strings.Repeat("0123456789", 10_000)
	all := []mmapfile.Advice{mmapfile.Normal, mmapfile.Sequential, mmapfile.Random, mmapfile.WillNeed, mmapfile.DontNeed, mmapfile.HugePage}
	for _, access := range modes {
		f := openTemp(t, content, access)
		want := []byte(content)
		if access != mmapfile.ReadOnly {
			f.Bytes()[70_000], want[70_000] = 'x', 'x'
		}
		for _, a := range all {
			err := f.Advise(a)
			if a == mmapfile.DontNeed && access == mmapfile.Copy {
				wantError(t, "DontNeed", err, errors.ErrUnsupported)
			} else if err != nil {
				t.Errorf("%v, %v: %v", access, a, err)
			}
			if string(f.Bytes()) != string(want) {
				t.Errorf("%v: %v changed the contents", access, a)
			}
		}
		for _, a := range []mmapfile.Advice{-1, 6, 100} {
			if err := f.Advise(a); err == nil {
				t.Errorf("%v accepted", a)
			}
		}
	}
	file := tempFile(t, []byte(content))
	part, err := mmapfile.Map(file, 5001, 90_000, mmapfile.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer part.Close()
	for _, a := range all {
		if err := part.Advise(a); err != nil {
			t.Errorf("part, %v: %v", a, err)
		}
	}
}

func TestLockMemory(t *testing.T) {
	f := openTemp(t, strings.Repeat("0123456789", 1000), mmapfile.ReadWrite)
	if err := f.Unlock(); err != nil {
		t.Errorf("unlock without lock: %v", err)
	}
	if err := f.Lock(); err != nil {
		t.Skipf("the system does not let us: %v", err)
	}
	if pages, total, err := f.Resident(); pages != total || err != nil {
		t.Errorf("%d of %d pages, %v", pages, total, err)
	}
	if err := f.Unlock(); err != nil {
		t.Error(err)
	}
}

func TestResident(t *testing.T) {
	size := 16 * os.Getpagesize()
	f, err := mmapfile.Anonymous(size)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Advise(mmapfile.Random); err != nil {
		t.Error(err)
	}
	before, total, err := f.Resident()
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if total != 16 || err != nil {
		t.Fatalf("%d pages, %v", total, err)
	}
	if hasMaps && before > 1 {
		t.Errorf("%d pages before any was touched", before)
	}
	for i := range f.Bytes() {
		f.Bytes()[i] = 1
	}
	if after, _, err := f.Resident(); after != 16 || err != nil {
		t.Errorf("%d pages after all were touched, %v", after, err)
	}
}
