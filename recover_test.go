package folio

import (
	"errors"
	"syscall"
	"testing"

	"github.com/foliokv/folio/internal/backing"
	"github.com/foliokv/folio/internal/simfile"
)

// The copy of a store, which nobody has flushed, is found after a power failure once it was committed to.
func TestFirstFlushCoversTheDirectory(t *testing.T) {
	from := simfile.New(simfile.Options{})
	db := openSim(t, from, nil)
	for range 3 {
		ok(t, db.Update(put("a", nil)))
	}
	size, err := from.Size()
	ok(t, err)
	content := make([]byte, size)
	ok(t, readFull(from, content, 0))
	ok(t, db.Close())

	f := simfile.New(simfile.Options{})
	ok(t, writeFull(f, content, 0))
	absent := func() bool {
		for img := range f.Images(simfile.ImageOptions{}) {
			if img.Name == "absent" {
				return true
			}
		}
		return false
	}
	db = openSim(t, f, nil)
	ok(t, db.Update(put("a", []byte("v"))))
	if n, err := f.Size(); n != size || err != nil {
		t.Fatalf("the file has %d bytes, %v: it grew, and this shows nothing", n, err)
	}
	if absent() {
		t.Error("after a commit that was acknowledged a power failure may leave no file")
	}
	ok(t, db.Close())
}

// A part of a flush that failed may have reached the device: the meta without its pages, or the
// pages without their meta. Neither is taken for the whole.
func TestOpenAfterHalfAFlush(t *testing.T) {
	for _, wrap := range waysToRead {
		for _, metas := range []bool{false, true} {
			f := simfile.New(simfile.Options{})
			db := openSim(t, f, nil)
			ok(t, db.Update(put("a", make([]byte, 200_000)))) // what follows is not in the range of the metas' drop
			f.Fail(simfile.Fault{Kind: simfile.SyncEnd})
			_ = db.Update(put("b", nil))
			_ = db.Close()
			killed := f.Kill(simfile.Options{})
			size, err := killed.Size()
			ok(t, err)
			part := run{metaPages, uint32(size>>db.shift) - metaPages}
			if metas {
				part = run{0, metaPages}
			}
			b := make([]byte, part.n<<db.shift)
			ok(t, readFull(killed, b, int64(part.start)<<db.shift))
			ok(t, writeFull(killed, b, int64(part.start)<<db.shift)) // a write of what the cache has
			ok(t, killed.SyncData())
			again := wrap(killed)
			db = openSim(t, again, nil)
			ok(t, db.View(func(tx *Tx) error {
				if tx.Bucket([]byte("b")).Get([]byte("b")) != nil {
					t.Errorf("%T, metas %v: a state is trusted that is not on the device", again, metas)
				}
				return nil
			}))
			ok(t, db.Close())
		}
	}
}

// A creation whose flush failed can be made again.
func TestOpenAfterFailedCreation(t *testing.T) {
	for _, direct := range []bool{false, true} {
		f := simfile.New(simfile.Options{})
		f.Fail(simfile.Fault{Kind: simfile.SyncEnd})
		if _, err := openOn(f, (*Options)(nil).withDefaults(), true); err == nil {
			t.Fatal("created without a flush")
		}
		var again backing.File = f.Kill(simfile.Options{})
		if direct {
			again = simfile.DirectFile{File: again.(*simfile.File)}
		}
		ok(t, openSim(t, again, nil).Close())
	}
}

// A bufferedFile takes direct reads and serves them from the cache.
type bufferedFile struct{ *simfile.File }

func (f bufferedFile) ReadDevice(p []byte, off int64) (int, error) { return f.ReadAt(p, off) }

// A noDirectFile finds out that it cannot read directly when it is asked to.
type noDirectFile struct{ *simfile.File }

func (f noDirectFile) ReadDevice([]byte, int64) (int, error) { return 0, errors.ErrUnsupported }

// waysToRead are what may become of direct reads.
var waysToRead = []func(*simfile.File) backing.File{
	func(f *simfile.File) backing.File { return f },
	func(f *simfile.File) backing.File { return simfile.DirectFile{File: f} },
	func(f *simfile.File) backing.File { return noDirectFile{f} },
	func(f *simfile.File) backing.File { return bufferedFile{f} },
}

// What a flush that failed has left in the system's cache is not taken for durable, neither a commit
// nor a proper close, whatever becomes of direct reads.
func TestOpenAfterFailedFlush(t *testing.T) {
	for _, wrap := range waysToRead {
		for _, size := range []int{5, 200_000, -1} { // of a value: in its page, in an extent; of none
			f := simfile.New(simfile.Options{})
			db := openSim(t, f, nil)
			ok(t, db.Update(put("a", nil)))
			durable := db.slot
			f.Fail(simfile.Fault{Kind: simfile.SyncEnd})
			if size >= 0 {
				if err := db.Update(put("b", make([]byte, size))); err == nil {
					t.Fatal("a commit went through without a flush")
				}
			}
			_ = db.Close()
			again := wrap(f.Kill(simfile.Options{}))
			db = openSim(t, again, nil)
			if db.slot != durable {
				t.Errorf("%T, value of %d bytes: slot %d is taken for durable, it is %d", again, size, db.slot, durable)
			}
			has(t, db, "a", true)
			has(t, db, "b", false)
			ok(t, db.Update(put("c", nil)))
			sound(t, db)
			ok(t, db.Close())
		}
	}
}

// An open whose flush fails tells so, whatever it has found meanwhile.
func TestOpenTellsOfItsFlush(t *testing.T) {
	for _, clean := range []bool{true, false} {
		f := simfile.New(simfile.Options{})
		db := openSim(t, f, nil)
		ok(t, db.Update(put("a", nil)))
		if clean {
			ok(t, db.Close())
		}
		again := f.Kill(simfile.Options{})
		if !clean {
			ok(t, db.Close())
		}
		again.Fail(simfile.Fault{Kind: simfile.SyncEnd})
		if _, err := openOn(simfile.DirectFile{File: again}, (*Options)(nil).withDefaults(), true); !errors.Is(err, syscall.EIO) {
			t.Errorf("clean %v: %v", clean, err)
		}
	}
}
