package server

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// patience is how long a test waits for what must come.
const patience = time.Minute

// eventually polls ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// toyServer is a running server.
type toyServer struct {
	*Server
	t          *testing.T
	h          *toyHandler
	addr, unix string
	stop       context.CancelFunc
	ended      chan error
}

// transports runs f for each transport there is here.
func transports(t *testing.T, f func(t *testing.T, name string)) {
	t.Helper()
	names := []string{TransportGoroutine}
	if runtime.GOOS == "linux" {
		names = append(names, TransportEpoll)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) { f(t, name) })
	}
}

// startToy serves a toyHandler on a TCP and a Unix socket.
func startToy(t *testing.T, transport string, change func(*Config)) *toyServer {
	t.Helper()
	cfg := Config{Threads: 2, MaxConns: 1500, MaxConnsFast: true, ReqsPerEvent: 20, Backlog: 1024, Transport: transport, UnixMask: 0o700}
	if change != nil {
		change(&cfg)
	}
	s := &toyServer{t: t, h: &toyHandler{}, ended: make(chan error, 1), unix: filepath.Join(t.TempDir(), "s")}
	var err error
	if s.Server, err = New(&cfg, s.h, zerolog.Nop()); err != nil {
		t.Fatal(err)
	}
	s.tickEach = time.Hour // tests move the clock themselves
	tcp, err := Listen(&cfg, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	unix, err := Listen(&cfg, "unix", s.unix)
	if err != nil {
		t.Fatal(err)
	}
	s.addr = tcp.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	go func() { s.ended <- s.Serve(ctx, tcp, unix) }()
	t.Cleanup(s.end)
	return s
}

// end stops the server and checks that nothing is left of it.
func (s *toyServer) end() {
	s.stop()
	select {
	case err := <-s.ended:
		if err != nil {
			s.t.Error(err)
		}
		s.ended <- nil
	case <-time.After(patience):
		s.t.Fatal("the server does not end")
	}
	st := s.ConnStats()
	if st.Current != 0 || st.BufferCount != 0 || st.BufferBytes != 0 {
		s.t.Errorf("after the end: %+v", st)
	}
	if s.h.pins.Load() != 0 || s.h.sinks.Load() != 0 {
		s.t.Errorf("%d pins and %d sinks left", s.h.pins.Load(), s.h.sinks.Load())
	}
}

// toyClient is a connection to a toyServer.
type toyClient struct {
	net.Conn
	t *testing.T
	r *bufio.Reader
}

func (s *toyServer) dial() *toyClient { return s.dialTo("tcp", s.addr) }

func (s *toyServer) dialTo(network, addr string) *toyClient {
	s.t.Helper()
	nc, err := net.Dial(network, addr)
	if err != nil {
		s.t.Fatal(err)
	}
	c := &toyClient{Conn: nc, t: s.t, r: newReader(nc)}
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = nc.Close() })
	return c
}

func (c *toyClient) say(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.Conn, text); err != nil {
		c.t.Fatal(err)
	}
}

func (c *toyClient) hear(want string) {
	c.t.Helper()
	got := make([]byte, len(want))
	n, err := io.ReadFull(c.r, got)
	if err != nil {
		c.t.Fatalf("%v after %.60q, want %.60q", err, got[:n], want)
	}
	differ(c.t, got, want)
}

// gone checks that the server has closed the connection.
func (c *toyClient) gone() {
	c.t.Helper()
	rest, err := io.ReadAll(c.r)
	if len(rest) > 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
		c.t.Fatalf("not closed: %.60q, %v", rest, err)
	}
}

func (c *toyClient) closeWrite() {
	c.t.Helper()
	if err := c.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		c.t.Fatal(err)
	}
}

func newReader(r io.Reader) *bufio.Reader { return bufio.NewReader(r) }
