package mmapfile

// Flush makes all changes of the map and of the file's size durable: when it returns nil, they
// survive a loss of power. For a file made by Create that includes its directory entry. On
// ReadOnly, Copy and anonymous maps there is nothing to do.
//
// After an error it is unknown what is durable, and a second call that succeeds proves nothing.
func (f *File) Flush() error {
	return f.hold("flush", func() error {
		if !f.reachesFile() {
			return nil
		}
		if err := f.flushMemory(0, len(f.data)); err != nil {
			return err
		}
		if err := f.syncAll(); err != nil {
			return err
		}
		f.unflushed.Store(false)
		return nil
	})
}

// FlushRange is Flush for n bytes of the map from off on, of any alignment; changes of the
// file's size are included, other bytes may be. A range outside of the map is ErrOutOfRange.
func (f *File) FlushRange(off, n int) error {
	return f.hold("flush", func() error {
		if !within(len(f.data), off, n) {
			return ErrOutOfRange
		}
		if !f.reachesFile() {
			return nil
		}
		if err := f.flushMemory(off, off+n); err != nil {
			return err
		}
		if f.unflushed.Load() {
			if err := f.syncAll(); err != nil {
				return err
			}
			f.unflushed.Store(false)
			return nil
		}
		if flushIsDurable || n == 0 {
			return nil
		}
		return syncData(f.file)
	})
}

// flushMemory hands bytes lo to hi of the map to the file.
func (f *File) flushMemory(lo, hi int) error {
	if lo == hi {
		return nil
	}
	shift := len(f.mapped) - len(f.data)
	return flushRange(f.file, f.mapped, f.offset-int64(shift), lo+shift, hi+shift)
}

// syncAll makes the file durable with its size and, if it is new, its name.
func (f *File) syncAll() error {
	if f.created {
		return SyncFull(f.file)
	}
	return syncFile(f.file)
}
