package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// createWhole makes the file name all or nothing: build fills an empty file that gets the
// name only when it is complete. What is there already is never replaced.
func createWhole(name string, build func(partial string) error) error {
	if err := refuseExisting(name); err != nil {
		return err
	}
	partial := name + ".partial"
	file, err := os.OpenFile(partial, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is in the way: another kvcli is writing it, or was killed; if so remove it", partial)
	}
	if err != nil {
		return err
	}
	err = file.Close()
	if err == nil {
		err = build(partial)
	}
	if err == nil {
		err = refuseExisting(name)
	}
	if err == nil {
		err = os.Rename(partial, name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(partial))
	}
	return syncDir(filepath.Dir(name))
}

// explainNew says what became of the file name when createWhole failed.
func explainNew(name string, err error) error {
	if errors.Is(err, errInterrupted) {
		return fmt.Errorf("interrupted: %s was not made", name)
	}
	return err
}

func refuseExisting(name string) error {
	_, err := os.Lstat(name)
	switch {
	case err == nil:
		return fmt.Errorf("%s exists already, and is not overwritten", name)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	default:
		return err
	}
}

// syncDir makes a new name in a directory durable, on systems where that takes a call.
func syncDir(name string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	dir, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
