package server

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// readMax is how much a connection's goroutine reads at once, in bytes.
const readMax = 16 << 10

// netConn is a connection of the goroutine transport. Its goroutine has it to
// itself, but for woken and ending.
type netConn struct {
	conn
	t      *netTransport
	lane   *sharedLane
	nc     net.Conn
	woken  chan struct{} // holds one while there has been a Wake
	ending atomic.Int32  // 1 + the CloseReason of whoever has closed nc

	// What a read has brought: direct says that it went into a Sink.
	direct bool
	span   []byte     // memory of the Sink for the next read, nil if there is none
	data   heldBuffer // else the bytes, held only while they are there
	n      int

	// For reading without a buffer while nothing is there; raw is nil if nc
	// cannot do that.
	raw     syscall.RawConn
	onReady func(fd uintptr) bool // tryRead, bound once
	err     error
}

// errNoMemory says that read_buf_mem_limit left no buffer to read into.
var errNoMemory = errors.New("no memory to read into")

// run serves the connection until it ends.
func (c *netConn) run() {
	defer c.t.wg.Done()
	reason := c.converse()
	if ending := c.ending.Load(); ending > 0 {
		reason = CloseReason(ending - 1)
	}
	c.lane.mu.Lock()
	c.session.abort(c.lane.lane)
	c.lane.mu.Unlock()
	c.data.release(c.lane.buffers)
	c.t.mu.Lock()
	delete(c.t.mu.conns, c)
	c.t.mu.Unlock()
	if reason == CloseIdle {
		c.lane.n.idleKicks.Add(1)
	}
	// Last, so that whoever sees the end of the connection finds it counted as gone.
	c.t.srv.closed(&c.conn, reason)
	_ = c.nc.Close()
}

// converse takes turns, one after another, and returns why the last was the last.
func (c *netConn) converse() CloseReason {
	s := &c.session
	for v := verdictRead; ; {
		// Before the read: what was sent before the drain is still read.
		draining, reads := c.t.draining.Load(), s.wantsInput(v)
		if err := c.await(v, draining); err != nil {
			return CloseError
		}
		dry := reads && c.n == 0
		var ok bool
		if v, ok = c.turn(); !ok {
			return CloseError
		}
		if v == verdictHold {
			if v, ok = c.awaitKeeper(); !ok {
				return CloseError
			}
		}
		if !c.write() {
			return CloseError
		}
		s.note(v)
		switch {
		case v == verdictClose:
			return CloseNormal
		case draining && (dry || !s.wantsInput(v)) && (v == verdictRead || v == verdictWait):
			return CloseShutdown
		}
	}
}

// await waits for what the session wants, input or a Wake. While the server
// drains it takes what input is there and waits for nothing.
func (c *netConn) await(v verdict, draining bool) error {
	reads := c.session.wantsInput(v)
	switch {
	case reads && !draining:
		return c.read(c.readOnce())
	case reads && c.raw != nil:
		if err := c.raw.Control(func(fd uintptr) { c.tryRead(fd) }); err != nil {
			return err
		}
		return c.read(c.err)
	case v == verdictWait && !draining:
		<-c.woken
	}
	return nil
}

// turn gives the session the lane for one turn.
func (c *netConn) turn() (v verdict, ok bool) {
	s, l := &c.session, c.lane
	l.waiting.Add(1)
	l.mu.Lock()
	others := l.waiting.Add(-1) > 0
	defer l.mu.Unlock()
	s.begin(l.lane)
	if c.n > 0 {
		l.n.bytesRead.Add(uint64(c.n))
		c.last.Store(c.t.srv.seconds.Load())
	}
	switch {
	case c.n > 0 && c.direct:
		s.direct = true
		s.fed(c.n)
	case c.n > 0:
		s.feed(c.data.b.B[:c.n])
	}
	c.n = 0
	c.data.release(l.buffers)
	v = s.run(others)
	c.span = nil
	if v == verdictRead {
		c.span = s.span()
	}
	return v, s.end()
}

// awaitKeeper waits until the replies that are held back may leave. Not ok means
// that the connection has been ended meanwhile.
func (c *netConn) awaitKeeper() (v verdict, ok bool) {
	s, l := &c.session, c.lane
	s.note(verdictHold)
	for !s.holdOver() {
		<-c.woken
		if c.ending.Load() > 0 {
			return verdictClose, false
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s.begin(l.lane)
	v = s.letGo()
	if v == verdictWait {
		// The Wake that it waits for may have come meanwhile, and been used up here.
		c.wake()
	}
	return v, s.end()
}

// read looks at how a read ended. Only a broken connection is an error: a Wake
// and the end of the input are none.
func (c *netConn) read(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		// From wake. A Wake or drain from here on sets the deadline again, one
		// before is seen by the turn that follows.
		return c.nc.SetReadDeadline(time.Time{})
	case errors.Is(err, io.EOF):
		c.session.eof = true
		return nil
	}
	return err
}

// readOnce waits for input and reads it.
func (c *netConn) readOnce() error {
	if c.raw != nil {
		if err := c.raw.Read(c.onReady); err != nil {
			return err
		}
		return c.err
	}
	buf, err := c.buffer()
	if err != nil {
		return err
	}
	c.n, err = c.nc.Read(buf)
	if c.n > 0 {
		return nil
	}
	c.data.release(c.lane.buffers)
	return err
}

// tryRead reads what is there and reports false if nothing is: c then holds no
// buffer while it waits.
func (c *netConn) tryRead(fd uintptr) bool {
	buf, err := c.buffer()
	if err != nil {
		c.err = err
		return true
	}
	n, again, err := readNow(fd, buf)
	c.n, c.err = n, err
	if n == 0 {
		c.data.release(c.lane.buffers)
		if err == nil && !again {
			c.err = io.EOF
		}
	}
	return !again
}

// buffer is where the next read lands.
func (c *netConn) buffer() ([]byte, error) {
	c.direct = c.span != nil
	if c.direct {
		return c.span, nil
	}
	room := inputMax
	if held := &c.session.heldIn; !held.empty() {
		room -= len(held.b.B)
	}
	room = min(room, readMax)
	if !c.data.hold(c.lane.buffers, room) {
		return nil, errNoMemory
	}
	return c.data.b.B[:room], nil
}

// write writes all output, waiting as long as it takes. It reports false if the
// connection is broken.
func (c *netConn) write() bool {
	o := &c.session.Out
	if o.Pending() == 0 {
		return true
	}
	c.session.note(verdictDrain)
	for o.Pending() > 0 {
		n, err := c.writeOnce(o)
		c.lane.n.bytesWritten.Add(uint64(n))
		o.wrote(n)
		if err != nil {
			return false
		}
	}
	c.session.releaseOut(c.lane.buffers)
	return true
}

// writeOnce writes a piece of the output.
func (c *netConn) writeOnce(o *Output) (int, error) {
	if o.pinned == 0 {
		return c.nc.Write(o.Buf[o.sent:])
	}
	vec := net.Buffers(o.gather(make([][]byte, vecMax)))
	n, err := vec.WriteTo(c.nc)
	return int(n), err
}

// ready is wake: turns of a goroutine are its own.
func (c *netConn) ready() { c.wake() }

// wake has the goroutine take a turn soon. It is called by any goroutine.
func (c *netConn) wake() {
	select {
	case c.woken <- struct{}{}:
	default:
	}
	// Breaks a read. It fails only if the connection is closed.
	_ = c.nc.SetReadDeadline(time.Unix(1, 0))
}

// end closes the connection from outside; the goroutine sees it and goes.
func (c *netConn) end(reason CloseReason) {
	c.ending.CompareAndSwap(0, 1+int32(reason))
	_ = c.nc.Close()
	select {
	case c.woken <- struct{}{}:
	default:
	}
}
