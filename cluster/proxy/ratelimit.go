package proxy

import (
	"sync/atomic"
	"time"

	"github.com/holdfast-cache/holdfast/cluster"
	"github.com/holdfast-cache/holdfast/protocol"
)

// rateLimit refuses keys beyond a rate. It counts as the generic cell rate algorithm
// (ITU-T I.371) does: one time stands for the bucket, so that loops share it without a lock.
type rateLimit struct {
	counting
	to    node
	line  []byte
	each  int64        // nanoseconds that one key takes
	slack int64        // how far ahead the time may be
	ahead atomic.Int64 // when the bucket is full again
}

func newRateLimit(conf *cluster.RateLimitRoute, to node) *rateLimit {
	name := conf.Name
	if name == "" {
		name = cluster.RateLimitName
	}
	each := max(int64(float64(time.Second)/conf.Rate), 1)
	return &rateLimit{
		to: to, line: []byte("SERVER_ERROR " + hfNames[hfLimit] + " " + name),
		each: each, slack: each * int64(conf.BurstOr()),
	}
}

func (r *rateLimit) home(key []byte, op protocol.Op) *pool { return r.to.home(key, op) }

func (r *rateLimit) patience() int64 { return r.to.patience() }

func (r *rateLimit) start(x *executor, c *call) {
	r.count(countRequests)
	if !r.take(x.now) {
		r.count(limitRefused)
		c.to.done(c, &answer{status: protocol.StatusServerError, failed: true, line: r.line})
		return
	}
	r.to.start(x, c)
}

// take takes one from the bucket, if there is one.
func (r *rateLimit) take(now int64) bool {
	for {
		old := r.ahead.Load()
		next := max(old, now) + r.each
		if next-now > r.slack {
			return false
		}
		if r.ahead.CompareAndSwap(old, next) {
			return true
		}
	}
}
