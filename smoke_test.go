package folio

import (
	"fmt"
	"math/rand"
	"path/filepath"
	"testing"
)

func TestSmoke(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.folio")
	db, err := Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewSource(1))
	want := map[string]string{}
	for round := 0; round < 30; round++ {
		err := db.Update(func(tx *Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			if err != nil {
				return err
			}
			for i := 0; i < 300; i++ {
				k := fmt.Sprintf("key%06d", rng.Intn(5000))
				if rng.Intn(3) == 0 {
					delete(want, k)
					if err := b.Delete([]byte(k)); err != nil {
						return err
					}
					continue
				}
				v := fmt.Sprintf("v%d-%s", i, make([]byte, rng.Intn(200)))
				if rng.Intn(50) == 0 {
					v += string(make([]byte, 10000))
				}
				want[k] = v
				if err := b.Put([]byte(k), []byte(v)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if round%7 == 3 {
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			if db, err = Open(path, 0o600, nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.View(func(tx *Tx) error {
			for err := range tx.Check() {
				t.Error(round, err)
			}
			b := tx.Bucket([]byte("b"))
			if int(b.Count()) != len(want) {
				return fmt.Errorf("count %d want %d", b.Count(), len(want))
			}
			n := 0
			for k, v := range b.All() {
				if want[string(k)] != string(v) {
					return fmt.Errorf("key %s", k)
				}
				n++
			}
			if n != len(want) {
				return fmt.Errorf("iterated %d want %d", n, len(want))
			}
			for k, v := range want {
				if string(b.Get([]byte(k))) != v {
					return fmt.Errorf("get %s", k)
				}
			}
			return nil
		}); err != nil {
			t.Fatal(round, err)
		}
	}
	db.Close()
}
