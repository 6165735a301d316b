package integration

import (
	"slices"
	"testing"
	"time"
)

// Through the proxy of Holdfast no read is stale, whatever happens to nodes, and at
// rest every failed write has been made up for: the proxy leaves keys where they are,
// and reads a node that is back only when that is safe. No client's connection is ever
// closed, and every request is answered.
func TestStale(t *testing.T) {
	every := slices.Concat([]fault{killed, stopped}, cutOff())
	for _, c := range []struct {
		name   string
		b      backend
		faults []fault
	}{
		{"memcached, killed", plainMemcached, []fault{killed}},
		{"memcached, stopped", plainMemcached, []fault{stopped}},
		{"memcached, cut off", plainMemcached, cutOff()},
		{"memcached, everything", plainMemcached, every},
		{"holdfast, everything", holdfastForgets, every},
		{"holdfast that remembers, everything", holdfastRemembers, every},
		{"holdfast that goes back, everything", holdfastGoesBack, append(every, setBack)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()                                                                                         // they wait most of the time
			run := newStaleRun(t, 3, staleKeys, holdfastFront(shortTimeout, "hold_down: 2ms"), c.b, c.faults...) // many returns
			err := run.run(staleTime(t, 2*time.Second))
			t.Log(run.tell())
			if err == nil {
				err = run.settled()
			}
			if err != nil {
				t.Fatalf("%v\nthe proxy's standard error ends:\n%s", err, run.x.proxy.Stderr())
			}
			if all := run.sum(); all.hits == 0 || all.writes == 0 {
				t.Error("nothing happened")
			}
		})
	}
}

// A proxy that is killed has forgotten what nodes may have missed.
func TestStaleProxyRestarts(t *testing.T) {
	every := slices.Concat([]fault{killed, stopped}, cutOff())
	for _, b := range []backend{plainMemcached, holdfastRemembers} {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			kind := holdfastFront(shortTimeout, "hold_down: 2ms")
			kind.keeps = false
			run := newStaleRun(t, 3, staleKeys, kind, b, every...)
			run.restarts = true
			err := run.run(staleTime(t, 2*time.Second))
			t.Log(run.tell())
			if err != nil {
				t.Fatalf("%v\nthe proxy's standard error ends:\n%s", err, run.x.proxy.Stderr())
			}
		})
	}
}
