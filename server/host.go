package server

import "time"

// Host is what a Handler may ask of the Server that runs it. Server is the only
// implementation.
type Host interface {
	// ConnStats sums the counters of all loops.
	ConnStats() ConnStats
	// EachConn calls f for every listener and connection; f must not block.
	EachConn(f func(ConnInfo))
	// RequestShutdown makes Serve return, as SIGTERM (graceful: SIGUSR1) would.
	RequestShutdown(graceful bool)
}

// ConnStats is what the transports count. Bytes are those on the wire.
type ConnStats struct {
	Current, Total, Rejected, Structures uint64
	BytesRead, BytesWritten              uint64
	Yields, IdleKicks                    uint64
	Accepting                            bool
	ListenDisabledNum                    uint64
	ListenDisabled                       time.Duration
	BufferBytes, BufferBytesFree         uint64
	BufferCount                          uint64
}

// ConnInfo is one line group of "stats conns".
type ConnInfo struct {
	FD         int
	Addr       string // tcp:1.2.3.4:5, tcp6:[..]:5, unix:/path
	ListenAddr string // "" on listeners
	State      string // conn_listening, conn_read, …
	SinceLast  time.Duration
}
