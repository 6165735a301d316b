package proxy

import (
	"testing"
	"time"

	"github.com/holdfast-cache/holdfast/cluster"
	"github.com/holdfast-cache/holdfast/cluster/health"
	"github.com/rs/zerolog"
)

func poolsOf(names ...string) *cluster.Config {
	c := &cluster.Config{Epoch: 1}
	for i, n := range names {
		c.Pools = append(c.Pools, &cluster.PoolConfig{Name: n, Servers: []cluster.ServerConfig{{Address: "127.0.0.1:" + string(rune('1'+i))}}})
	}
	return c
}

func migrating(from, to string) *cluster.RouteConfig {
	return &cluster.RouteConfig{Migrate: &cluster.MigrateRoute{From: &cluster.RouteConfig{Pool: from}, To: &cluster.RouteConfig{Pool: to}}}
}

// A migration without a start begins when it is loaded first: it goes on over reloads
// that leave it as it is, and another one, or the same one after it was taken out,
// begins anew.
func TestMigrationBegins(t *testing.T) {
	conf := poolsOf("a", "b", "c")
	conf.Routes = migrating("a", "b")
	p, err := New(Config{}, conf, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	begin := func() int64 { return p.tree.Load().root.(*handover).begin }
	load := func(r *cluster.RouteConfig) {
		t.Helper()
		next := conf.Clone()
		next.Epoch, next.Routes = p.tree.Load().epoch+1, r
		if err := p.Reload(next); err != nil {
			t.Fatal(err)
		}
	}
	first := begin()
	longer := migrating("a", "b")
	longer.Migrate.Over = 2 * time.Hour
	load(longer)
	if begin() != first {
		t.Error("a migration begins again when its time is changed")
	}
	load(migrating("b", "c"))
	second := begin()
	if second == first {
		t.Error("a migration of other pools has begun when the one before did")
	}
	load(&cluster.RouteConfig{Pool: "b"})
	load(migrating("b", "c"))
	if begin() == second {
		t.Error("a migration that was taken out and put in again goes on from its first beginning")
	}
}

// What a pool says of a server's return is taken over by the servers there are.
func TestReloadTakesRampAndHold(t *testing.T) {
	r := newRig(t, 1, nil)
	conf := poolsOf("")
	conf.Epoch, conf.Pools[0].Ramp, conf.Pools[0].HoldDown = 2, time.Minute, time.Second
	conf.Pools[0].Timeout, conf.Pools[0].ConnectTimeout = time.Duration(rigTimeout), time.Duration(rigConnect)
	b := r.backend(1)
	if err := r.p.Reload(conf); err != nil {
		t.Fatal(err)
	}
	if r.backend(1) != b {
		t.Fatal("the server is another one now")
	}
	now := r.loop.Time
	b.health.Failed(now, health.Refused)
	now += int64(time.Second)
	if !b.health.TryProbe(now) {
		t.Fatal("there is no probe")
	}
	b.health.ProbeOK(now, health.Identity{})
	b.health.FenceDone(now)
	if s := b.health.State(); s != health.Ramping {
		t.Errorf("a server that is back is %v, though its pool has a ramp now", s)
	}
	b.health.Failed(now, health.Refused)
	if b.health.TryProbe(now + int64(time.Second)*3/5) {
		t.Error("it is probed before hold_down is over")
	}
	if !b.health.TryProbe(now + int64(time.Second)*7/5) {
		t.Error("it is held down for longer than hold_down says")
	}
}
