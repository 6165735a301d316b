package server

import "time"

// Config is the settings of a Server and its Node, named after memcached's.
// Zero values are not defaults: start from DefaultConfig.
type Config struct {
	Threads         int           // -t: event loops
	MaxConns        int           // -c: clients at once
	MaxConnsFast    bool          // -o maxconns_fast: refuse at once rather than stop accepting
	ReqsPerEvent    int           // -R: requests of one client before another has its turn
	Backlog         int           // -b
	IdleTimeout     time.Duration // -o idle_timeout; 0 is never
	Transport       string        // -o transport: "epoll" or "goroutine"
	Verbosity       int           // -v
	EnableShutdown  bool          // -A
	DisableFlushAll bool          // -F
	DisableDump     bool          // -X
	DisableWatch    bool          // -W
	AuthFile        string        // -Y
	PrefixDelimiter byte          // -D
	DetailEnabled   bool          // -D given
	TCPPort         int           // -p
	Interface       string        // -l as given
	UnixSocket      string        // -s
	UnixMask        uint32        // -a
	WatcherLogbuf   int           // -o watcher_logbuf_size, bytes
	WorkerLogbuf    int           // -o worker_logbuf_size, bytes
	ReadBufMemLimit int64         // -o read_buf_mem_limit, bytes; 0 is none
	DebugClock      bool          // debugtime is a command
	BindingProtocol string        // -B: auto-negotiate or ascii
	Version         string        // what version answers: 1.6.45-holdfast
}
