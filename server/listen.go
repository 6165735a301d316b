package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// Listen opens a listening socket as memcached would: with cfg's backlog, and
// for network "unix" with cfg's mode. A stale Unix socket file at the address is
// replaced; the file is not removed when the listener is closed, because by then
// it may be that of the next server. network and addr are as in net.Listen.
func Listen(cfg *Config, network, addr string) (net.Listener, error) {
	if network == "unix" {
		return listenUnix(cfg, addr)
	}
	lc := net.ListenConfig{
		// Switched on, with the system's own intervals.
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: -1, Interval: -1, Count: -1},
	}
	ln, err := lc.Listen(context.Background(), network, addr)
	if err != nil {
		return nil, err
	}
	if err := setBacklog(ln, cfg.Backlog); err != nil {
		_ = ln.Close()
		return nil, err
	}
	return ln, nil
}

// listenUnix listens on the socket file path.
func listenUnix(cfg *Config, path string) (net.Listener, error) {
	if st, err := os.Lstat(path); err == nil {
		if st.Mode()&os.ModeSocket == 0 {
			return nil, fmt.Errorf("listen unix %s: there is a file that is not a socket", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	err = errors.Join(os.Chmod(path, os.FileMode(cfg.UnixMask)&os.ModePerm), setBacklog(ln, cfg.Backlog))
	if err != nil {
		_ = ln.Close()
		return nil, err
	}
	return ln, nil
}

// setBacklog sets how many connections may wait to be accepted: listening again
// changes nothing else. 0 leaves the system's choice.
func setBacklog(ln net.Listener, backlog int) error {
	sc, is := ln.(syscall.Conn)
	if !is || backlog <= 0 {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = listenAgain(fd, backlog) }); err != nil {
		return err
	}
	return failed
}
