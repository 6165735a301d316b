//go:build !linux

package server

import "errors"

// epollServes says that there is no epoll here: the goroutine transport serves
// whatever was asked for.
func epollServes(*listener) bool { return false }

func newEpollTransport(*Server) (transport, error) {
	return nil, errors.ErrUnsupported
}

func epollListen(*listener) error { return errors.ErrUnsupported }
