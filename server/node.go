package server

import (
	"sync"
	"sync/atomic"

	"github.com/holdfast-cache/holdfast/protocol"
	"github.com/holdfast-cache/holdfast/slab"
	"github.com/rs/zerolog"
)

// Node is the Handler of a server that keeps the data itself: one store, and
// one executor for each event loop. Make it with NewNode, end it with Close.
type Node struct {
	cfg    *Config
	store  *slab.Store
	log    zerolog.Logger
	clock  *clock
	watch  logHub
	detail detail
	admins adminState
	host   Host
	keeper Keeper // nil: nothing is kept

	bootID   string                   // of this start
	restored atomic.Pointer[Restored] // nil: the store began empty
	cluster  struct {
		payload atomic.Pointer[[]byte] // nil: config is no command
		mu      sync.Mutex
		version uint64 // of payload, under mu
		stats   atomic.Pointer[func(add func(name, value string))]
	}

	mu struct {
		sync.Mutex
		executors []*executor
	}

	epochs     epochs
	maintainer maintainer
}

var _ Handler = (*Node)(nil)

// NewNode returns the handler of store. Both cfg and store stay the caller's:
// store must be open until Close has returned, cfg must not change.
func NewNode(cfg *Config, store *slab.Store, log zerolog.Logger) *Node {
	n := &Node{cfg: cfg, store: store, log: log, clock: newClock(cfg.ClockStart), bootID: newBootID()}
	n.detail.init(cfg)
	n.initAdmin()
	n.SetCluster(cfg.ClusterVersion, cfg.ClusterNodes)
	store.Tick(n.clock.now())
	return n
}

// Attach keeps the host and starts the background work of the store.
func (n *Node) Attach(h Host) {
	n.host = h
	n.maintainer.start(n)
}

// Close ends the background work and waits for it. It may be called more than
// once, and without Attach.
func (n *Node) Close() { n.maintainer.stop() }

// NewExecutor returns an executor with a worker of the store and counters of
// its own.
func (n *Node) NewExecutor() Executor { return n.newExecutor() }

func (n *Node) newExecutor() *executor {
	x := &executor{node: n, w: n.store.NewWorker(), keeper: n.keeper}
	// Bound once: a method value made on the spot would be an allocation a request.
	x.visitValue = x.appendValue
	x.visitMeta = x.appendMetaGet
	x.visitDebug = x.appendDebug
	n.mu.Lock()
	n.mu.executors = append(n.mu.executors, x)
	n.mu.Unlock()
	return x
}

// executors returns the executors there are now. They are never removed.
func (n *Node) executors() []*executor {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.mu.executors[:len(n.mu.executors):len(n.mu.executors)]
}

// executor carries out the requests of one event loop. Its fields belong to
// that loop, but for c, which is read and reset by others under w's lock.
type executor struct {
	node *Node
	w    *slab.Worker
	// keeper is the node's.
	keeper Keeper
	// c is guarded by w.Lock.
	c counters

	// What the visit functions below work on. Kept here and not in closures,
	// so that no request allocates.
	s    *Session
	r    *protocol.Request
	key  []byte
	keys [protocol.BatchKeysMax]slab.Key

	getOp    slab.GetOp
	setOp    slab.SetOp
	deleteOp slab.DeleteOp
	arithOp  slab.ArithOp

	visitValue func(*slab.View)
	visitMeta  func(*slab.View)
	visitDebug func(*slab.View)

	spans [][]byte
}

var _ Executor = (*executor)(nil)
