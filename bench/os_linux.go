package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

func flushData(f *os.File) error { return syscall.Fdatasync(int(f.Fd())) }

// settle writes out what earlier runs left dirty, so that it does not disturb the next.
func settle() { syscall.Sync() }

// machine tells what the numbers depend on: processor, kernel, file system, memory bound.
func machine(dir string) map[string]string {
	m := map[string]string{}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, rest, ok := strings.Cut(string(b), "model name"); ok {
			name, _, _ := strings.Cut(rest, "\n")
			m["cpu"] = strings.TrimLeft(name, "\t :")
		}
	}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m["kernel"] = strings.TrimSpace(string(b))
	}
	var fs syscall.Statfs_t
	if syscall.Statfs(dir, &fs) == nil {
		m["file system"] = fileSystemName(int64(fs.Type))
	}
	if limit := memoryBound(); limit != "" {
		m["memory bound"] = limit
	}
	return m
}

func fileSystemName(magic int64) string {
	switch magic {
	case 0xef53:
		return "ext4"
	case 0x58465342:
		return "xfs"
	case 0x9123683e:
		return "btrfs"
	case 0x01021994:
		return "tmpfs (a flush costs nothing here)"
	case 0x794c7630:
		return "overlayfs"
	}
	return fmt.Sprintf("type %#x", magic)
}

// memoryBound is the memory limit in bytes of the process's own cgroup, of either version, or "".
func memoryBound() string {
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return ""
	}
	for group := range strings.Lines(string(groups)) {
		_, group, _ = strings.Cut(strings.TrimSpace(group), ":")
		name := "/sys/fs/cgroup/memory" + strings.TrimPrefix(group, "memory:") + "/memory.limit_in_bytes"
		if path, ok := strings.CutPrefix(group, ":"); ok {
			name = "/sys/fs/cgroup" + path + "/memory.max"
		} else if !strings.HasPrefix(group, "memory:") {
			continue
		}
		b, err := os.ReadFile(name)
		limit, isNumber := strconv.Atoi(strings.TrimSpace(string(b)))
		if err == nil && isNumber == nil && limit < 1<<60 {
			return format(float64(limit), "bytes")
		}
	}
	return ""
}
