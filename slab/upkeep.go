package slab

import (
	"sync"
	"sync/atomic"
	"time"
)

// upkeep is the state of the background work. Its locks come before all
// others: work, then move or crawl, then stripe, class and pool.
type upkeep struct {
	flush flushPlan
	moves moveCounts
	move  moveJob
	crawl crawlJob

	recalls recallCount

	// shrinkFrom is what was in use when the limit was lowered, or after the
	// last page given up since, in bytes. Guarded by the pool.
	shrinkFrom int64

	juggles atomic.Uint64
	// crawlSoon makes every list due: a flush left it full of dead items.
	crawlSoon atomic.Bool
	// moverStale asks for a fresh window: counters or the window's size changed.
	moverStale atomic.Bool

	// work belongs to Maintain.
	work struct {
		sync.Mutex
		slept   time.Duration // what the last step asked for
		second  uint32        // of the last once-a-second work, 0 before the first
		juggles [classMax + 1]juggleTimer
		mover   *automover
		follower
	}
}

// startUpkeep makes the background work ready; New calls it last.
func (s *Store) startUpkeep() error {
	s.moverStale.Store(true)
	s.crawl.share = crawlShare
	s.recalls.urgent = make(chan struct{}, 1)
	if s.cfg.Prealloc && !s.arena.lent {
		pageBytes := uint64(s.cfg.PageBytes)
		pages := uint64(s.cfg.LimitBytes) / pageBytes
		clear(s.arena.bytes(pageBytes, pages*pageBytes)) // writing is what makes the system give it
	}
	return nil
}

// Tick sets the store's clock, in seconds. A time before the present one is
// ignored: the clock never goes back. A delayed flush happens here.
func (s *Store) Tick(now uint32) {
	s.raiseNow(now)
	if s.super != nil {
		s.super.now.Store(s.now.Load())
	}
	s.flushDue(s.now.Load())
}

// raiseNow sets the clock unless that would put it back.
func (s *Store) raiseNow(now uint32) {
	for {
		old := s.now.Load()
		if now <= old || s.now.CompareAndSwap(old, now) {
			return
		}
	}
}

// Bounds of one Maintain step.
const (
	maintainIdle = 200 * time.Millisecond // longest pause
	maintainBusy = time.Millisecond       // pause when there is more to do
	juggleStep   = 500                    // items of a class moved per step
	lockStep     = 64                     // items per lock hold
	drainPace    = 512                    // chunks moved per step
)

// Maintain does one bounded step of everything that is due: it keeps the LRU
// lists in order, searches for expired items, moves pages and keeps
// memory under the limit. It returns how long to wait before the next step.
// Call it in a loop from one goroutine; it holds no lock for long.
func (s *Store) Maintain() (again time.Duration) {
	u := &s.work
	u.Lock()
	defer u.Unlock()
	again = maintainIdle
	now := s.now.Load()
	everySecond := now != u.second
	u.second = now
	if s.cfg.Maintainer {
		again = min(again, s.juggleDue(u.slept))
		if everySecond {
			s.crawlDue(now)
		}
	}
	if everySecond && s.cfg.SlabReassign {
		s.automove()
	}
	if everySecond && s.super != nil {
		s.super.items.Store(s.countItems())
	}
	again = min(again, s.followDemand(), s.moveStep(), s.crawlStep(now))
	u.slept = again
	return again
}

// juggleTimer spreads the work on the lists of a class: often while there is
// something to move, ever more rarely while there is not.
type juggleTimer struct {
	wait, pause time.Duration
}

// due reports whether the class is due after so much time.
func (t *juggleTimer) due(slept time.Duration) bool {
	t.wait = max(t.wait-max(slept, maintainBusy), 0)
	return t.wait == 0
}

// done sets the next time, by whether there was anything to move.
func (t *juggleTimer) done(moved bool) {
	switch {
	case !moved:
		t.pause = min(max(t.pause+t.pause/8, maintainBusy), time.Second)
	case t.pause/2 < maintainBusy:
		t.pause = 0
	default:
		t.pause /= 2
	}
	t.wait = t.pause
}

// juggleDue keeps the lists of every class that is due.
func (s *Store) juggleDue(slept time.Duration) (again time.Duration) {
	again = time.Second
	s.juggles.Add(1)
	for id := 1; id < len(s.classes); id++ {
		t := &s.work.juggles[id]
		if t.due(slept) {
			t.done(s.juggle(&s.classes[id]) > 0)
		}
		again = min(again, max(t.wait, maintainBusy))
	}
	return again
}

// juggle takes dead items off the tails of a class and moves others between
// its lists. It returns how many items it dealt with.
func (s *Store) juggle(c *class) (moved int) {
	moved = s.reapTail(c, Temp) + s.reapTail(c, Cold)
	if s.adaptive() { // evictions keep the lists
		return moved + s.reapTail(c, Hot) + s.reapTail(c, Warm)
	}
	for moved < juggleStep {
		c.mu.Lock()
		n := s.juggleLocked(c, Hot, lockStep) + s.juggleLocked(c, Warm, lockStep)
		c.mu.Unlock()
		moved += n
		if n < lockStep {
			break
		}
	}
	return moved
}

// reapTail takes dead items off the tail of a list until the first live one.
func (s *Store) reapTail(c *class, l LRU) (reaped int) {
	for ; reaped < juggleStep; reaped++ {
		c.mu.Lock()
		v, ok := s.pullLocked(c, l, hold{}, true)
		c.mu.Unlock()
		if !ok {
			return reaped
		}
		if v.free {
			s.freeItem(v.h, v.ref, v.state)
		}
	}
	return reaped
}
