package proxy

import (
	"sync/atomic"
	"time"

	"github.com/holdfast-cache/holdfast/cluster"
	"github.com/holdfast-cache/holdfast/cluster/health"
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

	omitted atomic.Uint64 // keys left out of a multiget because their backend failed
}

// owner is the backend that owns key.
func (p *pool) owner(key []byte) *backend { return p.backends[p.m.Owner(key)] }
