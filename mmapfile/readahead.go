package mmapfile

import "os"

// ReadAt reads as [os.File.ReadAt] does, for programs in which many goroutines read at random from a
// file that is not in memory. A read call that waits for the device holds one of the
// scheduler's processors (GOMAXPROCS) until the runtime notices, so only a few reads are
// under way at a time, and the device could do more. Here what is not in memory is asked for
// without waiting; then other goroutines run, which may ask as well, before this one waits. On
// Linux; elsewhere it is File.ReadAt.
//
// What is in memory costs one system call, as ever; what is not, two more. Files in order are better
// read by File.ReadAt, for which the system reads ahead.
func ReadAt(f *os.File, p []byte, off int64) (int, error) {
	if n := readReady(f, p, off); n == len(p) {
		return n, nil
	}
	return f.ReadAt(p, off)
}
