package persist

import (
	"sync"
	"sync/atomic"
	"time"
)

// stallAfter is how long an operation on the disk may take before it counts as
// a trouble of its own.
const stallAfter = 10 * time.Second

// waiter waits for a position.
type waiter struct {
	pos  uint64
	till int64
	wake func()
}

// waiters are those that wait, in the order in which their time is over.
type waiters struct {
	mu struct {
		sync.Mutex
		list    []waiter
		watched bool // the watchdog looks often
		closed  bool
	}
}

// add has wake called later. It reports false if there is nothing to wait for.
func (w *waiters) add(j *journal, pos uint64, wake func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	// Who raises synced looks at the list afterwards, so one of the two sees it.
	if w.mu.closed || j.Synced(pos) {
		return false
	}
	w.mu.list = append(w.mu.list, waiter{pos, j.now() + int64(j.conf.timeout), wake})
	if !w.mu.watched {
		w.mu.watched = true
		ring(j.watch)
	}
	return true
}

// watched reports whether somebody waits, and takes it that the watchdog acts on it.
func (w *waiters) watched() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mu.watched = len(w.mu.list) > 0
	return w.mu.watched
}

// wake wakes those whose position is reached or whose time is over, and returns
// how many the latter are. With end it wakes all, and there will be no more.
func (w *waiters) wake(synced uint64, now int64, end bool) (late uint64) {
	w.mu.Lock()
	w.mu.closed = w.mu.closed || end
	var due []waiter
	left := w.mu.list[:0]
	for _, x := range w.mu.list {
		if end || x.pos <= synced || x.till <= now {
			due = append(due, x)
		} else {
			left = append(left, x)
		}
	}
	clear(w.mu.list[len(left):])
	w.mu.list = left
	w.mu.Unlock()
	for _, x := range due {
		if x.pos > synced {
			late++
		}
		x.wake()
	}
	return late
}

func (w *waiters) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.mu.list)
}

// wakeWaiters wakes those that need not or may not wait any longer.
func (j *journal) wakeWaiters(end bool) {
	late := j.waiters.wake(j.synced.Load(), j.now(), end)
	j.counts.timeouts.Add(late)
}

// journalState is what the keeper says of the journal.
type journalState struct {
	degraded bool
	reason   string // why; empty if not
}

// trouble is a reason to be degraded. Several can be there at once; the first
// one is shown.
type trouble int

const (
	troubleStall trouble = iota
	troubleDisk
	troubleGap
	troubleCount
)

// health turns troubles into a state.
type health struct {
	mu struct {
		sync.Mutex
		reasons [troubleCount]string
		state   journalState
	}
	telling sync.Mutex   // held while the keeper is told, so that it hears changes in order
	began   atomic.Int64 // when the operation on the disk that is under way began, 0 if none is
	stalled bool         // the watchdog's
}

// setTrouble says why there is a trouble, "" that there is none.
func (j *journal) setTrouble(t trouble, reason string) {
	j.health.telling.Lock()
	defer j.health.telling.Unlock()
	j.setTroubleLocked(t, reason)
}

// setTroubleLocked is setTrouble for a caller that holds telling.
func (j *journal) setTroubleLocked(t trouble, reason string) {
	h := &j.health
	h.mu.Lock()
	h.mu.reasons[t] = reason
	var s journalState
	for _, r := range h.mu.reasons {
		if r != "" {
			s = journalState{degraded: true, reason: r}
			break
		}
	}
	changed := s.degraded != h.mu.state.degraded
	h.mu.state = s
	h.mu.Unlock()
	if changed && j.conf.onState != nil {
		j.conf.onState(s)
	}
}

// state returns the present state.
func (j *journal) state() journalState {
	j.health.mu.Lock()
	defer j.health.mu.Unlock()
	return j.health.mu.state
}

// watchdog does what must not wait for the disk: it ends waits and notices
// operations that do not come back. It looks often only as long as somebody waits.
func (j *journal) watchdog() {
	defer j.done.Done()
	idle := j.conf.stall / 20
	period := min(max(j.conf.timeout/20, time.Millisecond), idle)
	tick := time.NewTimer(idle)
	defer tick.Stop()
	for {
		select {
		case <-j.stop:
			return
		case <-j.watch:
		case <-tick.C:
		}
		j.wakeWaiters(false)
		j.checkStall()
		if j.waiters.watched() {
			tick.Reset(period)
		} else {
			tick.Reset(idle)
		}
	}
}

const stallReason = "the disk does not answer"

// checkStall looks at the operation that is under way.
func (j *journal) checkStall() {
	j.noteGap()
	began := j.health.began.Load()
	stalled := began != 0 && j.now()-began >= int64(j.conf.stall)
	if stalled == j.health.stalled {
		return
	}
	j.health.stalled = stalled
	if stalled {
		j.setTrouble(troubleStall, stallReason)
	} else {
		j.setTrouble(troubleStall, "")
	}
}

const gapReason = "changes are missing in the journal until a snapshot is made"

// noteGap makes a gap a trouble. The flusher, which would know best, may be
// waiting for the disk. It clears the trouble after stopped, so a gap that is
// seen here under the lock is still to be cleared.
func (j *journal) noteGap() {
	j.health.telling.Lock()
	defer j.health.telling.Unlock()
	if j.stopped.Load() && !j.closed.Load() {
		j.setTroubleLocked(troubleGap, gapReason)
	}
}

// beginIO and endIO enclose every operation of the flusher's on the disk.
func (j *journal) beginIO() int64 {
	now := max(j.now(), 1)
	j.health.began.Store(now)
	return now
}

func (j *journal) endIO() { j.health.began.Store(0) }
