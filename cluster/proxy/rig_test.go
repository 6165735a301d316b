package proxy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-cache/holdfast/cluster"
	"github.com/holdfast-cache/holdfast/server"
	"github.com/holdfast-cache/holdfast/slab"
	"github.com/rs/zerolog"
)

// rig is a proxy on a loop without sockets, whose time stands still. Its backends
// are what a test says in their place, or real nodes.
type rig struct {
	tb    testing.TB
	p     *Proxy
	loop  *server.MemoryLoop
	nodes []*server.MemoryLoop // by port; nil: the test speaks itself
	peers map[*server.MemoryLink]*server.MemoryClient
	met   map[*server.MemoryLink]bool
}

const (
	rigTimeout = int64(time.Second)
	rigConnect = int64(time.Second / 2)
)

// newRig makes a proxy of n backends with the ports 1 to n.
func newRig(tb testing.TB, n int, change func(*Config, *cluster.PoolConfig)) *rig {
	tb.Helper()
	pool := &cluster.PoolConfig{Timeout: time.Duration(rigTimeout), ConnectTimeout: time.Duration(rigConnect)}
	for i := range n {
		pool.Servers = append(pool.Servers, cluster.ServerConfig{Address: fmt.Sprintf("127.0.0.1:%d", i+1)})
	}
	cfg := Config{Version: "1", BufferLimit: 64 << 20, ValueMax: 32 << 20}
	if change != nil {
		change(&cfg, pool)
	}
	return rigOf(tb, cfg, &cluster.Config{Epoch: 1, Pools: []*cluster.PoolConfig{pool}})
}

// rigOf makes a proxy of a config whose servers have the ports from 1 on.
func rigOf(tb testing.TB, cfg Config, conf *cluster.Config) *rig {
	tb.Helper()
	p, err := New(cfg, conf, zerolog.Nop())
	if err != nil {
		tb.Fatal(err)
	}
	r := &rig{
		tb: tb, p: p, loop: server.NewMemoryLoop(p),
		peers: map[*server.MemoryLink]*server.MemoryClient{}, met: map[*server.MemoryLink]bool{},
	}
	r.loop.Time = server.LoopTime()
	tb.Cleanup(r.loop.Close)
	return r
}

// withNodes puts real nodes behind the proxy.
func (r *rig) withNodes(n int) *rig {
	for range n {
		sc := slab.DefaultConfig()
		sc.LimitBytes = 64 << 20
		store, err := slab.New(sc)
		if err != nil {
			r.tb.Fatal(err)
		}
		cfg := server.DefaultConfig()
		node := server.NewNode(&cfg, store, zerolog.Nop())
		r.tb.Cleanup(func() {
			node.Close()
			if err := store.Close(); err != nil {
				r.tb.Error(err)
			}
		})
		r.nodes = append(r.nodes, server.NewMemoryLoop(node))
	}
	return r
}

// executor is that of the loop.
func (r *rig) executor() *executor { return r.p.mu.executors[0] }

// run goes on until nothing happens any more by itself.
func (r *rig) run() {
	for moved := true; moved; {
		r.loop.Settle()
		moved = false
		for _, m := range r.loop.Links {
			if r.serve(m) {
				moved = true
			}
		}
	}
}

// serve is one step of the server at m, and says whether there was something to do.
func (r *rig) serve(m *server.MemoryLink) bool {
	if r.nodes == nil || m.Closed() {
		return false
	}
	c := r.peers[m]
	if c == nil {
		c = r.nodes[m.Addr.TCP.Port()-1].NewClient()
		r.peers[m] = c
		m.Accept()
		return true
	}
	if len(m.Sent) == 0 {
		return false
	}
	c.Say(m.Sent)
	m.Sent = m.Sent[:0]
	m.Say(c.Heard)
	c.Heard = c.Heard[:0]
	return true
}

// link is the newest connection to the backend with that port, which stands and
// has said what it is.
func (r *rig) link(port int) *server.MemoryLink {
	r.tb.Helper()
	r.loop.Settle()
	for i := len(r.loop.Links) - 1; i >= 0; i-- {
		m := r.loop.Links[i]
		if int(m.Addr.TCP.Port()) != port || m.Closed() {
			continue
		}
		if !r.met[m] {
			r.met[m] = true
			m.Accept()
			r.sent(m, "stats\r\n")
			m.Say([]byte("ERROR\r\n"))
			r.loop.Settle()
		}
		return m
	}
	r.tb.Fatalf("no connection to %d", port)
	return nil
}

// sent checks what the proxy has sent on m since the last time.
func (r *rig) sent(m *server.MemoryLink, want string) {
	r.tb.Helper()
	r.loop.Settle()
	if got := string(m.Sent); got != want {
		r.tb.Fatalf("sent %s, want %s", short(got), short(want))
	}
	m.Sent = m.Sent[:0]
}

// answer has the backend say text.
func (r *rig) answer(m *server.MemoryLink, text string) {
	m.Say([]byte(text))
	r.loop.Settle()
}

// pass lets time go by.
func (r *rig) pass(by int64) {
	r.loop.Time += by
	r.loop.Settle()
}

// heard checks what a client was answered since the last time.
func (r *rig) heard(c *server.MemoryClient, want string) {
	r.tb.Helper()
	r.loop.Settle()
	if got := string(c.Heard); got != want {
		r.tb.Fatalf("heard %s, want %s", short(got), short(want))
	}
	c.Heard = c.Heard[:0]
}

// ask says text and returns what is answered.
func (r *rig) ask(c *server.MemoryClient, text string) string {
	c.Say([]byte(text))
	r.run()
	out := string(c.Heard)
	c.Heard = c.Heard[:0]
	return out
}

func short(text string) string {
	if len(text) > 300 {
		return fmt.Sprintf("%q… (%d bytes)", text[:300], len(text))
	}
	return fmt.Sprintf("%q", text)
}

// opaques takes the proxy's own opaques out of what it sends.
func opaques(m *server.MemoryLink) (text, opaque string) {
	text = string(m.Sent)
	m.Sent = m.Sent[:0]
	line, rest, _ := strings.Cut(text, "\r\n")
	words := strings.Split(line, " ")
	for i, w := range words {
		if i > 1 && w[0] == 'O' {
			opaque = w
			words[i] = "O?"
		}
	}
	return strings.Join(words, " ") + "\r\n" + rest, opaque
}

// backend is the one with that port.
func (r *rig) backend(port int) *backend { return r.p.tree.Load().pools[0].backends[port-1] }
