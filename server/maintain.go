package server

import (
	"sync"
	"time"
)

// How often the maintainer wakes.
const (
	tickEvery        = time.Second
	maintainPauseMin = time.Millisecond
)

// maintainer is the one goroutine that does the store's background work: it
// ticks the clock once a second and runs Store.Maintain, a bounded step at a
// time, as often as the store asks for it.
type maintainer struct {
	mu struct {
		sync.Mutex
		quit    chan struct{}
		done    chan struct{}
		stopped bool
	}
}

// start begins the work for n, unless it has begun or been stopped.
func (m *maintainer) start(n *Node) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.quit != nil || m.mu.stopped {
		return
	}
	m.mu.quit, m.mu.done = make(chan struct{}), make(chan struct{})
	go n.maintain(m.mu.quit, m.mu.done)
}

// stop ends the work and waits for the end.
func (m *maintainer) stop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.quit != nil && !m.mu.stopped {
		close(m.mu.quit)
		<-m.mu.done
	}
	m.mu.stopped = true
}

// maintain is the maintainer's goroutine.
func (n *Node) maintain(quit <-chan struct{}, done chan<- struct{}) {
	defer close(done)
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	work := time.NewTimer(0)
	defer work.Stop()
	for {
		select {
		case <-quit:
			return
		case <-tick.C:
			n.tick()
		case <-work.C:
			// A pause even when there is more to do: the loops come first.
			work.Reset(max(n.store.Maintain(), maintainPauseMin))
		case <-n.store.Urgent():
			work.Reset(max(n.store.Maintain(), maintainPauseMin))
		}
	}
}
