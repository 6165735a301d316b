package proxy

import (
	"testing"
	"time"

	"github.com/holdfast-cache/holdfast/cluster"
)

// An answer that comes after the loop has slept is dated when it comes, not when the
// loop fell asleep: statistics tell how long it took, and a second step of a route
// has the whole of its own timeout.
func TestAnswerTakesTime(t *testing.T) {
	r := newRig(t, 1, nil)
	c := r.loop.NewClient()
	c.Say([]byte("get a\r\n"))
	m := r.link(1)
	r.loop.Time += int64(50 * time.Millisecond)
	r.answer(m, "END\r\n")
	r.heard(c, "END\r\n")
	if us := r.backend(1).stats.latency[classGet].quantile(0.5); us < 50_000 || us > 70_000 {
		t.Errorf("an answer that took 50 ms is counted as %d us", us)
	}
}

// Of two steps the second may take as long as the first.
func TestSecondStepHasItsTime(t *testing.T) {
	pool := func(name, address string) *cluster.PoolConfig {
		return &cluster.PoolConfig{Name: name, Timeout: time.Duration(rigTimeout), ConnectTimeout: time.Duration(rigConnect), Servers: []cluster.ServerConfig{{Address: address}}}
	}
	r := rigOf(t, Config{Version: "1", BufferLimit: 64 << 20, ValueMax: 32 << 20}, &cluster.Config{
		Epoch: 1, Pools: []*cluster.PoolConfig{pool("cold", "127.0.0.1:1"), pool("warm", "127.0.0.1:2")},
		Routes: &cluster.RouteConfig{Warmup: &cluster.WarmupRoute{Cold: &cluster.RouteConfig{Pool: "cold"}, Warm: &cluster.RouteConfig{Pool: "warm"}}},
	})
	c := r.loop.NewClient()
	c.Say([]byte("get a\r\n"))
	cold := r.link(1)
	_, opaque := opaques(cold)
	r.loop.Time += rigTimeout * 9 / 10
	r.answer(cold, "EN "+opaque+"\r\n")
	warm := r.link(2)
	_, opaque = opaques(warm)
	r.pass(rigTimeout * 9 / 10)
	r.heard(c, "")
	r.answer(warm, "VA 1 f0 t-1 "+opaque+"\r\nx\r\n")
	r.heard(c, "VALUE a 0 1\r\nx\r\nEND\r\n")
}
