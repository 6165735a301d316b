package server

import (
	"golang.org/x/sys/unix"
)

// loopState is what a loop has beyond its clients: links of its executor.
type loopState struct {
	exec  LoopExecutor // nil: the executor has none
	links []*Link      // by descriptor
	dead  []int        // descriptors to be closed once all events have been looked at
	now   int64        // time of this wake-up
	next  int64        // when Settle wants to be called; 0 is never

	failed []failedDial // links that could not even begin
}

// Now is the time of this wake-up.
func (l *epollLoop) Now() int64 { return l.now }

// Poke has Settle called soon.
func (l *epollLoop) Poke() { l.post(func(*mail) {}) }

// Dial begins a connection without waiting for it.
func (l *epollLoop) Dial(addr LinkAddr, h LinkHandler) *Link {
	k := &Link{h: h, io: l, fd: -1}
	if err := l.connect(k, addr); err != nil {
		l.failed = append(l.failed, failedDial{k, err})
		l.next = l.now // the handler hears of it in the next wake-up
	}
	return k
}

// failedDial is a link that could not even begin.
type failedDial struct {
	k   *Link
	err error
}

func (l *epollLoop) connect(k *Link, addr LinkAddr) error {
	family, sa := sockAddrOf(addr)
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if family != unix.AF_UNIX {
		// Best effort, as they only tune.
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
		// What has not been sent must not arrive later, behind what is sent meanwhile
		// on another connection: after a close, and after the end of this process as
		// well, the kernel would go on trying.
		_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	if err := unix.Connect(fd, sa); err != nil && err != unix.EINPROGRESS {
		_ = unix.Close(fd)
		return err
	}
	k.interest = pollIn | pollOut
	if err := unix.EpollCtl(l.epfd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: k.interest, Fd: int32(fd)}); err != nil {
		_ = unix.Close(fd)
		return err
	}
	k.fd = fd
	for len(l.links) <= fd {
		l.links = append(l.links, nil)
	}
	l.links[fd] = k
	return nil
}

// sockAddrOf turns an address into what the kernel takes.
func sockAddrOf(addr LinkAddr) (family int, sa unix.Sockaddr) {
	ip := addr.TCP.Addr().Unmap()
	switch {
	case addr.Path != "":
		return unix.AF_UNIX, &unix.SockaddrUnix{Name: addr.Path}
	case ip.Is4():
		return unix.AF_INET, &unix.SockaddrInet4{Addr: ip.As4(), Port: int(addr.TCP.Port())}
	default:
		return unix.AF_INET6, &unix.SockaddrInet6{Addr: ip.As16(), Port: int(addr.TCP.Port())}
	}
}

// link returns the link with that descriptor, nil if it is a client's.
func (l *epollLoop) link(fd int32) *Link {
	if int(fd) < len(l.links) {
		return l.links[fd]
	}
	return nil
}

// linkEvent deals with what the kernel says of a link.
func (l *epollLoop) linkEvent(k *Link, events uint32) {
	if !k.up {
		if events&(pollOut|pollDead) == 0 {
			return
		}
		if code, err := unix.GetsockoptInt(k.fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil || code != 0 {
			l.linkDown(k, unix.Errno(code))
			return
		}
		k.up = true
		l.watchLink(k, pollIn)
		k.h.LinkUp()
	} else if events&pollOut != 0 {
		l.watchLink(k, pollIn)
		k.h.LinkWritable()
	}
	if events&(pollIn|pollDead) != 0 && !k.closed {
		l.readLink(k, events)
	}
}

// readLink reads once.
func (l *epollLoop) readLink(k *Link, events uint32) {
	n, errno := l.readOnce(k.fd, k.h.Space(), nil)
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		if events&pollDead != 0 {
			l.linkDown(k, unix.ECONNRESET)
		}
	case errno != 0:
		l.linkDown(k, errno)
	case n == 0:
		l.linkDown(k, ErrLinkEOF)
	default:
		k.h.Filled(n)
	}
}

func (l *epollLoop) linkDown(k *Link, err error) {
	k.Close()
	k.h.LinkDown(err)
}

func (l *epollLoop) watchLink(k *Link, interest uint32) {
	if k.interest == interest {
		return
	}
	k.interest = interest
	// It cannot fail: the descriptor is open and registered.
	_ = unix.EpollCtl(l.epfd, unix.EPOLL_CTL_MOD, k.fd, &unix.EpollEvent{Events: interest, Fd: int32(k.fd)})
}

// writeLink sends as much of o as the socket takes.
func (l *epollLoop) writeLink(k *Link, o *Output) error {
	for o.Pending() > 0 {
		size, n, errno := l.writeOnce(k.fd, o)
		switch {
		case errno == unix.EINTR:
			continue
		case errno == unix.EAGAIN:
			n = 0
		case errno != 0:
			return errno
		}
		o.wrote(n)
		if n < size {
			l.watchLink(k, pollIn|pollOut)
			return nil
		}
	}
	return nil
}

// closeLink takes the link out of the loop. The descriptor is closed after the
// events of this wake-up, so that none of them meets a new owner of its number.
func (l *epollLoop) closeLink(k *Link) {
	if k.fd < 0 {
		return
	}
	l.links[k.fd] = nil
	_ = unix.EpollCtl(l.epfd, unix.EPOLL_CTL_DEL, k.fd, nil)
	l.dead = append(l.dead, k.fd)
}

// settleLinks ends a wake-up of a loop whose executor has links.
func (l *epollLoop) settleLinks() {
	l.closeDead()
	for len(l.failed) > 0 {
		f := l.failed[0]
		l.failed = l.failed[1:]
		if !f.k.closed {
			f.k.closed = true
			f.k.h.LinkDown(f.err)
		}
	}
	l.next = l.exec.Settle(l.now)
	if len(l.failed) > 0 {
		l.next = l.now
	}
}

// endLink says that no more will be written: the other side reads what was sent,
// then the end.
func (l *epollLoop) endLink(k *Link) { _ = unix.Shutdown(k.fd, unix.SHUT_WR) }

// closeDead closes the descriptors of links that have ended.
func (l *epollLoop) closeDead() {
	for _, fd := range l.dead {
		_ = unix.Close(fd)
	}
	l.dead = l.dead[:0]
}

// unbind ends what the executor has on this loop.
func (l *epollLoop) unbind() {
	if l.exec != nil {
		l.exec.Unbind()
		l.closeDead()
	}
}

// untilNext is how long the loop may sleep, in milliseconds, at most most; -1
// is for ever.
func (l *epollLoop) untilNext(most int) int {
	if l.next == 0 {
		return most
	}
	ms := int((l.next - LoopTime() + 999_999) / 1_000_000)
	if most >= 0 && ms > most {
		return most
	}
	return max(ms, 0)
}
