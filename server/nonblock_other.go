//go:build !unix

package server

import "errors"

// canReadNow says that readNow works here.
const canReadNow = false

func readNow(uintptr, []byte) (n int, again bool, err error) { return 0, false, errors.ErrUnsupported }

// listenAgain leaves the system's backlog.
func listenAgain(uintptr, int) error { return nil }
