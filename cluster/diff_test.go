package cluster

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

func TestMoved(t *testing.T) {
	mapOf := func(n int) *Map {
		p := &PoolConfig{}
		for i := range n {
			p.Servers = append(p.Servers, ServerConfig{Name: fmt.Sprint("s", i), Address: fmt.Sprintf("10.0.0.%d", i)})
		}
		m, err := NewMap(1, p)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	if share, moves := Moved(mapOf(4), mapOf(4), 1000); share != 0 || moves != nil {
		t.Errorf("the same map moves %v: %v", share, moves)
	}
	share, moves := Moved(mapOf(4), mapOf(5), 100_000)
	if math.Abs(share-0.2) > 0.01 {
		t.Errorf("a fifth server takes %.3f of the keys, want about a fifth", share)
	}
	if len(moves) != 4 {
		t.Errorf("keys come from %d servers, want 4: %v", len(moves), moves)
	}
	for _, m := range moves {
		if m.To != "s4" {
			t.Errorf("keys move from %s to %s: only the new server may get any", m.From, m.To)
		}
	}
}

// A map has another sum when a key may go somewhere else, and otherwise not.
func TestSum(t *testing.T) {
	const text = "epoch: 1\npools:\n- {name: a, servers: [10.0.0.1, 10.0.0.2]}\n- {name: b, servers: [10.0.0.3]}\nroutes: {failover: {to: a, gutter: b}}\n"
	sum := func(text string) uint64 {
		t.Helper()
		c, err := ParseConfig("test", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		n, err := c.Sum()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, c := range []struct {
		old, now string
		same     bool
	}{
		{"", "", true},
		{"epoch: 1", "epoch: 2", true},
		{"name: a,", "name: a, timeout: 1s, connect_timeout: 1s, ramp: 1s, hold_down: 1s, get_error: miss, multiget_error: fail,", true},
		{"10.0.0.2", "'10.0.0.2:11211'", true},
		{"10.0.0.2", "{address: 10.0.0.2, name: '10.0.0.2:11211'}", true},
		{"name: a,", "name: a, discover: 'srv:x',", true},
		{"10.0.0.2", "10.0.0.4", false},
		{"10.0.0.2", "{address: 10.0.0.2, name: x}", false},
		{"10.0.0.1, 10.0.0.2", "10.0.0.2, 10.0.0.1", false},
		{"name: a,", "name: a, distribution: modula,", false},
		{"name: a,", "name: a, seed: 5,", false},
		{"name: a,", "name: a, hash_tag: '{}',", false},
		{"to: a, gutter: b", "to: b, gutter: a", false},
		{"routes: {failover: {to: a, gutter: b}}", "routes: a", false},
	} {
		changed := strings.Replace(text, c.old, c.now, 1)
		if got := sum(text) == sum(changed); got != c.same {
			t.Errorf("%s for %s: the same %v", c.now, c.old, got)
		}
	}
}
