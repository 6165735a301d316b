package integration

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Machines on a switch, each a network namespace. They have no names and belong to
// the test's process: however it ends, nothing of them is left.
//
//	hub 10.77.0.1 ── br0 ─┬─ v1 ── eth0 10.77.1.1 of node 1
//	                      ├─ v2 ── eth0 10.77.1.2 of node 2
//	                      └─ …

// space is a network namespace.
type space struct {
	file *os.File // keeps it
	addr string   // where others reach it
}

// nowhere is a hardware address that nobody has: what is sent there is lost, and
// the sender hears nothing of it.
const nowhere = "02:00:00:00:de:ad"

// newSpace makes a namespace without any link but lo.
func newSpace() (*space, error) {
	s := &space{}
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			s.file, err = os.Open("/proc/thread-self/ns/net")
		}
		made <- err
	}()
	return s, <-made
}

// inside runs f with the thread in the namespace: sockets that f makes, and programs
// that it starts, are there for good.
func (s *space) inside(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			done <- err
			return
		}
		defer func() { _ = home.Close() }()
		if err = unix.Setns(int(s.file.Fd()), unix.CLONE_NEWNET); err == nil {
			err = f()
			if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
				runtime.UnlockOSThread() // else the thread is of no more use
			}
		}
		done <- err
	}()
	return <-done
}

// ip gives commands to the program of that name, in the namespace.
func (s *space) ip(commands ...string) error {
	cmd := exec.Command("ip", "-batch", "-")
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(strings.Join(commands, "\n")), &out, &out
	err := s.inside(cmd.Start)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return fmt.Errorf("ip: %w: %s: %s", err, strings.Join(commands, "; "), out.Bytes())
	}
	return nil
}

// network is a hub, where proxies and clients are, and nodes.
type network struct {
	hub   *space
	nodes []*space
}

// newNetwork makes a network for the test, which fails where that cannot be; one
// who develops without being root is told, for it is no fault of theirs.
func newNetwork(t *testing.T, nodes int) *network {
	t.Helper()
	if os.Geteuid() != 0 && os.Getenv("CI") == "" {
		t.Skip("network namespaces need root: run the tests of this package as root as well")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Fatalf("run integration/setup.sh first: %v", err)
	}
	n := &network{}
	var err error
	if n.hub, err = newSpace(); err != nil {
		t.Fatalf("a network namespace, for which the tests must be root on a kernel with CONFIG_NET_NS: %v", err)
	}
	n.hub.addr = "10.77.0.1"
	err = n.hub.ip("link set lo up", "link add br0 type bridge", "addr add 10.77.0.1/16 dev br0", "link set br0 up")
	for i := 1; i <= nodes && err == nil; i++ {
		var s *space
		if s, err = newSpace(); err != nil {
			break
		}
		n.nodes = append(n.nodes, s)
		s.addr = fmt.Sprintf("10.77.1.%d", i)
		err = errors.Join(
			n.hub.ip(fmt.Sprintf("link add v%d type veth peer name eth0 netns /proc/%d/fd/%d", i, os.Getpid(), s.file.Fd()),
				fmt.Sprintf("link set v%d master br0 up", i)),
			s.ip("link set lo up", "addr add "+s.addr+"/16 dev eth0", "link set eth0 up"))
	}
	if err != nil {
		t.Fatalf("links between network namespaces, for which the kernel needs veth and bridge: %v", err)
	}
	t.Cleanup(func() {
		for _, s := range append(n.nodes, n.hub) {
			if err := s.file.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return n
}

// partition is a way to be out of reach. Nobody is told: connections stay, and what
// is sent is lost, until TCP sends it again after it has been mended.
type partition struct {
	name string
	// For node i from 1: the commands at the hub and at the node that begin and end it.
	hub, node, mendHub, mendNode func(n *network, i int) string
}

var partitions = []partition{
	{
		name:    "unplugged",
		hub:     func(_ *network, i int) string { return fmt.Sprintf("link set v%d down", i) },
		mendHub: func(_ *network, i int) string { return fmt.Sprintf("link set v%d up", i) },
	},
	{
		name: "hears nothing",
		hub: func(n *network, i int) string {
			return fmt.Sprintf("neigh replace %s lladdr %s dev br0 nud permanent", n.nodes[i-1].addr, nowhere)
		},
		mendHub: func(n *network, i int) string { return fmt.Sprintf("neigh del %s dev br0", n.nodes[i-1].addr) },
	},
	{ // requests are carried out, and nobody knows
		name: "is not heard",
		node: func(n *network, _ int) string {
			return fmt.Sprintf("neigh replace %s lladdr %s dev eth0 nud permanent", n.hub.addr, nowhere)
		},
		mendNode: func(n *network, _ int) string { return fmt.Sprintf("neigh del %s dev eth0", n.hub.addr) },
	},
}

// begin cuts node i, from 1, off.
func (p *partition) begin(n *network, i int) error { return p.apply(n, i, p.hub, p.node) }

// mend ends that.
func (p *partition) mend(n *network, i int) error { return p.apply(n, i, p.mendHub, p.mendNode) }

func (p *partition) apply(n *network, i int, hub, node func(*network, int) string) error {
	var errs []error
	if hub != nil {
		errs = append(errs, n.hub.ip(hub(n, i)))
	}
	if node != nil {
		errs = append(errs, n.nodes[i-1].ip(node(n, i)))
	}
	return errors.Join(errs...)
}

// A partition is what it says: nothing gets through, nobody is told, and all that
// was sent arrives when it ends.
func TestPartition(t *testing.T) {
	n := newNetwork(t, 2)
	for i, p := range partitions {
		t.Run(p.name, func(t *testing.T) { testPartition(t, n, 1+i%2, &p) })
	}
}

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
