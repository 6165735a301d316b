package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-cache/holdfast/protocol"
	"github.com/rs/zerolog"
)

// linkHost is a Handler whose executor does on its loop what a test wants done there.
type linkHost struct {
	loop  Loop
	bound chan struct{}
	mu    sync.Mutex
	todo  []func()
}

func (h *linkHost) Attach(Host)                                 {}
func (h *linkHost) NewExecutor() Executor                       { return h }
func (h *linkHost) Execute(*Session, *protocol.Batch)           {}
func (h *linkHost) BeginValue(*Session, *protocol.Request) Sink { return nil }
func (h *linkHost) Unbind()                                     {}

func (h *linkHost) Bind(l Loop) {
	h.loop = l
	close(h.bound)
}

func (h *linkHost) Settle(int64) int64 {
	h.mu.Lock()
	todo := h.todo
	h.todo = nil
	h.mu.Unlock()
	for _, f := range todo {
		f()
	}
	return 0
}

// on runs f on the loop and waits for it.
func (h *linkHost) on(f func()) {
	done := make(chan struct{})
	h.mu.Lock()
	h.todo = append(h.todo, func() { f(); close(done) })
	h.mu.Unlock()
	h.loop.Poke()
	<-done
}

func startLinkHost(t *testing.T) *linkHost {
	t.Helper()
	h := &linkHost{bound: make(chan struct{})}
	cfg := DefaultConfig()
	cfg.Threads, cfg.Transport = 1, TransportEpoll
	s, err := New(&cfg, h, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	ln, err := Listen(&cfg, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	<-h.bound
	return h
}

// linkEnd is a LinkHandler that tells what it hears.
type linkEnd struct {
	host  *linkHost
	link  *Link
	out   Output
	heard chan string
	buf   [64]byte
	got   []byte
	close bool // at the first byte
}

func (e *linkEnd) LinkUp()       { e.heard <- "up" }
func (e *linkEnd) Space() []byte { return e.buf[:] }

func (e *linkEnd) Filled(n int) {
	e.got = append(e.got, e.buf[:n]...)
	if e.close {
		e.link.Close()
		e.heard <- "closed"
	}
}

func (e *linkEnd) LinkWritable() {
	if err := e.link.Write(&e.out); err != nil {
		e.heard <- err.Error()
	} else if e.out.Pending() == 0 {
		e.heard <- "written"
	}
}

func (e *linkEnd) LinkDown(err error) {
	switch {
	case errors.Is(err, ErrLinkEOF):
		e.heard <- "end"
	case errors.Is(err, syscall.ECONNREFUSED):
		e.heard <- "refused"
	case errors.Is(err, syscall.ENOENT):
		e.heard <- "none"
	default:
		e.heard <- err.Error()
	}
}

func (h *linkHost) dial(addr LinkAddr) *linkEnd {
	e := &linkEnd{host: h, heard: make(chan string, 16)}
	h.on(func() { e.link = h.loop.Dial(addr, e) })
	return e
}

func (e *linkEnd) wants(t *testing.T, what string) {
	t.Helper()
	select {
	case got := <-e.heard:
		if got != what {
			t.Fatalf("heard %q, want %q", got, what)
		}
	case <-time.After(patience):
		t.Fatalf("never heard %q", what)
	}
}

// listenFor listens on a TCP or Unix socket.
func listenFor(t *testing.T, network string) (net.Listener, LinkAddr) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	if network == "unix" {
		return ln, LinkAddr{Path: address}
	}
	return ln, LinkAddr{TCP: netip.MustParseAddrPort(ln.Addr().String())}
}

func acceptFrom(t *testing.T, ln net.Listener) net.Conn {
	t.Helper()
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestLinkIsNotToBeHad(t *testing.T) {
	h := startLinkHost(t)
	ln, addr := listenFor(t, "tcp")
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	h.dial(addr).wants(t, "refused")
	h.dial(LinkAddr{Path: filepath.Join(t.TempDir(), "nobody")}).wants(t, "none")
	// One that was closed before it stood says nothing more.
	ln, addr = listenFor(t, "tcp")
	e := h.dial(addr)
	h.on(func() { e.link.Close(); e.link.Close() })
	h.dial(addr).wants(t, "up")
	_ = ln
	select {
	case got := <-e.heard:
		if got != "up" { // it may have stood by then
			t.Errorf("heard %q of a closed link", got)
		}
	default:
	}
}

// What is written goes out whole and in order, however little the other side reads
// at a time, and values as well as bytes.
func TestLinkTalks(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			h := startLinkHost(t)
			ln, addr := listenFor(t, network)
			e := h.dial(addr)
			e.wants(t, "up")
			c := acceptFrom(t, ln)
			value := bytes.Repeat([]byte("0123456789abcdef"), 1<<19) // more than sockets hold
			var err error
			waits := 0
			h.on(func() {
				e.out.Buf = append(e.out.Buf, "head "...)
				e.out.Pin([][]byte{value}, nopPin{})
				e.out.Buf = append(e.out.Buf, " tail"...)
				err = e.link.Write(&e.out)
				waits = e.out.Pending()
			})
			if err != nil || waits == 0 {
				t.Fatalf("%v, %d bytes wait", err, waits)
			}
			got := make([]byte, len("head ")+len(value)+len(" tail"))
			if _, err := io.ReadFull(c, got); err != nil {
				t.Fatal(err)
			}
			if want := "head " + string(value) + " tail"; string(got) != want {
				t.Error("something else has arrived")
			}
			e.wants(t, "written")
			if _, err := c.Write(bytes.Repeat([]byte("reply"), 1000)); err != nil {
				t.Fatal(err)
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			e.wants(t, "end")
			h.on(func() {
				if !bytes.Equal(e.got, bytes.Repeat([]byte("reply"), 1000)) {
					t.Errorf("%d bytes came back", len(e.got))
				}
			})
		})
	}
}

type nopPin struct{}

func (nopPin) Unpin() {}

// A handler may close its link within an event, and hears nothing more then.
func TestLinkClosedWithin(t *testing.T) {
	h := startLinkHost(t)
	ln, addr := listenFor(t, "tcp")
	e := h.dial(addr)
	e.wants(t, "up")
	h.on(func() { e.close = true })
	c := acceptFrom(t, ln)
	if _, err := io.WriteString(c, "x"); err != nil {
		t.Fatal(err)
	}
	e.wants(t, "closed")
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the other side was not told")
	}
	e2 := h.dial(addr) // perhaps with the same descriptor
	e2.wants(t, "up")
	select {
	case got := <-e.heard:
		t.Errorf("heard %q after the end", got)
	default:
	}
}

// A parked link has its end told to the other side, which may take its time.
func TestLinkParked(t *testing.T) {
	h := startLinkHost(t)
	ln, addr := listenFor(t, "tcp")
	e := h.dial(addr)
	e.wants(t, "up")
	c := acceptFrom(t, ln)
	after := &linkEnd{host: h, heard: make(chan string, 16)}
	h.on(func() {
		e.out.Buf = append(e.out.Buf, "last words"...)
		if err := e.link.Write(&e.out); err != nil {
			t.Error(err)
		}
		e.link.Park(after)
	})
	if got, err := io.ReadAll(c); err != nil || string(got) != "last words" {
		t.Fatalf("%q, %v", got, err)
	}
	if _, err := io.WriteString(c, "late"); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	after.wants(t, "end")
	h.on(func() {
		if string(after.got) != "late" {
			t.Errorf("heard %q", after.got)
		}
	})
}
