package main

import "golang.org/x/sys/unix"

// lockMemory keeps present and future memory of the process out of swap.
func lockMemory() error { return unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE) }
