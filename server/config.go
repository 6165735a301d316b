package server

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/holdfast-cache/holdfast/protocol"
)

// Config is the settings of a Server and its Node, named after memcached's.
// Zero values are not defaults: start from DefaultConfig. Once a Server or Node
// has it, it does not change; what can change at run time is kept elsewhere.
type Config struct {
	Threads         int           // -t: event loops
	MaxConns        int           // -c: clients at once
	MaxConnsFast    bool          // -o maxconns_fast: refuse at once rather than stop accepting
	ReqsPerEvent    int           // -R: requests of one client before another has its turn
	Backlog         int           // -b
	IdleTimeout     time.Duration // -o idle_timeout; 0 is never
	StallTimeout    time.Duration // for a client that takes no reply and sends no more of a value; 0 is never; epoll only
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
	ClockStart      uint32        // store time at the start, in seconds, that items from an earlier process go on from; 0 is a fresh start
	MemoryFile      string        // -e, as stats settings shows it; "" is none
	BindingProtocol string        // -B: auto-negotiate or ascii
	Version         string        // what version answers: 1.6.45-holdfast

	ClusterNodes   []protocol.ClusterNode // what config get cluster tells; none: it is no command
	ClusterVersion uint64                 // of ClusterNodes
}

// Version is what the version command answers unless a Config says otherwise.
// Clients read three numbers from it, and the first must not be 0.
const Version = "1.6.45-holdfast"

// The transports.
const (
	TransportEpoll     = "epoll"
	TransportGoroutine = "goroutine"
)

// The values of Config.BindingProtocol.
const (
	BindingAuto  = "auto-negotiate"
	BindingASCII = "ascii"
)

// Bounds of a Config.
const (
	threadsMax   = 1024
	maxConnsMax  = 1 << 24
	verbosityLog = 3 // -vvv
	logbufMax    = 64 << 20
)

// DefaultConfig returns what memcached does when started without flags.
func DefaultConfig() Config {
	c := Config{
		Threads:         4,
		MaxConns:        1024,
		MaxConnsFast:    true,
		ReqsPerEvent:    20,
		Backlog:         1024,
		Transport:       TransportGoroutine,
		PrefixDelimiter: ':',
		TCPPort:         11211,
		UnixMask:        0o700,
		WatcherLogbuf:   256 << 10,
		WorkerLogbuf:    64 << 10,
		BindingProtocol: BindingAuto,
		Version:         Version,
	}
	if runtime.GOOS == "linux" {
		c.Transport = TransportEpoll
	}
	return c
}

// Validate returns the first reason why c cannot be used, nil if it can.
func (c *Config) Validate() error {
	switch {
	case c.Threads < 1 || c.Threads > threadsMax:
		return fmt.Errorf("number of threads must be from 1 to %d, not %d", threadsMax, c.Threads)
	case c.MaxConns < 1 || c.MaxConns > maxConnsMax:
		return fmt.Errorf("maximum connections must be from 1 to %d, not %d", maxConnsMax, c.MaxConns)
	case c.ReqsPerEvent < 1:
		return errors.New("number of requests per event must be greater than 0")
	case c.Backlog < 1:
		return errors.New("backlog must be greater than 0")
	case c.IdleTimeout < 0:
		return errors.New("idle_timeout must not be negative")
	case c.StallTimeout < 0 || c.StallTimeout > 0 && c.StallTimeout < time.Second:
		return fmt.Errorf("the time for a client that stalls must be 0 or at least 1s, not %v", c.StallTimeout)
	case c.StallTimeout > 0 && c.Transport != TransportEpoll:
		return errors.New("a time for clients that stall needs the epoll transport")
	case c.Transport != TransportEpoll && c.Transport != TransportGoroutine:
		return fmt.Errorf("transport must be %s or %s, not %q", TransportEpoll, TransportGoroutine, c.Transport)
	case c.Transport == TransportEpoll && runtime.GOOS != "linux":
		return fmt.Errorf("transport %s needs Linux", TransportEpoll)
	case c.Verbosity < 0 || c.Verbosity > verbosityLog:
		return fmt.Errorf("verbosity must be from 0 to %d", verbosityLog)
	case c.PrefixDelimiter <= ' ':
		return errors.New("the prefix delimiter must be a visible character")
	case c.BindingProtocol != BindingAuto && c.BindingProtocol != BindingASCII:
		return fmt.Errorf("protocol must be %s or %s, not %q", BindingAuto, BindingASCII, c.BindingProtocol)
	case c.UnixMask > 0o777:
		return fmt.Errorf("access mask %o is not of three octal digits", c.UnixMask)
	}
	return c.validateText()
}

// validateText checks the sizes of buffers, and what stands in replies.
func (c *Config) validateText() error {
	switch {
	case c.WatcherLogbuf < watcherLogbufMin || c.WatcherLogbuf > logbufMax:
		return fmt.Errorf("watcher_logbuf_size must be from %d to %d KB", watcherLogbufMin>>10, logbufMax>>10)
	case c.WorkerLogbuf < 0 || c.WorkerLogbuf > logbufMax:
		return fmt.Errorf("worker_logbuf_size must be at most %d KB", logbufMax>>10)
	case c.ReadBufMemLimit < 0:
		return errors.New("read_buf_mem_limit must not be negative")
	case c.Version == "" || strings.ContainsAny(c.Version, " \r\n"):
		return fmt.Errorf("version %q must be one word", c.Version)
	case strings.ContainsAny(c.AuthFile+c.Interface+c.UnixSocket, "\r\n"):
		return errors.New("file and interface names must not contain line ends")
	}
	return nil
}
