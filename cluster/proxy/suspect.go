package proxy

import (
	"github.com/holdfast-cache/holdfast/cluster/health"
	"github.com/holdfast-cache/holdfast/protocol"
)

// checksMax is how often a backend is asked, at the most, because somebody suspects it:
// more than it takes to find it down, for failures that come close upon each other
// count once.
const checksMax = 6

// Suspect has the server at address, host:port, asked at once whether it answers, for
// somebody else thinks that it does not. What becomes of it depends on its answers alone: it
// is down when it has failed as often as it must have with requests. Any goroutine may call it.
func (p *Proxy) Suspect(address string) {
	found := false
	for _, pl := range p.tree.Load().pools {
		for _, b := range pl.backends {
			if b.isAt(address) {
				found = true
				b.stats.suspicions.Add(1)
				b.suspected.Store(checksMax)
			}
		}
	}
	if !found {
		return
	}
	p.suspicions.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pokeLocked()
}

// isAt says whether the backend is the server at address.
func (b *backend) isAt(address string) bool {
	at := b.addr.Load()
	return b.slot.Address == address || at != nil && at.Path == "" && at.TCP.String() == address
}

// check is a question to a backend that is up: does it answer?
type check struct{ b *backend }

// check asks a backend that is suspected, one question after the other until there is an
// answer or it is down. It says whether to come again.
func (x *executor) check(b *backend) bool {
	left := b.suspected.Load()
	if left == 0 {
		return b.checking.Load()
	}
	if b.checking.CompareAndSwap(false, true) {
		b.suspected.CompareAndSwap(left, left-1)
		x.lane(b, false).send(&call{
			op: protocol.OpVersion, head: []byte("version\r\n"), own: true, to: &check{b},
			start: x.now, deadline: x.now + b.timeout,
		})
	}
	return true
}

func (*check) hit(*call, int16, []byte, []byte, *blob) {}

func (k *check) done(_ *call, a *answer) {
	if !a.failed || k.b.health.State() == health.Down {
		k.b.suspected.Store(0)
	}
	k.b.checking.Store(false)
}
