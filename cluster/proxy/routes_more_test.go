package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestRouteShadow(t *testing.T) {
	a, b := startRouteNode(t), startRouteNode(t)
	p := startRoutes(t, "  shadow: {to: a, shadow: b, fraction: 0.5}\n", "a", a.addr, "b", b.addr)
	count := func(n *routeNode) int {
		got := 0
		for i := range 200 {
			if n.ask(get(fmt.Sprint("k", i))) != miss {
				got++
			}
		}
		return got
	}
	for i := range 200 {
		p.want(set(fmt.Sprint("k", i), "v"), stored)
	}
	p.want("set last 0 0 1 noreply\r\nx\r\nget last\r\n", "VALUE last 0 1\r\nx\r\nEND\r\n")
	if got := count(a); got != 200 {
		t.Errorf("%d of 200 keys are where all go", got)
	}
	if got := count(b); got < 60 || got > 140 {
		t.Errorf("%d of 200 keys are at the shadow of a half", got)
	}
	b.stop()
	p.want(set("k1", "w")+get("k1")+"ms m 1\r\nm\r\n", stored+value("k1", "w")+"HD\r\n")
}

func TestRouteSplitHot(t *testing.T) {
	a := startRouteNode(t)
	p := startRoutes(t, "  split_hot: {to: a, copies: 3, keys: [one], prefixes: [\"h:\"]}\n", "a", a.addr)
	p.want(set("h:1", "1")+set("one", "2")+set("cold", "3"), stored+stored+stored)
	a.want(get("h:1~hf1 h:1~hf2 one~hf1 one~hf2"), strings.ReplaceAll(value("h:1~hf1", "1")+value("h:1~hf2", "1")+value("one~hf1", "2")+value("one~hf2", "2"), miss, "")+miss)
	a.want(get("cold~hf1 h:1~hf3"), miss)
	a.want("delete one\r\n", "DELETED\r\n")
	hits := 0
	for range 30 {
		p.want(get("h:1"), value("h:1", "1"))
		if p.ask(get("one")) == value("one", "2") {
			hits++
		}
	}
	if hits != 20 {
		t.Errorf("%d of 30 gets were answered by the two copies that are there", hits)
	}
	p.want("incr h:1 1\r\n", "2\r\n")
	a.want(get("h:1~hf1 h:1~hf2"), miss)
	for range 3 {
		p.want(get("h:1 none"), value("h:1", "2"))
	}
	p.want("ms h:bin 2 k O1 F5\r\nhi\r\n", "HD kh:bin O1\r\n")
	a.want(get("h:bin~hf1"), value("h:bin~hf1", "hi"))
	p.want("ms aDp4 1 b F5\r\nx\r\nmg aDp4 b k v\r\nmd aDp4 b k\r\n", "HD\r\nVA 1 kaDp4 b\r\nx\r\nHD kaDp4 b\r\n")
	// The copies live no longer than the item.
	p.want(set("h:t", "1")+"gat -1 h:t\r\n"+strings.Repeat(get("h:t"), 3), stored+value("h:t", "1")+miss+miss+miss)
	p.want(set("h:t", "1")+"mg h:t T-1\r\n"+strings.Repeat(get("h:t"), 3), stored+"HD\r\n"+miss+miss+miss)
	p.want("touch h:bin 77\r\ndelete h:bin\r\n"+get("h:bin")+get("h:bin")+get("h:bin"), "TOUCHED\r\nDELETED\r\n"+miss+miss+miss)
	long := strings.Repeat("z", 250)
	p.want("get h:"+long[:245]+"\r\n", miss)
}

func TestRouteNearCache(t *testing.T) {
	a := startRouteNode(t)
	p := startRoutes(t, "  near_cache: {to: a, prefixes: [\"n:\"], ttl: 5s, size: 1000000}\n", "a", a.addr)
	other := dialRoute(t, p.addr)
	p.want(set("n:1", "1")+set("far", "1")+get("n:1")+get("far"), stored+stored+value("n:1", "1")+value("far", "1"))
	a.want(set("n:1", "2")+set("far", "2"), stored+stored)
	other.want(get("n:1 far"), strings.ReplaceAll(value("n:1", "1"), miss, "")+value("far", "2"))
	p.want("mg n:1 v\r\n", "VA 1\r\n2\r\n") // no more than get is answered nearby
	// What is written here is seen at once.
	other.want("incr n:1 1\r\n", "3\r\n")
	p.want(get("n:1"), value("n:1", "3"))
	other.want("delete n:1\r\n", "DELETED\r\n")
	p.want(get("n:1"), miss)
	p.want(set("n:1", "4")+get("n:1"), stored+value("n:1", "4"))
	p.want("flush_all\r\n", "OK\r\n")
	p.want(get("n:1"), miss)
	p.want(set("n:1", "5")+get("n:1"), stored+value("n:1", "5"))
	p.want("gat -1 n:1\r\n", value("n:1", "5"))
	other.want(get("n:1"), miss)
	long := strings.Repeat("x", 300_000)
	p.want(set("n:2", long)+get("n:2"), stored+value("n:2", long))
	for i := range 500 { // more than fits
		key := fmt.Sprint("n:", i)
		p.want(set(key, long[:5000])+get(key), stored+value(key, long[:5000]))
	}
	n := p.tree.Load().root.(*nearCache)
	for i := range n.shards {
		s := &n.shards[i]
		s.mu.Lock()
		sum := 0
		for _, v := range s.byKey {
			sum += v.size()
		}
		if sum != s.size || s.size > s.most || len(s.order) > 2*len(s.byKey)+nearShards {
			t.Errorf("shard %d holds %d bytes, says %d, of %d; %d in order, %d kept", i, sum, s.size, s.most, len(s.order), len(s.byKey))
		}
		s.mu.Unlock()
	}
}

// heldNode is a server of one key, whose gets see the value at once but are not
// answered before release is closed.
type heldNode struct {
	addr    string
	release chan struct{}
	gets    atomic.Int64
	value   atomic.Pointer[string]
}

func startHeldNode(t *testing.T) *heldNode {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &heldNode{addr: ln.Addr().String(), release: make(chan struct{})}
	first := "old"
	h.value.Store(&first)
	var wg sync.WaitGroup
	t.Cleanup(func() { _ = ln.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = c.Close() })
			wg.Go(func() { h.serve(c) })
		}
	})
	return h
}

// serve answers one connection.
func (h *heldNode) serve(c net.Conn) {
	type reply struct {
		text string
		held bool
	}
	replies := make(chan reply, 100)
	var wg sync.WaitGroup
	wg.Go(func() {
		for r := range replies {
			if r.held {
				<-h.release
			}
			if _, err := io.WriteString(c, r.text); err != nil {
				continue
			}
		}
	})
	defer wg.Wait()
	defer close(replies)
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		switch word, _, _ := strings.Cut(strings.TrimSpace(line), " "); word {
		case "get":
			v := *h.value.Load()
			replies <- reply{fmt.Sprintf("VALUE k 0 %d\r\n%s\r\nEND\r\n", len(v), v), true}
			h.gets.Add(1)
		case "set":
			if line, err = r.ReadString('\n'); err != nil {
				return
			}
			v := strings.TrimSpace(line)
			h.value.Store(&v)
			replies <- reply{stored, false}
		default:
			replies <- reply{"ERROR\r\n", false}
		}
	}
}

// A get that began before a write, on another loop, is not shared with what comes
// after the write, and does not fill the near cache.
func TestRouteSharedReadsAreFresh(t *testing.T) {
	for _, routes := range []string{
		"  near_cache: {to: a, prefixes: [k], ttl: 5s}\n",
		"  coalesce: {to: a}\n",
		"  near_cache: {prefixes: [k], ttl: 5s, to: {coalesce: {to: a}}}\n",
	} {
		h := startHeldNode(t)
		p := startRoutesOn(t, 2, routes, "a", h.addr)
		first := dialRoute(t, p.addr)
		if _, err := io.WriteString(first.c, "get k\r\n"); err != nil {
			t.Fatal(err)
		}
		for h.gets.Load() == 0 {
			runtime.Gosched()
		}
		// One of these is on another loop than the get, whose answer nobody is behind.
		answered := make(chan error, 8)
		for range 8 {
			c := dialRoute(t, p.addr)
			go func() {
				_, err := io.WriteString(c.c, "set k 0 0 3\r\nnew\r\n")
				if err == nil {
					_, err = c.r.ReadString('\n')
				}
				answered <- err
			}()
		}
		if err := <-answered; err != nil {
			t.Fatal(err)
		}
		var later []*routeClient
		for range 8 {
			c := dialRoute(t, p.addr)
			later = append(later, c)
			if _, err := io.WriteString(c.c, "get k\r\n"); err != nil {
				t.Fatal(err)
			}
		}
		// A get of each loop must have come: joined gets are one.
		for end := time.Now().Add(longEnough / 2); h.gets.Load() < 3; runtime.Gosched() {
			if time.Now().After(end) {
				t.Fatalf("routes %q: a get after a write has joined one from before", routes)
			}
		}
		close(h.release)
		for range 7 {
			if err := <-answered; err != nil {
				t.Fatal(err)
			}
		}
		later = append(later, dialRoute(t, p.addr), dialRoute(t, p.addr))
		for _, c := range later[8:] {
			c.want("get k\r\n", "VALUE k 0 3\r\nnew\r\nEND\r\n")
		}
		for _, c := range later[:8] {
			c.want("", "VALUE k 0 3\r\nnew\r\nEND\r\n")
		}
	}
}

func TestRouteCoalesce(t *testing.T) {
	a := startRouteNode(t)
	p := startRoutes(t, "  coalesce: {to: a}\n", "a", a.addr)
	long := strings.Repeat("x", 100_000)
	p.want(set("k", "v")+set("long", long), stored+stored)
	p.want(get("k k k none k")+get("k")+get("none")+"gets none\r\n", strings.Repeat(strings.ReplaceAll(value("k", "v"), miss, ""), 3)+value("k", "v")+value("k", "v")+miss+miss)
	p.want(get("long k long"), strings.ReplaceAll(value("long", long)+value("k", "v")+value("long", long), miss, "")+miss)
	r := p.tree.Load().root.(*coalesce)
	if got := r.tally.n[coalesceJoined].Load(); got < 5 {
		t.Errorf("%d gets have joined another", got)
	}
	// In one batch, what comes behind a write sees it.
	p.want(get("k")+set("k", "w")+get("k")+"append k 0 0 1\r\nx\r\n"+get("k"), value("k", "v")+stored+value("k", "w")+stored+value("k", "wx"))
	a.stop()
	got := p.ask(get("k") + get("k"))
	if !strings.HasPrefix(got, "SERVER_ERROR hf-") || strings.Count(got, "\r\n") != 2 {
		t.Errorf("two gets whose server is down: %q", got)
	}
}

func TestRouteRateLimit(t *testing.T) {
	a := startRouteNode(t)
	p := startRoutes(t, "  rate_limit: {to: a, name: slow, rate: 0.001, burst: 5}\n", "a", a.addr)
	p.want(strings.Repeat(set("k", "v"), 4), strings.Repeat(stored, 4))
	p.want(get("k"), value("k", "v"))
	p.want(get("k")+"delete k\r\nmg k v\r\nset k 0 0 1 noreply\r\nx\r\n"+get("k l"), strings.Repeat("SERVER_ERROR hf-limit slow\r\n", 3)+miss)
	r := &rateLimit{each: 100, slack: 300}
	for _, c := range []struct {
		now, ahead int64
		want       int
	}{{1000, 0, 3}, {1250, 1300, 2}, {1250, 1450, 1}, {1250, 1451, 0}, {9000, 1300, 3}} {
		r.ahead.Store(c.ahead)
		got := 0
		for r.take(c.now) {
			got++
		}
		if got != c.want {
			t.Errorf("%+v: %d are let through", c, got)
		}
	}
}

// Routes within routes, with a child that fails.
func TestRouteComposed(t *testing.T) {
	a, b, g, w := startRouteNode(t), startRouteNode(t), startRouteNode(t), startRouteNode(t)
	p := startRoutes(t, `
  prefix:
    cases:
      - prefix: "r:"
        to:
          near_cache:
            prefixes: ["r:near:"]
            to:
              coalesce:
                to:
                  replicate:
                    to:
                      - failover: {to: a, gutter: g}
                      - split_hot: {to: b, copies: 2, prefixes: ["r:hot:"]}
      - prefix: "w:"
        to:
          warmup:
            cold: {failover: {to: b, gutter: g}}
            warm: {replicate: {to: [a, w]}}
    default: {shadow: {to: {rate_limit: {to: a, rate: 1000000}}, shadow: {failover: {to: w, gutter: g}}, fraction: 1}}
`, "a", a.addr, "b", b.addr, "g", g.addr, "w", w.addr)
	for _, key := range []string{"r:1", "r:near:1", "r:hot:1", "w:1", "x"} {
		p.want(set(key, "1")+get(key)+"incr "+key+" 1\r\n"+get(key+" none")+"mg "+key+" k v O5\r\n"+"delete "+key+"\r\n"+get(key),
			stored+value(key, "1")+"2\r\n"+value(key, "2")+"VA 1 k"+key+" O5\r\n2\r\nDELETED\r\n"+miss)
	}
	p.want("add w:1 5 0 1\r\n7\r\nget w:1\r\n", stored+value("w:1", "7"))
	p.want(set("r:1", "3")+set("r:hot:1", "4"), stored+stored)
	a.stop()
	p.want(get("r:1 r:hot:1"), miss) // the gutter took over, and has nothing
	p.want(set("r:1", "5")+get("r:1")+"gat 100 r:1\r\n", stored+value("r:1", "5")+value("r:1", "5"))
	b.want(get("r:1"), value("r:1", "5"))
	g.stop()
	p.want(get("r:1 r:hot:1"), strings.ReplaceAll(value("r:1", "5")+value("r:hot:1", "4"), miss, "")+miss)
}
