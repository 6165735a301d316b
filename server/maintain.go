package server

import (
	"sync"
	"time"
)

// How often the maintainer wakes.
const (
	tickEvery        = time.Second
	maintainPauseMin = time.Millisecond
	// busyNap is the longest it sleeps while requests come, even with nothing to
	// do: a virtual machine's processor that has a timer to serve this often is
	// given back sooner when the host has taken it away. p99.9 of gets at half
	// load was 1.7 times memcached's without and 0.8 with it (medians of 6 rounds
	// in one run), and memcached's became 2.4 times as long without its LRU
	// maintainer, which naps for a millisecond. It costs nothing that could be
	// measured.
	busyNap = 2 * time.Millisecond
	// busyBytes is how much is read from clients between two naps, in bytes, when
	// requests are said to come: a few dozen.
	busyBytes = 1 << 10
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
	go n.maintain(n.host, m.mu.quit, m.mu.done)
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
func (n *Node) maintain(host Host, quit <-chan struct{}, done chan<- struct{}) {
	defer close(done)
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	p := pacer{host: host}
	// work does a step when it is time; its end says when the next one is. There
	// is a pause even when there is more to do: the loops come first.
	work := func() {
		if p.left <= 0 {
			p.left = max(n.store.Maintain(), maintainPauseMin)
		}
		timer.Reset(p.nap())
	}
	for {
		select {
		case <-quit:
			return
		case <-tick.C:
			n.tick()
			p.left = 0 // what dies in this second is dead now
			timer.Reset(maintainPauseMin)
		case <-timer.C:
			work()
		case <-n.store.Urgent():
			p.left = 0
			work()
		}
	}
}

// pacer cuts the time until the store's next step into naps.
type pacer struct {
	host Host
	left time.Duration // from the end of the nap until the step
	read uint64        // bytes read from clients until the nap began
}

// nap returns how long to sleep now, and takes it off what is left.
func (p *pacer) nap() time.Duration {
	read := p.host.ConnStats().BytesRead
	busy := read-p.read >= busyBytes // also after a reset of the counters
	p.read = read
	nap := p.left
	if busy {
		nap = min(nap, busyNap)
	}
	p.left -= nap
	return nap
}
