package proxy

import (
	"sync/atomic"
	"time"

	"github.com/holdfast-cache/holdfast/cluster"
	"github.com/holdfast-cache/holdfast/protocol"
)

// failover sends to one node what another has failed to answer. What is written
// there lives for ttl at most. While something may live there, what is written at
// the first node is deleted there: when that fails again nobody finds older values.
type failover struct {
	counting
	to, gutter node
	ttl        int64        // seconds
	until      atomic.Int64 // of the loop's clock: when what is in the gutter has expired
	wait       int64
}

// untilUnknown is that of a route that is new: another may have used the gutter before.
const untilUnknown = -1

func newFailover(conf *cluster.FailoverRoute, to []node, wait int64) *failover {
	ttl := conf.TTL
	if ttl == 0 {
		ttl = cluster.GutterTTL
	}
	r := &failover{to: to[0], gutter: to[1], ttl: max(int64((ttl+time.Second-1)/time.Second), 1), wait: wait + to[1].patience()}
	r.until.Store(untilUnknown)
	return r
}

func (r *failover) home(key []byte, op protocol.Op) *pool { return r.to.home(key, op) }

func (r *failover) patience() int64 { return r.wait }

func (r *failover) start(x *executor, c *call) {
	r.count(countRequests)
	l := x.newLeg(r, c)
	l.keep(c)
	l.again(c)
	l.send(r.to)
}

// used is until when there may be something in the gutter.
func (r *failover) used(x *executor) int64 {
	if r.until.Load() == untilUnknown {
		r.until.CompareAndSwap(untilUnknown, x.now+r.ttl*int64(time.Second))
	}
	return r.until.Load()
}

// spill sends to the gutter what failed.
func (r *failover) spill(l *leg) {
	ttl := r.ttl * int64(time.Second)
	if l.write || effectOf(l.up) != effRead {
		r.until.Store(l.x.now + r.gutter.patience() + ttl)
	}
	r.count(failoverSpilled)
	l.i = 1
	from := len(l.text)
	l.text = appendCapped(l.text, l.up, r.ttl, (l.x.now+l.x.wall)/int64(time.Second))
	l.head = l.text[from:]
	l.send(r.gutter)
}

// place deletes a key in the gutter.
func (r *failover) place(l *leg, _ int) {
	r.count(failoverCleared)
	l.send(r.gutter)
}

func (r *failover) missed() { r.count(failoverClearFailed) }

func (r *failover) legHit(l *leg, line, value []byte, b *blob) { l.pass(line, value, b) }

func (r *failover) legDone(l *leg, a *answer) {
	c, x := l.up, l.x
	switch {
	case l.i > 0: // by the gutter
		if a.failed && !l.got {
			r.count(failoverSpillFailed)
		}
		l.finish(a)
	case a.failed && !l.got && !isDelete(l.op):
		r.spill(l)
	case l.write && x.now < r.used(x):
		l.drop()
		x.spread(r, 2, 1, answerAll, c, a)
	default:
		l.finish(a)
	}
}
