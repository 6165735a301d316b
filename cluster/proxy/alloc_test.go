package proxy

import (
	"fmt"
	"strings"
	"testing"
)

// hotPaths are the requests that most proxies spend their lives on.
var hotPaths = []struct{ name, in string }{
	{"GetHit", "get hit\r\n"},
	{"GetMiss", "get miss\r\n"},
	{"GetsHit", "gets hit\r\n"},
	{"Set", "set new 5 100 10\r\n0123456789\r\n"},
	{"SetNoReply", "set new 5 100 10 noreply\r\n0123456789\r\n"},
	{"MultiGet50", multiGet(50)},
	{"MetaGetHit", "mg hit v f s k t c O123\r\n"},
	{"MetaGetQuietMiss", "mg miss v k q O123\r\n"},
	{"MetaSet", "ms new 10 T100 F5 c k\r\n0123456789\r\n"},
	{"Incr", "incr n 1\r\n"},
	{"Touch", "touch hit 100\r\n"},
	{"Delete", "delete none\r\n"},
	{"GetLarge", "get large\r\n"},
	{"SetLarge", fmt.Sprintf("set large 0 0 100000\r\n%0100000d\r\n", 1)},
	{"Pipeline16", strings.Repeat("get hit\r\nset new 0 0 1\r\nx\r\n", 8)},
	{"Multiget50Meta", strings.Repeat("mg key:7 k v q\r\n", 50) + "mn\r\n"},
}

func multiGet(n int) string {
	var b strings.Builder
	b.WriteString("get")
	for i := range n {
		fmt.Fprintf(&b, " key:%d", i)
	}
	return b.String() + "\r\n"
}

// hotClient returns a function that says a text to a proxy of three nodes which hold
// what hotPaths ask for, and how much was answered.
func hotClient(tb testing.TB) func(in []byte) int {
	r := newRig(tb, 3, nil).withNodes(3)
	c := r.loop.NewClient()
	for i := range 50 {
		r.ask(c, fmt.Sprintf("set key:%d 0 0 32\r\n%032d\r\n", i, i))
	}
	r.ask(c, "set hit 5 0 32\r\n01234567890123456789012345678901\r\nset n 0 0 8\r\n10000000\r\n")
	r.ask(c, fmt.Sprintf("set large 0 0 100000\r\n%0100000d\r\n", 1))
	return func(in []byte) int {
		c.Say(in)
		r.run()
		n := len(c.Heard)
		c.Heard = c.Heard[:0]
		return n
	}
}

// A request is sent on, matched and answered without an allocation.
func TestNoAllocations(t *testing.T) {
	say := hotClient(t)
	for _, p := range hotPaths {
		t.Run(p.name, func(t *testing.T) {
			in := []byte(p.in)
			for range 3 {
				if say(in) == 0 && !strings.Contains(p.in, "noreply") && !strings.HasSuffix(p.name, "QuietMiss") {
					t.Fatal("no reply")
				}
			}
			if n := testing.AllocsPerRun(200, func() { say(in) }); n != 0 {
				t.Fatalf("%v allocations", n)
			}
		})
	}
}

func BenchmarkProxy(b *testing.B) {
	say := hotClient(b)
	for _, p := range hotPaths {
		b.Run(p.name, func(b *testing.B) {
			in := []byte(p.in)
			b.ReportAllocs()
			for b.Loop() {
				say(in)
			}
		})
	}
}
