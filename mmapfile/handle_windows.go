package mmapfile

import (
	"os"

	"golang.org/x/sys/windows"
)

// duplicate returns a handle on the same open file, not inherited by child processes.
func duplicate(f *os.File, access Access) (own *os.File, err error) {
	err = control(f, func(fd uintptr) error {
		var dup windows.Handle
		self := windows.CurrentProcess()
		err := windows.DuplicateHandle(self, windows.Handle(fd), self, &dup, 0, false, windows.DUPLICATE_SAME_ACCESS)
		if err == nil {
			own = os.NewFile(uintptr(dup), f.Name())
		}
		return err
	})
	return own, err
}
