package server

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

// TestEpochs has proxies tell of their maps, and one that lies.
func TestEpochs(t *testing.T) {
	node := testNode(t, nil, nil)
	c := newClient(t, node, 0)
	tell := func(line, want string) {
		t.Helper()
		if !strings.HasPrefix(want, "CLIENT_ERROR") {
			epoch, sum, _ := strings.Cut(want, " ")
			want = "STAT epoch " + epoch + "\r\nSTAT sum " + sum + "\r\nEND\r\n"
		}
		if got := string(c.say([]byte("stats epochs " + line + "\r\n"))); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
	tell("pool 7 a0", "7 a0")
	tell("pool 7 a1", "7 a0") // of two maps of one epoch nobody could tell which is newer
	tell("pool 6 a0", "7 a0") // the same map
	tell("pool 5 ff", "7 a0")
	tell("pool 8 b", "8 b")
	tell("pool 7 a0", "8 b")
	tell("other 1 c", "1 c")
	_, values := askStats(t, c, "stats epochs")
	for name, want := range map[string]string{"pool:pool:epoch": "8", "pool:pool:sum": "b", "pool:pool:behind": "2", "pool:other:epoch": "1", "pool:other:behind": "0"} {
		if values[name] != want {
			t.Errorf("%s is %q, not %s", name, values[name], want)
		}
	}

	// The highest there can be counts until nobody has told it for a while.
	lie := fmt.Sprint(uint64(math.MaxUint64), " 0")
	tell("pool "+lie, lie)
	node.clock.shift(epochLife - 1)
	tell("pool 8 b", lie)
	node.clock.shift(1)
	tell("pool 8 b", "8 b")

	for _, bad := range []string{"pool", "pool 1", "pool x a", "pool 1 x", "pool -1 a", "pool 1 a b", strings.Repeat("n", epochNameMax+1) + " 1 a", "pool 99999999999999999999 a"} {
		tell(bad, "CLIENT_ERROR usage: stats epochs")
	}
}

// TestEpochsBounded: many names have the oldest forgotten.
func TestEpochsBounded(t *testing.T) {
	var e epochs
	for i := range 10 * epochPoolsMax {
		e.tell("pool", 9, 9, uint32(i)) // goes on being told
		if i > 0 {
			e.tell(fmt.Sprint("name", i), 1, 1, uint32(i))
		}
		if len(e.pools) > epochPoolsMax {
			t.Fatalf("%d pools", len(e.pools))
		}
	}
	if got, _ := e.tell("pool", 1, 1, 10*epochPoolsMax); got != 9 {
		t.Errorf("the one that is in use was forgotten: %d", got)
	}
}
