package proxy

import (
	"fmt"
	"strings"
	"testing"
)

// hotRoutes are trees over the pools a, b and c of a node each.
var hotRoutes = []struct{ name, tree string }{
	{"Prefix", "prefix: {cases: [{prefix: h, to: a}, {prefix: k, to: b}], default: c}"},
	{"Command", "command: {get: a, store: a, default: a}"},
	{"Failover", "failover: {to: a, gutter: b}"},
	{"NearCache", "near_cache: {to: a, prefixes: [h, k], ttl: 5s}"},
	{"Coalesce", "coalesce: {to: a}"},
	{"Replicate", "replicate: {to: [a, b, c]}"},
	{"RateLimit", "rate_limit: {to: a, rate: 1e9}"},
	{"Shadow", "shadow: {to: a, shadow: b, fraction: 1}"},
	{"SplitHot", "split_hot: {to: a, copies: 2, prefixes: [h]}"},
	{"Nest", "prefix: {cases: [{prefix: h, to: {coalesce: {to: {failover: {to: {replicate: {to: [a, b]}}, gutter: c}}}}}], default: {rate_limit: {rate: 1e9, to: a}}}"},
}

// What goes through routes costs no allocation either.
func TestNoAllocationsRouted(t *testing.T) {
	for _, route := range hotRoutes {
		conf := routesConfig(t, "  "+route.tree+"\n", "a", "127.0.0.1:1", "b", "127.0.0.1:2", "c", "127.0.0.1:3")
		r := rigOf(t, Config{Version: "1", BufferLimit: 64 << 20, ValueMax: 32 << 20}, conf).withNodes(3)
		c := r.loop.NewClient()
		for i := range 50 {
			r.ask(c, fmt.Sprintf("set key:%d 0 0 32\r\n%032d\r\n", i, i))
		}
		r.ask(c, "set hit 5 0 32\r\n01234567890123456789012345678901\r\n")
		for _, p := range []struct{ name, in string }{
			{"GetHit", "get hit\r\n"},
			{"MultiGet50", multiGet(50)},
			{"MetaGetHit", "mg hit v f s k t c O123\r\n"},
			{"Set", "set new 5 100 10\r\n0123456789\r\n"},
			{"SetHot", "set hot 5 100 10\r\n0123456789\r\n"},
			{"Pipeline16", strings.Repeat("get hit\r\n", 16)},
		} {
			t.Run(route.name+"/"+p.name, func(t *testing.T) {
				in := []byte(p.in)
				say := func() {
					c.Say(in)
					r.run()
					c.Heard = c.Heard[:0]
				}
				for range 5 {
					say()
				}
				if n := testing.AllocsPerRun(100, say); n != 0 {
					t.Errorf("%v allocations", n)
				}
			})
		}
	}
}
