package proxy

import (
	"errors"
	"sync/atomic"

	"github.com/holdfast-cache/holdfast/cluster"
	"github.com/holdfast-cache/holdfast/cluster/health"
	"github.com/holdfast-cache/holdfast/cluster/spool"
	"github.com/holdfast-cache/holdfast/protocol"
	"github.com/holdfast-cache/holdfast/server"
	"github.com/zeebo/xxh3"
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
	health *health.Backend
	stats  backendStats

	// doubts counts writes that timed out and whose late replies are waited for, and
	// connections that the node has not read to their end. Until there are none,
	// a write of which nothing more is known may still take place.
	doubts    atomic.Int32
	returning atomic.Int64 // when the node has answered the last probe
	mending   atomic.Bool  // a loop deletes keys of the journal
	suspected atomic.Int32 // how often it is to be asked still whether it answers
	checking  atomic.Bool  // a loop does
	resolving atomic.Bool
	resolved  atomic.Int64 // when its name was looked up again last
	retired   atomic.Bool
	literal   bool // the address needs no look-up

	// inherited says that the journal has keys of an earlier process, until the node was
	// fenced: what that process has sent may still lie unread at the node.
	inherited atomic.Bool
	settled   bool        // see settleLocked; like spool, Proxy.mu guards it
	spool     *spool.File // of the journal; nil: it is in memory alone
}

func newBackend(id int, pool string, slot cluster.Slot, o *poolOptions, guard *health.Pool, now int64) *backend {
	b := &backend{
		id: id, pool: pool, slot: slot,
		health: guard.NewBackend(now, o.health), literal: isLiteral(slot.Address),
		timeout: int64(o.timeout), connectTimeout: int64(o.connectTimeout), queueMax: o.queueMax,
	}
	for k := range b.lines {
		b.lines[k] = []byte("SERVER_ERROR " + hfNames[k] + " " + slot.Name)
	}
	return b
}

// name is the slot's, with that of the pool where there is one.
func (b *backend) name() string {
	if b.pool == "" {
		return b.slot.Name
	}
	return b.pool + "/" + b.slot.Name
}

// admits says whether c may be sent.
func (b *backend) admits(now int64, c *call) bool {
	switch {
	case c.own:
		return true
	case !c.blind && c.cells == nil && c.op != protocol.OpFlushAll && b.health.Journal().Has(c.key):
		return false // until it is deleted
	case b.health.State() == health.Up:
		return true
	case c.write || c.op == protocol.OpFlushAll:
		return b.health.AdmitsWrite()
	}
	return b.health.AdmitsRead(xxh3.Hash(c.key), now)
}

// kindOfFailure is what err means for the health of a backend. Connecting says that
// the connection did not come about.
func kindOfFailure(connecting bool, err error) health.Kind {
	switch {
	case errors.Is(err, errProtocol):
		return health.Protocol
	case errors.Is(err, errTimeout), errors.Is(err, errStuck):
		return health.Timeout
	case errors.Is(err, errConnect), errors.Is(err, errUnresolved):
		return health.ConnectTimeout
	case connecting:
		return health.Refused
	}
	return health.Reset
}

// failed notes that the backend has not answered, and has the loop look after it.
func (n *lane) failed(connecting bool, err error) {
	x, h := n.x, n.b.health
	before := h.State()
	h.Failed(x.now, kindOfFailure(connecting, err))
	if before != health.Down && h.State() == health.Down {
		x.p.log.Warn().Err(err).Str("server", n.b.name()).Msg("a backend is down; its keys fail until it is back")
	}
	x.chores = earlier(x.chores, x.now)
}

// resolveEach is how often at the most, in nanoseconds.
const resolveEach = 1e9

// resolveAgain looks the name of a backend up again, in the background.
func (b *backend) resolveAgain(now int64) {
	if b.literal || now < b.resolved.Load()+resolveEach || !b.resolving.CompareAndSwap(false, true) {
		return
	}
	b.resolved.Store(now)
	go func() {
		defer b.resolving.Store(false)
		// If it fails the address stays, and the probe will fail: that is told.
		_ = b.resolve()
	}()
}
