package mmapfile

import (
	"fmt"
	"os"
)

// pathsOf returns where the file of a handle may be found: by the handle, even if it was moved
// or removed, else by its name.
func pathsOf(f *os.File) []string {
	var byHandle string
	control(f, func(fd uintptr) error {
		byHandle = fmt.Sprintf("/proc/self/fd/%d", fd)
		return nil
	})
	return []string{byHandle, f.Name()}
}
