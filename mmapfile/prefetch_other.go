//go:build !(amd64 || arm64) || !gc

package mmapfile

// Prefetch asks the processor to bring the memory of b into its caches, and does not wait for
// it. It is a hint that changes nothing and never faults. On processors other than amd64 and
// arm64 it does nothing.
func Prefetch([]byte) {}
