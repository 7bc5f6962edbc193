package mmapfile_test

import "runtime"

// posixLocks tells that locks of ranges belong to the process.
var posixLocks = runtime.GOOS == "freebsd" || runtime.GOOS == "openbsd" || runtime.GOOS == "netbsd" || runtime.GOOS == "dragonfly"
