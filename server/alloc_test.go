package server

import (
	"fmt"
	"strings"
	"testing"
)

// hotPaths are the requests that most servers spend their lives on.
var hotPaths = []struct{ name, in string }{
	{"GetHit", "get hit\r\n"},
	{"GetMiss", "get miss\r\n"},
	{"GetsHit", "gets hit\r\n"},
	{"Set", "set new 5 100 10\r\n0123456789\r\n"},
	{"SetNoReply", "set new 5 100 10 noreply\r\n0123456789\r\n"},
	{"MultiGet50", multiGet(50)},
	{"MetaGetHit", "mg hit v f s k t c O123\r\n"},
	{"MetaGetMiss", "mg miss v k O123\r\n"},
	{"MetaSet", "ms new 10 T100 F5 c k\r\n0123456789\r\n"},
	{"Incr", "incr n 1\r\n"},
	{"Touch", "touch hit 100\r\n"},
	{"Delete", "delete none\r\n"},
	{"GetLarge", "get large\r\n"},
	{"Pipeline16", strings.Repeat("get hit\r\n", 16)},
}

func multiGet(n int) string {
	var b strings.Builder
	b.WriteString("get")
	for i := range n {
		fmt.Fprintf(&b, " key:%d", i)
	}
	return b.String() + "\r\n"
}

// hotClient is a client of a node that holds what hotPaths ask for.
func hotClient(tb testing.TB) *client {
	c := newClient(tb, testNode(tb, nil, nil), 0)
	for i := range 50 {
		c.say(fmt.Appendf(nil, "set key:%d 0 0 32\r\n%032d\r\n", i, i))
	}
	c.say([]byte("set hit 5 0 32\r\n01234567890123456789012345678901\r\nset n 0 0 8\r\n10000000\r\n"))
	c.say(fmt.Appendf(nil, "set large 0 0 100000\r\n%0100000d\r\n", 1))
	return c
}

// A request is parsed, carried out and answered without an allocation.
func TestNoAllocations(t *testing.T) {
	c := hotClient(t)
	for _, p := range hotPaths {
		t.Run(p.name, func(t *testing.T) {
			in := []byte(p.in)
			c.say(in)
			if len(c.out) == 0 && !strings.Contains(p.in, "noreply") {
				t.Fatal("no reply")
			}
			if n := testing.AllocsPerRun(100, func() { c.say(in) }); n != 0 {
				t.Fatalf("%v allocations", n)
			}
		})
	}
}

func BenchmarkExecute(b *testing.B) {
	for _, p := range hotPaths {
		b.Run(p.name, func(b *testing.B) {
			c := hotClient(b)
			in := []byte(p.in)
			b.ReportAllocs()
			for b.Loop() {
				c.say(in)
			}
		})
	}
}
