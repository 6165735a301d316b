package proxy

import (
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/holdfast-cache/holdfast/cluster"
	"github.com/holdfast-cache/holdfast/protocol"
)

// How proxies that share nodes notice that one of them has an older map.

const (
	// epochEach is how often a lane that is used tells its node of our map, in
	// nanoseconds.
	epochEach = 5e9
	// refetchEach is how often the source of the config is looked at, at the most,
	// because of what nodes say.
	refetchEach = 10e9
)

// newerMaps is what nodes have said of maps that are newer than ours.
type newerMaps struct {
	heard     atomic.Uint64 // answers
	refetched atomic.Uint64
	newest    atomic.Uint64        // epoch that was heard of since our map was taken, 0 if it is ours
	told      atomic.Pointer[tree] // the map of which the log says that there is a newer one
	asked     atomic.Int64         // when the source was looked at last
}

// compileEpochs notes what nodes are told of t, which is made of conf: of each pool its
// name, and the epoch and the sum of the map.
func (t *tree) compileEpochs(conf *cluster.Config) error {
	sum, err := conf.Sum()
	if err != nil {
		return err
	}
	t.sum = sum
	for _, p := range t.pools {
		name := p.name
		if name == "" {
			name = "-"
		}
		p.epochLine = fmt.Appendf(nil, "stats epochs %s %d %x\r\n", name, t.epoch, sum)
	}
	return nil
}

// tellEpoch tells the node of our map and asks for the newest that it has heard of. That
// goes along with requests that are sent anyway, and only to a node of Holdfast.
func (n *lane) tellEpoch() {
	n.epochAt = n.x.now + epochEach
	for _, p := range n.x.p.tree.Load().pools {
		if p.name == n.b.pool {
			n.out.Buf = append(n.out.Buf, p.epochLine...)
			deadline := n.x.now + n.b.timeout
			n.push(op{kind: opEpoch, deadline: deadline, give: deadline + n.b.timeout})
			n.x.by(deadline)
			return
		}
	}
}

// replyEpoch takes the answer to that, a line at a time.
func (n *lane) replyEpoch(r *protocol.Response) {
	switch {
	case r.Status == protocol.StatusStat:
		// What is no number is none, as if it were not there.
		switch string(r.Key) {
		case "epoch":
			n.newest, _ = protocol.ParseUint(r.Value)
		case "sum":
			n.newestSum, _ = strconv.ParseUint(string(r.Value), 16, 64)
		}
		return
	case r.IsError():
		n.epochAt = 0 // a node that does not know this command
	case r.Status != protocol.StatusEnd:
		n.violated()
		return
	}
	n.pop()
	n.b.health.Answered()
	n.x.p.heardOf(n.x.now, n.b, n.newest, n.newestSum)
	n.newest, n.newestSum = 0, 0
}

// heardOf takes the newest map that a node has heard of. If it is newer than ours and
// another, the source of our config is looked at: a node may have been told anything by
// anybody, so this is all that comes of it.
func (p *Proxy) heardOf(now int64, b *backend, epoch, sum uint64) {
	t := p.tree.Load()
	if epoch <= t.epoch || sum == t.sum {
		return
	}
	b.stats.newerMaps.Add(1)
	w := &p.newer
	w.heard.Add(1)
	w.newest.Store(max(epoch, w.newest.Load())) // two loops may differ; the next answer settles it
	if w.told.Swap(t) != t {
		p.log.Warn().Str("server", b.name()).Uint64("epoch", t.epoch).Uint64("newer", epoch).
			Msg("a node has heard of a newer map from another proxy; looking for it where ours comes from")
	}
	last := w.asked.Load()
	if last != 0 && now-last < refetchEach || !w.asked.CompareAndSwap(last, now) {
		return
	}
	w.refetched.Add(1)
	if p.cfg.Refetch != nil {
		p.cfg.Refetch()
	}
}
