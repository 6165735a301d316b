package server

import (
	"net"
	"net/netip"
)

// sweepTimes are the seconds, of Server.seconds, after which a connection must have
// done something: sent a request, or moved on in one. Nothing is before the first.
type sweepTimes struct{ idle, stalled int64 }

// transport moves bytes between sockets and sessions. There are two: one event
// loop a thread on epoll, and one goroutine a connection.
type transport interface {
	// accept waits for the next connection of ln.
	accept(ln *listener) (arrival, error)
	// refuse sends line and closes the connection.
	refuse(a arrival, line string)
	// serve takes the connection over; it has been let in as number id.
	serve(a arrival, ln *listener, id uint64)
	// sweep closes the connections that have been idle, or have stalled, for too long.
	sweep(since sweepTimes)
	// drain answers what has arrived, then closes every connection.
	drain()
	// stop closes every connection at once.
	stop()
	// wait returns when the last connection is closed and no goroutine is left.
	wait()
	// each calls f for every connection; now is in seconds of Server.seconds.
	each(now int64, f func(ConnInfo))
	// addTo adds the counters to st.
	addTo(st *ConnStats)
}

// arrival is a connection that has been accepted and not yet let in.
type arrival struct {
	fd    int      // epoll transport: the socket
	nc    net.Conn // goroutine transport
	peer  netip.AddrPort
	local netip.AddrPort // only if the listener is on all addresses
}
