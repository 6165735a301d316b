package integration

import (
	"errors"
	"fmt"
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

// failedDelete has a deletion fail because the node was killed, which comes back with
// its items, and returns what the checker says when everything is at rest.
func failedDelete(t *testing.T, kind frontend) error {
	run := newStaleRun(t, 1, 1, kind, holdfastRemembers)
	k, n := run.keys[0], run.x.nodes[0]
	c := run.clients[0]
	defer c.close()
	request := func(deletion bool) fate {
		if err := c.connect(); err != nil {
			t.Fatal(err)
		}
		number := k.begin(deletion, "")
		var err error
		if value := valueOf(k.name, number); deletion {
			err = c.settle(k, number, "delete "+k.name+"\r\n", "DELETED", "NOT_FOUND")
		} else {
			err = c.settle(k, number, fmt.Sprintf("set %s 0 0 %d\r\n%s\r\n", k.name, len(value), value), "STORED")
		}
		if errors.Is(err, errBroken) {
			c.close()
		} else if err != nil {
			t.Fatal(err)
		}
		return k.writes[number-1].fate
	}
	if got := request(false); got != acknowledged {
		t.Fatalf("a set before all %v", got)
	}
	if err := killed.begin(run.x, n); err != nil {
		t.Fatal(err)
	}
	if got := request(true); got != inDoubt {
		t.Fatalf("a deletion while the node is down %v", got)
	}
	if err := killed.mend(run.x, n); err != nil {
		t.Fatal(err)
	}
	return run.settled()
}

// At rest the checker wants failed writes to be made up for, which nutcracker does not.
func TestStaleAtRestOfOthers(t *testing.T) {
	var stale *staleError
	if err := failedDelete(t, nutcrackerFront(false, shortTimeout)); !errors.As(err, &stale) {
		t.Errorf("what should have been deleted is not found to be there: %v", err)
	}
}
