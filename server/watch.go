package server

import (
	"sync/atomic"

	"github.com/holdfast-cache/holdfast/protocol"
	"github.com/holdfast-cache/holdfast/slab"
)

// logHub passes log lines on to the watchers.
type logHub struct {
	mask atomic.Uint32
}

// fetchStatus says how the look-up of a fetch line ended.
type fetchStatus uint8

// The statuses of a fetch line.
const (
	fetchMiss fetchStatus = iota
	fetchHit
	fetchExpired
	fetchFlushed
)

// on says whether anybody watches anything: one atomic load.
func (h *logHub) on() bool { return h.mask.Load() != 0 }

// fetch tells of a look-up of key.
func (h *logHub) fetch(s *Session, key []byte, status fetchStatus, class uint8, size int) {}

// store tells of a storage command op (OpSet … OpCas) on key; ttl is as the client wrote it.
func (h *logHub) store(s *Session, key []byte, op protocol.Op, r slab.Result, ttl int64, class uint8, size int) {
}

// deleted tells of a deletion by op (OpDelete or OpMetaDelete).
func (h *logHub) deleted(s *Session, key []byte, op protocol.Op, class uint8, size int) {}
