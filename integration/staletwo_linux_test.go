package integration

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// Two proxies before the same nodes. Each makes up for its own failed writes and knows of
// its own acknowledged ones only, so what is promised of one proxy is promised of the keys that
// are written and read through that one.

// secondAddr is where clients reach the second proxy, at the hub.
const secondAddr = "127.0.0.1:11209"

// newStalePair is newStaleRun with two proxies. If sticky is set every key is written and
// read through one of them, else any client uses any key, through its own.
func newStalePair(t *testing.T, sticky bool, b backend, faults ...fault) *staleRun {
	t.Helper()
	run := newStaleRun(t, 3, staleKeys, holdfastFront(shortTimeout, "hold_down: 2ms"), b, faults...)
	spec := run.x.front
	spec.Listen, spec.Args = secondAddr, slices.Clone(spec.Args)
	_, first, _ := strings.Cut(proxyAddr, ":")
	_, second, _ := strings.Cut(secondAddr, ":")
	spec.Args[slices.Index(spec.Args, first)] = second
	p, err := Start(spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Kill() })
	run.second = p
	for i, c := range run.clients {
		c.dial = run.through(i)
		if sticky {
			c.keys = run.keysOf(i)
		} else {
			c.excuses = true
		}
	}
	return run
}

// through dials the proxy of the i-th client.
func (run *staleRun) through(i int) func() (net.Conn, error) {
	if i%2 == 0 {
		return run.x.dial
	}
	return run.second.Dial
}

// keysOf is every second key.
func (run *staleRun) keysOf(i int) []*register {
	var mine []*register
	for n, k := range run.keys {
		if n%2 == i%2 {
			mine = append(mine, k)
		}
	}
	return mine
}

// quiet waits until both proxies have used all nodes, and neither has anything to make
// up for.
func (run *staleRun) quiet() error {
	for i, p := range []*Process{run.x.proxy, run.second} {
		c := &staleClient{dial: run.through(i)}
		defer c.close()
		for end := time.Now().Add(startWait); ; time.Sleep(10 * time.Millisecond) {
			for _, k := range run.keys {
				err := c.connect()
				if err == nil {
					_, err = c.read(k, 0)
				}
				if err != nil {
					return err
				}
			}
			stats, err := p.Stats("stats backends")
			if err != nil {
				return err
			}
			busy := ""
			for name, value := range stats {
				if strings.HasSuffix(name, ":state") && value != "up" || strings.HasSuffix(name, ":journal_keys") && value != "0" {
					busy = name + " " + value
				}
			}
			if busy == "" {
				break
			}
			if time.Now().After(end) {
				return fmt.Errorf("proxy %d is not at rest: %s", i, busy)
			}
		}
	}
	return nil
}

// settledBoth is settled for both proxies; with sticky each is asked for its own keys.
func (run *staleRun) settledBoth(sticky bool) error {
	if err := run.quiet(); err != nil {
		return err
	}
	all := run.keys
	defer func() { run.keys = all }()
	var errs []error
	for i := range 2 {
		if run.keys = all; sticky {
			run.keys = run.keysOf(i)
		}
		errs = append(errs, run.settledThrough(run.through(i)))
	}
	return errors.Join(errs...)
}

// stalePairs has two proxies serve before each kind of backend while it fails, and returns
// when nothing old may be left. check looks at a run that is over.
func stalePairs(t *testing.T, sticky bool, check func(*testing.T, *staleRun)) {
	every := slices.Concat([]fault{killed, stopped}, cutOff())
	for _, c := range []struct {
		b      backend
		faults []fault
	}{
		{plainMemcached, every},
		{holdfastRemembers, every},
		{holdfastGoesBack, append(slices.Clone(every), setBack)},
	} {
		t.Run(c.b.name, func(t *testing.T) {
			t.Parallel()
			run := newStalePair(t, sticky, c.b, c.faults...)
			err := run.run(staleTime(t, 2*time.Second))
			t.Log(run.tell())
			if err == nil {
				err = run.settledBoth(sticky)
			}
			if err != nil {
				t.Fatalf("%v\nthe proxies' standard error ends:\n%s\n%s", err, run.x.proxy.Stderr(), run.second.Stderr())
			}
			check(t, run)
		})
	}
}

// With two proxies no read is stale of a key that is written and read through one of them.
func TestStaleTwoProxies(t *testing.T) {
	stalePairs(t, true, func(t *testing.T, run *staleRun) {
		if all := run.sum(); all.hits == 0 || all.writes == 0 {
			t.Error("nothing happened")
		}
	})
}

// A key that is written through one and read through the other may be read as it was while
// the one has not made up yet for what the other does not know of. It ends there: once
// both have used a node that is back, nothing old is left on it.
func TestStaleTwoProxiesMixed(t *testing.T) {
	stalePairs(t, false, func(t *testing.T, run *staleRun) { t.Logf("%d stale reads meanwhile", run.sum().excused) })
}

// What one proxy has had acknowledged the other does not know of: of a node that comes back
// with an older snapshot it may read what was there before, until the one has seen that it
// is another process, which it does without being asked for anything.
func TestStaleTwoProxiesStory(t *testing.T) {
	run := newStalePair(t, false, holdfastGoesBack)
	n := run.x.nodes[0]
	a, b := run.clients[0], run.clients[1]
	defer a.close()
	defer b.close()
	read := func(c *staleClient, k *register) error {
		if err := c.connect(); err != nil {
			return err
		}
		_, err := c.read(k, k.lastly())
		return err
	}
	write := func(k *register) {
		t.Helper()
		waitFor(t, "a write", func() bool {
			if err := errors.Join(a.connect(), a.write(k, "set")); err != nil {
				t.Fatal(err)
			}
			return k.writes[len(k.writes)-1].fate == acknowledged
		})
	}
	for _, k := range run.keys {
		write(k)
		if err := read(b, k); err != nil {
			t.Fatal(err)
		}
	}
	// The second write comes after the snapshot, and that some time after the proxies have met
	// the node: times are compared to within two seconds, for the worse.
	time.Sleep(3 * time.Second)
	c := speak(t, n.p)
	c.want("snapshot\r\n", "OK\r\n")
	for _, k := range run.keys {
		write(k)
	}
	if err := errors.Join(n.p.Kill(), n.start()); err != nil {
		t.Fatal(err)
	}
	old := 0
	for _, k := range run.keys {
		waitFor(t, "an answer", func() bool {
			before := b.errors
			err := read(b, k)
			var stale *staleError
			if errors.As(err, &stale) {
				old++
			} else if err != nil {
				t.Fatal(err)
			}
			return b.errors == before
		})
	}
	t.Logf("%d of %d keys are old through the other proxy", old, len(run.keys))
	for _, k := range run.keys {
		waitFor(t, "nothing old", func() bool {
			var stale *staleError
			err := read(b, k)
			if err != nil && !errors.As(err, &stale) {
				t.Fatal(err)
			}
			return err == nil
		})
	}
	if err := run.settledBoth(false); err != nil {
		t.Fatal(err)
	}
}
