package server

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// eventsMax is how many events one wake-up takes from the kernel.
const eventsMax = 128

// The kernel's words for what a connection waits for, and for a dead one.
const (
	pollIn   = unix.EPOLLIN
	pollOut  = unix.EPOLLOUT
	pollDead = unix.EPOLLERR | unix.EPOLLHUP
)

// epollLoop is one event loop and all that belongs to it. Only its goroutine
// touches it, but for count, the mail and the table.
type epollLoop struct {
	srv    *Server
	lane   *lane
	epfd   int
	wakeFD int // an eventfd: readable when there is mail

	loopState // links to other servers, if there are any

	again, spare []*epollConn // connections with a further turn coming
	others       bool         // somebody else is known to be ready
	draining     bool

	count atomic.Int64 // connections, those in the mail included

	// table holds the connections by descriptor. Only the loop changes it, under
	// the lock; the loop reads it without.
	table struct {
		sync.Mutex
		conns []*epollConn
	}
	mailbox struct {
		sync.Mutex
		mail
		full   bool // the eventfd has been written to
		closed bool
	}
	events [eventsMax]unix.EpollEvent
	iov    [vecMax]unix.Iovec
}

// mail is what other goroutines want of a loop.
type mail struct {
	arrivals []*epollConn
	woken    []*epollConn
	sweep    bool
	since    sweepTimes
	drain    bool
	stop     bool
}

// newEpollLoop returns a loop that does not run yet.
func newEpollLoop(s *Server) (*epollLoop, error) {
	l := &epollLoop{srv: s, epfd: -1, wakeFD: -1}
	var err error
	if l.epfd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	if l.wakeFD, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err == nil {
		err = unix.EpollCtl(l.epfd, unix.EPOLL_CTL_ADD, l.wakeFD, &unix.EpollEvent{Events: pollIn, Fd: int32(l.wakeFD)})
	}
	if err != nil {
		l.free()
		return nil, err
	}
	l.lane = newLane(s.handler, &s.buffers, &s.conf)
	if x, is := l.lane.exec.(LoopExecutor); is {
		l.exec, l.now = x, LoopTime()
		x.Bind(l)
	}
	return l, nil
}

// free closes the loop's own descriptors. Nobody posts to it afterwards.
func (l *epollLoop) free() {
	l.mailbox.Lock()
	defer l.mailbox.Unlock()
	l.mailbox.closed = true
	for _, fd := range []int{l.wakeFD, l.epfd} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// post changes the mail under its lock and sees that the loop reads it.
func (l *epollLoop) post(change func(m *mail)) {
	l.mailbox.Lock()
	defer l.mailbox.Unlock()
	if l.mailbox.closed {
		return
	}
	change(&l.mailbox.mail)
	l.ringLocked()
}

// ringLocked makes the eventfd readable, once. The caller holds the mailbox.
func (l *epollLoop) ringLocked() {
	if l.mailbox.full {
		return
	}
	l.mailbox.full = true
	one := uint64(1)
	// It cannot fail: the count is 0 and the descriptor open.
	_, _, _ = unix.RawSyscall(unix.SYS_WRITE, uintptr(l.wakeFD), uintptr(unsafe.Pointer(&one)), 8)
}

// run is the loop. It returns when it has been told to drain or stop and its
// last connection is closed.
func (l *epollLoop) run() {
	defer l.free()
	defer l.unbind()
	for !l.draining || l.count.Load() > 0 {
		n := l.poll()
		if l.exec != nil {
			l.now = LoopTime()
		}
		mail := false
		for i := range n {
			ev := &l.events[i]
			if int(ev.Fd) == l.wakeFD {
				mail = true
				continue
			}
			if k := l.link(ev.Fd); k != nil {
				l.linkEvent(k, ev.Events)
				continue
			}
			if int(ev.Fd) >= len(l.table.conns) {
				continue // a link that has been closed in this wake-up
			}
			// One that is queued has its turn below.
			if c := l.table.conns[ev.Fd]; c != nil && !c.queued {
				l.others = i+1 < n || len(l.again) > 0
				l.turn(c, ev.Events)
			}
		}
		// After the events, so that none of them is about a descriptor that has
		// been closed and given out anew meanwhile.
		if mail {
			l.readMail()
		}
		l.runAgain()
		if l.exec != nil {
			l.settleLinks()
		}
	}
}

// napMs is how long a loop waits before the scheduler hears of it, in
// milliseconds.
const napMs = 5

// poll takes the next events. Short waits are a raw system call: the scheduler
// takes the loop to be running, so that nothing is handed over and back for
// every wake-up, and its signals end the wait when it wants something of the
// loop. Only a loop that stays idle gives its processor back (see doc.go).
func (l *epollLoop) poll() int {
	nap := napMs
	if len(l.again) > 0 {
		nap = 0
	}
	nap = l.untilNext(nap)
	if n, rested := l.epollWait(unix.RawSyscall6, nap); !rested || nap == 0 {
		return n
	}
	n, _ := l.epollWait(unix.Syscall6, l.untilNext(-1))
	return n
}

// epollWait asks the kernel by way of call. rested says that the time was up
// before anything came; an interrupted call has no events and has not rested.
func (l *epollLoop) epollWait(call func(trap, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2 uintptr, err unix.Errno), timeout int) (n int, rested bool) {
	r, _, errno := call(unix.SYS_EPOLL_PWAIT, uintptr(l.epfd),
		uintptr(unsafe.Pointer(&l.events)), eventsMax, uintptr(timeout), 0, 0)
	if errno != 0 {
		return 0, false
	}
	return int(r), r == 0
}

// runAgain gives a turn to those that are to have one.
func (l *epollLoop) runAgain() {
	events := uint32(0)
	if l.draining {
		events = pollIn // the kernel is not waited for any more
	}
	list := l.again
	l.again, l.spare = l.spare[:0], list
	for i, c := range list {
		list[i] = nil
		c.queued = false
		if !c.closed {
			l.others = i+1 < len(list) || len(l.again) > 0
			l.turn(c, events)
		}
	}
}

// readMail does what others have asked for.
func (l *epollLoop) readMail() {
	var count uint64
	_, _, _ = unix.RawSyscall(unix.SYS_READ, uintptr(l.wakeFD), uintptr(unsafe.Pointer(&count)), 8)
	l.mailbox.Lock()
	m := l.mailbox.mail
	l.mailbox.mail = mail{}
	l.mailbox.full = false
	l.mailbox.Unlock()

	for _, c := range m.arrivals {
		l.admit(c)
	}
	for _, c := range m.woken {
		c.posted.Store(false)
		l.enqueue(c)
	}
	if m.sweep {
		l.sweep(m.since)
	}
	if m.drain || m.stop {
		l.draining = true
		l.endAll(m.stop)
	}
}

// enqueue gives c a further turn.
func (l *epollLoop) enqueue(c *epollConn) {
	if !c.queued && !c.closed {
		c.queued = true
		l.again = append(l.again, c)
	}
}

// admit takes a new connection in.
func (l *epollLoop) admit(c *epollConn) {
	l.table.Lock()
	for len(l.table.conns) <= c.session.FD {
		l.table.conns = append(l.table.conns, nil)
	}
	l.table.conns[c.session.FD] = c
	l.table.Unlock()
	c.interest = pollIn
	if err := unix.EpollCtl(l.epfd, unix.EPOLL_CTL_ADD, c.session.FD, &unix.EpollEvent{Events: c.interest, Fd: int32(c.session.FD)}); err != nil {
		l.srv.conf.log.Error().Err(err).Msg("cannot watch a connection")
		l.close(c, CloseError)
	}
}

// sweep closes who has been idle, or has stalled, for too long.
func (l *epollLoop) sweep(since sweepTimes) {
	for _, c := range l.table.conns {
		switch {
		case c == nil:
		case c.idleSince(since.idle):
			l.lane.n.idleKicks.Add(1)
			l.close(c, CloseIdle)
		case c.stalledSince(since.stalled):
			l.lane.n.stallKicks.Add(1)
			l.close(c, CloseStalled)
		}
	}
}

// endAll closes the connections: at once, or each when it has been answered.
func (l *epollLoop) endAll(now bool) {
	for _, c := range l.table.conns {
		switch {
		case c == nil:
		case now:
			l.close(c, CloseShutdown)
		default:
			// What the client has sent before now is answered.
			l.turn(c, pollIn)
		}
	}
}
