package proxy

import (
	"sync/atomic"
	"time"

	"github.com/holdfast-cache/holdfast/cluster"
	"github.com/holdfast-cache/holdfast/cluster/health"
	"github.com/holdfast-cache/holdfast/protocol"
)

// poolOptions are the settings of a pool beyond its placement.
type poolOptions struct {
	timeout, connectTimeout time.Duration
	queueMax                int
	getMiss                 bool // get_error: miss
	multigetFail            bool // multiget_error: fail
	health                  health.Options
}

// pool is a map and the backends of its slots.
type pool struct {
	name     string
	m        *cluster.Map
	backends []*backend
	poolOptions

	epochLine []byte // what tells nodes of the map

	omitted atomic.Uint64 // keys left out of a multiget because their backend failed
}

// owner is the backend that owns key.
func (p *pool) owner(key []byte) *backend { return p.backends[p.m.Owner(key)] }

// start sends c to the owner of its key.
func (p *pool) start(x *executor, c *call) {
	b := p.owner(c.key)
	c.deadline = c.start + b.timeout
	if c.limit != 0 && c.limit < c.deadline {
		c.deadline = c.limit
	}
	x.lane(b, c.bulk).send(c)
}

// home is p itself.
func (p *pool) home([]byte, protocol.Op) *pool { return p }

// patience is the timeout.
func (p *pool) patience() int64 { return int64(p.timeout) }
