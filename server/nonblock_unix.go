//go:build unix

package server

import (
	"errors"
	"syscall"
)

// canReadNow says that readNow works here.
const canReadNow = true

// readNow reads what is there from a socket that does not block. It reports
// again, and err nil, if nothing is there.
func readNow(fd uintptr, buf []byte) (n int, again bool, err error) {
	for {
		n, err = syscall.Read(int(fd), buf)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			return 0, true, nil
		}
		return max(n, 0), false, err
	}
}

// bind gives a socket its address.
func bind(fd uintptr, sa syscall.Sockaddr) error { return syscall.Bind(int(fd), sa) }

// listenAgain sets the backlog of a listening socket.
func listenAgain(fd uintptr, backlog int) error { return syscall.Listen(int(fd), backlog) }
