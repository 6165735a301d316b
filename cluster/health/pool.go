package health

import "sync/atomic"

// guardMin is the least number of backends of which "more than half" says
// something about us: a pool of one or two that is gone is simply gone.
const guardMin = 3

// A Pool counts how many of its backends are down. If more than half are, the
// fault is more likely ours, and the pool is open: see the rules of the package.
// It may be used by many goroutines.
type Pool struct {
	backends, down atomic.Int32
}

// Open says that more than half of the pool's backends are down.
func (p *Pool) Open() bool {
	n := p.backends.Load()
	return n >= guardMin && 2*p.down.Load() > n
}

// Counts returns how many backends there are, and how many of them are down or
// being probed.
func (p *Pool) Counts() (backends, down int) {
	return int(p.backends.Load()), int(p.down.Load())
}
