package mmapfile_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/foliokv/folio/mmapfile"
)

// exampleFile writes content to a new file; remove takes it away again.
func exampleFile(content string) (path string, remove func()) {
	dir, err := os.MkdirTemp("", "mmapfile")
	if err != nil {
		log.Fatal(err)
	}
	path = filepath.Join(dir, "data")
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		log.Fatal(err)
	}
	return path, func() {
		os.Remove(path)
		os.Remove(dir)
	}
}

// mapExample maps a new file with the given content.
func mapExample(content string, access mmapfile.Access) (f *mmapfile.File, done func()) {
	path, remove := exampleFile(content)
	f, err := mmapfile.Open(path, access)
	if err != nil {
		log.Fatal(err)
	}
	return f, func() {
		f.Close()
		remove()
	}
}

func Example() {
	path, remove := exampleFile("the quick brown fox")
	defer remove()

	f, err := mmapfile.Open(path, mmapfile.ReadWrite)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()

	i, err := f.Find([]byte("brown"), 0, -1)
	if err != nil {
		log.Fatal(err)
	}
	copy(f.Bytes()[i:], "green")
	if err := f.Flush(); err != nil {
		log.Fatal(err)
	}

	text, err := os.ReadFile(path)
	fmt.Printf("%s %v\n", text, err)
	// Output: the quick green fox <nil>
}

// A word is replaced by its reverse, in the file and in a copy.
func ExampleOpen() {
	for _, access := range []mmapfile.Access{mmapfile.ReadWrite, mmapfile.Copy} {
		path, remove := exampleFile("stressed out")
		f, err := mmapfile.Open(path, access)
		if err != nil {
			log.Fatal(err)
		}
		slices.Reverse(f.Bytes()[:len("stressed")])
		f.Flush()
		file, _ := os.ReadFile(path)
		fmt.Printf("%v: map %q, file %q\n", access, f.Bytes(), file)
		f.Close()
		remove()
	}
	// Output:
	// ReadWrite: map "desserts out", file "desserts out"
	// Copy: map "desserts out", file "stressed out"
}

func ExampleOpen_error() {
	_, err := mmapfile.Open("no/such/file", mmapfile.ReadOnly)
	fmt.Println(errors.Is(err, fs.ErrNotExist))
	var wrapped *fs.PathError
	if errors.As(err, &wrapped) {
		fmt.Println(wrapped.Op, wrapped.Path)
	}
	// Output:
	// true
	// open no/such/file
}

func ExampleMap() {
	path, remove := exampleFile("header|the body of the file")
	defer remove()
	file, err := os.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	f, err := mmapfile.Map(file, int64(len("header|")), 8, mmapfile.ReadOnly)
	file.Close() // the map has a handle of its own
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	fmt.Printf("%s, %d of %d\n", f.Bytes(), f.Len(), cap(f.Bytes()))
	// Output: the body, 8 of 8
}

// A map that goes beyond the file's end makes the file longer if it is ReadWrite.
func ExampleMap_extend() {
	path, remove := exampleFile("abc")
	defer remove()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	_, err = mmapfile.Map(file, 0, 1000, mmapfile.ReadOnly)
	fmt.Println(errors.Is(err, mmapfile.ErrOutOfRange))
	f, err := mmapfile.Map(file, 0, 1000, mmapfile.ReadWrite)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	size, err := f.Size()
	fmt.Println(f.Len(), size, err)
	// Output:
	// true
	// 1000 1000 <nil>
}

func ExampleCreate() {
	dir, err := os.MkdirTemp("", "mmapfile")
	if err != nil {
		log.Fatal(err)
	}
	path := filepath.Join(dir, "hello")
	defer os.Remove(dir)
	defer os.Remove(path)

	f, err := mmapfile.Create(path, 1_000_000)
	if err != nil {
		log.Fatal(err)
	}
	f.WriteString("Hello World")
	f.Flush()
	content, err := os.ReadFile(path)
	fmt.Printf("%d bytes, %q, %v\n", len(content), content[:12], err)
	f.Close()

	_, err = mmapfile.Create(path, 5)
	fmt.Println(errors.Is(err, fs.ErrExist))
	// Output:
	// 1000000 bytes, "Hello World\x00", <nil>
	// true
}

func ExampleAnonymous() {
	f, err := mmapfile.Anonymous(1 << 20)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	copy(f.Bytes()[500_000:], "outside of the heap")
	i, err := f.Find([]byte("heap"), 0, -1)
	fmt.Println(f.Len(), i, err)
	// Output: 1048576 500015 <nil>
}

func ExampleFile_Bytes() {
	f, done := mapExample("0123456789", mmapfile.ReadWrite)
	defer done()
	b := f.Bytes()
	b[0] = 'x'
	copy(b[5:8], "abc")
	fmt.Printf("%s %s %c %d\n", b, b[4:6], b[9], len(b))
	// Output: x1234abc89 4a 9 10
}

func ExampleFile_Access() {
	f, done := mapExample("text", mmapfile.Copy)
	defer done()
	fmt.Println(f.Access(), f.Len(), filepath.Base(f.Name()))
	// Output: Copy 4 data
}

func ExampleFile_Read() {
	f, done := mapExample("some text", mmapfile.ReadOnly)
	defer done()
	p := make([]byte, 6)
	for {
		n, err := f.Read(p)
		fmt.Printf("%q %v\n", p[:n], err)
		if err == io.EOF {
			break
		}
	}
	// Output:
	// "some t" <nil>
	// "ext" <nil>
	// "" EOF
}

func ExampleFile_ReadByte() {
	f, done := mapExample("ab", mmapfile.ReadOnly)
	defer done()
	a, _ := f.ReadByte()
	f.UnreadByte()
	again, _ := f.ReadByte()
	b, _ := f.ReadByte()
	_, err := f.ReadByte()
	fmt.Printf("%c %c %c %v\n", a, again, b, err)
	// Output: a a b EOF
}

func ExampleFile_ReadLine() {
	f, done := mapExample("first\nsecond\nlast", mmapfile.ReadOnly)
	defer done()
	for {
		line, err := f.ReadLine()
		fmt.Printf("%q %v\n", line, err)
		if err != nil {
			break
		}
	}
	// Output:
	// "first\n" <nil>
	// "second\n" <nil>
	// "last" EOF
}

func ExampleFile_ReadAt() {
	f, done := mapExample("0123456789", mmapfile.ReadOnly)
	defer done()
	p := make([]byte, 4)
	n, err := f.ReadAt(p, 3)
	fmt.Printf("%s %v\n", p[:n], err)
	n, err = f.ReadAt(p, 8)
	fmt.Printf("%s %v\n", p[:n], err)
	// Output:
	// 3456 <nil>
	// 89 EOF
}

func ExampleFile_Seek() {
	f, done := mapExample("0123456789", mmapfile.ReadOnly)
	defer done()
	f.Seek(-3, io.SeekEnd)
	c, _ := f.ReadByte()
	fmt.Printf("%c, then at %d\n", c, f.Tell())
	_, err := f.Seek(11, io.SeekStart)
	fmt.Println(errors.Is(err, mmapfile.ErrOutOfRange), f.Tell())
	// Output:
	// 7, then at 8
	// true 8
}

func ExampleFile_Write() {
	f, done := mapExample(".........", mmapfile.ReadWrite)
	defer done()
	f.Write([]byte("ab"))
	f.WriteByte('c')
	f.WriteString("de")
	f.WriteAt([]byte("X"), 8)
	fmt.Printf("%s\n", f.Bytes())
	n, err := f.WriteString("fghij")
	fmt.Printf("%s %d %v\n", f.Bytes(), n, err)
	// Output:
	// abcde...X
	// abcdefghi 4 short write
}

func ExampleFile_Write_readOnly() {
	f, done := mapExample("text", mmapfile.ReadOnly)
	defer done()
	_, err := f.WriteString("x")
	fmt.Println(errors.Is(err, mmapfile.ErrReadOnly))
	// Output: true
}

func ExampleFile_WriteTo() {
	f, done := mapExample("all but the first word\n", mmapfile.ReadOnly)
	defer done()
	f.Seek(4, io.SeekStart)
	n, err := io.Copy(os.Stdout, f)
	fmt.Println(n, err)
	// Output:
	// but the first word
	// 19 <nil>
}

func ExampleFile_Find() {
	f, done := mapExample("one two one two one", mmapfile.ReadOnly)
	defer done()
	fmt.Println(f.Find([]byte("two"), 0, -1))
	fmt.Println(f.Find([]byte("two"), 5, -1))
	fmt.Println(f.Find([]byte("two"), 5, 14)) // ends within the word
	fmt.Println(f.FindLast([]byte("one"), 0, -1))
	// Output:
	// 4 <nil>
	// 12 <nil>
	// -1 <nil>
	// 16 <nil>
}

func ExampleFile_Move() {
	f, done := mapExample("0123456789", mmapfile.ReadWrite)
	defer done()
	f.Move(2, 0, 6)
	fmt.Printf("%s\n", f.Bytes())
	fmt.Println(errors.Is(f.Move(5, 0, 6), mmapfile.ErrOutOfRange))
	// Output:
	// 0101234589
	// true
}

// All sentences that contain a word.
func ExampleFile_Bytes_regexp() {
	f, done := mapExample("The map is not the territory. A file is not read. Nor is a Map copied! Is it?", mmapfile.ReadOnly)
	defer done()
	sentence := regexp.MustCompile(`(?i)[^.!?]*\bmap\b[^.!?]*[.!?]`)
	for _, s := range sentence.FindAll(f.Bytes(), -1) {
		fmt.Printf("%s\n", bytes.TrimSpace(s))
	}
	// Output:
	// The map is not the territory.
	// Nor is a Map copied!
}

func ExampleFile_ReadRune() {
	f, done := mapExample("größer", mmapfile.ReadOnly)
	defer done()
	fmt.Println(regexp.MustCompile(`ö.`).FindReaderIndex(f))
	f.Seek(2, io.SeekStart)
	r, size, err := f.ReadRune()
	fmt.Printf("%c %d %v\n", r, size, err)
	// Output:
	// [2 6]
	// ö 2 <nil>
}

func ExampleView() {
	f, done := mapExample(strings.Repeat("\x00", 12), mmapfile.ReadWrite)
	defer done()
	numbers, err := mmapfile.View[uint32](f.Bytes())
	if err != nil {
		log.Fatal(err)
	}
	numbers[1] = 0x04040404
	fmt.Println(f.Bytes())
	f.Bytes()[8], f.Bytes()[11] = 1, 1
	fmt.Println(numbers[2] == 0x01000001)
	_, err = mmapfile.View[uint32](f.Bytes()[1:9])
	fmt.Println(err != nil)
	// Output:
	// [0 0 0 0 4 4 4 4 0 0 0 0]
	// true
	// true
}

func ExampleFile_Resize() {
	f, done := mapExample("content", mmapfile.ReadWrite)
	defer done()
	if err := f.Resize(10); err != nil {
		log.Fatal(err)
	}
	copy(f.Bytes()[7:], "...")
	size, err := f.Size()
	fmt.Printf("%s %d %v\n", f.Bytes(), size, err)
	if err := f.Resize(4); err != nil {
		log.Fatal(err)
	}
	size, err = f.Size()
	fmt.Printf("%s %d %v\n", f.Bytes(), size, err)
	// Output:
	// content... 10 <nil>
	// cont 4 <nil>
}

func ExampleFile_Flush() {
	f, done := mapExample("content", mmapfile.ReadWrite)
	defer done()
	f.Bytes()[0] = 'C'
	fmt.Println(f.FlushRange(0, 1)) // durable
	f.Bytes()[6] = 'T'
	fmt.Println(f.Flush()) // all of it
	fmt.Println(errors.Is(f.FlushRange(5, 3), mmapfile.ErrOutOfRange))
	// Output:
	// <nil>
	// <nil>
	// true
}

func ExampleFile_Size() {
	f, done := mapExample("content", mmapfile.ReadOnly)
	defer done()
	file, err := os.OpenFile(f.Name(), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	file.WriteString(", and more")
	size, err := f.Size()
	fmt.Println(f.Len(), size, err)
	// Output: 7 17 <nil>
}

func ExampleFile_Close() {
	f, done := mapExample("content", mmapfile.ReadOnly)
	defer done()
	fmt.Println(f.Close(), f.Close(), f.Closed(), f.Bytes() == nil, f.Len())
	_, err := f.ReadByte()
	fmt.Println(errors.Is(err, mmapfile.ErrClosed))
	// Output:
	// <nil> <nil> true true 0
	// true
}

func ExampleFile_Advise() {
	f, done := mapExample("content", mmapfile.ReadOnly)
	defer done()
	fmt.Println(f.Advise(mmapfile.Sequential))
	all, err := io.ReadAll(f)
	fmt.Println(len(all), err)
	fmt.Println(f.Advise(mmapfile.DontNeed))
	private, donePrivate := mapExample("content", mmapfile.Copy)
	defer donePrivate()
	fmt.Println(errors.Is(private.Advise(mmapfile.DontNeed), errors.ErrUnsupported))
	// Output:
	// <nil>
	// 7 <nil>
	// <nil>
	// true
}

func ExampleFile_Lock() {
	f, done := mapExample("a secret that must not be swapped out", mmapfile.Copy)
	defer done()
	if err := f.Lock(); err != nil {
		fmt.Fprintln(os.Stderr, "the system does not let us:", err)
	}
	fmt.Println(f.Unlock())
	// Output: <nil>
}

func ExampleFile_LockFile() {
	path, remove := exampleFile("content")
	defer remove()
	a, _ := mmapfile.Open(path, mmapfile.ReadWrite)
	b, _ := mmapfile.Open(path, mmapfile.ReadWrite)
	defer b.Close()

	fmt.Println(a.LockFile(true, 0))
	fmt.Println(errors.Is(b.LockFile(true, 10*time.Millisecond), mmapfile.ErrTimeout))
	a.Close() // releases the lock, as UnlockFile does
	fmt.Println(b.LockFile(true, -1))
	fmt.Println(b.UnlockFile())
	// Output:
	// <nil>
	// true
	// <nil>
	// <nil>
}

func ExampleFile_LockRange() {
	path, remove := exampleFile("0123456789")
	defer remove()
	a, _ := mmapfile.Open(path, mmapfile.ReadWrite)
	defer a.Close()
	b, _ := mmapfile.Open(path, mmapfile.ReadWrite)
	defer b.Close()

	fmt.Println(a.LockRange(0, 5, true, 0))
	fmt.Println(b.LockRange(5, 5, true, 0))
	fmt.Println(errors.Is(b.LockRange(4, 1, false, 0), mmapfile.ErrTimeout))
	fmt.Println(a.UnlockRange(0, 5))
	fmt.Println(b.LockRange(4, 1, false, 0))
	// Output:
	// <nil>
	// <nil>
	// true
	// <nil>
	// <nil>
}

func ExampleReserve() {
	path, remove := exampleFile("begin")
	defer remove()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	r, err := mmapfile.Reserve(file, 5)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	mmapfile.WriteVec(file, [][]byte{[]byte("B"), []byte("EG")}, 0)
	fmt.Println(r.Refresh(0, 3))
	fmt.Printf("%s\n", r.Bytes())
	// Output:
	// <nil>
	// BEGin
}

func ExampleRegion_Split() {
	path, remove := exampleFile("one large piece")
	defer remove()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	r, err := mmapfile.Reserve(file, 15)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	r.Split(4) // small writes from here on, each with a flush
	mmapfile.WriteVec(file, [][]byte{[]byte("small")}, 4)
	fmt.Println(mmapfile.SyncData(file), r.Refresh(4, 5))
	fmt.Printf("%s\n", r.Bytes())
	// Output:
	// <nil> <nil>
	// one small piece
}

func ExampleWriteVec() {
	path, remove := exampleFile("..........")
	defer remove()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	n, err := mmapfile.WriteVec(file, [][]byte{[]byte("one"), []byte("two")}, 2)
	fmt.Println(n, err)
	fmt.Println(mmapfile.SyncData(file), mmapfile.SyncFull(file), mmapfile.DropCache(file, 0, 0))
	content, err := os.ReadFile(path)
	fmt.Printf("%s %v\n", content, err)
	// Output:
	// 6 <nil>
	// <nil> <nil> <nil>
	// ..onetwo.. <nil>
}

func ExampleLockHandle() {
	path, remove := exampleFile("")
	defer remove()
	a, _ := os.OpenFile(path, os.O_RDWR, 0)
	defer a.Close()
	b, _ := os.OpenFile(path, os.O_RDWR, 0)
	defer b.Close()
	fmt.Println(mmapfile.LockHandle(a, true, 0))
	fmt.Println(errors.Is(mmapfile.LockHandle(b, true, 0), mmapfile.ErrTimeout))
	fmt.Println(mmapfile.UnlockHandle(a))
	fmt.Println(mmapfile.LockHandle(b, true, -1))
	fmt.Println(mmapfile.UnlockHandle(b))
	// Output:
	// <nil>
	// true
	// <nil>
	// <nil>
	// <nil>
}
