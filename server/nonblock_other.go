//go:build !unix

package server

import (
	"errors"
	"syscall"
)

// canReadNow says that readNow works here.
const canReadNow = false

func readNow(uintptr, []byte) (n int, again bool, err error) { return 0, false, errors.ErrUnsupported }

// bind leaves it to Listen to find out.
func bind(uintptr, syscall.Sockaddr) error { return nil }

// listenAgain leaves the system's backlog.
func listenAgain(uintptr, int) error { return nil }
