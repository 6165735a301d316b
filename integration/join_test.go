package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-cache/holdfast/cluster"
	"github.com/holdfast-cache/holdfast/cluster/discover"
	"github.com/rs/zerolog"
)

// joinTest is a cluster of nodes that are processes.
type joinTest struct {
	*testing.T
	secret string // its file
	seed   string
}

func (t *joinTest) start() *Process {
	t.Helper()
	p, err := Start(Spec{Binary: holdfastBinary(t.T), Args: []string{
		"--join", t.seed, "--gossip", "127.0.0.1:0", "--cluster-name", "tests", "--cluster-secret-file", t.secret, "--cluster-nodes=map",
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Kill() })
	return p
}

func (t *joinTest) ask(p *Process) map[string]string {
	t.Helper()
	stats, err := p.Stats("stats cluster")
	if err != nil {
		t.Fatal(err)
	}
	return stats
}

// want waits for a line of stats cluster.
func (t *joinTest) want(p *Process, name, value string) {
	t.Helper()
	for end := time.Now().Add(startWait); t.ask(p)[name] != value; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s is not %s: %v\n%s", name, value, t.ask(p), p.Stderr())
		}
	}
}

// proxy joins as a proxy does.
func (t *joinTest) proxy(secret string) *discover.Gossip {
	t.Helper()
	g, err := discover.OpenGossip(discover.GossipOptions{
		Cluster: "tests", Secret: []byte(secret), Listen: "127.0.0.1:0", Seeds: []string{t.seed},
		Kind: discover.KindProxy, Address: "127.0.0.1:1",
	}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// TestJoin starts three nodes that find each other, and a proxy's member that gives
// them a map. Nodes are killed, started again and ended.
func TestJoin(tt *testing.T) {
	const secret = "a secret between the nodes"
	t := &joinTest{T: tt, secret: filepath.Join(tt.TempDir(), "secret"), seed: "127.0.0.1:1"} // nobody is there yet
	if err := os.WriteFile(t.secret, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := t.start()
	t.want(a, "node:"+a.Addr, "alive")
	if got := speak(tt, a).ask("config get cluster\r\n", 1); got != "ERROR\r\n" {
		t.Errorf("without a map the nodes are %q", got)
	}
	t.seed = t.ask(a)["gossip_addr"]
	b, c := t.start(), t.start()
	for _, p := range []*Process{a, b, c} {
		t.want(p, "gossip_alive", "3")
	}
	pool := &cluster.PoolConfig{}
	nodes := "7\n"
	for _, p := range []*Process{a, b, c} {
		pool.Servers = append(pool.Servers, cluster.ServerConfig{Address: p.Addr, Weight: 1})
		nodes += strings.Replace(p.Addr, ":", "|127.0.0.1|", 1) + " "
	}
	nodes = strings.TrimSuffix(nodes, " ") + "\n\r\nEND\r\n"
	if err := t.proxy(secret).Offer(&cluster.Config{Epoch: 7, Pools: []*cluster.PoolConfig{pool}}); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*Process{a, b, c} {
		t.want(p, "gossip_epoch", "7")
		t.want(p, "proxy:127.0.0.1:1", "alive")
		eventuallyIs(tt, nodes, func() string {
			_, rest, _ := strings.Cut(speak(tt, p).ask("config get cluster\r\nmn\r\nmn\r\nmn\r\nmn\r\n", 5), "\r\n")
			return rest
		})
	}

	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	b = t.start() // another address, and it has the map at once
	t.want(b, "gossip_epoch", "7")
	t.want(a, "node:"+b.Addr, "alive")
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	t.want(a, "node:"+c.Addr, "left")
	if got := t.ask(a)["gossip_epoch"]; got != "7" {
		t.Errorf("a member that left has changed the epoch to %s", got)
	}
}

// eventuallyIs waits until got returns want.
func eventuallyIs(t *testing.T, want string, got func() string) {
	t.Helper()
	last := ""
	for end := time.Now().Add(startWait); ; time.Sleep(5 * time.Millisecond) {
		if last = got(); last == want {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("it is %q, want %q", last, want)
		}
	}
}
