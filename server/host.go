package server

import "time"

// Host is what a Handler may ask of the Server that runs it. Server is the only
// implementation.
type Host interface {
	// ConnStats sums the counters of all loops.
	ConnStats() ConnStats
	// EachConn calls f for every listener and connection; f must not block and
	// must not call the Host.
	EachConn(f func(ConnInfo))
	// RequestShutdown makes Serve return, as SIGTERM (graceful: SIGUSR1) would.
	RequestShutdown(graceful bool)
	// SetVerbosity sets how much is logged: from 2 on, each command line and
	// the first line of its reply.
	SetVerbosity(level int)
}

// ConnStats is what the transports count. Bytes are those on the wire.
type ConnStats struct {
	// Current counts client connections open now, Total those ever let in,
	// Rejected those turned away by MaxConns, Structures the most at one time.
	Current, Total, Rejected, Structures uint64
	BytesRead, BytesWritten              uint64
	// Yields counts turns that ended at -R requests because others waited,
	// IdleKicks connections closed by idle_timeout, StallKicks those closed by
	// Config.StallTimeout.
	Yields, IdleKicks, StallKicks uint64
	// Accepting is false while a connection waits for another to leave.
	Accepting         bool
	ListenDisabledNum uint64
	ListenDisabled    time.Duration
	// BufferCount and BufferBytes are the buffers that connections hold now, for
	// unfinished input and unwritten output; an idle connection holds none.
	// BufferBytesFree are the shared buffers of the loops. BufferOOM counts
	// connections closed because of read_buf_mem_limit.
	BufferBytes, BufferBytesFree uint64
	BufferCount, BufferOOM       uint64
}

// ConnInfo is one line group of "stats conns".
type ConnInfo struct {
	FD         int
	Addr       string // tcp:1.2.3.4:5, tcp6:[..]:5, unix:/path
	ListenAddr string // "" on listeners
	State      string // conn_listening, conn_read, …
	SinceLast  time.Duration
}

// ConnObserver is what a Handler may also be, to hear of connections (watch
// connevents). The transports call it, from any goroutine; it does not block.
type ConnObserver interface {
	// ConnOpened is called for each accepted connection, before its first byte.
	ConnOpened(s *Session)
	// ConnClosed is called once for each connection that ends.
	ConnClosed(s *Session, reason CloseReason)
}

// CloseReason says why a connection ended.
type CloseReason uint8

// The reasons.
const (
	CloseError CloseReason = iota
	CloseNormal
	CloseIdle
	CloseShutdown
	CloseStalled
)
