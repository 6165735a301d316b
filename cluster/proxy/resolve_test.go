package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-cache/holdfast/cluster"
	"github.com/holdfast-cache/holdfast/cluster/health"
)

// noDNS answers no question, and calls asked for each.
func noDNS(t *testing.T, asked func(context.Context)) {
	was := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		asked(ctx)
		return nil, errors.New("there is no DNS")
	}}
	t.Cleanup(func() { net.DefaultResolver = was })
}

// named gives the servers of a pool names that the DNS must be asked for.
func named(_ *Config, p *cluster.PoolConfig) {
	for i := range p.Servers {
		p.Servers[i].Address = fmt.Sprintf("cache-%d.example.:%d", i, i+1)
	}
}

// The names of all new servers are looked up at the same time: when the DNS does not answer
// a config of a hundred servers takes no longer than one of one.
func TestNamesAreLookedUpTogether(t *testing.T) {
	const servers = 8
	var mu sync.Mutex
	waiting, all := 0, make(chan struct{})
	noDNS(t, func(ctx context.Context) {
		mu.Lock()
		if waiting++; waiting == servers {
			close(all)
		}
		mu.Unlock()
		select {
		case <-all:
		case <-ctx.Done():
			mu.Lock()
			waiting--
			mu.Unlock()
		}
	})
	newRig(t, servers, named)
	select {
	case <-all:
	default:
		t.Errorf("%d questions were never there together", servers)
	}
}

// A server that stays down is looked up once a second, not as often as the loop looks after it.
func TestNameIsLookedUpNowAndThen(t *testing.T) {
	var mu sync.Mutex
	asked := map[int64]bool{} // times of the loop at which there was a question
	now := int64(0)
	noDNS(t, func(context.Context) {
		mu.Lock()
		defer mu.Unlock()
		asked[now] = true
	})
	r := newRig(t, 1, named)
	b := r.backend(1)
	b.health.Failed(r.loop.Time, health.Refused)
	r.executor().chores = r.loop.Time
	clear(asked)
	for range 100 {
		mu.Lock()
		now = r.loop.Time
		mu.Unlock()
		r.pass(choresEach)
		for b.resolving.Load() {
			runtime.Gosched()
		}
	}
	if n := len(asked); n < 4 || n > 6 {
		t.Errorf("%d look-ups in %v", n, time.Duration(100*choresEach))
	}
}
