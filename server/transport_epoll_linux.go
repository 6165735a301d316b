package server

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// epollTransport is one event loop for each thread. Every connection belongs to
// one loop for its whole life.
type epollTransport struct {
	srv   *Server
	loops []*epollLoop
	wg    sync.WaitGroup
}

// epollServes says whether the loops can serve ln: they need a real socket.
func epollServes(ln *listener) bool {
	switch ln.ln.(type) {
	case *net.TCPListener, *net.UnixListener:
		return true
	}
	return false
}

// epollListen prepares ln for accept. Package net lets nobody wait on its
// listeners, but on a duplicate of the socket one may.
func epollListen(ln *listener) error {
	f, err := ln.ln.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		return err
	}
	ln.file = f
	ln.raw, err = f.SyscallConn()
	return err
}

// newEpollTransport starts the loops.
func newEpollTransport(s *Server) (transport, error) {
	t := &epollTransport{srv: s}
	for range s.cfg.Threads {
		l, err := newEpollLoop(s)
		if err != nil {
			for _, l := range t.loops {
				l.free()
			}
			return nil, err
		}
		t.loops = append(t.loops, l)
	}
	for _, l := range t.loops {
		t.wg.Add(1)
		go func() {
			defer t.wg.Done()
			l.run()
		}()
	}
	return t, nil
}

// accept waits by way of Go's own poller and takes the socket out raw.
func (t *epollTransport) accept(ln *listener) (arrival, error) {
	var a arrival
	var sa unix.Sockaddr
	var failed error
	err := ln.raw.Read(func(fd uintptr) bool {
		a.fd, sa, failed = unix.Accept4(int(fd), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		return !errors.Is(failed, unix.EAGAIN)
	})
	if err = errors.Join(err, failed); err != nil {
		return arrival{}, err
	}
	if ln.unix {
		return a, nil
	}
	a.peer = sockAddrPort(sa)
	if ln.any {
		if sa, err := unix.Getsockname(a.fd); err == nil {
			a.local = sockAddrPort(sa)
		}
	}
	// Best effort, as they only tune.
	_ = unix.SetsockoptInt(a.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	_ = unix.SetsockoptInt(a.fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	return a, nil
}

// sockAddrPort turns a raw address into a value.
func sockAddrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

func (t *epollTransport) refuse(a arrival, line string) {
	if line != "" {
		// If the socket does not take so little, the client learns from the close.
		_, _ = unix.Write(a.fd, []byte(line))
	}
	_ = unix.Close(a.fd)
}

// serve gives the connection to the loop that has the fewest.
func (t *epollTransport) serve(a arrival, ln *listener, id uint64) {
	l := t.loops[int(id)%len(t.loops)]
	for _, other := range t.loops {
		if other.count.Load() < l.count.Load() {
			l = other
		}
	}
	l.count.Add(1)
	c := &epollConn{loop: l}
	c.session.FD, c.ln, c.local = a.fd, ln, a.local
	c.session.Remote = a.peer
	c.session.init(id, t.srv.conf.debug, c)
	t.srv.opened(&c.conn)
	l.post(func(m *mail) { m.arrivals = append(m.arrivals, c) })
}

func (t *epollTransport) sweep(since sweepTimes) {
	for _, l := range t.loops {
		l.post(func(m *mail) { m.sweep, m.since = true, since })
	}
}

func (t *epollTransport) drain() {
	for _, l := range t.loops {
		l.post(func(m *mail) { m.drain = true })
	}
}

func (t *epollTransport) stop() {
	for _, l := range t.loops {
		l.post(func(m *mail) { m.stop = true })
	}
}

func (t *epollTransport) wait() { t.wg.Wait() }

func (t *epollTransport) each(now int64, f func(ConnInfo)) {
	for _, l := range t.loops {
		l.table.Lock()
		for _, c := range l.table.conns {
			if c != nil {
				f(c.info(now))
			}
		}
		l.table.Unlock()
	}
}

func (t *epollTransport) addTo(st *ConnStats) {
	for _, l := range t.loops {
		l.lane.n.addTo(st)
		st.BufferBytesFree += l.lane.bytes()
	}
}
