package server

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// drainTime is how long clients have, when the server stops, to take the
// replies they are owed.
const drainTime = 2 * time.Second

// Server accepts connections and runs their sessions. Make it with New; Serve
// runs it once.
type Server struct {
	cfg      *Config
	handler  Handler
	observer ConnObserver // nil if the handler is none
	conf     laneConfig
	gate     gate
	buffers  bufferPool
	ids      atomic.Uint64
	started  time.Time
	// seconds since the start, kept by the ticker: exact enough for idle
	// clients, and free to read.
	seconds atomic.Int64

	quit     chan struct{} // closed by RequestShutdown
	quitOnce sync.Once
	drainFor time.Duration
	tickEach time.Duration

	mu struct {
		sync.Mutex
		served            bool
		loops, goroutines transport // nil: not in use
		listeners         []*listener
	}
}

var _ Host = (*Server)(nil)

// New returns a server for h and attaches h to it. cfg must not change afterwards.
func New(cfg *Config, h Handler, log zerolog.Logger) (*Server, error) {
	switch cfg.Transport {
	case "", TransportEpoll, TransportGoroutine:
	default:
		return nil, fmt.Errorf("unknown transport %q: there are %s and %s", cfg.Transport, TransportEpoll, TransportGoroutine)
	}
	if cfg.Threads < 1 || cfg.MaxConns < 1 || cfg.ReqsPerEvent < 1 {
		return nil, errors.New("threads, connections and requests per event must each be at least 1")
	}
	s := &Server{cfg: cfg, handler: h, started: time.Now(), quit: make(chan struct{}), drainFor: drainTime, tickEach: time.Second}
	s.observer, _ = h.(ConnObserver)
	s.conf.reqs = cfg.ReqsPerEvent
	s.conf.debug = cfg.DebugClock
	s.conf.log = log
	s.conf.verbosity.Store(int32(cfg.Verbosity))
	s.buffers.limit = cfg.ReadBufMemLimit
	s.gate.init(cfg.MaxConns, cfg.MaxConnsFast)
	h.Attach(s)
	return s, nil
}

// Serve accepts connections on lns until ctx ends or RequestShutdown is called.
// It then closes lns, lets clients take the replies to what they have sent, for
// a short time, closes all connections and returns nil. No goroutine is left.
func (s *Server) Serve(ctx context.Context, lns ...net.Listener) error {
	s.mu.Lock()
	if s.mu.served {
		s.mu.Unlock()
		return errors.New("a server serves once")
	}
	s.mu.served = true
	s.mu.Unlock()
	acceptors, err := s.open(lns)
	if err != nil {
		s.close(acceptors)
		return err
	}
	tickerDone := make(chan struct{})
	stopTicker := make(chan struct{})
	go s.ticker(stopTicker, tickerDone)

	select {
	case <-ctx.Done():
	case <-s.quit:
	}
	s.close(acceptors)
	close(stopTicker)
	<-tickerDone
	return nil
}

// open starts the transports that lns need and an acceptor for each.
func (s *Server) open(lns []net.Listener) (*sync.WaitGroup, error) {
	acceptors := new(sync.WaitGroup)
	listeners := make([]*listener, 0, len(lns))
	for _, ln := range lns {
		l := newListener(ln)
		listeners = append(listeners, l)
	}
	for _, l := range listeners {
		if err := s.choose(l); err != nil {
			for _, l := range listeners {
				l.close()
			}
			return acceptors, err
		}
	}
	s.mu.Lock()
	s.mu.listeners = listeners
	s.mu.Unlock()
	for _, l := range listeners {
		s.conf.log.Debug().Msgf("<%d server listening (auto-negotiate)", l.fd)
		acceptors.Add(1)
		go func() {
			defer acceptors.Done()
			s.accept(l)
		}()
	}
	return acceptors, nil
}

// choose gives l its transport: the event loops if they are asked for and can
// serve it, else a goroutine a connection.
func (s *Server) choose(l *listener) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	loops := s.cfg.Transport != TransportGoroutine && epollServes(l)
	t := &s.mu.goroutines
	if loops {
		t = &s.mu.loops
	}
	if *t == nil {
		var err error
		if loops {
			*t, err = newEpollTransport(s)
		} else {
			*t = newNetTransport(s)
		}
		if err != nil {
			return err
		}
	}
	l.t = *t
	if loops {
		return epollListen(l)
	}
	return nil
}

// transports are those in use.
func (s *Server) transports() []transport {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ts []transport
	for _, t := range []transport{s.mu.loops, s.mu.goroutines} {
		if t != nil {
			ts = append(ts, t)
		}
	}
	return ts
}

// close ends it all, in the order of the table in doc.go.
func (s *Server) close(acceptors *sync.WaitGroup) {
	s.gate.close()
	s.mu.Lock()
	listeners := s.mu.listeners
	s.mu.Unlock()
	transports := s.transports()
	for _, l := range listeners {
		l.close()
	}
	acceptors.Wait()
	for _, t := range transports {
		t.drain()
	}
	force := time.AfterFunc(s.drainFor, func() {
		for _, t := range transports {
			t.stop()
		}
	})
	defer force.Stop()
	for _, t := range transports {
		t.wait()
	}
}

// ticker keeps the seconds and has idle connections closed.
func (s *Server) ticker(stop <-chan struct{}, done chan<- struct{}) {
	defer close(done)
	tick := time.NewTicker(s.tickEach)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			s.tick(int64(time.Since(s.started) / time.Second))
		}
	}
}

// tick does what is to be done each second.
func (s *Server) tick(now int64) {
	s.seconds.Store(now)
	if s.cfg.IdleTimeout <= 0 && s.cfg.StallTimeout <= 0 {
		return
	}
	since := sweepTimes{math.MinInt64, math.MinInt64}
	if s.cfg.IdleTimeout > 0 {
		since.idle = now - int64(s.cfg.IdleTimeout/time.Second)
	}
	if s.cfg.StallTimeout > 0 {
		since.stalled = now - int64(s.cfg.StallTimeout/time.Second)
	}
	for _, t := range s.transports() {
		t.sweep(since)
	}
}

// opened and closed tell the observer and the log.
func (s *Server) opened(c *conn) {
	c.last.Store(s.seconds.Load())
	if s.conf.verbosity.Load() > 1 {
		s.conf.log.Debug().Msgf("<%d new auto-negotiating client connection", c.session.FD)
	}
	if s.observer != nil {
		s.observer.ConnOpened(&c.session)
	}
}

func (s *Server) closed(c *conn, reason CloseReason) {
	if s.conf.verbosity.Load() > 1 {
		s.conf.log.Debug().Msgf("<%d connection closed.", c.session.FD)
	}
	if s.observer != nil {
		s.observer.ConnClosed(&c.session, reason)
	}
	s.gate.leave()
}

// ConnStats sums the counters of all loops.
func (s *Server) ConnStats() ConnStats {
	var st ConnStats
	s.gate.addTo(&st)
	st.BufferCount = uint64(s.buffers.count.Load())
	st.BufferBytes = uint64(s.buffers.bytes.Load())
	st.BufferOOM = s.buffers.oom.Load()
	for _, t := range s.transports() {
		t.addTo(&st)
	}
	return st
}

// EachConn calls f for every listener, then for every connection.
func (s *Server) EachConn(f func(ConnInfo)) {
	s.mu.Lock()
	listeners := s.mu.listeners
	s.mu.Unlock()
	now := s.seconds.Load()
	for _, l := range listeners {
		f(ConnInfo{FD: l.fd, Addr: l.addr, State: "conn_listening", SinceLast: time.Duration(now) * time.Second})
	}
	for _, t := range s.transports() {
		t.each(now, f)
	}
}

// RequestShutdown makes Serve return.
func (s *Server) RequestShutdown(graceful bool) {
	s.quitOnce.Do(func() {
		s.conf.log.Info().Bool("graceful", graceful).Msg("shutdown requested")
		close(s.quit)
	})
}

// SetVerbosity sets how much is logged.
func (s *Server) SetVerbosity(level int) { s.conf.verbosity.Store(int32(level)) }
