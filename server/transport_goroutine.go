package server

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
)

// netTransport serves every connection by a goroutine of its own, on any
// net.Listener and any system. It is also the reference that the event loops
// are tested against.
type netTransport struct {
	srv      *Server
	lanes    []*sharedLane
	wg       sync.WaitGroup
	draining atomic.Bool

	mu struct {
		sync.Mutex
		conns map[*netConn]struct{}
	}
}

// sharedLane is a lane that several goroutines use, each for a turn. mu is not
// held while a socket is waited for.
type sharedLane struct {
	mu      sync.Mutex
	waiting atomic.Int32 // goroutines that want mu
	*lane
}

// newNetTransport makes the lanes; it starts nothing.
func newNetTransport(s *Server) *netTransport {
	t := &netTransport{srv: s}
	t.mu.conns = make(map[*netConn]struct{})
	for range s.cfg.Threads {
		t.lanes = append(t.lanes, &sharedLane{lane: newLane(s.handler, &s.buffers, &s.conf)})
	}
	return t
}

func (t *netTransport) accept(ln *listener) (arrival, error) {
	nc, err := ln.ln.Accept()
	if err != nil {
		return arrival{}, err
	}
	a := arrival{nc: nc, peer: addrPort(nc.RemoteAddr())}
	if ln.any {
		a.local = addrPort(nc.LocalAddr())
	}
	return a, nil
}

func (t *netTransport) refuse(a arrival, line string) {
	if line != "" {
		// If it fails, the client learns from the close.
		_, _ = a.nc.Write([]byte(line))
	}
	_ = a.nc.Close()
}

func (t *netTransport) serve(a arrival, ln *listener, id uint64) {
	c := &netConn{t: t, nc: a.nc, lane: t.lanes[id%uint64(len(t.lanes))], woken: make(chan struct{}, 1)}
	c.session.FD, c.ln, c.local = -1, ln, a.local
	if sc, is := a.nc.(syscall.Conn); is {
		if raw, err := sc.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { c.session.FD = int(fd) })
			if canReadNow {
				c.raw = raw
				c.onReady = c.tryRead
			}
		}
	}
	c.session.Remote = a.peer
	c.session.init(id, t.srv.conf.debug, c)
	t.srv.opened(&c.conn)
	t.mu.Lock()
	t.mu.conns[c] = struct{}{}
	t.mu.Unlock()
	t.wg.Add(1)
	go c.run()
}

// all is the connections there are now.
func (t *netTransport) all() []*netConn {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]*netConn, 0, len(t.mu.conns))
	for c := range t.mu.conns {
		list = append(list, c)
	}
	return list
}

func (t *netTransport) sweep(since sweepTimes) {
	for _, c := range t.all() {
		if c.idleSince(since.idle) {
			c.end(CloseIdle)
		}
	}
}

func (t *netTransport) drain() {
	t.draining.Store(true)
	for _, c := range t.all() {
		c.wake()
	}
}

func (t *netTransport) stop() {
	for _, c := range t.all() {
		c.end(CloseShutdown)
	}
}

func (t *netTransport) wait() { t.wg.Wait() }

func (t *netTransport) each(now int64, f func(ConnInfo)) {
	for _, c := range t.all() {
		f(c.info(now))
	}
}

func (t *netTransport) addTo(st *ConnStats) {
	for _, l := range t.lanes {
		l.n.addTo(st)
		st.BufferBytesFree += l.bytes()
	}
}

// addrPort is the address as a value; not valid for anything but TCP.
func addrPort(a net.Addr) netip.AddrPort {
	if a, is := a.(*net.TCPAddr); is {
		p := a.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	}
	return netip.AddrPort{}
}
