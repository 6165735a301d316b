package integration

import (
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"
)

// Proxies before two, five and fifty nodes: every reply is right, no client sees an
// error, every node has its share, and no item is on two.
func TestManyNodes(t *testing.T) {
	for _, nodes := range []int{2, 5, 50} {
		t.Run(fmt.Sprint(nodes), func(t *testing.T) { manyNodes(t, nodes, holdfastFront(longTimeout)) })
	}
	t.Run("nutcracker", func(t *testing.T) { manyNodes(t, 5, nutcrackerFront(false, longTimeout)) })
}

func manyNodes(t *testing.T, nodes int, kind frontend) {
	light := holdfastNode("light", "-m", "8")
	run := newStaleRun(t, nodes, 50*nodes, kind, light)
	for _, c := range run.clients {
		c.keeps = true // nobody is in trouble
	}
	err := run.fill()
	if err == nil {
		err = run.run(staleTime(t, time.Second))
	}
	t.Log(run.tell())
	if err != nil {
		t.Fatalf("%v\nthe proxy's standard error ends:\n%s", err, run.x.proxy.Stderr())
	}
	all := run.sum()
	if all.errors != 0 || all.hits == 0 || all.misses == 0 {
		t.Error("errors, or nothing happened")
	}
	if err := run.settled(); err != nil {
		t.Error(err)
	}
	run.checkShares(t)
}

// fill has every key written once, so that a slow run too finds them all over the place.
func (run *staleRun) fill() error {
	c := run.clients[0]
	if err := c.connect(); err != nil {
		return err
	}
	for _, k := range run.keys {
		if err := c.write(k, "set"); err != nil {
			return err
		}
	}
	return nil
}

// checkShares has every key read through the proxy once more and compares with what the
// nodes have.
func (run *staleRun) checkShares(t *testing.T) {
	c := run.clients[0]
	c.hits = 0
	if err := c.connect(); err != nil {
		t.Fatal(err)
	}
	defer c.close()
	for _, k := range run.keys {
		if _, err := c.read(k, k.lastly()); err != nil {
			t.Fatal(err)
		}
	}
	held, least, most := 0, len(run.keys), 0
	var mu sync.Mutex
	var group sync.WaitGroup
	for _, n := range run.x.nodes {
		group.Go(func() {
			stats, err := n.p.Stats("stats")
			if err != nil {
				t.Error(err)
				return
			}
			items, err := strconv.Atoi(stats["curr_items"])
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			held, least, most = held+items, min(least, items), max(most, items)
		})
	}
	group.Wait()
	t.Logf("%d items, %d to %d a node", held, least, most)
	if held != c.hits || least == 0 {
		t.Errorf("nodes hold %d items, of which %d can be read", held, c.hits)
	}
}
