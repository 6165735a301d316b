package proxy

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-cache/holdfast/cluster"
	"github.com/holdfast-cache/holdfast/server"
	"github.com/holdfast-cache/holdfast/slab"
	"github.com/rs/zerolog"
)

// longEnough is how long a test waits for what must come.
const longEnough = 20 * time.Second

// routeNode is a Holdfast node that a test can stop.
type routeNode struct {
	addr string
	stop func()
	*routeClient
}

// startRouteNode starts a node; it stops with the test.
func startRouteNode(t *testing.T) *routeNode {
	t.Helper()
	store, err := slab.New(slab.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	cfg := server.DefaultConfig()
	cfg.Threads = 1
	h := server.NewNode(&cfg, store, zerolog.Nop())
	n := &routeNode{}
	n.addr, n.stop = serveRoutes(t, &cfg, h, func() {
		h.Close()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	n.routeClient = dialRoute(t, n.addr)
	return n
}

// serveRoutes serves h on a free port until stop is called or the test ends.
func serveRoutes(t *testing.T, cfg *server.Config, h server.Handler, after func()) (addr string, stop func()) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv, err := server.New(cfg, h, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx, ln) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		after()
	}
	t.Cleanup(stop)
	return ln.Addr().String(), stop
}

// silent listens on a port, takes connections and never answers.
func silentNode(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = c.Close() })
		}
	}()
	return ln.Addr().String()
}

// routeProxy is a proxy in front of pools of one server each.
type routeProxy struct {
	*Proxy
	addr string
	*routeClient
}

// startRoutes starts a proxy of one loop with a pool for each name and address of
// pools, which alternate, and these routes.
func startRoutes(t *testing.T, routes string, pools ...string) *routeProxy {
	t.Helper()
	return startRoutesOn(t, 1, routes, pools...)
}

func startRoutesOn(t *testing.T, loops int, routes string, pools ...string) *routeProxy {
	t.Helper()
	conf := routesConfig(t, routes, pools...)
	if loops > 1 {
		for _, pool := range conf.Pools {
			pool.Timeout = longEnough // what is held there is let go by the test
		}
	}
	p, err := New(Config{Version: "1.6.45-test", BufferLimit: 64 << 20, ValueMax: 8 << 20}, conf, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	cfg := server.DefaultConfig()
	cfg.Threads, cfg.ReqsPerEvent = loops, 64
	rp := &routeProxy{Proxy: p}
	rp.addr, _ = serveRoutes(t, &cfg, p, func() {})
	rp.routeClient = dialRoute(t, rp.addr)
	return rp
}

func routesConfig(t *testing.T, routes string, pools ...string) *cluster.Config {
	t.Helper()
	var text strings.Builder
	text.WriteString("epoch: 1\npools:\n")
	for i := 0; i < len(pools); i += 2 {
		fmt.Fprintf(&text, "  - name: %s\n    timeout: 1s\n    connect_timeout: 1s\n    servers: [%q]\n", pools[i], pools[i+1])
	}
	text.WriteString("routes:\n" + routes)
	conf, err := cluster.ParseConfig("test.yml", []byte(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	return conf
}

// routeClient is a strict client.
type routeClient struct {
	t *testing.T
	c net.Conn
	r *bufio.Reader
}

func dialRoute(t *testing.T, addr string) *routeClient {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(2 * longEnough)); err != nil {
		t.Fatal(err)
	}
	return &routeClient{t: t, c: c, r: bufio.NewReader(c)}
}

// ask sends a batch and returns all that is answered to it.
func (k *routeClient) ask(request string) string {
	k.t.Helper()
	if _, err := k.c.Write([]byte(request + "mn\r\n")); err != nil {
		k.t.Fatalf("asking %.80q: %v", request, err)
	}
	var got bytes.Buffer
	for {
		line, err := k.r.ReadBytes('\n')
		if err != nil {
			k.t.Fatalf("asking %.80q: %v after %.200q", request, err, got.String())
		}
		if string(line) == "MN\r\n" {
			return got.String()
		}
		got.Write(line)
	}
}

// want asks and compares.
func (k *routeClient) want(request, reply string) {
	k.t.Helper()
	if got := k.ask(request); got != reply {
		k.t.Errorf("%.200q is answered\n %.300q, not\n %.300q", request, got, reply)
	}
}

// await asks until the answer is that.
func (k *routeClient) await(request, reply string) {
	k.t.Helper()
	end := time.Now().Add(longEnough)
	for {
		got := k.ask(request)
		if got == reply {
			return
		}
		if time.Now().After(end) {
			k.t.Fatalf("%.200q is answered %.300q and never %.300q", request, got, reply)
		}
	}
}

// Requests and replies that tests are made of.
func set(key, value string) string {
	return fmt.Sprintf("set %s 5 0 %d\r\n%s\r\n", key, len(value), value)
}

func get(key string) string { return "get " + key + "\r\n" }

func value(key, value string) string {
	return fmt.Sprintf("VALUE %s 5 %d\r\n%s\r\nEND\r\n", key, len(value), value)
}

const (
	stored = "STORED\r\n"
	miss   = "END\r\n"
)
