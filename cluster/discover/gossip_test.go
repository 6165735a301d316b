package discover

import (
	"errors"
	"log"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/holdfast-cache/holdfast/cluster"
	"github.com/rs/zerolog"
)

const testSecret = "a secret of the tests"

// cuts are the partitions between members of one test, by the addresses they talk at.
type cuts struct {
	mu   sync.Mutex
	side map[string]int
}

// split puts members on a side; those on different sides do not hear each other.
func (c *cuts) split(side int, gs ...*member) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, g := range gs {
		c.side[g.Addr()] = side
	}
}

func (c *cuts) apart(a, b string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.side[a] != c.side[b]
}

var errCut = errors.New("the cable is cut")

// cable is the network of one member, over real sockets, that can be cut.
type cable struct {
	*memberlist.NetTransport
	self string
	cuts *cuts
}

func (c *cable) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	if c.cuts.apart(c.self, a.Addr) {
		return time.Now(), nil // as a lost packet
	}
	return c.NetTransport.WriteToAddress(b, a)
}

func (c *cable) DialAddressTimeout(a memberlist.Address, d time.Duration) (net.Conn, error) {
	if c.cuts.apart(c.self, a.Addr) {
		return nil, errCut
	}
	return c.NetTransport.DialAddressTimeout(a, d)
}

// member is a member that ends with the test, and its log.
type member struct {
	*Gossip
	t        *testing.T
	log      testLog
	mu       sync.Mutex
	suspects []Member
	ended    bool
}

// join opens a member of a cluster on this machine that is quick.
func join(t *testing.T, c *cuts, o GossipOptions, seeds ...*member) *member {
	t.Helper()
	m, err := tryJoin(t, c, o, seeds...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func tryJoin(t *testing.T, c *cuts, o GossipOptions, seeds ...*member) (*member, error) {
	t.Helper()
	m := &member{t: t}
	for _, s := range seeds {
		o.Seeds = append(o.Seeds, s.Addr())
	}
	if o.Cluster == "" {
		o.Cluster, o.Secret = "tests", []byte(testSecret)
	}
	if o.Kind == "" {
		o.Kind = KindNode
	}
	o.Listen = "127.0.0.1:0"
	o.rejoin = 50 * time.Millisecond
	o.Suspected = func(s Member) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.suspects = append(m.suspects, s)
	}
	var netErr error
	o.tune = func(conf *memberlist.Config) {
		conf.ProbeInterval, conf.ProbeTimeout = 50*time.Millisecond, 25*time.Millisecond
		conf.SuspicionMult, conf.SuspicionMaxTimeoutMult = 2, 1
		conf.GossipInterval, conf.PushPullInterval = 10*time.Millisecond, 50*time.Millisecond
		conf.TCPTimeout, conf.GossipToTheDeadTime = time.Second, 100*time.Millisecond
		if c == nil {
			return
		}
		nt, err := memberlist.NewNetTransport(&memberlist.NetTransportConfig{BindAddrs: []string{"127.0.0.1"}, Logger: log.New(conf.LogOutput, "", 0)})
		if netErr = err; err != nil {
			return
		}
		conf.BindPort = nt.GetAutoBindPort()
		conf.AdvertisePort = conf.BindPort
		conf.Transport = &cable{nt, net.JoinHostPort("127.0.0.1", strconv.Itoa(conf.BindPort)), c}
	}
	var err error
	m.Gossip, err = OpenGossip(o, zerolog.New(&m.log))
	if err = errors.Join(netErr, err); err != nil {
		return nil, err
	}
	t.Cleanup(m.kill)
	return m, nil
}

// kill ends a member without a word to the others.
func (m *member) kill() {
	if m.ended {
		return
	}
	m.ended = true
	if err := m.end(); err != nil {
		m.t.Error(err)
	}
}

func (m *member) leave() {
	m.ended = true
	if err := m.Close(); err != nil {
		m.t.Error(err)
	}
}

// states are the members it knows, as address and state.
func (m *member) states() string {
	var all []string
	for _, o := range m.Members() {
		all = append(all, o.Address+" "+string(o.State))
	}
	return strings.Join(all, ", ")
}

func (m *member) epoch() uint64 {
	if c := m.Config(); c != nil {
		return c.Epoch
	}
	return 0
}

func wantStates(t *testing.T, want string, ms ...*member) {
	t.Helper()
	for _, m := range ms {
		eventually(t, want, func() bool { return m.states() == want })
	}
}

func wantEpoch(t *testing.T, want uint64, ms ...*member) {
	t.Helper()
	for _, m := range ms {
		eventually(t, "epoch", func() bool { return m.epoch() == want })
	}
}

func node(n string) GossipOptions { return GossipOptions{Address: "10.0.0." + n + ":11211"} }

const (
	map1 = "epoch: 1\npools: [{servers: [10.0.0.1, 10.0.0.2]}]\n"
	map2 = "epoch: 2\npools: [{servers: [10.0.0.1, 10.0.0.2, 10.0.0.3]}]\n"
	map3 = "epoch: 3\npools: [{servers: [10.0.0.1]}]\n"
)

// TestGossipPartition parts three members, changes the map on one side and brings them
// together again.
func TestGossipPartition(t *testing.T) {
	c := &cuts{side: map[string]int{}}
	a := join(t, c, node("1"))
	b := join(t, c, node("2"), a)
	d := join(t, c, node("3"), a)
	wantStates(t, "10.0.0.1:11211 alive, 10.0.0.2:11211 alive, 10.0.0.3:11211 alive", a, b, d)
	if err := a.Offer(parse(t, map1)); err != nil {
		t.Fatal(err)
	}
	wantEpoch(t, 1, a, b, d)

	c.split(1, d)
	wantStates(t, "10.0.0.1:11211 alive, 10.0.0.2:11211 alive, 10.0.0.3:11211 suspected", a, b)
	wantStates(t, "10.0.0.1:11211 suspected, 10.0.0.2:11211 suspected, 10.0.0.3:11211 alive", d)
	if err := b.Offer(parse(t, map2)); err != nil {
		t.Fatal(err)
	}
	wantEpoch(t, 2, a, b)
	if got := d.epoch(); got != 1 {
		t.Errorf("epoch %d came through the cut", got)
	}
	if got := serversOf(a.Config()); got != "10.0.0.1 10.0.0.2 10.0.0.3" {
		t.Errorf("a suspicion has changed the map: %s", got)
	}
	eventually(t, "suspected", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return slices.ContainsFunc(a.suspects, func(m Member) bool { return m.Address == "10.0.0.3:11211" })
	})

	c.split(0, d)
	wantStates(t, "10.0.0.1:11211 alive, 10.0.0.2:11211 alive, 10.0.0.3:11211 alive", a, b, d)
	wantEpoch(t, 2, d)
}

// TestGossipMapsOfBothSides parts the members and changes the map on both: the higher
// epoch wins, and two of the same are told of and change nothing.
func TestGossipMapsOfBothSides(t *testing.T) {
	c := &cuts{side: map[string]int{}}
	a := join(t, c, node("1"))
	b := join(t, c, node("2"), a)
	wantStates(t, "10.0.0.1:11211 alive, 10.0.0.2:11211 alive", a, b)
	c.split(1, b)
	offer := func(m *member, text, want string) {
		t.Helper()
		err := m.Offer(parse(t, text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	offer(a, map2, "")
	offer(b, map3, "")
	offer(b, map3, "")
	offer(b, map2, "a newer map, of epoch 3")
	offer(b, strings.Replace(map2, "2", "3", 1), "another map of epoch 3: raise it to 4")
	offer(b, strings.Replace(map3, "servers:", "name: one, servers:", 1), "another map of epoch 3")
	offer(b, strings.Replace(map3, "10.0.0.1", "'10.0.0.1:11211'", 1), "moves no key")
	c.split(0, b)
	wantEpoch(t, 3, a, b)

	c.split(1, b)
	offer(a, strings.Replace(map1, "epoch: 1", "epoch: 5", 1), "")
	offer(b, strings.Replace(map2, "epoch: 2", "epoch: 5", 1), "")
	c.split(0, b)
	for _, m := range []*member{a, b} {
		eventually(t, "two of an epoch", func() bool { return m.log.count("two maps of epoch 5") == 1 })
	}
	if x, y := serversOf(a.Config()), serversOf(b.Config()); x == y {
		t.Errorf("both have %s: without a higher epoch no key moves", x)
	}
	offer(a, strings.Replace(map1, "epoch: 1", "epoch: 6", 1), "")
	wantEpoch(t, 6, a, b)
	if x, y := serversOf(a.Config()), serversOf(b.Config()); x != y {
		t.Errorf("%s and %s", x, y)
	}
}

// TestGossipRestart ends members in order and out of order, and starts them again.
func TestGossipRestart(t *testing.T) {
	a := join(t, nil, node("1"))
	b := join(t, nil, node("2"), a)
	wantStates(t, "10.0.0.1:11211 alive, 10.0.0.2:11211 alive", a, b)
	if err := b.Offer(parse(t, map1)); err != nil {
		t.Fatal(err)
	}
	wantEpoch(t, 1, a)
	b.leave()
	wantStates(t, "10.0.0.1:11211 alive, 10.0.0.2:11211 left", a)
	b = join(t, nil, node("2"), a)
	wantStates(t, "10.0.0.1:11211 alive, 10.0.0.2:11211 alive", a, b)
	wantEpoch(t, 1, b) // who comes anew gets the map
	b.kill()
	b = join(t, nil, node("2"), a) // before anybody has missed it
	wantStates(t, "10.0.0.1:11211 alive, 10.0.0.2:11211 alive", b)
	eventually(t, "the earlier start is gone", func() bool { return a.list.NumMembers() == 2 })
	wantStates(t, "10.0.0.1:11211 alive, 10.0.0.2:11211 alive", a, b)
}

// TestGossipSecrets: who does not know the secret, or is of another cluster, hears nothing and
// is not heard.
func TestGossipSecrets(t *testing.T) {
	a := join(t, nil, node("1"))
	if err := a.Offer(parse(t, map1)); err != nil {
		t.Fatal(err)
	}
	for i, o := range []GossipOptions{
		{Cluster: "tests", Secret: []byte("quite another secret")},
		{Cluster: "others", Secret: []byte(testSecret)},
		{Cluster: "tests"},
	} {
		o.Address = "10.0.0.9:11211"
		m := join(t, nil, o, a)
		eventually(t, "told of", func() bool { return m.log.count("the list of members to join cannot be used") == 1 })
		if got := a.states(); got != "10.0.0.1:11211 alive" {
			t.Errorf("%d: %s", i, got)
		}
		if m.epoch() != 0 {
			t.Errorf("%d: got the map", i)
		}
	}
}

// TestGossipSeedComesLater starts with nobody there.
func TestGossipSeedComesLater(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	seed := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	o := node("1")
	o.Seeds = []string{seed}
	a := join(t, nil, o)
	eventually(t, "told of", func() bool { return a.log.count("the list of members to join cannot be used") == 1 })
	_, port, _ := net.SplitHostPort(seed)
	o = node("2")
	o.Cluster, o.Secret, o.Kind, o.Listen = "tests", []byte(testSecret), KindProxy, "127.0.0.1:"+port
	g, err := OpenGossip(o, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	b := &member{Gossip: g, t: t}
	t.Cleanup(b.kill)
	wantStates(t, "10.0.0.1:11211 alive, 10.0.0.2:11211 alive", a, b)
	if n := a.log.count("can be used again"); n != 1 {
		t.Errorf("%d times good again", n)
	}
}

func TestGossipRefuses(t *testing.T) {
	good := GossipOptions{Cluster: "c", Secret: []byte(testSecret), Listen: "127.0.0.1:0", Kind: KindNode, Address: "a:1"}
	for _, c := range []struct {
		why    string
		change func(*GossipOptions)
	}{
		{"has a name", func(o *GossipOptions) { o.Cluster = "" }},
		{"has a name", func(o *GossipOptions) { o.Cluster = "a b" }},
		{"16 bytes at least", func(o *GossipOptions) { o.Secret = []byte("short") }},
		{"need a secret", func(o *GossipOptions) { o.Secret, o.Listen = nil, "0.0.0.0:0" }},
		{"need a secret", func(o *GossipOptions) { o.Secret, o.Listen = nil, ":0" }},
		{"need a secret", func(o *GossipOptions) { o.Secret, o.Seeds = nil, []string{"127.0.0.1", "10.0.0.1:7946"} }},
		{"need a secret", func(o *GossipOptions) { o.Secret, o.Seeds = nil, []string{"example.com"} }},
		{"no address of this machine", func(o *GossipOptions) { o.Listen = "example.com:1" }},
		{"no port", func(o *GossipOptions) { o.Listen = "127.0.0.1:x" }},
		{"missing port", func(o *GossipOptions) { o.Listen = "127.0.0.1" }},
		{"no kind", func(o *GossipOptions) { o.Kind = "x" }},
		{"clients can reach", func(o *GossipOptions) { o.Address = "" }},
		{"talk between members", func(o *GossipOptions) { o.Listen = "192.0.2.1:0" }},
	} {
		o := good
		c.change(&o)
		g, err := OpenGossip(o, zerolog.Nop())
		if err == nil {
			t.Errorf("%s: opened", c.why)
			_ = g.end()
		} else if !strings.Contains(err.Error(), c.why) {
			t.Errorf("%v, want %s", err, c.why)
		}
	}
}

// TestCarried: a file of one proxy is the map of all, and a member that offers none has it too.
func TestCarried(t *testing.T) {
	a := join(t, nil, node("1"))
	b := join(t, nil, node("2"), a)
	name := filepath.Join(t.TempDir(), "pools.yml")
	write(t, name, map1)
	r := run(t, Options{File: name, FileInterval: 2 * time.Millisecond, Gossip: a.Gossip})
	follower := run(t, Options{Gossip: b.Gossip})
	r.wantServers(t, "10.0.0.1 10.0.0.2")
	follower.wantServers(t, "10.0.0.1 10.0.0.2")
	write(t, name, map2)
	follower.wantServers(t, "10.0.0.1 10.0.0.2 10.0.0.3")
	// Somebody else's map wins, if its epoch is higher.
	if err := b.Offer(parse(t, map3)); err != nil {
		t.Fatal(err)
	}
	r.wantServers(t, "10.0.0.1")
	// A file of a lower one is told of, and nothing else.
	late := run(t, Options{File: name, Gossip: join(t, nil, node("3"), a).Gossip})
	late.wantServers(t, "10.0.0.1")
	if got := late.count(); got != 1 {
		t.Errorf("%d maps were delivered to a proxy with an old file", got)
	}
	if got := r.stat("gossip_epoch"); got != "3" {
		t.Errorf("gossip_epoch %s", got)
	}
}

// TestSigned checks that a map whose bytes are not all as they were signed is none.
func TestSigned(t *testing.T) {
	key, _, err := keys([]byte(testSecret), "tests")
	if err != nil {
		t.Fatal(err)
	}
	m, err := sign(key, parse(t, map2))
	if err != nil {
		t.Fatal(err)
	}
	if c, err := open(key, m); err != nil || !cluster.SameOwners(c, parse(t, map2)) {
		t.Errorf("%v, %v", c, err)
	}
	for i := range m {
		bad := slices.Clone(m)
		bad[i] ^= 1
		if _, err := open(key, bad); err == nil {
			t.Errorf("byte %d does not matter", i)
		}
		if _, err := open(key, m[:i]); err == nil {
			t.Errorf("%d bytes are enough", i)
		}
	}
	other, _, err := keys([]byte(testSecret), "others")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open(other, m); !errors.Is(err, errSignature) {
		t.Errorf("another cluster: %v", err)
	}
}
