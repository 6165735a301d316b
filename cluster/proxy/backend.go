package proxy

import (
	"errors"
	"sync/atomic"

	"github.com/holdfast-cache/holdfast/cluster"
	"github.com/holdfast-cache/holdfast/server"
)

// hfKind is one of the errors of the proxy's own. Each is a line that begins with
// a word for machines: SERVER_ERROR hf-…, then the slot.
type hfKind uint8

const (
	hfTimeout hfKind = iota // no answer in time; a write may have happened
	hfDown                  // the backend is known to be down, or cannot be connected
	hfReset                 // the connection ended before the answer; a write may have happened
	hfProto                 // the answer was none, or another request's; a write may have happened
	hfLimit                 // a bound of the proxy's memory
	hfKinds
)

var hfNames = [hfKinds]string{"hf-timeout", "hf-down", "hf-reset", "hf-proto", "hf-limit"}

// failureText is the error that clients are told when a connection ended with err.
func failureText(err error) hfKind {
	switch {
	case errors.Is(err, errProtocol):
		return hfProto
	case errors.Is(err, errStuck):
		return hfTimeout
	}
	return hfReset
}

// backend is one slot's server, shared by the lanes that all loops have to it.
type backend struct {
	id   int // index of its lanes in every executor
	pool string
	slot cluster.Slot
	// addr is where it is now; nil while its name cannot be resolved.
	addr atomic.Pointer[server.LinkAddr]

	timeout, connectTimeout int64 // nanoseconds
	queueMax                int   // bytes that may wait to be sent, a lane

	lines  [hfKinds][]byte
	health simpleHealth
	stats  backendStats
}

func newBackend(id int, pool string, slot cluster.Slot, o *poolOptions) *backend {
	b := &backend{
		id: id, pool: pool, slot: slot,
		timeout: int64(o.timeout), connectTimeout: int64(o.connectTimeout), queueMax: o.queueMax,
	}
	for k := range b.lines {
		b.lines[k] = []byte("SERVER_ERROR " + hfNames[k] + " " + slot.Name)
	}
	return b
}

// admits says whether c may be sent.
func (b *backend) admits(now int64, c *call) bool {
	return b.health.admits(now)
}

// answered notes that the backend has answered.
func (b *backend) answered(now int64) { b.health.answered(now) }

// failed notes that it has not.
func (b *backend) failed(now int64, connecting bool, err error) { b.health.failed(now, connecting) }

// simpleHealth fails fast while a backend is down.
type simpleHealth struct {
	fails atomic.Int32
	until atomic.Int64
}

func (h *simpleHealth) admits(now int64) bool {
	return h.fails.Load() < 3 || now >= h.until.Load()
}

func (h *simpleHealth) answered(int64) {
	if h.fails.Load() != 0 {
		h.fails.Store(0)
	}
}

func (h *simpleHealth) failed(now int64, connecting bool) {
	n := int32(1)
	if connecting {
		n = 3
	}
	h.until.Store(now + 250e6)
	h.fails.Add(n)
}
