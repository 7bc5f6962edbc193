package folio

import (
	"errors"
	"fmt"
	"math/rand"
	"path/filepath"
	"sync"
	"testing"

	"github.com/foliokv/folio/internal/testdir"
)

func TestManyWriters(t *testing.T) {
	path := filepath.Join(testdir.New(t), "a.folio")
	db, err := Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	boom := errors.New("boom")
	var mu sync.Mutex
	want := map[string]string{}
	var wg sync.WaitGroup
	for g := 0; g < 32; g++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			rng := rand.New(rand.NewSource(int64(g)))
			for i := 0; i < 60; i++ {
				k := fmt.Sprintf("g%02d-%d-%s", g, rng.Intn(30), make([]byte, rng.Intn(100)))
				v := fmt.Sprint(rng.Int63(), string(make([]byte, rng.Intn(300))))
				if rng.Intn(20) == 0 {
					v += string(make([]byte, 20000))
				}
				fail := rng.Intn(4) == 0
				sp := rng.Intn(4) == 0
				err := db.Update(func(tx *Tx) error {
					b, err := tx.CreateBucketIfNotExists([]byte("b"))
					if err != nil {
						return err
					}
					c, err := b.CreateBucketIfNotExists([]byte(fmt.Sprint("sub", g%5)))
					if err != nil {
						return err
					}
					if err := c.Put([]byte(k), []byte(v)); err != nil {
						return err
					}
					if sp {
						s := tx.Savepoint()
						for j := 0; j < 20; j++ {
							if err := c.Put([]byte(fmt.Sprint("tmp", j)), make([]byte, 400)); err != nil {
								return err
							}
						}
						if err := c.Put([]byte("big"), make([]byte, 40000)); err != nil {
							return err
						}
						if err := s.Rollback(); err != nil {
							return err
						}
					}
					if fail {
						return boom
					}
					return nil
				})
				if fail != (err == boom) || !fail && err != nil {
					t.Error(err)
					return
				}
				if !fail {
					mu.Lock()
					want[fmt.Sprint("sub", g%5)+"/"+k] = v
					mu.Unlock()
				}
			}
		}()
	}
	wg.Wait()
	check := func() {
		t.Helper()
		if err := db.View(func(tx *Tx) error {
			n := 0
			for err := range tx.Check() {
				t.Error(err)
			}
			b := tx.Bucket([]byte("b"))
			for sub := range b.All() {
				for k, v := range b.Bucket(sub).All() {
					n++
					if want[string(sub)+"/"+string(k)] != string(v) {
						t.Errorf("%s/%s wrong", sub, k)
					}
				}
			}
			if n != len(want) {
				t.Errorf("%d want %d", n, len(want))
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	check()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if db, err = Open(path, 0o600, nil); err != nil {
		t.Fatal(err)
	}
	check()
	db.Close()
}
