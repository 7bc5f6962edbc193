//go:build linux || darwin || freebsd || openbsd || netbsd || dragonfly

package mmapfile

import "golang.org/x/sys/unix"

var madvice = map[Advice]int{
	Normal:     unix.MADV_NORMAL,
	Sequential: unix.MADV_SEQUENTIAL,
	Random:     unix.MADV_RANDOM,
	WillNeed:   unix.MADV_WILLNEED,
	DontNeed:   unix.MADV_DONTNEED,
}

func advise(b []byte, a Advice) error {
	if a == HugePage {
		return adviseHuge(b)
	}
	return unix.Madvise(b, madvice[a])
}

func lockMemory(b []byte) error { return unix.Mlock(b) }

func unlockMemory(b []byte) error { return unix.Munlock(b) }
