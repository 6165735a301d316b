package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// allowLocking lets root lock any amount of memory. It has to happen before
// root is given up.
func allowLocking() {
	if os.Geteuid() == 0 {
		_ = unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY})
	}
}

// lockMemory keeps the memory of the process out of swap, each page from its
// first use on, so that memory not needed yet is not taken. Future memory is
// included only if its amount is not limited: otherwise the process would die
// of the limit later.
func lockMemory() error {
	flags := unix.MCL_CURRENT | unix.MCL_ONFAULT
	var lim unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &lim)
	if os.Geteuid() == 0 || (err == nil && lim.Cur == unix.RLIM_INFINITY) {
		flags |= unix.MCL_FUTURE
	}
	return unix.Mlockall(flags)
}
