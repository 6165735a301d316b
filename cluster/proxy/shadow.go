package proxy

import (
	"math"

	"github.com/holdfast-cache/holdfast/cluster"
	"github.com/holdfast-cache/holdfast/protocol"
	"github.com/zeebo/xxh3"
)

// shadow sends a part of the keys to a second node as well. Its answers are
// thrown away, and nobody waits for them.
type shadow struct {
	counting
	to, second node
	below      uint64 // hashes that are sent
	wait       int64
}

// shadowSeed makes the choice of keys independent of who owns them.
const shadowSeed = 0x5ad0

func newShadow(conf *cluster.ShadowRoute, to []node) *shadow {
	r := &shadow{to: to[0], second: to[1], below: math.MaxUint64, wait: to[0].patience()}
	if conf.Fraction < 1 {
		r.below = uint64(conf.Fraction * math.MaxUint64)
	}
	return r
}

func (r *shadow) home(key []byte, op protocol.Op) *pool { return r.to.home(key, op) }

func (r *shadow) patience() int64 { return r.wait }

func (r *shadow) start(x *executor, c *call) {
	r.count(countRequests)
	if xxh3.HashSeed(c.key, shadowSeed) <= r.below {
		r.count(shadowSent)
		l := x.newLeg(r, nil)
		l.like(c)
		l.own()
		l.send(r.second)
	}
	r.to.start(x, c)
}

// legHit throws a value away.
func (r *shadow) legHit(_ *leg, _, _ []byte, b *blob) {
	if b != nil {
		b.Unpin()
	}
}

// legDone counts what the shadow has answered.
func (r *shadow) legDone(l *leg, a *answer) {
	switch {
	case a.bad():
		r.count(shadowFailed)
	case effectOf(&l.call) > effTouch: // a write
	case l.got, a.status == protocol.StatusMetaHit, a.status == protocol.StatusMetaValue, a.status == protocol.StatusMetaDebug:
		r.count(shadowHit)
	default:
		r.count(shadowMissed)
	}
	a.letGo()
	l.drop()
}
