package health

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
)

// State is where a Backend stands.
type State uint32

// The states; the picture of the package says how they follow each other.
const (
	Up        State = iota // reads and writes
	Down                   // nothing; writes if the pool is open
	Probing                // as Down; one loop asks whether it answers
	Returning              // it answers: writes, no reads, the fence is under way
	Ramping                // writes, and a share of the reads that grows
)

// String returns the name of the state, as statistics show it.
func (s State) String() string {
	return [...]string{"up", "down", "probing", "returning", "ramping"}[s]
}

// Kind is a kind of failure.
type Kind uint8

// The kinds of failure. Refused, Restarted and Overflowed take a backend down at
// once, all others after Options.Failures of them.
const (
	Refused        Kind = iota // the connect failed by an answer: refused, unreachable
	ConnectTimeout             // the connect got no answer
	Timeout                    // a request got no answer
	Reset                      // the connection ended with requests outstanding
	Protocol                   // an answer that is none, or to another request
	Restarted                  // another process answers than before; Backend.Meet finds it
	Overflowed                 // the journal lost keys while the backend was up: it must be flushed
)

// String returns the name of the kind, as statistics show it.
func (k Kind) String() string {
	return [...]string{"refused", "connect-timeout", "timeout", "reset", "protocol", "restarted", "overflowed"}[k]
}

// A Backend is the health of one server, shared by all loops of the process: what
// one has found out is known to all. It may be used by many goroutines.
//
// AdmitsRead, AdmitsWrite, State and Answered are for every request: one atomic
// load while the backend is up. All other methods lock and are for when something
// happens.
type Backend struct {
	state    atomic.Uint32
	fails    atomic.Int32 // in a row; 0 is what Answered wants to see
	rampFrom atomic.Int64
	ramp     atomic.Int64 // Options.Ramp
	stale    atomic.Bool

	pool    *Pool
	opt     Options
	journal *Journal
	unit    func() float64 // random, from 0 up to 1

	mu struct {
		sync.Mutex
		firstFail, lastFail int64
		// spoiled says that the backend failed while it was fenced: the fence runs on,
		// for only its end gives the probe back, but it will not count.
		spoiled   bool
		interval  int64 // between probes
		nextProbe int64
		lastProbe int64
		hold      int64 // how long it was held down last
		flaps     int
		returned  bool
		upAt      int64 // end of the last fence, if returned
		met       bool  // known is what the node said
		known     Identity
		fencing   Identity // what it said to the probe
		downs     uint64
		removed   bool
		since     int64    // of the state
		kind      Kind     // of the failure that took it down last
		last      Decision // the last one
	}
}

// NewBackend returns a backend of p that is up, and whose journal is empty and
// complete from now on. Remove ends it.
func (p *Pool) NewBackend(now int64, opt Options) *Backend {
	p.backends.Add(1)
	b := &Backend{pool: p, opt: opt, unit: rand.Float64, journal: NewJournal(now, opt.JournalKeys, opt.JournalBytes)}
	b.mu.since = now
	b.ramp.Store(opt.Ramp)
	return b
}

// Retime has b use those of the Options from now on; what has begun goes by the new ramp.
func (b *Backend) Retime(ramp, holdMin, holdMax int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ramp.Store(ramp)
	b.opt.HoldMin, b.opt.HoldMax = holdMin, holdMax
}

// Remove takes b out of the pool's count. What is reported of b afterwards, by
// loops that do not know yet, changes b and no count.
func (p *Pool) Remove(b *Backend) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mu.removed {
		return
	}
	b.mu.removed = true
	p.backends.Add(-1)
	if isDown(b.State()) {
		p.down.Add(-1)
	}
}

// Journal returns the backend's journal of unacknowledged writes.
func (b *Backend) Journal() *Journal { return b.journal }

// State returns the state as it is. A ramp whose time is over may still show.
func (b *Backend) State() State { return State(b.state.Load()) }

// Stale says that the node was not flushed though it may have items that are
// older than they should be, because Policy.ServeStale wants that.
func (b *Backend) Stale() bool { return b.stale.Load() }

// AdmitsRead says whether a read of the key with that hash may be sent. Any hash
// will do that is the same each time.
func (b *Backend) AdmitsRead(keyHash uint64, now int64) bool {
	switch b.State() {
	case Up:
		return true
	case Ramping:
		return b.admitsRamping(keyHash, now)
	}
	return false
}

// AdmitsWrite says whether a write may be sent. One that is not sent goes to the
// journal, as one that is not acknowledged.
func (b *Backend) AdmitsWrite() bool {
	switch b.State() {
	case Down, Probing:
		return b.pool.Open()
	}
	return true
}

// admitsRamping lets a share of the keys through that grows from rampStart to
// all. A key that has been let through stays so until the end.
func (b *Backend) admitsRamping(keyHash uint64, now int64) bool {
	gone, ramp := now-b.rampFrom.Load(), b.ramp.Load()
	if gone >= ramp || b.pool.Open() {
		b.endRamp(now)
		return true
	}
	// The keys of one backend have bits of the hash in common that placed them, so
	// it is mixed again (the last steps of MurmurHash3's 64 bits).
	keyHash ^= keyHash >> 33
	keyHash *= 0xff51afd7ed558ccd
	keyHash ^= keyHash >> 33
	keyHash *= 0xc4ceb9fe1a85ec53
	keyHash ^= keyHash >> 33
	share := rampStart + (1-rampStart)*float64(max(gone, 0))/float64(ramp)
	return float64(keyHash>>32) < share*(1<<32)
}

// rampStart is the share of the keys that is read when a ramp begins.
const rampStart = 0.05

// endRamp makes a ramp that is over, or not needed, the end of the return. b may
// have changed since the caller looked.
func (b *Backend) endRamp(now int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.State() == Ramping && (now-b.rampFrom.Load() >= b.ramp.Load() || b.pool.Open()) {
		b.become(Up, now)
	}
}

// become changes the state, and the pool's count with it. Caller holds b.mu.
func (b *Backend) become(s State, now int64) {
	before := isDown(b.State())
	if after := isDown(s); after != before && !b.mu.removed {
		if after {
			b.pool.down.Add(1)
		} else {
			b.pool.down.Add(-1)
		}
	}
	b.mu.since = now
	b.state.Store(uint32(s))
}

// isDown says whether a state counts as down in the pool.
func isDown(s State) bool { return s == Down || s == Probing }
