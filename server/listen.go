package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
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

// errBound ends a Listen whose socket was only to be bound.
var errBound = errors.New("bound")

// TryListen finds out whether Listen would open a TCP address, and fails as it would,
// but nobody can connect meanwhile: the socket is given its address, which is refused
// where another one listens, and closed again.
func TryListen(network, addr string) error {
	lc := net.ListenConfig{Control: func(_, at string, raw syscall.RawConn) error {
		sa, err := sockAddr(at)
		if err != nil {
			return err
		}
		bound := errBound
		if err := raw.Control(func(fd uintptr) {
			if failed := bind(fd, sa); failed != nil {
				bound = os.NewSyscallError("bind", failed)
			}
		}); err != nil {
			return err
		}
		return bound
	}}
	ln, err := lc.Listen(context.Background(), network, addr)
	switch {
	case err == nil:
		return ln.Close()
	case errors.Is(err, errBound):
		return nil
	}
	return err
}

// sockAddr is a TCP address as the system takes it.
func sockAddr(addr string) (syscall.Sockaddr, error) {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	if ap.Addr().Is4() {
		return &syscall.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()}, nil
	}
	sa := &syscall.SockaddrInet6{Port: int(ap.Port()), Addr: ap.Addr().As16()}
	if zone := ap.Addr().Zone(); zone != "" {
		ifi, err := net.InterfaceByName(zone)
		if err != nil {
			return nil, err
		}
		sa.ZoneId = uint32(ifi.Index)
	}
	return sa, nil
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
