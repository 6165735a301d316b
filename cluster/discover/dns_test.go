package discover

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-cache/holdfast/cluster"
	"github.com/miekg/dns"
)

// dnsServer is a small server of the DNS on this machine.
type dnsServer struct {
	*dns.Server

	mu      sync.Mutex
	rcode   int
	mute    bool
	records map[string][]string // by type and name
	asked   int
}

func newDNSServer(t *testing.T) *dnsServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &dnsServer{records: map[string][]string{}}
	started := make(chan struct{})
	s.Server = &dns.Server{PacketConn: conn, Handler: s, NotifyStartedFunc: func() { close(started) }}
	ended := make(chan error, 1)
	go func() { ended <- s.ActivateAndServe() }()
	<-started
	t.Cleanup(func() {
		if err := s.Shutdown(); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *dnsServer) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.mute {
		return
	}
	m := new(dns.Msg)
	m.SetRcode(q, s.rcode)
	question := q.Question[0]
	key := dns.TypeToString[question.Qtype] + " " + question.Name
	if s.rcode == dns.RcodeSuccess {
		if s.records[key] == nil {
			m.Rcode = dns.RcodeNameError
		}
		for _, r := range s.records[key] {
			if rr, err := dns.NewRR(question.Name + " 1 IN " + dns.TypeToString[question.Qtype] + " " + r); err == nil && r != "" {
				m.Answer = append(m.Answer, rr)
			}
		}
	}
	_ = w.WriteMsg(m)
}

// has makes the server answer with records to a question, and rcode.
func (s *dnsServer) has(key string, records ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rcode, s.mute = dns.RcodeSuccess, false
	s.records[key] = append(records, "") // there, if empty
}

func (s *dnsServer) fails(rcode int, mute bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rcode, s.mute = rcode, mute
}

func (s *dnsServer) questions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// resolver is a real one that asks this server. Its questions end with the test: it
// waits for answers longer than who asks.
func (s *dnsServer) resolver(t *testing.T) *net.Resolver {
	address := s.PacketConn.LocalAddr().String()
	var mu sync.Mutex
	var conns []net.Conn
	ended := false
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		ended = true
		for _, c := range conns {
			_ = c.Close()
		}
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, "udp", address)
		if err != nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		if ended {
			_ = c.Close()
			return nil, net.ErrClosed
		}
		conns = append(conns, c)
		return c, nil
	}}
}

const (
	srvName = "_memcached._tcp.cache.default.svc.cluster.local"
	srvKey  = "SRV " + srvName + "."
)

// pod is the SRV record of a pod of a StatefulSet.
func pod(ordinal string) string {
	return "0 25 11211 cache-" + ordinal + ".cache.default.svc.cluster.local."
}

func pods(ordinals ...string) string {
	var all []string
	for _, o := range ordinals {
		all = append(all, "cache-"+o+".cache.default.svc.cluster.local:11211")
	}
	return strings.Join(all, " ")
}

// TestDNSStatefulSet follows a headless service through a growth, a restart of a pod and
// the trouble of a server of the DNS. Only the growth moves a key.
func TestDNSStatefulSet(t *testing.T) {
	s := newDNSServer(t)
	s.has(srvKey, pod("10"), pod("2"), pod("0"), pod("1"))
	r := run(t, Options{
		Config:   parse(t, "epoch: 3\npools: [{discover: 'srv:"+srvName+"'}]\n"),
		Resolver: s.resolver(t), DNSInterval: 20 * time.Millisecond,
	})
	r.wantServers(t, pods("0", "1", "2", "10"))
	if c := r.last(); c.Epoch < 1_700_000_000 {
		t.Errorf("epoch %d does not grow over restarts", c.Epoch)
	}
	quiet := func(what string) {
		t.Helper()
		n := s.questions()
		eventually(t, what, func() bool { return s.questions() > n+3 })
		if r.count() != 1 {
			t.Fatalf("%s: now with %s", what, r.servers())
		}
	}
	s.has(srvKey, pod("1"), pod("10"), pod("0"), pod("2"))
	quiet("another order")
	s.has(srvKey, pod("0"), pod("10"), pod("2"))
	quiet("a pod is restarted")
	prefix := "dns:srv:" + srvName + ":"
	if got := r.stat(prefix + "missing"); got != "1" {
		t.Errorf("%s are missing", got)
	}
	s.has(srvKey)
	quiet("an empty answer")
	s.has(srvKey, "0 0 0 .")
	quiet("no such service")
	s.fails(dns.RcodeServerFailure, false)
	quiet("SERVFAIL")
	s.fails(dns.RcodeNameError, false)
	quiet("NXDOMAIN")
	if n := r.log.count(`"level":"error"`); n != 1 {
		t.Errorf("%d errors are logged, want one for it all", n)
	}
	if r.stat(prefix+"trouble") == "none" || r.stat(prefix+"failures") == "0" {
		t.Error("no trouble in the figures")
	}
	s.has(srvKey, pod("0"), pod("1"), pod("10"), pod("2"), pod("11"))
	r.wantServers(t, pods("0", "1", "2", "10", "11"))
	eventually(t, "good again", func() bool { return r.stat(prefix+"trouble") == "none" })
	// Whoever makes the set smaller says so.
	s.has(srvKey, pod("0"), pod("1"))
	r.Reload()
	r.wantServers(t, pods("0", "1"))
}

// TestDNSRefresh asks before it is time, which is no reason to forget who is being
// restarted.
func TestDNSRefresh(t *testing.T) {
	s := newDNSServer(t)
	s.has(srvKey, pod("0"), pod("1"))
	r := run(t, Options{
		Config:   parse(t, "pools: [{discover: 'srv:"+srvName+"'}]\n"),
		Resolver: s.resolver(t), DNSInterval: 20 * time.Second,
	})
	r.wantServers(t, pods("0", "1"))
	s.has(srvKey, pod("0"), pod("2"))
	r.Refresh()
	r.wantServers(t, pods("0", "1", "2"))
}

// TestDNSAddresses follows addresses, which do not come back under a new one.
func TestDNSAddresses(t *testing.T) {
	s := newDNSServer(t)
	s.has("A cache.svc.", "10.0.0.10", "10.0.0.9")
	s.has("AAAA cache.svc.", "fd00::2", "fd00::1")
	r := run(t, Options{
		Config:   parse(t, "pools: [{name: x, discover: 'a:cache.svc:11311', distribution: rendezvous}, {name: y, discover: 'aaaa:cache.svc'}]\n"),
		Resolver: s.resolver(t), DNSInterval: 10 * time.Millisecond, DNSForget: 50 * time.Millisecond,
	})
	r.wantServers(t, "10.0.0.9:11311 10.0.0.10:11311")
	if got := r.last().Pools[1].Servers; len(got) != 2 || got[0].Address != "[fd00::1]:11211" || got[1].Address != "[fd00::2]:11211" {
		t.Errorf("the second pool has %+v", got)
	}
	s.has("A cache.svc.", "10.0.0.9", "10.0.0.11")
	r.wantServers(t, "10.0.0.9:11311 10.0.0.10:11311 10.0.0.11:11311")
	r.wantServers(t, "10.0.0.9:11311 10.0.0.11:11311") // in time
	// Losing the DNS is no reason to forget anybody.
	s.fails(0, true)
	n := s.questions()
	eventually(t, "asked in vain", func() bool { return s.questions() > n+3 && r.stat("dns:a:cache.svc:11311:trouble") != "none" })
	if got := r.servers(); got != "10.0.0.9:11311 10.0.0.11:11311" {
		t.Errorf("without the DNS there are %s", got)
	}
}

// TestDNSBeginning: nothing is delivered before all is known, but what a pool has for
// the beginning will do.
func TestDNSBeginning(t *testing.T) {
	s := newDNSServer(t)
	s.fails(dns.RcodeServerFailure, false)
	r := run(t, Options{Config: parse(t, "pools: [{discover: 'a:cache.svc'}]\n"), Resolver: s.resolver(t), DNSInterval: 10 * time.Millisecond})
	r.wantLog(t, "the DNS cannot be used")
	if r.count() != 0 {
		t.Errorf("delivered %s", r.servers())
	}
	with := run(t, Options{Config: parse(t, "epoch: 4\npools: [{discover: 'a:cache.svc', servers: [10.0.0.1]}]\n"), Resolver: s.resolver(t), DNSInterval: 10 * time.Millisecond})
	with.wantServers(t, "10.0.0.1")
	s.has("A cache.svc.", "10.0.0.1", "10.0.0.2")
	r.wantServers(t, "10.0.0.1:11211 10.0.0.2:11211")
	with.wantServers(t, "10.0.0.1:11211 10.0.0.2:11211")
}

// TestDNSInAFile changes a file under lists that are being followed.
func TestDNSInAFile(t *testing.T) {
	s := newDNSServer(t)
	s.has("A one.", "10.0.0.1")
	s.has("A two.", "10.0.0.2")
	name := t.TempDir() + "/pools.yml"
	write(t, name, "epoch: 1\npools: [{discover: 'a:one'}]\n")
	r := run(t, Options{File: name, FileInterval: 2 * time.Millisecond, Resolver: s.resolver(t), DNSInterval: 5 * time.Millisecond})
	r.wantServers(t, "10.0.0.1:11211")
	write(t, name, "epoch: 2\npools: [{discover: 'a:two'}]\n")
	r.wantServers(t, "10.0.0.2:11211")
	if got := r.stat("dns:a:one:servers"); got != "none" {
		t.Error("a list is followed that nobody wants")
	}
	write(t, name, "epoch: 3\npools: [{servers: [10.0.0.3]}]\n") // the epoch goes on growing: run checks it
	r.wantServers(t, "10.0.0.3")
}

// fakeResolver answers what a real one rarely does.
type fakeResolver struct {
	srv   []*net.SRV
	addrs []netip.Addr
	err   error
}

func (f *fakeResolver) LookupSRV(context.Context, string, string, string) (string, []*net.SRV, error) {
	return "", f.srv, f.err
}

func (f *fakeResolver) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return f.addrs, f.err
}

func discovery(t *testing.T, spec string) cluster.Discovery {
	t.Helper()
	d, err := cluster.ParseDiscovery(spec)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestAsk(t *testing.T) {
	r := &fakeResolver{srv: []*net.SRV{{Target: "B.example.", Port: 2}, {Target: "b.example", Port: 2}, {Target: "b.example.", Port: 1}, {Target: ".", Port: 3}, {Target: "c.", Port: 0}}}
	got, err := ask(context.Background(), r, discovery(t, "srv:x"))
	if err != nil || !slices.Equal(got, []string{"b.example:1", "b.example:2"}) {
		t.Errorf("%v, %v", got, err)
	}
	r = &fakeResolver{addrs: []netip.Addr{netip.MustParseAddr("::ffff:10.0.0.1"), netip.MustParseAddr("10.0.0.1")}}
	if got, err = ask(context.Background(), r, discovery(t, "a:x")); err != nil || !slices.Equal(got, []string{"10.0.0.1:11211"}) {
		t.Errorf("%v, %v", got, err)
	}
	r.addrs = make([]netip.Addr, serversMax+1)
	for i := range r.addrs {
		r.addrs[i] = netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
	}
	if _, err = ask(context.Background(), r, discovery(t, "a:x")); err == nil {
		t.Error("an answer without bounds was taken")
	}
}

func TestNatural(t *testing.T) {
	want := []string{"a", "a-0.x", "a-2.x", "a-10.x", "a-010.x", "a-010.y", "b", "10.0.0.9:1", "10.0.0.10:1", "ab"}
	sorted := []string{"10.0.0.9:1", "10.0.0.10:1", "a", "a-0.x", "a-2.x", "a-10.x", "a-010.x", "a-010.y", "ab", "b"}
	slices.SortFunc(want, natural)
	if !slices.Equal(want, sorted) {
		t.Errorf("%q", want)
	}
	for _, a := range want {
		for _, b := range want {
			if natural(a, b) != -natural(b, a) || (natural(a, b) == 0) != (a == b) {
				t.Errorf("%s and %s have no order", a, b)
			}
		}
	}
}
