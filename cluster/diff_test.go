package cluster

import (
	"fmt"
	"math"
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
