package server

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

func TestMaxConnsFast(t *testing.T) {
	transports(t, func(t *testing.T, name string) {
		s := startToy(t, name, func(c *Config) { c.MaxConns = 3 })
		var in []*toyClient
		for range 3 {
			c := s.dial()
			c.say("get a\r\n")
			c.hear("[a]\r\n")
			in = append(in, c)
		}
		c := s.dial()
		c.hear(tooMany)
		c.gone()
		admin := s.dialTo("unix", s.unix)
		admin.say("get a\r\n")
		admin.hear("[a]\r\n")
		second := s.dialTo("unix", s.unix)
		second.hear(tooMany)
		second.gone()
		if st := s.ConnStats(); st.Rejected != 2 || st.Current != 4 || !st.Accepting || st.ListenDisabledNum != 0 {
			t.Errorf("%+v", st)
		}
		_ = in[0].Close()
		_ = in[1].Close()
		eventually(t, "two have left", func() bool { return s.ConnStats().Current == 2 })
		c = s.dial()
		c.say("get a\r\n")
		c.hear("[a]\r\n")
	})
}

func TestMaxConnsSlow(t *testing.T) {
	transports(t, func(t *testing.T, name string) {
		s := startToy(t, name, func(c *Config) { c.MaxConns, c.MaxConnsFast = 2, false })
		first := s.dial()
		first.say("get a\r\n")
		first.hear("[a]\r\n")
		second := s.dial()
		second.say("get a\r\n")
		second.hear("[a]\r\n")
		third := s.dial()
		third.say("get c\r\n")
		eventually(t, "accepting stops", func() bool { return !s.ConnStats().Accepting })
		st := s.ConnStats()
		if st.Current != 2 || st.ListenDisabledNum != 1 || st.Rejected != 0 {
			t.Errorf("%+v", st)
		}
		admin := s.dialTo("unix", s.unix)
		admin.say("get a\r\n")
		admin.hear("[a]\r\n")
		_ = admin.Close()
		_ = first.Close()
		third.hear("[c]\r\n")
		if st := s.ConnStats(); !st.Accepting || st.ListenDisabled <= 0 {
			t.Errorf("%+v", st)
		}
		// One more waits while the server ends.
		s.dial()
		eventually(t, "accepting stops", func() bool { return !s.ConnStats().Accepting })
	})
}

func TestIdleTimeout(t *testing.T) {
	transports(t, func(t *testing.T, name string) {
		s := startToy(t, name, func(c *Config) { c.IdleTimeout = 100 * time.Second })
		idle, busy, waits := s.dial(), s.dial(), s.dial()
		local := s.dialTo("unix", s.unix)
		for _, c := range []*toyClient{idle, busy, local} {
			c.say("get a\r\n")
			c.hear("[a]\r\n")
		}
		waits.say("stats wait\r\n")
		waits.hear("waiting\r\n")
		eventually(t, "it is seen to wait", func() bool {
			found := false
			s.EachConn(func(i ConnInfo) { found = found || i.State == "conn_watch" })
			return found
		})
		s.seconds.Store(80)
		busy.say("get a\r\n")
		busy.hear("[a]\r\n")
		s.tick(100)
		if n := s.h.closedBy(CloseIdle); n != 0 {
			t.Fatalf("%d kicked after 100 s", n)
		}
		eventually(t, "the idle one is kicked", func() bool {
			s.tick(101)
			return s.h.closedBy(CloseIdle) == 1
		})
		idle.gone()
		for _, c := range []*toyClient{busy, local} {
			c.say("get a\r\n")
			c.hear("[a]\r\n")
		}
		if n := s.ConnStats().IdleKicks; n != 1 {
			t.Errorf("%d kicks", n)
		}
		s.h.producers()[0].s.Wake()
		waits.hear("done\r\n")
	})
}

// With -R small and many busy clients, each is served and yields are counted.
func TestFairness(t *testing.T) {
	transports(t, func(t *testing.T, name string) {
		s := startToy(t, name, func(c *Config) { c.Threads, c.ReqsPerEvent = 1, 3 })
		const requests = 2000
		var all sync.WaitGroup
		for range 8 {
			c := s.dial()
			all.Add(2)
			go func() {
				defer all.Done()
				_, _ = io.WriteString(c, strings.Repeat("get a\r\n", requests))
			}()
			go func() {
				defer all.Done()
				got := make([]byte, requests*len("[a]\r\n"))
				if _, err := io.ReadFull(c.r, got); err != nil || string(got) != strings.Repeat("[a]\r\n", requests) {
					t.Error("wrong replies", err)
				}
			}()
		}
		all.Wait()
		eventually(t, "no buffer is held", func() bool { return s.ConnStats().BufferCount == 0 })
	})
}

// What clients have sent before the end is answered; who waits for nothing, or
// does not read, cannot hold the server up.
func TestShutdown(t *testing.T) {
	transports(t, func(t *testing.T, name string) {
		s := startToy(t, name, nil)
		s.drainFor = 200 * time.Millisecond
		idle, partial, waits, deaf := s.dial(), s.dial(), s.dial(), s.dial()
		idle.say("get a\r\n")
		idle.hear("[a]\r\n")
		partial.say("set k 0 0 100000\r\nabc")
		waits.say("stats watch\r\n")
		waits.hear("waiting\r\n")
		deaf.say(strings.Repeat("get big:1000000\r\n", 20))
		eventually(t, "the output blocks", func() bool {
			found := false
			s.EachConn(func(c ConnInfo) { found = found || c.State == "conn_mwrite" })
			return found
		})
		s.RequestShutdown(false)
		s.RequestShutdown(true)
		idle.gone()
		waits.gone()
		s.end()
		if _, err := net.Dial("tcp", s.addr); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("after the end: %v", err)
		}
		if n := s.h.closedBy(CloseShutdown); n != 4 {
			t.Errorf("%d closed by the shutdown", n)
		}
		if err := s.Serve(context.Background()); err == nil {
			t.Error("it serves twice")
		}
	})
}

// Requests on the way when the server ends are answered.
func TestShutdownAnswers(t *testing.T) {
	transports(t, func(t *testing.T, name string) {
		for range 5 {
			s := startToy(t, name, nil)
			s.drainFor = patience // however busy the machine is
			var clients []*toyClient
			for range 20 {
				c := s.dial()
				c.say("get a\r\n")
				c.hear("[a]\r\n")
				clients = append(clients, c)
			}
			const many = 2000 // more than one read of readMax brings
			for _, c := range clients {
				c.say(strings.Repeat("get bbbbbbbbbbbbbb\r\n", many))
			}
			s.stop()
			for _, c := range clients {
				c.hear(strings.Repeat("[bbbbbbbbbbbbbb]\r\n", many))
				c.gone()
			}
			s.end()
		}
	})
}

// pipeListener is a listener without sockets: the goroutine transport serves it
// whatever the server is set to.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

func TestAnyListener(t *testing.T) {
	transports(t, func(t *testing.T, name string) {
		cfg := Config{Threads: 1, MaxConns: 10, ReqsPerEvent: 20, Transport: name}
		h := &toyHandler{}
		srv, err := New(&cfg, h, zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		ln := &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- srv.Serve(ctx, ln) }()
		near, far := net.Pipe()
		ln.conns <- far
		c := &toyClient{Conn: near, t: t, r: newReader(near)}
		c.say("get a\r\n")
		c.hear("[a]\r\n")
		q, a := setOf("k", 100000)
		c.say(q)
		c.hear(a)
		c.say("stats wait\r\n")
		c.hear("waiting\r\n")
		h.producers()[0].s.Wake()
		c.hear("done\r\n")
		cancel()
		c.gone()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// failingListener fails as a system without descriptors does.
type failingListener struct {
	pipeListener
	fails int
}

func (l *failingListener) Accept() (net.Conn, error) {
	if l.fails--; l.fails >= 0 {
		return nil, []error{syscall.EMFILE, syscall.ECONNABORTED}[l.fails%2]
	}
	return l.pipeListener.Accept()
}

func TestAcceptFails(t *testing.T) {
	cfg := Config{Threads: 1, MaxConns: 10, ReqsPerEvent: 20}
	var log countingWriter
	srv, err := New(&cfg, &toyHandler{}, zerolog.New(&log))
	if err != nil {
		t.Fatal(err)
	}
	ln := &failingListener{pipeListener: pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}, fails: 4}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ctx, ln) }()
	near, far := net.Pipe()
	ln.conns <- far
	c := &toyClient{Conn: near, t: t, r: newReader(near)}
	c.say("get a\r\n")
	c.hear("[a]\r\n")
	if st := srv.ConnStats(); st.ListenDisabledNum != 2 || st.ListenDisabled <= 0 {
		t.Errorf("%+v", st)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if log.errors != 1 {
		t.Errorf("%d lines logged", log.errors)
	}
}

// countingWriter counts the lines of level error.
type countingWriter struct{ errors int }

func (w *countingWriter) Write(p []byte) (int, error) {
	if strings.Contains(string(p), `"error"`) {
		w.errors++
	}
	return len(p), nil
}
