package mmapfile

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// A FaultError tells that memory could not be accessed: the file under a map was cut short, the
// disk could not be read, or read-only memory was written to.
type FaultError struct {
	Addr uintptr // the address of the access, where the platform tells it
	Op   string  // the operation of a File or Region; empty where it came from Guard
	Path string  // the file's path; empty where it came from Guard
	Err  error   // the runtime's error
}

// Error describes the fault.
func (e *FaultError) Error() string {
	s := fmt.Sprintf("memory fault at address %#x", e.Addr)
	if e.Op != "" {
		s = e.Op + " " + e.Path + ": " + s
	}
	return s
}

// Unwrap returns the runtime's error.
func (e *FaultError) Unwrap() error { return e.Err }

// Guard calls fn and returns its error. A memory fault in fn, outside of goroutines that it
// starts, ends fn and is returned as a *FaultError; without Guard it would end the process.
// What fn had done by then stays done, so fn must release what it holds by defer.
//
// Guard nests, and may be used by many goroutines. All other panics pass through, so do nil
// pointers and runtime.Goexit. A page is the smallest unit of a fault: where a file was cut
// short within a page, the rest of that page reads as zeros and does not fault.
func Guard(fn func() error) (err error) {
	old := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(old)
		if v := recover(); v != nil {
			err = faultOf(v)
		}
	}()
	return fn()
}

// faultOf turns the value of a recovered panic into a *FaultError; what is no fault goes on
// panicking.
func faultOf(v any) *FaultError {
	fault, ok := v.(interface {
		runtime.Error
		Addr() uintptr
	})
	if !ok {
		panic(v)
	}
	return &FaultError{Addr: fault.Addr(), Err: fault}
}
