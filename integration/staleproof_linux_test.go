package integration

import (
	"errors"
	"testing"
	"time"
)

// The checker finds what is known to be wrong, whichever way nodes fail. A proxy that
// spreads the keys of a failed node over the others reads what was left there, or on
// the node when it is back. One that leaves keys where they are reads what a node has
// restored from an older snapshot, and what a failed write does late: cut off, it lies
// in a connection that was given up, and the network delivers it after a later one.
// A node by itself, or one that is never in trouble, shows nothing old.
func TestStaleOfOthers(t *testing.T) {
	for _, c := range []struct {
		name   string
		nodes  int
		kind   frontend
		b      backend
		faults []fault
		stale  bool
	}{
		{"one node", 1, nutcrackerFront(true, longTimeout), plainMemcached, nil, false},
		{"nodes without trouble", 3, nutcrackerFront(true, longTimeout), plainMemcached, nil, false},
		{"one that is killed", 1, nutcrackerFront(false, longTimeout), plainMemcached, []fault{killed}, false},
		{"one that is killed and remembers", 1, nutcrackerFront(false, longTimeout), holdfastRemembers, []fault{killed}, false},
		{"ejected because killed", 3, nutcrackerFront(true, shortTimeout), plainMemcached, []fault{killed}, true},
		{"ejected because stopped", 3, nutcrackerFront(true, shortTimeout), plainMemcached, []fault{stopped}, true},
		{"ejected because cut off", 3, nutcrackerFront(true, shortTimeout), plainMemcached, cutOff(), true},
		{"ejected nodes of Holdfast", 3, nutcrackerFront(true, shortTimeout), holdfastForgets, []fault{killed}, true},
		{"restored from before", 1, nutcrackerFront(false, shortTimeout), holdfastGoesBack, []fault{setBack}, true},
		{"written late", 3, nutcrackerFront(false, shortTimeout), plainMemcached, cutOff(), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // they wait most of the time
			long := staleTime(t, time.Second)
			if c.stale {
				long = startWait // until it is found
			}
			run := newStaleRun(t, c.nodes, staleKeys, c.kind, c.b, c.faults...)
			begun := time.Now()
			err := run.run(long)
			t.Logf("%s; in %v", run.tell(), time.Since(begun).Round(time.Millisecond))
			var stale *staleError
			switch {
			case err != nil && (!c.stale || !errors.As(err, &stale)):
				t.Fatalf("%v\nthe proxy's standard error ends:\n%s", err, run.x.proxy.Stderr())
			case err == nil && c.stale:
				t.Fatal("the checker has missed every stale read")
			}
		})
	}
}
