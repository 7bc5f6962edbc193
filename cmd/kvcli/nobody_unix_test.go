//go:build unix

package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

const nobody = 65534

// mainAsNobody is main for a user whom permissions bind, even where the tests run as root.
func mainAsNobody() {
	if os.Getuid() == 0 {
		if err := errors.Join(syscall.Setgid(nobody), syscall.Setuid(nobody)); err != nil {
			fmt.Fprintln(os.Stderr, "cannot become nobody:", err)
			os.Exit(3)
		}
	}
	main()
}

const canBeNobody = true
