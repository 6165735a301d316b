package integration

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
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
	holdfastGoesBack  = holdfastNode("holdfast, snapshots", "--data-dir=DIR", "--snapshot-interval=1s")
)

// node is a server in a namespace.
type node struct {
	number int // from 1
	addr   string
	spec   Spec
	p      *Process
}

// proxied is a network of nodes with a proxy at the hub.
type proxied struct {
	t     *testing.T
	net   *network
	nodes []*node
	proxy *Process
}

// proxyKind is a proxy and how it is set.
type proxyKind struct {
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

// nutcracker is twemproxy; eject has it spread a failed node's keys over the others.
func nutcracker(eject bool) proxyKind {
	name := "nutcracker"
	if eject {
		name += ", ejecting"
	}
	return proxyKind{name: name, spec: func(t *testing.T, dir string, nodes []string) Spec {
		config := fmt.Sprintf(`pool:
  listen: %s
  hash: fnv1a_64
  distribution: ketama
  auto_eject_hosts: %t
  server_failure_limit: 2
  server_retry_timeout: 200
  timeout: 100
  servers:
`, proxyAddr, eject)
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

// newProxied starts so many nodes and a proxy before them.
func newProxied(t *testing.T, nodes int, kind proxyKind, b backend) *proxied {
	t.Helper()
	x := &proxied{t: t, net: newNetwork(t, nodes)}
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
		if err := n.start(); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { x.end() })
	spec := kind.spec(t, t.TempDir(), addresses)
	spec.Inside = x.net.hub.inside
	var err error
	if x.proxy, err = Start(spec); err != nil {
		t.Fatal(err)
	}
	return x
}

// start starts the node, for the first time or again.
func (n *node) start() (err error) {
	n.p, err = Start(n.spec)
	return err
}

// end kills everything.
func (x *proxied) end() {
	var errs []error
	for _, n := range x.nodes {
		errs = append(errs, n.p.Kill())
	}
	if x.proxy != nil {
		errs = append(errs, x.proxy.Kill())
	}
	if err := errors.Join(errs...); err != nil {
		x.t.Error(err)
	}
}

// dial connects to the proxy.
func (x *proxied) dial() (net.Conn, error) { return x.proxy.Dial() }

// testPartition cuts off a node of n that nobody serves at and looks.
func testPartition(t *testing.T, n *network, i int, p *partition) {
	var listener net.Listener
	node := n.nodes[i-1]
	err := node.inside(func() (err error) {
		listener, err = net.Listen("tcp", node.addr+":0")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer hangUp(listener)
	accepted := make(chan net.Conn, 1)
	go func() {
		if c, err := listener.Accept(); err == nil {
			accepted <- c
		}
	}()
	var here net.Conn
	err = n.hub.inside(func() (err error) {
		here, err = net.DialTimeout("tcp", listener.Addr().String(), startWait)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer hangUp(here)
	there := <-accepted
	defer hangUp(there)
	at, back := bufio.NewReader(there), bufio.NewReader(here)
	// exchange says a line in one direction and tells whether it arrives in time.
	exchange := func(from, to net.Conn, r *bufio.Reader, text string, wait time.Duration) bool {
		if _, err := fmt.Fprintln(from, text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return arrives(t, to, r, text, wait)
	}
	ways := func(wait time.Duration, n int) []bool {
		return []bool{exchange(here, there, at, fmt.Sprint("request ", n), wait), exchange(there, here, back, fmt.Sprint("reply ", n), wait)}
	}
	if got := ways(startWait, 0); !slices.Equal(got, []bool{true, true}) {
		t.Fatalf("before: %v", got)
	}
	if err := p.begin(n, i); err != nil {
		t.Fatal(err)
	}
	want := []bool{false, false}
	switch {
	case p.hub == nil:
		want[0] = true
	case p.name != "unplugged":
		want[1] = true
	}
	if got := ways(100*time.Millisecond, 1); !slices.Equal(got, want) {
		t.Errorf("while it lasts, requests and replies arrive: %v, not %v", got, want)
	}
	if err := p.mend(n, i); err != nil {
		t.Fatal(err)
	}
	if !want[0] && !arrives(t, there, at, "request 1", startWait) || !want[1] && !arrives(t, here, back, "reply 1", startWait) {
		t.Error("what was sent is lost")
	}
	if got := ways(startWait, 2); !slices.Equal(got, []bool{true, true}) {
		t.Errorf("afterwards: %v", got)
	}
}

// arrives tells whether a line comes in time.
func arrives(t *testing.T, c net.Conn, r *bufio.Reader, text string, wait time.Duration) bool {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(wait)); err != nil {
		t.Fatal(err)
	}
	line, err := r.ReadString('\n')
	if errors.Is(err, os.ErrDeadlineExceeded) && line == "" {
		return false
	}
	if err != nil || line != text+"\n" {
		t.Fatalf("%q instead of %q: %v", line, text, err)
	}
	return true
}
