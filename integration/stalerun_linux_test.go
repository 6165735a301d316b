package integration

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// The staleness run: clients write and read through a proxy while its nodes are
// killed, stopped and cut off, and come back.

// fault is something that happens to a node.
type fault struct {
	name        string
	begin, mend func(x *fleet, n *node) error
}

var (
	killed = fault{
		"killed",
		func(_ *fleet, n *node) error { return n.p.Kill() },
		func(_ *fleet, n *node) error { return n.start() },
	}
	stopped = fault{
		"stopped",
		func(_ *fleet, n *node) error { return n.p.cmd.Process.Signal(syscall.SIGSTOP) },
		func(_ *fleet, n *node) error { return n.p.cmd.Process.Signal(syscall.SIGCONT) },
	}
)

// setBack is a node that is killed some time after a snapshot, and has what there was
// then when it is back.
var setBack = fault{
	"killed after a snapshot",
	func(_ *fleet, n *node) error {
		c, err := n.p.Dial()
		if err != nil {
			return err
		}
		defer hangUp(c)
		if _, err := io.WriteString(c, "snapshot\r\n"); err != nil {
			return err
		}
		if line, err := readLine(bufio.NewReader(c)); err != nil || line != "OK" {
			return fmt.Errorf("snapshot answered %q, %w", line, err)
		}
		time.Sleep(100 * time.Millisecond)
		return n.p.Kill()
	},
	killed.mend,
}

// cutOff are the partitions as faults.
func cutOff() []fault {
	var all []fault
	for _, p := range partitions {
		all = append(all, fault{
			p.name,
			func(x *fleet, n *node) error { return p.begin(x.net, n.number) },
			func(x *fleet, n *node) error { return p.mend(x.net, n.number) },
		})
	}
	return all
}

// staleRun is one run.
type staleRun struct {
	x       *fleet
	kind    frontend
	second  *Process // another proxy before the same nodes, if there is one
	faults  []fault
	keys    []*register
	clients []*staleClient
	seed    uint64
	// restarts: the proxy is killed as well now and then.
	restarts bool

	begun atomic.Int64 // faults
	mu    sync.Mutex
	notes []note // what happened to nodes
	found []error
	stop  chan struct{}
	ended sync.Once
}

const (
	staleClients = 8
	staleKeys    = 40
	// stalePause leaves the nodes and proxies of two runs some of the machine.
	stalePause = 500 * time.Microsecond
)

// newStaleRun starts nodes and a proxy and has clients ready; nothing happens yet.
func newStaleRun(t *testing.T, nodes, keys int, kind frontend, b backend, faults ...fault) *staleRun {
	t.Helper()
	run := &staleRun{x: newFleet(t, nodes, kind, b), kind: kind, faults: faults, seed: rand.Uint64(), stop: make(chan struct{})}
	t.Logf("seed %d", run.seed)
	for i := range keys {
		run.keys = append(run.keys, &register{name: fmt.Sprint("key", i)})
	}
	for i := range staleClients {
		run.clients = append(run.clients, &staleClient{
			dial: run.x.dial, keys: run.keys, meta: kind.meta, keeps: kind.keeps,
			pause: stalePause, rng: rand.New(rand.NewPCG(run.seed, uint64(i))),
		})
	}
	return run
}

// end has everybody stop.
func (run *staleRun) end() { run.ended.Do(func() { close(run.stop) }) }

// run lets everything happen for so long, or until something is wrong, and mends all
// nodes. It returns what is wrong.
func (run *staleRun) run(long time.Duration) error {
	timer := time.AfterFunc(long, run.end)
	defer timer.Stop()
	var group, chaos sync.WaitGroup
	for i, c := range run.clients {
		group.Go(func() {
			if err := c.run(run.stop); err != nil {
				run.wrong(fmt.Errorf("client %d: %w", i, err))
			}
		})
	}
	if len(run.faults) > 0 {
		for _, n := range run.x.nodes {
			chaos.Go(func() {
				if err := run.trouble(n); err != nil {
					run.wrong(fmt.Errorf("node %d: %w", n.number, err))
				}
			})
		}
	}
	if run.restarts {
		chaos.Go(func() {
			if err := run.restart(); err != nil {
				run.wrong(fmt.Errorf("proxy: %w", err))
			}
		})
	}
	group.Wait()
	run.end()
	chaos.Wait()
	return errors.Join(run.found...)
}

// wrong takes note of something that must not be, with the story of the key, and ends
// the run.
func (run *staleRun) wrong(err error) {
	defer run.end()
	run.mu.Lock()
	defer run.mu.Unlock()
	var story string
	for _, k := range run.keys {
		if strings.Contains(err.Error(), k.name+": ") {
			story = "\n" + k.story(run.notes)
		}
	}
	run.found = append(run.found, fmt.Errorf("%w%s", err, story))
}

// trouble has one fault after the other befall a node, until stop is closed.
func (run *staleRun) trouble(n *node) error {
	rng := rand.New(rand.NewPCG(run.seed, uint64(1000+n.number)))
	for first := true; !run.rest(rng, 50, 1000) || first; first = false {
		f := run.faults[rng.IntN(len(run.faults))]
		run.note(n.says(f.name))
		if err := f.begin(run.x, n); err != nil {
			return err
		}
		run.begun.Add(1)
		run.rest(rng, 50, 900)
		if err := f.mend(run.x, n); err != nil {
			return err
		}
		run.note(n.says("is back"))
	}
	return nil
}

// restart kills the proxy and starts it anew, until stop is closed.
func (run *staleRun) restart() error {
	rng := rand.New(rand.NewPCG(run.seed, 999))
	for !run.rest(rng, 200, 2000) {
		run.note("the proxy is killed")
		if err := run.x.proxy.Kill(); err != nil {
			return err
		}
		run.rest(rng, 1, 300)
		if err := run.x.startProxy(); err != nil {
			return err
		}
		run.note("the proxy is back")
	}
	return nil
}

// rest waits for some milliseconds and tells whether the run is over.
func (run *staleRun) rest(rng *rand.Rand, least, most int) bool {
	select {
	case <-run.stop:
		return true
	case <-time.After(time.Duration(least+rng.IntN(most-least)) * time.Millisecond):
		return false
	}
}

// says is a note about the node.
func (n *node) says(what string) string { return fmt.Sprintf("node %d %s", n.number, what) }

func (run *staleRun) note(what string) {
	run.mu.Lock()
	defer run.mu.Unlock()
	run.notes = append(run.notes, note{time.Now(), what})
}

// sum adds up what clients have counted.
func (run *staleRun) sum() (all staleClient) {
	for _, c := range run.clients {
		all.hits += c.hits
		all.misses += c.misses
		all.writes += c.writes
		all.errors += c.errors
		all.reconnects += c.reconnects
		all.excused += c.excused
	}
	return all
}

// tell says what happened, in one line.
func (run *staleRun) tell() string {
	all := run.sum()
	return fmt.Sprintf("%d faults; %d writes, %d hits, %d misses, %d errors, %d broken connections",
		run.begun.Load(), all.writes, all.hits, all.misses, all.errors, all.reconnects)
}

// settled waits until every key can be read, and is as new as its last write or
// deletion, one that failed included: a proxy that fences makes up for those.
func (run *staleRun) settled() error { return run.settledThrough(run.x.dial) }

// settledThrough asks the proxy that dial reaches.
func (run *staleRun) settledThrough(dial func() (net.Conn, error)) error {
	c := &staleClient{dial: dial, rng: rand.New(rand.NewPCG(run.seed, 0)), keeps: run.kind.keeps}
	defer c.close()
	for _, k := range run.keys {
		end := time.Now().Add(startWait)
		for {
			err := c.connect()
			errorsBefore := c.errors
			if err == nil {
				_, err = c.read(k, k.lastly())
			}
			if err == nil && c.errors == errorsBefore {
				break
			}
			var stale *staleError
			if errors.As(err, &stale) {
				return fmt.Errorf("at rest: %w\n%s", err, k.story(run.notes))
			}
			if err != nil {
				c.close()
			}
			if time.Now().After(end) {
				return fmt.Errorf("%s cannot be read after %v: %w", k.name, startWait, err)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	return nil
}

// staleTime is how long a run takes.
func staleTime(t *testing.T, short time.Duration) time.Duration {
	t.Helper()
	v := os.Getenv("HOLDFAST_LONG")
	if v == "" {
		return short
	}
	long, err := time.ParseDuration(v)
	if err != nil {
		t.Fatal(err)
	}
	return long / 20
}
