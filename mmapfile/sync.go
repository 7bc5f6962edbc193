package mmapfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// SyncData makes all completed writes to f durable, and its length as far as reading them back
// needs it: fdatasync on Linux, FreeBSD and NetBSD, F_FULLFSYNC on macOS (fsync where the file
// system refuses that), FlushFileBuffers on Windows, fsync elsewhere.
//
// After an error it is unknown what is durable, and a second call that succeeds proves nothing:
// the system may have dropped what it could not write.
func SyncData(f *os.File) error {
	return wrap("sync", f.Name(), syncData(f))
}

// SyncFull makes f durable with all its metadata, and its directory entry too where the
// platform lets a directory be flushed: the directory is the one in f.Name, so it must not have
// been moved since f was opened, and the working directory not changed if the name is relative.
// A directory that may not be read, or whose file system does not flush directories, is passed
// over, and so is one that is gone: with it went the entry.
func SyncFull(f *os.File) error {
	dir, path := make(chan error, 1), filepath.Dir(f.Name())
	go func() { dir <- SyncDir(path) }() // neither waits for the other
	err := wrap("sync", f.Name(), syncFile(f))
	if e := <-dir; !errors.Is(e, fs.ErrNotExist) && err == nil {
		err = e
	}
	return err
}

// SyncDir makes the entries of the directory at path durable, such as that of a file that was
// renamed, where the platform lets a directory be flushed. A directory that may not be read,
// or whose file system does not flush directories, is passed over.
func SyncDir(path string) error { return wrap("sync directory", path, syncDir(path)) }
