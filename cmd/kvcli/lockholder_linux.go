package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
)

// lockHolder names the process that holds a lock on the file, as well as it can be told.
func lockHolder(name string) string {
	const unknown = "another process"
	var stat syscall.Stat_t
	if syscall.Stat(name, &stat) != nil {
		return unknown
	}
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		return unknown
	}
	for line := range strings.Lines(string(locks)) {
		// 1: FLOCK  ADVISORY  WRITE 708 08:01:393217 0 EOF
		fields := strings.Fields(line)
		if len(fields) < 8 || fields[1] == "->" || !strings.HasSuffix(fields[5], fmt.Sprintf(":%d", stat.Ino)) {
			continue
		}
		command, err := os.ReadFile("/proc/" + fields[4] + "/comm")
		if err != nil {
			return unknown
		}
		return fmt.Sprintf("process %s (%s)", fields[4], strings.TrimSpace(string(command)))
	}
	return unknown
}
