//go:build darwin || freebsd || openbsd || netbsd || dragonfly

package mmapfile

// adviseHuge does nothing: huge pages come by themselves here, or not at all.
func adviseHuge(b []byte) error { return nil }
