package integration

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// growing is a proxy before the first of the nodes, whose config is changed while it
// runs.
type growing struct {
	frontend
	t     *testing.T
	file  string
	nodes []string
	epoch int
}

func newGrowing(t *testing.T, begin int) *growing {
	g := &growing{t: t, frontend: holdfastFront(longTimeout)}
	start := g.spec
	g.spec = func(t *testing.T, dir string, nodes []string) Spec {
		g.file, g.nodes = filepath.Join(dir, "proxy.yml"), nodes
		spec := start(t, dir, nodes)
		g.write(g.pool("n", begin), "")
		return spec
	}
	return g
}

// pool is a pool of the first n nodes.
func (g *growing) pool(name string, n int) string {
	text := fmt.Sprintf("- name: %s\n  timeout: %v\n  servers:\n", name, longTimeout)
	for i, node := range g.nodes[:n] {
		text += fmt.Sprintf("  - {name: n%d, address: %q}\n", i+1, node)
	}
	return text
}

// write writes the next config, in one step.
func (g *growing) write(pools, routes string) {
	g.t.Helper()
	g.epoch++
	text := fmt.Sprintf("epoch: %d\npools:\n%s%s", g.epoch, pools, routes)
	if err := os.WriteFile(g.file+".new", []byte(text), 0o600); err != nil {
		g.t.Fatal(err)
	}
	if err := os.Rename(g.file+".new", g.file); err != nil {
		g.t.Fatal(err)
	}
}

// change writes a config and waits until the proxy has taken it.
func (g *growing) change(p *Process, pools, routes string) {
	g.t.Helper()
	g.write(pools, routes)
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		g.t.Fatal(err)
	}
	waitFor(g.t, fmt.Sprint("the proxy has epoch ", g.epoch), func() bool {
		stats, err := p.Stats("stats")
		if err != nil {
			g.t.Fatal(err)
		}
		return stats["epoch"] == fmt.Sprint(g.epoch)
	})
}

// A pool grows and shrinks, key by key, and clients see neither an error nor an old
// value, nor a miss of what nobody has deleted.
func TestGrow(t *testing.T) {
	const over = 2 * time.Second
	g := newGrowing(t, 4)
	run := newStaleRun(t, 5, 200, g.frontend, holdfastForgets)
	if err := run.fill(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- run.run(10 * startWait) }()
	migrate := func(from, to int) {
		run.note(fmt.Sprintf("from %d to %d nodes", from, to))
		g.change(run.x.proxy, g.pool("before", from)+g.pool("after", to),
			fmt.Sprintf("routes:\n  migrate: {from: before, to: after, over: %v}\n", over))
		time.Sleep(over + over/2) // the migration takes that long
	}
	migrate(4, 5)
	if os.Getenv("HOLDFAST_LONG") != "" {
		// A minute after it is over the marks of deletions, by which late copies are kept
		// away, have gone.
		time.Sleep(61 * time.Second)
		g.change(run.x.proxy, g.pool("after", 5), "")
		migrate(5, 4)
	}
	run.end()
	if err := <-ended; err != nil {
		t.Fatalf("%v\nthe proxy's standard error ends:\n%s", err, run.x.proxy.Stderr())
	}
	t.Log(run.tell())
	if all := run.sum(); all.errors > 0 || all.hits == 0 {
		t.Error("errors, or nothing happened")
	}
	if err := run.settled(); err != nil {
		t.Error(err)
	}
	run.checkKept(t)
}

// Without a migration a node that leaves and comes back shows what it had: that is what
// the route is for, and that the checker would see.
func TestGrowCarelessly(t *testing.T) {
	g := newGrowing(t, 4)
	run := newStaleRun(t, 5, staleKeys, g.frontend, holdfastForgets)
	ended := make(chan error)
	go func() { ended <- run.run(startWait) }()
	waiting := time.NewTicker(200 * time.Millisecond)
	defer waiting.Stop()
	for n := 0; ; n++ {
		select {
		case err := <-ended:
			var stale *staleError
			if !errors.As(err, &stale) {
				t.Errorf("after %d changes the checker has missed every old value: %v", n, err)
			}
			return
		case <-waiting.C:
			g.change(run.x.proxy, g.pool("n", 5-n%2), "")
		}
	}
}

// checkKept has every key read that was written last, rather than deleted.
func (run *staleRun) checkKept(t *testing.T) {
	c := run.clients[0]
	if err := c.connect(); err != nil {
		t.Fatal(err)
	}
	defer c.close()
	kept, lost := 0, 0
	for _, k := range run.keys {
		last := k.lastly()
		if w := k.writes[last-1]; w.deletion || w.fate != acknowledged {
			continue
		}
		hits := c.hits
		if _, err := c.read(k, last); err != nil {
			t.Fatal(err)
		}
		if kept++; c.hits == hits {
			lost++
			t.Logf("%s is lost:\n%s", k.name, k.story(run.notes))
		}
	}
	if lost > 0 || kept == 0 {
		t.Errorf("%d of %d items are lost", lost, kept)
	}
}

// A thousand configs, one after the other: nothing of what is under way is lost.
func TestReloads(t *testing.T) {
	reloads := 100
	if os.Getenv("HOLDFAST_LONG") != "" {
		reloads = 1000
	}
	g := newGrowing(t, 3)
	run := newStaleRun(t, 3, staleKeys, g.frontend, holdfastForgets)
	ended := make(chan error)
	go func() { ended <- run.run(10 * startWait) }()
	for i := range reloads {
		pools := g.pool("n", 3)
		if i%2 == 0 {
			pools = strings.Replace(pools, longTimeout.String(), "4s", 1)
		}
		g.change(run.x.proxy, pools, "")
	}
	run.end()
	if err := <-ended; err != nil {
		t.Fatalf("%v\nthe proxy's standard error ends:\n%s", err, run.x.proxy.Stderr())
	}
	t.Logf("%d reloads; %s", reloads, run.tell())
	if all := run.sum(); all.errors > 0 || all.hits == 0 {
		t.Error("errors, or nothing happened")
	}
}
