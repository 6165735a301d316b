package main

import (
	"strings"
	"testing"
)

func TestWires(t *testing.T) {
	two := [][]byte{[]byte("a"), []byte("b")}
	text, meta, resp := Memcached.Wire(false), Memcached.Wire(true), Redis.Wire(false)
	for _, c := range []struct {
		name       string
		wire       Wire
		set, get   string
		replies    string // to the get
		last, hits int
	}{
		{
			"text", text, "set a 0 9 1\r\nx\r\n", "get a b\r\n",
			"VALUE a 0 1\r\nx\r\nVALUE b 0 2\r\nyy\r\nEND\r\n", 1, 2,
		},
		{"meta", meta, "set a 0 9 1\r\nx\r\n", "mg a v\r\nmg b v\r\n", "VA 1\r\nx\r\nEN\r\n", 2, 1},
		{
			"resp", resp, "*5\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nx\r\n$2\r\nEX\r\n$1\r\n9\r\n",
			"*3\r\n$4\r\nMGET\r\n$1\r\na\r\n$1\r\nb\r\n", "*2\r\n$1\r\nx\r\n$-1\r\n", 2, 1,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := string(c.wire.AppendSet(nil, two[0], []byte("x"), 9)); got != c.set {
				t.Errorf("set: %q, want %q", got, c.set)
			}
			if got := string(c.wire.AppendGet(nil, two)); got != c.get {
				t.Errorf("get: %q, want %q", got, c.get)
			}
			if got := c.wire.Replies(2); got != c.last {
				t.Errorf("%d replies expected, want %d", got, c.last)
			}
			// The replies come byte by byte: no part may be cut early.
			last, hits, used := 0, 0, 0
			for end := range len(c.replies) + 1 {
				for {
					p, err := c.wire.Next([]byte(c.replies[used:end]))
					if err != nil {
						t.Fatalf("%q: %v", c.replies[used:end], err)
					}
					if p.Len == 0 {
						break
					}
					used += p.Len
					if p.Last {
						last++
					}
					if p.Hit {
						hits++
					}
				}
			}
			if used != len(c.replies) || last != c.last || hits != c.hits {
				t.Errorf("%d of %d bytes, %d replies, %d hits", used, len(c.replies), last, hits)
			}
		})
	}
}

func TestWiresTellRefusals(t *testing.T) {
	for wire, reply := range map[Wire]string{
		Memcached.Wire(false): "SERVER_ERROR object too large for cache\r\n",
		Memcached.Wire(true):  "CLIENT_ERROR bad command line format\r\n",
		Redis.Wire(false):     "-OOM command not allowed\r\n",
	} {
		if _, err := wire.Next([]byte(reply)); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(reply)) {
			t.Errorf("%q is taken for %v", reply, err)
		}
	}
}

// A server without memory for a value is told from one that does not understand.
func TestWiresTellFullServers(t *testing.T) {
	const reply = noMemory + "\r\n"
	for _, meta := range []bool{false, true} {
		p, err := Memcached.Wire(meta).Next([]byte(reply))
		if err != nil || !p.Full || !p.Last || p.Hit || p.Len != len(reply) {
			t.Errorf("meta %t: %+v, %v", meta, p, err)
		}
	}
}

// What a wire says is needed must be all of the part: it is discarded unseen.
func TestWiresTellWhatIsNeeded(t *testing.T) {
	value := strings.Repeat("v", 100_000)
	for wire, reply := range map[Wire]string{
		Memcached.Wire(false): "VALUE a 0 100000\r\n" + value + "\r\n",
		Memcached.Wire(true):  "VA 100000\r\n" + value + "\r\n",
		Redis.Wire(false):     "$100000\r\n" + value + "\r\n",
	} {
		some, err := wire.Next([]byte(reply[:500]))
		if err != nil || some.Len != 0 || some.Need != len(reply) {
			t.Errorf("of 500 bytes: %+v, %v; want Need %d", some, err, len(reply))
		}
		all, err := wire.Next([]byte(reply))
		if err != nil || all.Len != len(reply) || all.Last != some.Last || all.Hit != some.Hit {
			t.Errorf("whole: %+v, %v; in part: %+v", all, err, some)
		}
	}
}

func TestKinds(t *testing.T) {
	for program, want := range map[string]Kind{
		"/usr/bin/redis-server": Redis, "/opt/valkey-server": Redis, "pogocache": Pogocache, "/x/memcached-debug": Memcached,
	} {
		if got := kindOf(program); got != want {
			t.Errorf("%s is of kind %d, want %d", program, got, want)
		}
		flags := strings.Join(want.flags(3, 77), " ")
		for _, part := range []string{"{port}", "3", "77"} {
			if !strings.Contains(flags, part) {
				t.Errorf("the flags of %s lack %s: %s", program, part, flags)
			}
		}
	}
}

func TestFindTargets(t *testing.T) {
	var complaints []string
	targets, err := FindTargets("/bin/sh", "x=/bin/cat,/no/such/server", func(c string) { complaints = append(complaints, c) })
	if err != nil {
		t.Fatal(err)
	}
	if len(targets) != 2 || targets[1].Name != "x" || len(complaints) != 1 || !strings.HasPrefix(complaints[0], "server is left out") {
		t.Errorf("targets %+v, complaints %q", targets, complaints)
	}
	for _, rivals := range []string{"/no/such/server", "", "memcached=/no/such/server,x=/bin/cat"} {
		if targets, err := FindTargets("/bin/sh", rivals, func(string) {}); err == nil {
			t.Errorf("bars are for the first of %q, and it is not there: %+v", rivals, targets)
		}
	}
}
