package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// conn is one connection of the generator.
type conn struct {
	fd      int
	index   int32  // in the pool
	watched uint32 // events
	out, in []byte
	unsent  int   // bytes of a large value still to be sent, after out
	due     []due // batches under way, the oldest first
	skip    int   // bytes of a large value still to be dropped
	skipped Part  // what ends with them
}

// due is a batch whose replies are still to come.
type due struct {
	at      time.Time // when it was sent, or should have been
	replies int
	ops     int
}

// pool is a set of connections and an epoll instance that watches them.
type pool struct {
	epoll  int
	conns  []*conn
	events []unix.EpollEvent
	ready  []*conn
}

// dial opens n connections to addr.
func dial(addr string, n int) (*pool, error) {
	a, err := net.ResolveTCPAddr("tcp4", addr)
	if err != nil {
		return nil, err
	}
	p := &pool{events: make([]unix.EpollEvent, 128)}
	if p.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	sa := &unix.SockaddrInet4{Port: a.Port, Addr: [4]byte(a.IP.To4())}
	for range n {
		if err := p.add(sa); err != nil {
			p.close()
			return nil, fmt.Errorf("connection %d: %w", len(p.conns), err)
		}
	}
	return p, nil
}

func (p *pool) add(sa unix.Sockaddr) error {
	// Servers are started while connections are open: they must not inherit one.
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	c := &conn{fd: fd, index: int32(len(p.conns)), watched: unix.EPOLLIN, in: make([]byte, 0, 1<<12)}
	p.conns = append(p.conns, c)
	if err := unix.Connect(fd, sa); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return err
	}
	ev := unix.EpollEvent{Events: c.watched, Fd: c.index}
	return unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, fd, &ev)
}

// watch has wait return c for these events.
func (p *pool) watch(c *conn, events uint32) error {
	if events == c.watched {
		return nil
	}
	c.watched = events
	return unix.EpollCtl(p.epoll, unix.EPOLL_CTL_MOD, c.fd, &unix.EpollEvent{Events: events, Fd: c.index})
}

// wait returns the connections that are ready, to be read as a rule, none after the
// timeout. The slice is valid until the next call.
func (p *pool) wait(timeout time.Duration) ([]*conn, error) {
	for {
		n, err := unix.EpollWait(p.epoll, p.events, int(timeout.Milliseconds()))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("epoll: %w", err)
		}
		p.ready = p.ready[:0]
		for _, e := range p.events[:n] {
			p.ready = append(p.ready, p.conns[e.Fd])
		}
		return p.ready, nil
	}
}

func (p *pool) close() {
	for _, c := range p.conns {
		_ = unix.Close(c.fd) // the run is over: nothing depends on it
	}
	_ = unix.Close(p.epoll)
}

// flush writes c.out. It blocks while the server reads nothing.
func (c *conn) flush() error {
	for out := c.out; len(out) > 0; {
		n, err := unix.Write(c.fd, out)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("send: %w", err)
		}
		out = out[n:]
	}
	return nil
}

var errClosed = errors.New("the server closed the connection")

// read appends to c.in what the socket has.
func (c *conn) read() error {
	if len(c.in) == cap(c.in) {
		c.in = append(c.in, make([]byte, cap(c.in))...)[:len(c.in)]
	}
	n, err := unix.Read(c.fd, c.in[len(c.in):cap(c.in)])
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	if n == 0 {
		return errClosed
	}
	c.in = c.in[:len(c.in)+n]
	return nil
}

// ask sends one command on a connection of its own and returns the reply, which
// must end with the given bytes.
func ask(addr, command, end string) ([]byte, error) {
	c, err := net.DialTimeout("tcp", addr, replyTimeout)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }() // nothing of ours is buffered in it
	if err := c.SetDeadline(time.Now().Add(replyTimeout)); err != nil {
		return nil, err
	}
	if _, err := c.Write([]byte(command)); err != nil {
		return nil, err
	}
	var reply []byte
	buf := make([]byte, 1<<14)
	for !bytes.HasSuffix(reply, []byte(end)) {
		n, err := c.Read(buf)
		if err != nil {
			return nil, fmt.Errorf("after %q: %w", reply, err)
		}
		reply = append(reply, buf[:n]...)
	}
	return reply, nil
}

// scratch is where a kernel that does copy puts what is discarded.
var scratch [1 << 20]byte

// discard drops up to c.skip bytes from the socket. With MSG_TRUNC the kernel's
// TCP counts the bytes and copies none.
func (c *conn) discard() error {
	n, _, err := unix.Recvfrom(c.fd, scratch[:min(c.skip, len(scratch))], unix.MSG_TRUNC)
	if errors.Is(err, unix.EINTR) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("discard: %w", err)
	}
	if n == 0 {
		return errClosed
	}
	c.skip -= n
	return nil
}
