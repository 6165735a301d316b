package integration

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Nodes behind a proxy, each in a network namespace.

const (
	nodePort   = 11211
	proxyAddr  = "127.0.0.1:11210" // where clients reach it, at the hub
	programNot = "run integration/setup.sh first: %v"
)

// backend is a kind of node.
type backend struct {
	name string
	// spec is the program and its options, without address; dir is the node's own
	// and stays when it is killed.
	spec func(t *testing.T, dir string) Spec
}

// program finds one that setup.sh installs.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf(programNot, err)
	}
	return path
}

var plainMemcached = backend{"memcached", func(t *testing.T, _ string) Spec {
	return Spec{Binary: program(t, "memcached"), Args: []string{"-m", "64", "-t", "2"}}
}}

// holdfastNode is a node of Holdfast with further options; DIR in them is its directory.
func holdfastNode(name string, options ...string) backend {
	return backend{name, func(t *testing.T, dir string) Spec {
		spec := Spec{Binary: holdfastBinary(t), Args: []string{"-t", "1", "-m", "16"}}
		for _, o := range options {
			spec.Args = append(spec.Args, strings.ReplaceAll(o, "DIR", dir))
		}
		return spec
	}}
}

// What a killed node of these kinds has when it is back: nothing, everything, and
// what there was some time ago.
var (
	holdfastForgets   = holdfastNode("holdfast")
	holdfastRemembers = holdfastNode("holdfast, memory in a file", "-e", "DIR/memory")
	holdfastGoesBack  = holdfastNode("holdfast, snapshots", "--data-dir=DIR", "--snapshot-interval=0")
)

// node is a server in a namespace.
type node struct {
	number int // from 1
	addr   string
	spec   Spec
	p      *Process
}

// fleet is a network of nodes with a proxy at the hub.
type fleet struct {
	t     *testing.T
	net   *network
	nodes []*node
	front Spec

	mu    sync.Mutex
	proxy *Process
}

// frontend is a proxy and how it is set.
type frontend struct {
	name string
	// spec is the program for these nodes; dir is for its files.
	spec func(t *testing.T, dir string, nodes []string) Spec
	// meta: speaks the meta commands.
	meta bool
	// keeps: never closes a client's connection because of a node.
	keeps bool
	// fences: a node that is back serves no read before what it has missed is
	// made up for.
	fences bool
}

// How long proxies wait for a node: where nodes are stopped and cut off, and where
// they are not and a busy machine should be no trouble either.
const (
	shortTimeout = 100 * time.Millisecond
	longTimeout  = 5 * time.Second
)

// nutcrackerFront is twemproxy; eject has it spread a failed node's keys over the others.
func nutcrackerFront(eject bool, timeout time.Duration) frontend {
	name := "nutcracker"
	if eject {
		name += ", ejecting"
	}
	return frontend{name: name, spec: func(t *testing.T, dir string, nodes []string) Spec {
		config := fmt.Sprintf(`pool:
  listen: %s
  hash: md5
  distribution: ketama
  auto_eject_hosts: %t
  server_failure_limit: 2
  server_retry_timeout: 200
  timeout: %d
  servers:
`, proxyAddr, eject, timeout.Milliseconds())
		for _, n := range nodes {
			config += "   - " + n + ":1\n"
		}
		file := filepath.Join(dir, "nutcracker.yml")
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		return Spec{Binary: program(t, "nutcracker"), Args: []string{"-c", file}, Listen: proxyAddr}
	}}
}

// holdfastFront is the proxy of this tree, with further lines for its pool.
func holdfastFront(timeout time.Duration, lines ...string) frontend {
	lines = append(lines, fmt.Sprint("timeout: ", timeout))
	return frontend{name: "holdfast", meta: true, keeps: true, fences: true, spec: func(t *testing.T, dir string, nodes []string) Spec {
		file := filepath.Join(dir, "proxy.yml")
		if err := writeProxyConfig(file, nodes, lines...); err != nil {
			t.Fatal(err)
		}
		listen, port, _ := strings.Cut(proxyAddr, ":")
		return Spec{Binary: holdfastBinary(t), Args: []string{"proxy", "-l", listen, "-p", port, "--config", file, "-t", "2"}, Listen: proxyAddr}
	}}
}

// writeProxyConfig writes a config of one pool, in one step.
func writeProxyConfig(file string, nodes []string, lines ...string) error {
	var b strings.Builder
	b.WriteString("pools:\n- name: pool\n")
	for _, line := range lines {
		fmt.Fprintf(&b, "  %s\n", line)
	}
	b.WriteString("  servers:\n")
	for i, n := range nodes {
		fmt.Fprintf(&b, "  - {name: n%d, address: %q}\n", i+1, n)
	}
	if err := os.WriteFile(file+".new", []byte(b.String()), 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// newFleet starts so many nodes and a proxy before them.
func newFleet(t *testing.T, nodes int, kind frontend, b backend) *fleet {
	t.Helper()
	x := &fleet{t: t, net: newNetwork(t, nodes)}
	base := memoryDir(t)
	var addresses []string
	for i, s := range x.net.nodes {
		dir := filepath.Join(base, fmt.Sprint("node", i+1))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		n := &node{number: i + 1, addr: fmt.Sprintf("%s:%d", s.addr, nodePort), spec: b.spec(t, dir)}
		n.spec.Listen, n.spec.Inside = fmt.Sprintf("127.0.0.1:%d", nodePort), s.inside
		n.spec.Args = append(n.spec.Args, "-l", "127.0.0.1,"+s.addr, "-p", fmt.Sprint(nodePort), "-u", "root")
		x.nodes = append(x.nodes, n)
		addresses = append(addresses, n.addr)
	}
	t.Cleanup(x.end)
	if err := x.startNodes(); err != nil {
		t.Fatal(err)
	}
	x.front = kind.spec(t, t.TempDir(), addresses)
	x.front.Inside = x.net.hub.inside
	if err := x.startProxy(); err != nil {
		t.Fatal(err)
	}
	return x
}

// startProxy starts the proxy, for the first time or again.
func (x *fleet) startProxy() error {
	p, err := Start(x.front)
	if err == nil {
		x.mu.Lock()
		x.proxy = p
		x.mu.Unlock()
	}
	return err
}

// startNodes starts all of them, a few at a time.
func (x *fleet) startNodes() error {
	var group sync.WaitGroup
	turn := make(chan struct{}, 8)
	errs := make([]error, len(x.nodes))
	for i, n := range x.nodes {
		group.Go(func() {
			turn <- struct{}{}
			errs[i] = n.start()
			<-turn
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// start starts the node, for the first time or again.
func (n *node) start() error {
	p, err := Start(n.spec)
	if err == nil {
		n.p = p
	}
	return err
}

// end kills everything.
func (x *fleet) end() {
	var errs []error
	for _, n := range x.nodes {
		if n.p != nil {
			errs = append(errs, n.p.Kill())
		}
	}
	if x.proxy != nil {
		errs = append(errs, x.proxy.Kill())
	}
	if err := errors.Join(errs...); err != nil {
		x.t.Error(err)
	}
}

// dial connects to the proxy.
func (x *fleet) dial() (net.Conn, error) {
	x.mu.Lock()
	p := x.proxy
	x.mu.Unlock()
	return p.Dial()
}
