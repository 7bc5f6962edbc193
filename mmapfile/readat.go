package mmapfile

import "os"

// ReadAt reads as [os.File.ReadAt] does, for programs in which many goroutines read at random from a
// file that is not in memory. A read call that waits for the device holds one of the
// scheduler's processors (GOMAXPROCS) until the runtime notices, so only a few reads are
// under way at a time, and the device could do more. Here the first call does not wait (preadv2
// with RWF_NOWAIT); then other goroutines run, which may begin to read as well, before a second
// one waits. On Linux; elsewhere, and on file systems that cannot do that, it is File.ReadAt.
//
// What is in memory costs one system call, as ever; what is not, one more, so it pays only with more
// such goroutines than processors.
func ReadAt(f *os.File, p []byte, off int64) (int, error) {
	if n := readReady(f, p, off); n == len(p) {
		return n, nil
	}
	return f.ReadAt(p, off)
}
