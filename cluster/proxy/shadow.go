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
	if xxh3.HashSeed(c.key, shadowSeed) <= r.below {
		x.mirror(r.second, c)
	}
	r.to.start(x, c)
}
