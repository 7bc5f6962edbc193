package folio_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/foliokv/folio"
)

// tempStore opens a store in a folder of its own; done closes it and removes the folder.
func tempStore(o *folio.Options) (db *folio.DB, done func()) {
	dir, err := os.MkdirTemp("", "folio-example")
	if err != nil {
		log.Fatal(err)
	}
	db, err = folio.Open(filepath.Join(dir, "store.folio"), 0o600, o)
	if err != nil {
		log.Fatal(err)
	}
	return db, func() {
		if err := db.Close(); err != nil {
			log.Fatal(err)
		}
		os.RemoveAll(dir)
	}
}

// put stores pairs in a bucket, in one transaction.
func put(db *folio.DB, bucket string, pairs ...string) {
	err := db.Update(func(tx *folio.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte(bucket))
		if err != nil {
			return err
		}
		for i := 0; i < len(pairs); i += 2 {
			if err := b.Put([]byte(pairs[i]), []byte(pairs[i+1])); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
}

func Example() {
	dir, err := os.MkdirTemp("", "folio-example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	db, err := folio.Open(filepath.Join(dir, "app.folio"), 0o600, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	err = db.Update(func(tx *folio.Tx) error {
		users, err := tx.CreateBucketIfNotExists([]byte("users"))
		if err != nil {
			return err
		}
		return users.Put([]byte("ada"), []byte("Lovelace"))
	})
	if err != nil {
		log.Fatal(err) // nothing was changed
	}

	err = db.View(func(tx *folio.Tx) error {
		users := tx.Bucket([]byte("users"))
		fmt.Printf("%s\n", users.Get([]byte("ada")))
		fmt.Println(users.Get([]byte("bob")) == nil)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// Lovelace
	// true
}

// Errors tell by name why a file does not open.
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "folio-example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(path, []byte("not a store"), 0o600); err != nil {
		log.Fatal(err)
	}

	_, err = folio.Open(path, 0o600, nil)
	switch {
	case errors.Is(err, folio.ErrInvalid):
		fmt.Println("not a folio file")
	case errors.Is(err, folio.ErrTimeout):
		fmt.Println("in use by another process")
	case errors.Is(err, folio.ErrCorrupt):
		fmt.Println("damaged")
	}
	// Output: not a folio file
}

// A store without a file is good for tests and caches.
func ExampleOpenMemory() {
	db, err := folio.OpenMemory(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	put(db, "b", "key", "value")
	db.View(func(tx *folio.Tx) error {
		fmt.Printf("%q %s\n", db.Path(), tx.Bucket([]byte("b")).Get([]byte("key")))
		return nil
	})
	// Output: "" value
}

// What a closure changed is dropped when it returns an error.
func ExampleDB_Update() {
	db, done := tempStore(nil)
	defer done()
	put(db, "accounts", "ada", "10", "bob", "0")

	errPoor := errors.New("not enough money")
	transfer := func(from, to string, n int) error {
		return db.Update(func(tx *folio.Tx) error {
			b := tx.Bucket([]byte("accounts"))
			add := func(name string, n int) error {
				has, err := strconv.Atoi(string(b.Get([]byte(name))))
				if err != nil {
					return err
				}
				if has+n < 0 {
					return errPoor
				}
				return b.Put([]byte(name), []byte(strconv.Itoa(has+n)))
			}
			if err := add(to, n); err != nil {
				return err
			}
			return add(from, -n)
		})
	}
	fmt.Println(transfer("ada", "bob", 7))
	fmt.Println(transfer("ada", "bob", 7))
	db.View(func(tx *folio.Tx) error {
		return tx.Bucket([]byte("accounts")).ForEach(func(k, v []byte) error {
			fmt.Printf("%s %s\n", k, v)
			return nil
		})
	})
	// Output:
	// <nil>
	// not enough money
	// ada 3
	// bob 7
}

// Transactions of many goroutines share flushes: no batching by hand is needed.
func ExampleDB_Update_manyGoroutines() {
	db, done := tempStore(nil)
	defer done()
	put(db, "events")

	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			// Each is a transaction of its own, durable when Update returns.
			err := db.Update(func(tx *folio.Tx) error {
				return tx.Bucket([]byte("events")).Put([]byte(fmt.Sprintf("event %03d", i)), nil)
			})
			if err != nil {
				log.Fatal(err)
			}
		})
	}
	wg.Wait()

	stats := db.Stats()
	fmt.Println(stats.WriteTxN-1, "transactions")
	fmt.Println("not more flushes than transactions:", stats.FlushN <= stats.WriteTxN)
	// Output:
	// 100 transactions
	// not more flushes than transactions: true
}

func ExampleDB_UpdateContext() {
	db, done := tempStore(nil)
	defer done()

	other, err := db.Begin(true)
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err = db.UpdateContext(ctx, func(tx *folio.Tx) error { return nil })
	fmt.Println(err)
	other.Rollback()
	// Output: context canceled
}

// A read transaction goes on seeing the state it began with.
func ExampleDB_Begin() {
	db, done := tempStore(nil)
	defer done()
	put(db, "b", "key", "old")

	tx, err := db.Begin(false)
	if err != nil {
		log.Fatal(err)
	}
	defer tx.Rollback()

	put(db, "b", "key", "new")
	fmt.Printf("%s\n", tx.Bucket([]byte("b")).Get([]byte("key")))
	// Output: old
}

func ExampleBucket_CreateBucket() {
	db, done := tempStore(nil)
	defer done()
	err := db.Update(func(tx *folio.Tx) error {
		users, err := tx.CreateBucket([]byte("users"))
		if err != nil {
			return err
		}
		ada, err := users.CreateBucket([]byte("ada"))
		if err != nil {
			return err
		}
		if err := ada.Put([]byte("born"), []byte("1815")); err != nil {
			return err
		}
		return users.Put([]byte("count"), []byte("1"))
	})
	if err != nil {
		log.Fatal(err)
	}
	db.View(func(tx *folio.Tx) error {
		users := tx.Bucket([]byte("users"))
		for name, value := range users.All() {
			if value == nil { // a bucket; an empty value is not nil
				fmt.Printf("bucket %s: born %s\n", name, users.Bucket(name).Get([]byte("born")))
				continue
			}
			fmt.Printf("key %s: %s\n", name, value)
		}
		return nil
	})
	// Output:
	// bucket ada: born 1815
	// key count: 1
}

func ExampleBucket_All() {
	db, done := tempStore(nil)
	defer done()
	put(db, "colors", "red", "ff0000", "green", "00ff00", "blue", "0000ff")
	db.View(func(tx *folio.Tx) error {
		b := tx.Bucket([]byte("colors"))
		for name, value := range b.All() {
			fmt.Printf("%s %s\n", name, value)
		}
		for name := range b.Backward() {
			fmt.Printf("%s\n", name)
		}
		return tx.Err() // damage ends an iteration early and is told here; View returns it anyway
	})
	// Output:
	// blue 0000ff
	// green 00ff00
	// red ff0000
	// red
	// green
	// blue
}

func ExampleBucket_Prefix() {
	db, done := tempStore(nil)
	defer done()
	put(db, "files", "bin/go", "1", "src/fmt/print.go", "2", "src/fmt/scan.go", "3", "src/io/io.go", "4")
	db.View(func(tx *folio.Tx) error {
		for path := range tx.Bucket([]byte("files")).Prefix([]byte("src/fmt/")) {
			fmt.Printf("%s\n", path)
		}
		return nil
	})
	// Output:
	// src/fmt/print.go
	// src/fmt/scan.go
}

func ExampleBucket_Range() {
	db, done := tempStore(nil)
	defer done()
	put(db, "log", "2026-01-31", "a", "2026-02-01", "b", "2026-02-28", "c", "2026-03-01", "d")
	db.View(func(tx *folio.Tx) error {
		// The upper bound is not part of the range.
		for day, what := range tx.Bucket([]byte("log")).Range([]byte("2026-02"), []byte("2026-03")) {
			fmt.Printf("%s %s\n", day, what)
		}
		return nil
	})
	// Output:
	// 2026-02-01 b
	// 2026-02-28 c
}

// Counting and finding by position cost a lookup, however many keys there are.
func ExampleBucket_Rank() {
	db, done := tempStore(nil)
	defer done()
	put(db, "scores", "0120 bob", "", "0250 eve", "", "0310 ada", "", "0470 dan", "")
	db.View(func(tx *folio.Tx) error {
		b := tx.Bucket([]byte("scores"))
		fmt.Println("players:", b.Count())
		fmt.Println("below 300:", b.Rank([]byte("0300")))
		fmt.Println("from 200 to 399:", b.CountRange([]byte("0200"), []byte("0400")))
		median, _ := b.At(b.Count() / 2)
		fmt.Printf("median: %s\n", median)
		return nil
	})
	// Output:
	// players: 4
	// below 300: 2
	// from 200 to 399: 2
	// median: 0310 ada
}

// At pages through a bucket by position.
func ExampleBucket_At() {
	db, done := tempStore(nil)
	defer done()
	for i := range 25 {
		put(db, "items", fmt.Sprintf("item %02d", i), "")
	}
	const perPage = 10
	db.View(func(tx *folio.Tx) error {
		b := tx.Bucket([]byte("items"))
		first, _ := b.At(2 * perPage)
		for name := range b.Range(first, nil) {
			fmt.Printf("%s\n", name)
		}
		return nil
	})
	// Output:
	// item 20
	// item 21
	// item 22
	// item 23
	// item 24
}

func ExampleBucket_DeleteRange() {
	db, done := tempStore(nil)
	defer done()
	put(db, "log", "2025-11", "a", "2025-12", "b", "2026-01", "c")
	err := db.Update(func(tx *folio.Tx) error {
		b := tx.Bucket([]byte("log"))
		if err := b.DeleteRange(nil, []byte("2026")); err != nil {
			return err
		}
		fmt.Println(b.Count(), "left")
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: 1 left
}

func ExampleBucket_NextSequence() {
	db, done := tempStore(nil)
	defer done()
	db.Update(func(tx *folio.Tx) error {
		jobs, err := tx.CreateBucket([]byte("jobs"))
		if err != nil {
			return err
		}
		for _, job := range []string{"sweep", "mop"} {
			id, err := jobs.NextSequence()
			if err != nil {
				return err
			}
			// Big-endian numbers sort by their values.
			if err := jobs.Put(binary.BigEndian.AppendUint64(nil, id), []byte(job)); err != nil {
				return err
			}
		}
		for id, job := range jobs.All() {
			fmt.Println(binary.BigEndian.Uint64(id), string(job))
		}
		return nil
	})
	// Output:
	// 1 sweep
	// 2 mop
}

// Typed values with encoding/binary.
func ExampleBucket_Put_typedValues() {
	db, done := tempStore(nil)
	defer done()
	type reading struct {
		Celsius  float64
		Humidity uint16
	}
	err := db.Update(func(tx *folio.Tx) error {
		b, err := tx.CreateBucket([]byte("readings"))
		if err != nil {
			return err
		}
		for hour, r := range []reading{{18.5, 60}, {17.25, 64}} {
			value, err := binary.Append(nil, binary.LittleEndian, r)
			if err != nil {
				return err
			}
			if err := b.Put(binary.BigEndian.AppendUint32(nil, uint32(hour)), value); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	db.View(func(tx *folio.Tx) error {
		for key, value := range tx.Bucket([]byte("readings")).All() {
			var r reading
			if _, err := binary.Decode(value, binary.LittleEndian, &r); err != nil {
				return err
			}
			fmt.Printf("%02d:00 %.2f °C %d %%\n", binary.BigEndian.Uint32(key), r.Celsius, r.Humidity)
		}
		return nil
	})
	// Output:
	// 00:00 18.50 °C 60 %
	// 01:00 17.25 °C 64 %
}

// Load takes pairs in key order from any iterator and fills pages directly.
func ExampleBucket_Load() {
	db, done := tempStore(nil)
	defer done()
	squares := func(n int) iter.Seq2[[]byte, []byte] {
		return func(yield func(k, v []byte) bool) {
			var key, value []byte // may be used again for each pair
			for i := range n {
				key = binary.BigEndian.AppendUint32(key[:0], uint32(i))
				value = strconv.AppendInt(value[:0], int64(i*i), 10)
				if !yield(key, value) {
					return
				}
			}
		}
	}
	err := db.Update(func(tx *folio.Tx) error {
		b, err := tx.CreateBucket([]byte("squares"))
		if err != nil {
			return err
		}
		if err := b.Load(context.Background(), squares(10_000)); err != nil {
			return err
		}
		fmt.Println(b.Count(), string(b.Get(binary.BigEndian.AppendUint32(nil, 99))))

		err = b.Load(context.Background(), squares(1)) // not after the last key: the bucket stays as it is
		fmt.Println(errors.Is(err, folio.ErrOutOfOrder))
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// 10000 9801
	// true
}

// PutReader stores a large value without holding it in memory.
func ExampleBucket_PutReader() {
	db, done := tempStore(nil)
	defer done()
	err := db.Update(func(tx *folio.Tx) error {
		b, err := tx.CreateBucket([]byte("files"))
		if err != nil {
			return err
		}
		content := strings.Repeat("0123456789", 100_000)
		if err := b.PutReader([]byte("digits"), strings.NewReader(content), int64(len(content))); err != nil {
			return err
		}
		err = b.PutReader([]byte("short"), strings.NewReader("abc"), 4)
		fmt.Println(errors.Is(err, io.ErrUnexpectedEOF), b.Get([]byte("short")) == nil)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	db.View(func(tx *folio.Tx) error {
		value := tx.Bucket([]byte("files")).Get([]byte("digits"))
		fmt.Println(len(value), string(value[500_000:500_005]))
		return nil
	})
	// Output:
	// true true
	// 1000000 01234
}

func ExampleBucket_GetMany() {
	db, done := tempStore(nil)
	defer done()
	put(db, "capitals", "france", "paris", "japan", "tokyo", "kenya", "nairobi")
	keys := [][]byte{[]byte("kenya"), []byte("atlantis"), []byte("france")}
	db.View(func(tx *folio.Tx) error {
		tx.Bucket([]byte("capitals")).GetMany(keys, func(i int, value []byte) {
			if value == nil {
				fmt.Printf("%s: none\n", keys[i])
				return
			}
			fmt.Printf("%s: %s\n", keys[i], value)
		})
		return nil
	})
	// Unordered output:
	// kenya: nairobi
	// atlantis: none
	// france: paris
}

func ExampleCursor() {
	db, done := tempStore(nil)
	defer done()
	put(db, "b", "a", "1", "c", "3", "e", "5")
	db.View(func(tx *folio.Tx) error {
		c := tx.Bucket([]byte("b")).Cursor()
		k, _ := c.Seek([]byte("b")) // the first key not below
		fmt.Printf("%s\n", k)
		k, _ = c.Prev()
		fmt.Printf("%s\n", k)
		k, _ = c.Last()
		fmt.Printf("%s\n", k)
		k, _ = c.Next()
		fmt.Println(k == nil)
		return nil
	})
	// Output:
	// c
	// a
	// e
	// true
}

// A bucket may be changed while a cursor walks it.
func ExampleCursor_Delete() {
	db, done := tempStore(nil)
	defer done()
	put(db, "b", "1", "", "2", "", "3", "", "4", "")
	db.Update(func(tx *folio.Tx) error {
		b := tx.Bucket([]byte("b"))
		c := b.Cursor()
		for k, _ := c.First(); k != nil; k, _ = c.Next() {
			if k[0]%2 == 0 {
				if err := c.Delete(); err != nil {
					return err
				}
			}
		}
		for k := range b.All() {
			fmt.Printf("%s\n", k)
		}
		return nil
	})
	// Output:
	// 1
	// 3
}

// With Deferred a transaction does not wait for the disk; WaitDurable does, for this one and all
// before it.
func ExampleDB_WaitDurable() {
	db, done := tempStore(&folio.Options{Durability: folio.Deferred})
	defer done()

	var last int
	for i := range 1000 {
		err := db.Update(func(tx *folio.Tx) error {
			last = tx.ID()
			b, err := tx.CreateBucketIfNotExists([]byte("clicks"))
			if err != nil {
				return err
			}
			return b.Put(binary.BigEndian.AppendUint32(nil, uint32(i)), nil)
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	if err := db.WaitDurable(context.Background(), last); err != nil {
		log.Fatal(err)
	}
	fmt.Println(db.Stats().DurableTxid >= last)
	// Output: true
}

func ExampleTx_SetDurability() {
	db, done := tempStore(nil)
	defer done()
	err := db.Update(func(tx *folio.Tx) error {
		tx.SetDurability(folio.Deferred) // this one may be lost in a crash
		_, err := tx.CreateBucket([]byte("cache"))
		return err
	})
	fmt.Println(err)
	fmt.Println(db.Sync()) // now it cannot
	// Output:
	// <nil>
	// <nil>
}

func ExampleTx_Savepoint() {
	db, done := tempStore(nil)
	defer done()
	err := db.Update(func(tx *folio.Tx) error {
		b, err := tx.CreateBucket([]byte("numbers"))
		if err != nil {
			return err
		}
		for _, line := range []string{"1 2", "3 four", "5 6"} {
			// Each line counts whole or not at all.
			sp := tx.Savepoint()
			if err := addNumbers(b, line); err != nil {
				fmt.Println("left out:", err)
				if err := sp.Rollback(); err != nil {
					return err
				}
				continue
			}
			if err := sp.Release(); err != nil {
				return err
			}
		}
		for k := range b.All() {
			fmt.Printf("%s\n", k)
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// left out: "four" is no number
	// 1
	// 2
	// 5
	// 6
}

func addNumbers(b *folio.Bucket, line string) error {
	for word := range strings.FieldsSeq(line) {
		if _, err := strconv.Atoi(word); err != nil {
			return fmt.Errorf("%q is no number", word)
		}
		if err := b.Put([]byte(word), nil); err != nil {
			return err
		}
	}
	return nil
}

// OnCommit does what must happen only if the transaction did.
func ExampleTx_OnCommit() {
	db, done := tempStore(nil)
	defer done()
	order := func(what string, fail error) error {
		return db.Update(func(tx *folio.Tx) error {
			tx.OnCommit(func() { fmt.Println("mail about", what) })
			b, err := tx.CreateBucketIfNotExists([]byte("orders"))
			if err != nil {
				return err
			}
			if err := b.Put([]byte(what), nil); err != nil {
				return err
			}
			return fail
		})
	}
	fmt.Println(order("tea", nil))
	fmt.Println(order("coffee", errors.New("sold out")))
	// Output:
	// mail about tea
	// <nil>
	// sold out
}

// A backup over HTTP, taken while others write. The copy is a store like any other.
func ExampleTx_WriteTo() {
	db, done := tempStore(nil)
	defer done()
	put(db, "b", "key", "value")

	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := db.View(func(tx *folio.Tx) error {
			w.Header().Set("Content-Type", "application/octet-stream")
			w.Header().Set("Content-Length", strconv.FormatInt(tx.Size(), 10))
			_, err := tx.WriteTo(w)
			return err
		})
		if err != nil {
			panic(http.ErrAbortHandler) // the client sees that the body is cut short
		}
	}))
	defer server.Close()

	response, err := server.Client().Get(server.URL)
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	copied, err := os.CreateTemp("", "folio-backup")
	if err != nil {
		log.Fatal(err)
	}
	defer os.Remove(copied.Name())
	if _, err := io.Copy(copied, response.Body); err != nil {
		log.Fatal(err)
	}
	copied.Close()

	backup, err := folio.Open(copied.Name(), 0o600, &folio.Options{ReadOnly: true})
	if err != nil {
		log.Fatal(err)
	}
	defer backup.Close()
	backup.View(func(tx *folio.Tx) error {
		fmt.Printf("%s\n", tx.Bucket([]byte("b")).Get([]byte("key")))
		return nil
	})
	// Output: value
}

func ExampleTx_CopyFile() {
	db, done := tempStore(nil)
	defer done()
	put(db, "b", "key", "value")
	path := db.Path() + ".backup"
	err := db.View(func(tx *folio.Tx) error { return tx.CopyFile(path, 0o600) })
	if err != nil {
		log.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(info.Size() > 0)
	// Output: true
}

// A copy that may take a minute, and shows how far it is.
func ExampleTx_CopyFileContext() {
	db, done := tempStore(nil)
	defer done()
	put(db, "b", "key", "value")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var percent int64
	opts := folio.CopyOptions{Progress: func(done, total int64) { percent = 100 * done / total }}
	err := db.View(func(tx *folio.Tx) error {
		return tx.CopyFileContext(ctx, db.Path()+".backup", 0o600, opts)
	})
	fmt.Println(percent, err)
	// Output: 100 <nil>
}

// Compact copies everything to a new store, whose pages are full.
func ExampleDB_Compact() {
	db, done := tempStore(nil)
	defer done()
	put(db, "b", "key", "value")
	dst, doneDst := tempStore(nil)
	defer doneDst()
	if err := db.Compact(context.Background(), dst); err != nil {
		log.Fatal(err)
	}
	dst.View(func(tx *folio.Tx) error {
		fmt.Printf("%s\n", tx.Bucket([]byte("b")).Get([]byte("key")))
		return nil
	})
	// Output: value
}

func ExampleTx_Check() {
	db, done := tempStore(nil)
	defer done()
	put(db, "b", "key", "value")
	findings := 0
	err := db.View(func(tx *folio.Tx) error {
		for err := range tx.Check() {
			fmt.Println(err)
			findings++
		}
		return nil
	})
	fmt.Println(findings, err)
	// Output: 0 <nil>
}

func ExampleDB_Stats() {
	db, done := tempStore(nil)
	defer done()
	put(db, "b", "key", "value")
	db.View(func(tx *folio.Tx) error {
		s := db.Stats()
		fmt.Println("open readers:", s.OpenTxN)
		fmt.Println("committed:", s.WriteTxN)
		fmt.Println("in order:", s.DurableTxid == s.Txid && s.OldestTxid == tx.ID())
		return nil
	})
	// Output:
	// open readers: 1
	// committed: 1
	// in order: true
}

// Events that no call returns go to a logger: here that a damaged meta was passed over.
func ExampleOptions_logger() {
	dir, err := os.MkdirTemp("", "folio-example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "store.folio")
	db, err := folio.Open(path, 0o600, nil)
	if err != nil {
		log.Fatal(err)
	}
	put(db, "b", "key", "value")
	if err := db.Close(); err != nil {
		log.Fatal(err)
	}
	damage(path, 40) // in the first of the two metas

	var out bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			switch a.Key {
			case slog.TimeKey, "path", "newer":
				return slog.Attr{}
			}
			return a
		},
	}))
	db, err = folio.Open(path, 0o600, &folio.Options{Logger: logger})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	fmt.Print(out.String())
	// Output:
	// level=INFO msg="folio: opened an older state" txid=2
}

// Events go to a function, here one that logs them: growth, shrinking, slow flushes, states
// that are read for long, a full disk, a failed flush.
func ExampleLogEvents() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			switch a.Key {
			case slog.TimeKey, "from", "to":
				return slog.Attr{}
			}
			return a
		},
	}))
	db, err := folio.OpenMemory(&folio.Options{OnEvent: folio.LogEvents(logger)})
	if err != nil {
		log.Fatal(err)
	}
	put(db, "b", "key", "value")
	db.Close() // waits until every event is delivered
	// Output:
	// level=INFO msg="folio: the file has grown"
}

// damage flips a bit of a file.
func damage(path string, off int64) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, off); err != nil {
		log.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b, off); err != nil {
		log.Fatal(err)
	}
}

// Damage has a page number.
func ExampleCorruptError() {
	err := fmt.Errorf("reading users: %w", &folio.CorruptError{Pgno: 7, Reason: "checksum does not match"})
	var corrupt *folio.CorruptError
	if errors.As(err, &corrupt) {
		fmt.Println("page", corrupt.Pgno)
	}
	fmt.Println(errors.Is(err, folio.ErrCorrupt))
	// Output:
	// page 7
	// true
}

// Salvage brings what can be read of a damaged file into a new store.
func ExampleInspector_Salvage() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "damaged.db")
	db, err := folio.Open(path, 0o600, nil)
	if err != nil {
		log.Fatal(err)
	}
	err = db.Update(func(tx *folio.Tx) error {
		b, err := tx.CreateBucket([]byte("users"))
		if err != nil {
			return err
		}
		return b.Put([]byte("alice"), []byte("Alice"))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		log.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		log.Fatal(err)
	}
	_, err = file.WriteAt(make([]byte, 4096), 0) // one of the two metas
	if err := errors.Join(err, file.Close()); err != nil {
		log.Fatal(err)
	}

	in, err := folio.Inspect(path, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer in.Close()
	dst, err := folio.Open(filepath.Join(dir, "new.db"), 0o600, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer dst.Close()
	report, err := in.Salvage(context.Background(), dst, folio.SalvageOptions{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("pairs:", report.Pairs, "lost:", report.Lost)
	// Output: pairs: 1 lost: 0
}
