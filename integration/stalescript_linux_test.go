package integration

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// Two stories in which a failed write makes for an old value, step by step: the
// staleness run finds them by chance, these are there each time.

// writer is the client of a run with one node and one key.
type writer struct {
	*staleRun
	c *staleClient
	k *register
}

func newWriter(t *testing.T, kind frontend, b backend) *writer {
	run := newStaleRun(t, 1, 1, kind, b)
	t.Cleanup(run.clients[0].close)
	return &writer{run, run.clients[0], run.keys[0]}
}

// try sets or deletes the key and returns what became of that.
func (w *writer) try(deletion bool) fate {
	t := w.x.t
	t.Helper()
	if err := w.c.connect(); err != nil {
		t.Fatal(err)
	}
	command := "set"
	if deletion {
		command = "delete"
	}
	err := w.c.write(w.k, command)
	if errors.Is(err, errBroken) && !w.kind.keeps {
		w.c.close()
	} else if err != nil {
		t.Fatal(err)
	}
	return w.k.writes[len(w.k.writes)-1].fate
}

// until tries until that is what becomes of it: a busy machine is no news.
func (w *writer) until(deletion bool, want fate) {
	w.x.t.Helper()
	waitFor(w.x.t, "a write "+want.String(), func() bool { return w.try(deletion) == want })
}

// has a fault begin or end.
func (w *writer) has(what string, f func(*fleet, *node) error) {
	w.x.t.Helper()
	n := w.x.nodes[0]
	w.note(n.says(what))
	if err := f(w.x, n); err != nil {
		w.x.t.Fatal(err)
	}
}

// failedDelete has a deletion fail because the node was killed, which comes back with
// its items, and returns what the checker says when everything is at rest.
func failedDelete(t *testing.T, kind frontend) error {
	w := newWriter(t, kind, holdfastRemembers)
	w.until(false, acknowledged)
	w.has("killed", killed.begin)
	w.until(true, inDoubt)
	w.has("is back", killed.mend)
	return w.settled()
}

// What failed while a node was down is not there when it is back.
func TestStaleFailedDelete(t *testing.T) {
	var stale *staleError
	if err := failedDelete(t, nutcrackerFront(false, shortTimeout)); !errors.As(err, &stale) {
		t.Errorf("nutcracker makes up for a failed deletion, or it is not looked at: %v", err)
	}
	if err := failedDelete(t, holdfastFront(shortTimeout)); err != nil {
		t.Error(err)
	}
}

// lateWrite has a write fail because nothing reaches the node, another one succeed
// when it can be reached again, and returns what reads find then. The system sends
// what was lost again on its own, after pauses that double: it arrives late, from
// connections too that the proxy has closed.
func lateWrite(t *testing.T, kind frontend) error {
	w := newWriter(t, kind, plainMemcached)
	w.until(false, acknowledged)
	cut := partitions[1]
	w.has(cut.name, func(x *fleet, n *node) error { return cut.begin(x.net, n.number) })
	w.until(false, inDoubt)
	// Pauses of a fifth of a second, then two, four and eight: the next one is long.
	time.Sleep(1600 * time.Millisecond)
	w.has("hears again", func(x *fleet, n *node) error { return cut.mend(x.net, n.number) })
	w.until(false, acknowledged)
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if err := w.c.connect(); err != nil {
			return err
		}
		if _, err := w.c.read(w.k, w.k.least()); err != nil {
			return fmt.Errorf("%w\n%s", err, w.k.story(w.notes))
		}
	}
	return nil
}

// A write that has failed does not happen after all, later than one that has not.
func TestStaleLateWrite(t *testing.T) {
	t.Run("nutcracker", func(t *testing.T) {
		t.Parallel()
		var stale *staleError
		if err := lateWrite(t, nutcrackerFront(false, shortTimeout)); !errors.As(err, &stale) {
			t.Errorf("no late write of nutcracker's: %v", err)
		}
	})
	t.Run("holdfast", func(t *testing.T) {
		t.Parallel()
		if err := lateWrite(t, holdfastFront(shortTimeout)); err != nil {
			t.Error(err)
		}
	})
}
