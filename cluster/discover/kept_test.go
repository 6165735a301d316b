package discover

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestKeptOverARestart starts again while the DNS lacks a pod, and while it lacks all.
func TestKeptOverARestart(t *testing.T) {
	s := newDNSServer(t)
	name := filepath.Join(t.TempDir(), "last.yml")
	start := func() *running {
		return run(t, Options{
			Config:   parse(t, "pools: [{discover: 'srv:"+srvName+"'}]\n"),
			Resolver: s.resolver(t), DNSInterval: 10 * time.Millisecond, KeepFile: name,
		})
	}
	s.has(srvKey, pod("0"), pod("1"), pod("2"))
	start().wantServers(t, pods("0", "1", "2"))
	s.has(srvKey, pod("0"), pod("2"))
	r := start()
	r.wantServers(t, pods("0", "1", "2"))
	n := s.questions()
	eventually(t, "asked", func() bool { return s.questions() > n+2 })
	if r.count() != 1 {
		t.Errorf("%d configs for the same servers", r.count())
	}
	s.fails(dns.RcodeServerFailure, false)
	start().wantServers(t, pods("0", "1", "2"))
	if err := os.WriteFile(name, []byte("pools: ["), 0o600); err != nil {
		t.Fatal(err)
	}
	r = start()
	r.wantLog(t, "the last config is not known")
	s.has(srvKey, pod("0"), pod("3"))
	r.wantServers(t, pods("0", "3"))
}

// TestKeptMap ends all members and starts one: it has the map still, and hands it on. A member
// with a newer one wins.
func TestKeptMap(t *testing.T) {
	name := filepath.Join(t.TempDir(), "last.yml")
	a := join(t, nil, node("1"))
	r := run(t, Options{Gossip: a.Gossip, KeepFile: name})
	if err := a.Offer(parse(t, map2)); err != nil {
		t.Fatal(err)
	}
	r.wantServers(t, "10.0.0.1 10.0.0.2 10.0.0.3")
	a.kill()

	a = join(t, nil, node("1"))
	run(t, Options{Gossip: a.Gossip, KeepFile: name}).wantServers(t, "10.0.0.1 10.0.0.2 10.0.0.3")
	b := join(t, nil, node("2"), a)
	wantEpoch(t, 2, b)
	if err := b.Offer(parse(t, map3)); err != nil {
		t.Fatal(err)
	}
	wantEpoch(t, 3, a)
	c := join(t, nil, node("3"), b)
	late := run(t, Options{Gossip: c.Gossip, KeepFile: name})
	late.wantServers(t, "10.0.0.1")
}

// TestKeptCannotBeWritten: a full disk is told of, and that is all.
func TestKeptCannotBeWritten(t *testing.T) {
	r := run(t, Options{Config: parse(t, map1), KeepFile: filepath.Join(t.TempDir(), "no", "last.yml")})
	r.wantServers(t, "10.0.0.1 10.0.0.2")
	if r.log.count("the file of the last config cannot be used") != 1 || r.stat("kept_failures") != "1" {
		t.Error("nothing is said of it")
	}
}
