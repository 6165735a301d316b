package server

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-cache/holdfast/protocol"
	"github.com/holdfast-cache/holdfast/slab"
)

func TestShutdownCommand(t *testing.T) {
	for _, test := range []struct {
		say, want string
		shutdowns []bool
	}{
		{"shutdown\r\nmn\r\n", "", []bool{false}},
		{"shutdown graceful\r\nmn\r\n", "", []bool{true}},
		{"shutdown foo\r\nmn\r\n", "CLIENT_ERROR invalid shutdown mode\r\nMN\r\n", nil},
		{"shutdown graceful x\r\n", "CLIENT_ERROR invalid shutdown mode\r\n", nil},
		{"shutdown foo noreply\r\nmn\r\n", "MN\r\n", nil},
	} {
		n := testNode(t, func(c *Config) { c.EnableShutdown = true }, nil)
		host := &fakeHost{}
		n.host = host
		got := string(newClient(t, n, 0).say([]byte(test.say)))
		if got != test.want || !slices.Equal(host.shutdowns, test.shutdowns) {
			t.Errorf("%q: got %q and %v", test.say, got, host.shutdowns)
		}
	}
}

// TestDisabled: what is switched off says so.
func TestDisabled(t *testing.T) {
	n := testNode(t, func(c *Config) { c.DisableFlushAll, c.DisableDump = true, true },
		func(c *slab.Config) { c.SlabReassign, c.Maintainer = false, false })
	c := newClient(t, n, 0)
	c.say([]byte("set a 0 0 1\r\nx\r\n"))
	for _, test := range []struct{ say, want string }{
		{"flush_all", "CLIENT_ERROR flush_all not allowed\r\n"},
		{"flush_all x", "CLIENT_ERROR flush_all not allowed\r\n"},
		{"flush_all noreply", ""},
		{"get a", "VALUE a 0 1\r\nx\r\nEND\r\n"},
		{"lru_crawler metadump all", "ERROR metadump not allowed\r\n"},
		{"lru_crawler mgdump all", "ERROR key dump not allowed\r\n"},
		{"stats cachedump 1 0", "CLIENT_ERROR stats cachedump not allowed\r\n"},
		{"stats detail on", "CLIENT_ERROR stats detail not allowed\r\n"},
		{"slabs reassign 1 2", "CLIENT_ERROR slab reassignment disabled\r\n"},
		{"lru mode flat", "ERROR\r\n"},
		{"lru temp_ttl 5", "ERROR\r\n"},
	} {
		if got := string(c.say([]byte(test.say + "\r\n"))); got != test.want {
			t.Errorf("%s: got %q, want %q", test.say, got, test.want)
		}
	}
	if _, v := askStats(t, c, "stats"); v["cmd_flush"] != "3" {
		t.Errorf("cmd_flush is %s", v["cmd_flush"])
	}
}

// TestFlushAllPast flushes at a moment that has passed, which is now, and at one
// before the start, which is never.
func TestFlushAllPast(t *testing.T) {
	n := testNode(t, nil, nil)
	c := newClient(t, n, 0)
	set := func(key string) { c.say([]byte("set " + key + " 0 0 1\r\nx\r\n")) }
	n.clock.shift(100)
	n.tick()
	set("old")
	n.clock.shift(10)
	n.tick()
	set("new")
	flush := fmt.Sprintf("flush_all %d\r\n", n.clock.unix(n.clock.now())-5)
	if got := string(c.say([]byte(flush))); got != "OK\r\n" {
		t.Fatalf("got %q", got)
	}
	if got := string(c.say([]byte("get old new\r\n"))); got != "END\r\n" {
		t.Errorf("got %q", got)
	}
	set("new")
	if got := string(c.say([]byte("flush_all 2592001\r\nget new\r\n"))); got != "OK\r\nVALUE new 0 1\r\nx\r\nEND\r\n" {
		t.Errorf("got %q", got)
	}
	later := fmt.Sprintf("flush_all %d\r\n", n.clock.unix(n.clock.now())+5)
	if got := string(c.say([]byte(later + "get new\r\n"))); got != "OK\r\nVALUE new 0 1\r\nx\r\nEND\r\n" {
		t.Errorf("got %q", got)
	}
	n.clock.shift(5)
	n.tick()
	if got := string(c.say([]byte("get new\r\n"))); got != "END\r\n" {
		t.Errorf("got %q", got)
	}
}

func TestDumpPipelined(t *testing.T) {
	c := newClient(t, testNode(t, nil, nil), 0)
	for _, word := range []string{"metadump", "mgdump"} {
		want := "VERSION " + Version + "\r\nERROR cannot pipeline other commands before " + word + "\r\nMN\r\n"
		if got := string(c.say([]byte("version\r\nlru_crawler " + word + " all\r\nmn\r\n"))); got != want {
			t.Errorf("got %q", got)
		}
	}
	if got := string(c.say([]byte("lru_crawler mgdump all\r\nmn\r\n"))); got != "OK\r\nEN\r\nMN\r\n" {
		t.Errorf("a command behind the dump: %q", got)
	}
}

// TestDump lists every item once, in pieces of bounded size.
func TestDump(t *testing.T) {
	n := testNode(t, nil, nil)
	c := newClient(t, n, 0)
	const items = 20_000
	for i := range items {
		c.say(fmt.Appendf(nil, "set key%d 0 0 1\r\nx\r\n", i))
	}
	x := n.newExecutor()
	s := &Session{}
	x.lruCrawler(s, &protocol.Request{Op: protocol.OpLRUCrawler, Args: [][]byte{[]byte("metadump"), []byte("all")}})
	d := s.producer
	out := string(s.Out.Buf)
	for more := true; more; {
		s.Out.Buf = s.Out.Buf[:0]
		more = d.Produce(s) == ProducerMore
		if len(s.Out.Buf) > 2*produceMax {
			t.Fatalf("%d bytes at a time", len(s.Out.Buf))
		}
		out += string(s.Out.Buf)
	}
	seen := map[string]bool{}
	body, _ := strings.CutPrefix(out, "OK\r\n")
	body, ended := strings.CutSuffix(body, "END\r\n")
	for l := range strings.SplitSeq(strings.TrimSuffix(body, " \n"), " \n") {
		key, _, _ := strings.Cut(l, " ")
		if seen[key] {
			t.Fatalf("%s comes twice", key)
		}
		seen[key] = true
	}
	if len(seen) != items || !ended {
		t.Errorf("%d items", len(seen))
	}
}

// TestDumpOneAtATime: a second dump is told to come back, a client that leaves
// in the middle makes room.
func TestDumpOneAtATime(t *testing.T) {
	n := testNode(t, nil, nil)
	c := newClient(t, n, 0)
	x := n.newExecutor()
	s := &Session{}
	start := &protocol.Request{Op: protocol.OpLRUCrawler, Args: [][]byte{[]byte("mgdump"), []byte("all")}}
	x.lruCrawler(s, start)
	const busy = "BUSY currently processing crawler request\r\n"
	for _, line := range []string{"lru_crawler mgdump all", "lru_crawler metadump all", "lru_crawler crawl all"} {
		if got := string(c.say([]byte(line + "\r\n"))); got != busy {
			t.Errorf("%s: %q", line, got)
		}
	}
	s.producer.Abort()
	if got := string(c.say([]byte("lru_crawler mgdump all\r\n"))); got != "OK\r\nEN\r\n" {
		t.Errorf("got %q", got)
	}
}

// TestCachedump lists the cold items of a class.
func TestCachedump(t *testing.T) {
	// A single list holds everything as cold.
	n := testNode(t, nil, func(c *slab.Config) { c.Segmented = false })
	c := newClient(t, n, 0)
	c.say([]byte("set a 0 0 3\r\nabc\r\nms AQI= 1 b\r\nx\r\nset b 0 100 1\r\nx\r\n"))
	exp := n.clock.unix(n.clock.now()) + 100
	want := fmt.Sprintf("ITEM b [1 b; %d s]\r\nITEM a [3 b; 0 s]\r\nEND\r\n", exp)
	if got := string(c.say([]byte("stats cachedump 1 0\r\n"))); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	want = fmt.Sprintf("ITEM b [1 b; %d s]\r\nEND\r\n", exp)
	if got := string(c.say([]byte("stats cachedump 1 1\r\n"))); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestReassign moves a page and is told so.
func TestReassign(t *testing.T) {
	n := testNode(t, nil, nil)
	c := newClient(t, n, 0)
	value := strings.Repeat("x", 5000)
	for i := range 1000 {
		c.say(fmt.Appendf(nil, "set key%d 0 0 5000\r\n%s\r\n", i, value))
	}
	src := 0
	for id := 1; id <= classIDMax && src == 0; id++ {
		if n.store.ClassStats(id).Pages > 2 {
			src = id
		}
	}
	if got := string(c.say(fmt.Appendf(nil, "slabs reassign %d 1\r\n", src))); got != "OK\r\n" {
		t.Fatalf("got %q", got)
	}
	for range 1_000_000 {
		n.store.Maintain()
		if n.store.Stats().PagesMoved > 0 {
			break
		}
	}
	if _, v := askStats(t, c, "stats"); v["slabs_moved"] != "1" {
		t.Errorf("slabs_moved is %s", v["slabs_moved"])
	}
}
