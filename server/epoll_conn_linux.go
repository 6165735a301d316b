package server

import (
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// epollConn is a connection of an epoll loop. Only the loop touches it, but for
// posted.
type epollConn struct {
	conn
	loop     *epollLoop
	verdict  verdict // how its last turn ended
	interest uint32  // what the kernel watches it for
	queued   bool    // it is in loop.again
	dry      bool    // its last turn has read and found nothing
	closed   bool
	posted   atomic.Bool // it is in the mail as woken
}

// wake has the loop give c a turn. It is called by any goroutine.
func (c *epollConn) wake() {
	if c.posted.Swap(true) {
		return
	}
	l := c.loop
	l.mailbox.Lock()
	defer l.mailbox.Unlock()
	if l.mailbox.closed {
		return
	}
	l.mailbox.woken = append(l.mailbox.woken, c)
	l.ringLocked()
}

// ready gives c a turn in this wake-up. Only its loop calls it.
func (c *epollConn) ready() { c.loop.enqueue(c) }

// turn gives c one turn: at most one read, its requests, and the write of what
// they answered. events are what the kernel has said of it.
func (l *epollLoop) turn(c *epollConn, events uint32) {
	s := &c.session
	if c.verdict == verdictHold && !s.holdOver() {
		l.stillHeld(c, events)
		return
	}
	s.begin(l.lane)
	if c.verdict == verdictHold {
		c.verdict = s.letGo()
	}
	c.dry = false
	ok := s.Out.Pending() == 0 || l.write(c)
	if ok && !(c.stuck() && s.Out.Pending() > 0) {
		if events&(pollIn|pollDead) != 0 && !c.queued && s.wantsInput(c.verdict) {
			ok = l.read(c, events)
		}
		if ok {
			c.verdict = s.run(l.others)
			ok = c.verdict == verdictHold || l.write(c)
		}
	} else if events&pollDead != 0 {
		ok = false
	}
	if !ok || !s.end() {
		l.close(c, CloseError)
		return
	}
	l.settle(c, events)
}

// stuck says that nothing can be done for c before its output is written.
func (c *epollConn) stuck() bool { return c.verdict == verdictDrain || c.verdict == verdictClose }

// stillHeld deals with events about a connection whose replies are held back.
// It is not watched any more then, but for its death: most clients send nothing
// before they have an answer, and those cost no system call.
func (l *epollLoop) stillHeld(c *epollConn, events uint32) {
	switch {
	case events&pollDead != 0:
		l.close(c, CloseError)
	case events != 0 && c.interest != 0:
		l.watch(c, 0)
	}
}

// watch changes what the kernel watches c for.
func (l *epollLoop) watch(c *epollConn, interest uint32) {
	c.interest = interest
	// It cannot fail: the descriptor is open and registered.
	_ = unix.EpollCtl(l.epfd, unix.EPOLL_CTL_MOD, c.session.FD, &unix.EpollEvent{Events: interest, Fd: int32(c.session.FD)})
}

// settle decides what c waits for after its turn.
func (l *epollLoop) settle(c *epollConn, events uint32) {
	s := &c.session
	written := s.Out.Pending() == 0
	want := uint32(0)
	switch c.verdict {
	case verdictClose:
		if written {
			l.close(c, CloseNormal)
			return
		}
	case verdictRead, verdictWait:
		if l.draining && written {
			if c.dry || !s.wantsInput(c.verdict) {
				l.close(c, CloseShutdown)
				return
			}
			l.enqueue(c)
		}
		if s.wantsInput(c.verdict) {
			want = pollIn
		} else if events&pollDead != 0 {
			// Nobody is there to read what the session waits for.
			l.close(c, CloseError)
			return
		}
	case verdictYield:
		l.enqueue(c)
	case verdictDrain:
		if written {
			l.enqueue(c)
		}
	case verdictHold:
		s.note(c.verdict)
		return
	}
	if !written {
		want |= pollOut
	}
	s.note(c.verdict)
	if c.queued {
		// Its turn comes anyway; what the kernel says of it meanwhile is ignored.
		return
	}
	if want != c.interest {
		l.watch(c, want)
	}
}

// read reads once. It reports false if the connection is broken.
func (l *epollLoop) read(c *epollConn, events uint32) bool {
	s := &c.session
	buf := s.space()
	n, errno := l.readOnce(s.FD, buf, s.tail(buf))
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		c.dry = true
		// An error that a read does not show would be reported for ever.
		return events&pollDead == 0
	case errno != 0:
		return false
	case n == 0:
		s.eof = true
	default:
		l.lane.n.bytesRead.Add(uint64(n))
		if now := l.srv.seconds.Load(); c.last.Load() != now {
			c.last.Store(now)
		}
		s.fed(n)
	}
	return true
}

// readOnce reads into buf and, when that is full, into tail. recvfrom costs the
// kernel a little less than read.
func (l *epollLoop) readOnce(fd int, buf, tail []byte) (int, unix.Errno) {
	if len(tail) == 0 {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(buf))), uintptr(len(buf)), unix.MSG_DONTWAIT, 0, 0)
		return int(n), errno
	}
	for i, b := range [...][]byte{buf, tail} {
		l.iov[i].Base = unsafe.SliceData(b)
		l.iov[i].SetLen(len(b))
	}
	n, _, errno := unix.RawSyscall(unix.SYS_READV, uintptr(fd), uintptr(unsafe.Pointer(&l.iov)), 2)
	return int(n), errno
}

// write writes the output as far as the socket takes it. It reports false if
// the connection is broken.
func (l *epollLoop) write(c *epollConn) bool {
	o := &c.session.Out
	for taken := false; o.Pending() > 0; taken = true {
		size, n, errno := l.writeOnce(c.session.FD, o)
		switch {
		case errno == unix.EINTR:
			continue
		case errno == unix.EAGAIN:
			if taken {
				c.wrote.Store(l.srv.seconds.Load())
			}
			return true
		case errno != 0:
			return false
		}
		l.lane.n.bytesWritten.Add(uint64(n))
		o.wrote(n)
		if n < size {
			c.wrote.Store(l.srv.seconds.Load())
			return true // the socket is full
		}
	}
	return true
}

// writeOnce hands the kernel what it takes in one call. size is how much that
// is, n how much it took.
func (l *epollLoop) writeOnce(fd int, o *Output) (size, n int, errno unix.Errno) {
	if o.pinned == 0 {
		b := o.Buf[o.sent:]
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		return len(b), int(n), errno
	}
	vec := o.gather(l.lane.vec[:])
	for i, b := range vec {
		l.iov[i].Base = unsafe.SliceData(b)
		l.iov[i].SetLen(len(b))
		size += len(b)
	}
	r, _, errno := unix.RawSyscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&l.iov)), uintptr(len(vec)))
	return size, int(r), errno
}

// close ends c, within its turn or outside.
func (l *epollLoop) close(c *epollConn, reason CloseReason) {
	c.closed = true
	c.session.abort(l.lane)
	l.table.Lock()
	l.table.conns[c.session.FD] = nil
	l.table.Unlock()
	l.count.Add(-1)
	// First counted, then closed, so that whoever sees the end of the
	// connection finds it counted as gone.
	l.srv.closed(&c.conn, reason)
	_ = unix.Close(c.session.FD) // takes it out of the epoll set too
}
