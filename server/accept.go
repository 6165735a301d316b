package server

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// tooMany is what a client is told that comes when all places are taken.
const tooMany = "ERROR Too many open connections\r\n"

// acceptPause is how long an acceptor waits when the system has no descriptor
// or no memory left.
const acceptPause = 100 * time.Millisecond

// listener is one listening socket.
type listener struct {
	ln   net.Listener
	t    transport       // who serves its connections
	file *os.File        // epoll transport: the socket once more, for accepting raw
	raw  syscall.RawConn // of file
	fd   int             // for "stats conns"; -1 if it is not known
	addr string
	unix bool
	any  bool // bound to no particular address
}

// newListener describes ln.
func newListener(ln net.Listener) *listener {
	l := &listener{ln: ln, fd: -1, addr: addrName(ln.Addr())}
	switch a := ln.Addr().(type) {
	case *net.TCPAddr:
		l.any = len(a.IP) == 0 || a.IP.IsUnspecified()
	case *net.UnixAddr:
		l.unix = true
	}
	if sc, is := ln.(syscall.Conn); is {
		if raw, err := sc.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { l.fd = int(fd) })
		}
	}
	return l
}

// close ends the accepting. Nothing can be lost with a listener.
func (l *listener) close() {
	_ = l.ln.Close()
	if l.file != nil {
		_ = l.file.Close()
	}
}

// accept lets the connections of ln in, one after another, until the listener
// is closed. It is a goroutine of its own.
func (s *Server) accept(ln *listener) {
	t := ln.t
	logged := false
	for {
		a, err := t.accept(ln)
		switch {
		case err == nil:
		case errors.Is(err, net.ErrClosed), s.gate.isClosed():
			return
		case errors.Is(err, syscall.ECONNABORTED), errors.Is(err, syscall.EINTR):
			continue
		default:
			if !logged {
				s.conf.log.Error().Err(err).Str("listener", ln.addr).Msg("cannot accept, trying again")
				logged = true
			}
			s.gate.pause(acceptPause)
			continue
		}
		logged = false
		switch s.gate.enter(ln.unix) {
		case admitted:
			t.serve(a, ln, s.ids.Add(1))
		case refused:
			t.refuse(a, tooMany)
		case gateClosed:
			t.refuse(a, "")
			return
		}
	}
}

// gate counts the clients and keeps them below MaxConns. One client more may
// come by a Unix socket, so that an operator always gets in.
type gate struct {
	max  int
	fast bool // refuse at once, rather than wait for a place

	mu struct {
		sync.Mutex
		open, peak      int
		total, rejected uint64
		closed          bool

		// While somebody waits for a place, no connection is accepted.
		waiting  int
		since    time.Time
		episodes uint64
		disabled time.Duration
	}
	left sync.Cond     // somebody has left, or the gate has closed
	done chan struct{} // closed with the gate
}

// admission is what the gate says to a client.
type admission uint8

const (
	admitted admission = iota
	refused
	gateClosed
)

// init makes the gate ready.
func (g *gate) init(maxConns int, fast bool) {
	g.max, g.fast = maxConns, fast
	g.left.L = &g.mu
	g.done = make(chan struct{})
}

// enter takes a place, if need be after waiting for one; reserved says that the
// extra place is open to the client. Who was admitted must call leave.
func (g *gate) enter(reserved bool) admission {
	places := g.max
	if reserved {
		places++
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mu.open >= places && g.fast && !g.mu.closed {
		g.mu.rejected++
		return refused
	}
	if g.mu.open >= places {
		g.disableLocked()
		for g.mu.open >= places && !g.mu.closed {
			g.left.Wait()
		}
		g.enableLocked()
	}
	if g.mu.closed {
		return gateClosed
	}
	g.mu.open++
	g.mu.total++
	g.mu.peak = max(g.mu.peak, g.mu.open)
	return admitted
}

// leave gives a place back.
func (g *gate) leave() {
	g.mu.Lock()
	g.mu.open--
	g.left.Broadcast()
	g.mu.Unlock()
}

// pause waits d, or until the gate closes.
func (g *gate) pause(d time.Duration) {
	g.mu.Lock()
	g.disableLocked()
	g.mu.Unlock()
	timer := time.NewTimer(d)
	select {
	case <-timer.C:
	case <-g.done:
		timer.Stop()
	}
	g.mu.Lock()
	g.enableLocked()
	g.mu.Unlock()
}

// disableLocked notes that one more acceptor waits. The caller holds mu.
func (g *gate) disableLocked() {
	if g.mu.waiting++; g.mu.waiting == 1 {
		g.mu.episodes++
		g.mu.since = time.Now()
	}
}

// enableLocked notes that one acceptor goes on. The caller holds mu.
func (g *gate) enableLocked() {
	if g.mu.waiting--; g.mu.waiting == 0 {
		g.mu.disabled += time.Since(g.mu.since)
	}
}

// close lets nobody in any more and ends all waiting.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.mu.closed {
		g.mu.closed = true
		close(g.done)
		g.left.Broadcast()
	}
}

func (g *gate) isClosed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.mu.closed
}

// addTo adds the gate's counters to st.
func (g *gate) addTo(st *ConnStats) {
	g.mu.Lock()
	defer g.mu.Unlock()
	st.Current, st.Structures = uint64(g.mu.open), uint64(g.mu.peak)
	st.Total, st.Rejected = g.mu.total, g.mu.rejected
	st.Accepting = g.mu.waiting == 0
	st.ListenDisabledNum, st.ListenDisabled = g.mu.episodes, g.mu.disabled
	if g.mu.waiting > 0 {
		st.ListenDisabled += time.Since(g.mu.since)
	}
}
