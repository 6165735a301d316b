package main

import (
	"bytes"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// largeMin is the shortest value, in bytes, that is sent from a file.
const largeMin = 64 << 10

// largeSets sends sets of long values without copying them, on all connections at
// once. To write such a value costs the generator's core more than the server's to
// read it, for what a socket of the loopback takes is copied and carried over to the
// receiver by the sender: it would be the generator that is measured. The pages of a
// file in memory are handed over instead.
type largeSets struct {
	fd         int // of the file that is the value
	size       int
	head, tail []byte // what comes before the value and after
	key        []byte // in head
}

// newLargeSets returns nil if l is something else.
func newLargeSets(w Wire, l Load, value []byte) (*largeSets, error) {
	if l.ValueBytes < largeMin || l.SetPercent < 100 || l.Pipeline != 1 || l.Stream != nil || l.Noise || l.Rate > 0 {
		return nil, nil
	}
	value = value[:l.ValueBytes]
	key := appendKey(nil, 0)
	request := w.AppendSet(nil, key, value, 0)
	at := bytes.Index(request, value)
	s := &largeSets{size: len(value), head: request[:at], tail: request[at+len(value):]}
	k := bytes.Index(s.head, key)
	s.key = s.head[k : k+len(key)]
	fd, err := unix.MemfdCreate("value", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("value: %w", err)
	}
	s.fd = fd
	if n, err := unix.Write(fd, value); err != nil || n < len(value) {
		return nil, errors.Join(fmt.Errorf("value: %d of %d bytes written: %w", n, len(value), err), unix.Close(fd))
	}
	return s, nil
}

// begin has a set of the key with that number sent on c.
func (s *largeSets) begin(c *conn, key int) {
	appendKey(s.key[:0], key) // keys are of one length
	c.out = append(c.out, s.head...)
	c.unsent = s.size
}

// push sends what the socket of c, which does not block, takes of the request that it is
// at, and has p tell when it takes more.
func (s *largeSets) push(p *pool, c *conn) error {
	for {
		n, err := 0, error(nil)
		switch {
		case len(c.out) > 0:
			flags := unix.MSG_NOSIGNAL | unix.MSG_DONTWAIT
			if c.unsent > 0 {
				flags |= unix.MSG_MORE
			}
			n, err = unix.SendmsgN(c.fd, c.out, nil, nil, flags)
			c.out = c.out[max(n, 0):]
		case c.unsent > 0:
			at := int64(s.size - c.unsent)
			n, err = unix.Sendfile(c.fd, s.fd, &at, c.unsent)
			if c.unsent -= max(n, 0); c.unsent == 0 {
				c.out = append(c.out[:0], s.tail...)
			}
		default:
			return p.watch(c, unix.EPOLLIN)
		}
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return p.watch(c, unix.EPOLLIN|unix.EPOLLOUT)
		case err != nil:
			return fmt.Errorf("send: %w", err)
		}
	}
}

// sending says whether a request is not sent to its end.
func (c *conn) sending() bool { return len(c.out) > 0 || c.unsent > 0 }

func (s *largeSets) close() { _ = unix.Close(s.fd) } // nothing is lost with it

// neverBlock has sends take what there is room for.
func (p *pool) neverBlock() error {
	for _, c := range p.conns {
		if err := unix.SetNonblock(c.fd, true); err != nil {
			return fmt.Errorf("connection: %w", err)
		}
	}
	return nil
}
