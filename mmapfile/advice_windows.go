package mmapfile

import (
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

var prefetchVirtualMemory = windows.NewLazySystemDLL("kernel32.dll").NewProc("PrefetchVirtualMemory")

// advise knows WillNeed only, since Windows 8.
func advise(b []byte, a Advice) error {
	if a != WillNeed || prefetchVirtualMemory.Find() != nil {
		return nil
	}
	entry := struct{ addr, size uintptr }{uintptr(unsafe.Pointer(&b[0])), uintptr(len(b))}
	ok, _, err := prefetchVirtualMemory.Call(uintptr(windows.CurrentProcess()), 1, uintptr(unsafe.Pointer(&entry)), 0)
	if ok == 0 {
		return err
	}
	return nil
}

func lockMemory(b []byte) error {
	return windows.VirtualLock(uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
}

func unlockMemory(b []byte) error {
	err := windows.VirtualUnlock(uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	if err == windows.ERROR_NOT_LOCKED {
		return nil
	}
	return err
}

// resident asks in steps, so that the answer for a large map needs little memory.
func resident(b []byte) (pages, total int, err error) {
	const step = 1 << 12
	size := os.Getpagesize()
	var infos [step]windows.PSAPI_WORKING_SET_EX_INFORMATION
	for len(b) > 0 {
		part := b[:min(len(b), step*size)]
		n := (len(part) + size - 1) / size
		for i := range infos[:n] {
			infos[i].VirtualAddress = windows.Pointer(unsafe.Pointer(&part[i*size]))
		}
		bytes := uint32(uintptr(n) * unsafe.Sizeof(infos[0]))
		if err := windows.QueryWorkingSetEx(windows.CurrentProcess(), uintptr(unsafe.Pointer(&infos[0])), bytes); err != nil {
			return 0, 0, err
		}
		for _, info := range infos[:n] {
			if info.VirtualAttributes.Valid() {
				pages++
			}
		}
		total += n
		b = b[len(part):]
	}
	return pages, total, nil
}
