package server

import (
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// conn is what every transport keeps of a connection.
type conn struct {
	session Session
	ln      *listener      // where it came in
	local   netip.AddrPort // valid if ln listens on all addresses
	last    atomic.Int64   // when it last sent something, in seconds of Server.seconds
	wrote   atomic.Int64   // when it last took a part of what waits for it, likewise
}

// idleSince says whether the connection has sent nothing after second since and
// owes the server its next request. Unix sockets are never idle, as in memcached.
func (c *conn) idleSince(since int64) bool {
	return !c.ln.unix && c.last.Load() < since && c.session.phase.Load() == phaseRead
}

// stalledSince says whether the connection is amid a value or a reply of which nothing
// has moved after second since.
func (c *conn) stalledSince(since int64) bool {
	switch c.session.phase.Load() {
	case phaseValue, phaseSwallow, phaseWrite:
		return max(c.last.Load(), c.wrote.Load()) < since
	default:
		return false
	}
}

// info describes the connection; now is in seconds of Server.seconds.
func (c *conn) info(now int64) ConnInfo {
	info := ConnInfo{
		FD:         c.session.FD,
		Addr:       "?:<AF 0>",
		ListenAddr: c.ln.addr,
		State:      phaseNames[c.session.phase.Load()],
		SinceLast:  time.Duration(max(now-c.last.Load(), 0)) * time.Second,
	}
	if c.session.Remote.IsValid() {
		info.Addr = tcpName(c.session.Remote)
	}
	if c.local.IsValid() {
		info.ListenAddr = tcpName(c.local)
	}
	return info
}

// tcpName writes an address as memcached does.
func tcpName(a netip.AddrPort) string {
	a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	if a.Addr().Is4() {
		return "tcp:" + a.String()
	}
	return "tcp6:" + a.String()
}

// addrName is tcpName for an address of package net.
func addrName(a net.Addr) string {
	switch a := a.(type) {
	case *net.TCPAddr:
		return tcpName(a.AddrPort())
	case *net.UnixAddr:
		return "unix:" + a.Name
	default:
		return a.Network() + ":" + a.String()
	}
}
