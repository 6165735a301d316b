package proxy

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-cache/holdfast/cluster"
	"github.com/holdfast-cache/holdfast/server"
	"github.com/rs/zerolog"
)

// TestNewerMap has a node hear of other maps than that of this proxy.
func TestNewerMap(t *testing.T) {
	refetched := 0
	r := newRig(t, 1, func(cfg *Config, _ *cluster.PoolConfig) { cfg.Refetch = func() { refetched++ } }).withNodes(1)
	r.p.Attach(fuzzHost{})
	var log bytes.Buffer
	r.p.log = zerolog.New(&log)
	c, other := r.loop.NewClient(), r.nodes[0].NewClient()
	says := func(args string) string {
		other.Heard = other.Heard[:0]
		other.Say([]byte("stats epochs" + args + "\r\n"))
		return string(other.Heard)
	}
	tells := func(epoch, sum uint64) { says(fmt.Sprintf(" - %d %x", epoch, sum)) }
	want := func(heard, looked int) {
		t.Helper()
		same(t, r.ask(c, "get a\r\n"), "END\r\n")
		if n := r.p.newer.heard.Load(); n != uint64(heard) || r.backend(1).stats.newerMaps.Load() != n || refetched != looked {
			t.Fatalf("heard %d times, looked %d times, not %d and %d", n, refetched, heard, looked)
		}
	}
	// With the first request on a connection the node is told.
	want(0, 0)
	if got := says(""); !strings.HasPrefix(got, "STAT pool:-:epoch 1\r\n") {
		t.Fatalf("the node has heard %q", got)
	}
	sum := r.p.tree.Load().sum
	tells(2, sum+1)
	want(0, 0) // it is asked from time to time only
	r.pass(epochEach)
	want(1, 1)
	want(1, 1)
	r.pass(epochEach)
	want(2, 1) // and the source is not looked at as often
	r.pass(epochEach)
	want(3, 2)
	if n := strings.Count(log.String(), "newer map"); n != 1 {
		t.Errorf("logged %d times: %s", n, log.String())
	}
	stats := r.p.stats(nil)
	if !strings.Contains(stats, "STAT newest_epoch 2\r\n") || !strings.Contains(stats, "STAT map_refetches 2\r\n") {
		t.Errorf("stats: %s", stats)
	}

	// A map of a higher epoch that sends keys to the same places is no other map, and
	// what was reloaded is told with the next request.
	tells(9, sum)
	r.pass(epochEach)
	want(3, 2)
	conf, err := cluster.ParseConfig("test", r.p.tree.Load().text)
	if err != nil {
		t.Fatal(err)
	}
	conf.Epoch = 10
	if err := r.p.Reload(conf); err != nil {
		t.Fatal(err)
	}
	want(3, 2)
	if got := says(""); !strings.HasPrefix(got, "STAT pool:-:epoch 10\r\n") {
		t.Errorf("the node has heard %q", got)
	}
	// A lie costs the same, and moves nothing.
	tells(math.MaxUint64, 1)
	for range 100 {
		r.pass(epochEach)
		r.ask(c, "get a\r\n")
	}
	if n := strings.Count(log.String(), "newer map"); n != 2 || refetched != 52 || r.p.tree.Load().epoch != 10 {
		t.Errorf("logged %d times, looked %d times, epoch %d", n, refetched, r.p.tree.Load().epoch)
	}
}

// A server that is no node of Holdfast is told nothing, and one that does not know the
// command is told once.
func TestNewerMapOfOthers(t *testing.T) {
	for _, d := range []struct {
		name, stats string
		tells       int
	}{
		{"memcached", "STAT pid 7\r\nSTAT uptime 5\r\nSTAT time 1700000000\r\nSTAT version 1.5.6\r\nEND\r\n", 0},
		{"an older node", "STAT pid 7\r\nSTAT uptime 5\r\nSTAT time 1700000000\r\nSTAT boot_id 00ff\r\nEND\r\n", 1},
	} {
		t.Run(d.name, func(t *testing.T) {
			r := newRig(t, 1, nil)
			c := r.loop.NewClient()
			c.Say([]byte("get a\r\n"))
			r.loop.Settle()
			m := r.loop.Links[0]
			m.Accept()
			r.sent(m, "stats\r\n")
			r.answer(m, d.stats)
			tell := strings.Repeat(string(r.p.tree.Load().pools[0].epochLine), d.tells)
			r.sent(m, "get a\r\n"+tell)
			r.answer(m, "END\r\n"+strings.Repeat("ERROR\r\n", d.tells))
			r.heard(c, "END\r\n")
			r.pass(2 * epochEach)
			c.Say([]byte("get a\r\n"))
			r.sent(m, "get a\r\n")
			r.answer(m, "END\r\n")
			r.heard(c, "END\r\n")
			if m.Closed() || r.backend(1).stats.errors.Load() != 0 {
				t.Error("it is an error to be another server")
			}
		})
	}
}

// What does not fit the question ends the connection, as ever; what is no number is none.
func TestNewerMapGarbage(t *testing.T) {
	for answer, bad := range map[string]bool{
		"STAT epoch x\r\nSTAT sum y\r\nSTAT z 1\r\nEND\r\n": false,
		"END\r\n":              false,
		"STORED\r\n":           true,
		"VALUE a 0 1\r\nx\r\n": true,
	} {
		r := newRig(t, 1, nil)
		c := r.loop.NewClient()
		c.Say([]byte("get a\r\n"))
		r.loop.Settle()
		m := r.loop.Links[0]
		m.Accept()
		r.answer(m, "STAT boot_id 00ff\r\nSTAT time 1700000000\r\nEND\r\n")
		r.answer(m, "END\r\n")
		r.heard(c, "END\r\n")
		r.answer(m, answer)
		if m.Closed() != bad || r.p.newer.heard.Load() != 0 {
			t.Errorf("%q: closed %v, %d newer maps", answer, m.Closed(), r.p.newer.heard.Load())
		}
	}
}

// A connection that ends with nothing on it may be a node that has been restarted: it is
// asked, not left until somebody has a request for it.
func TestIdleConnectionEnds(t *testing.T) {
	r := newRig(t, 1, nil)
	c := r.loop.NewClient()
	boot := func(id string, restored int) string {
		return fmt.Sprintf("STAT pid 7\r\nSTAT uptime 0\r\nSTAT time 1700000100\r\nSTAT curr_items 5\r\nSTAT boot_id %s\r\nSTAT restored_at %d\r\nSTAT snapshot_time %d\r\nEND\r\n", id, restored, restored/2)
	}
	newest := func() *server.MemoryLink { return r.loop.Links[len(r.loop.Links)-1] }
	c.Say([]byte("set a 0 0 1\r\nx\r\n"))
	r.loop.Settle()
	m := newest()
	m.Accept()
	r.answer(m, boot("01", 0))
	r.answer(m, "STORED\r\nSTAT epoch 1\r\nEND\r\n")
	r.heard(c, "STORED\r\n")
	m.Break(server.ErrLinkEOF)
	r.loop.Settle()
	if newest() == m {
		t.Fatal("nobody asks who it is now")
	}
	m = newest()
	m.Accept()
	r.sent(m, "stats\r\n")
	r.answer(m, boot("02", 1700000000))
	r.loop.Settle()
	m = newest()
	m.Accept()
	r.sent(m, "stats\r\n")
	r.answer(m, boot("02", 1700000000))
	r.sent(m, "flush_all\r\n")
	r.answer(m, "OK\r\n")
	if got := r.backend(1).health.State().String(); got != "up" {
		t.Errorf("it is %s", got)
	}
}

// TestSuspect: a backend that is suspected is asked, and goes by its answers.
func TestSuspect(t *testing.T) {
	connected := func(t *testing.T) (*rig, func(string)) {
		r := newRig(t, 2, nil)
		c := r.loop.NewClient()
		c.Say([]byte("get a\r\n"))
		port := 1
		if r.p.tree.Load().pools[0].m.Owner([]byte("a")) == 1 {
			port = 2
		}
		m := r.link(port)
		r.sent(m, "get a\r\n")
		r.answer(m, "END\r\n")
		r.p.Suspect("10.0.0.1:1") // nobody's
		r.sent(m, "")
		r.p.Suspect(fmt.Sprintf("127.0.0.1:%d", port))
		r.sent(m, "version\r\n")
		return r, func(want string) {
			t.Helper()
			if got := strings.Replace(r.backend(port).health.State().String(), "probing", "down", 1); got != want {
				t.Errorf("it is %s, not %s", got, want)
			}
			if got := r.backend(3 - port).health.State().String(); got != "up" {
				t.Errorf("the other is %s", got)
			}
		}
	}
	t.Run("that answers", func(t *testing.T) {
		r, state := connected(t)
		r.answer(r.loop.Links[0], "VERSION 1.6.45\r\n")
		state("up")
		for range 100 {
			r.pass(int64(100 * time.Millisecond))
		}
		r.sent(r.loop.Links[0], "")
		state("up")
	})
	t.Run("that answers late", func(t *testing.T) {
		r, state := connected(t)
		m := r.loop.Links[0]
		r.pass(rigTimeout)
		state("up")
		r.pass(choresEach)
		r.sent(m, "version\r\n")
		r.answer(m, "VERSION 1\r\nVERSION 1\r\n")
		for range 100 {
			r.pass(int64(100 * time.Millisecond))
		}
		r.sent(m, "")
		state("up")
	})
	t.Run("that is gone", func(t *testing.T) {
		r, state := connected(t)
		for range 60 {
			r.pass(int64(100 * time.Millisecond))
		}
		state("down")
	})
}
