package slab

import (
	"sync"
	"sync/atomic"
)

// flushPlan is the one delayed flush that can be pending.
type flushPlan struct {
	done atomic.Uint64 // flushes that have happened

	mu struct {
		sync.Mutex
		at uint32 // second of the store's clock, 0 for none
	}
}

// FlushAll kills every item stored so far: at once if at is 0 or not after
// now, else when the store's clock reaches at. Only one flush can be pending;
// any later flush takes its place. Memory comes back as dead items are met,
// which the crawler sees to.
func (s *Store) FlushAll(at uint32) {
	f := &s.flush
	f.mu.Lock()
	defer f.mu.Unlock()
	s.planFlushLocked(0)
	if at > s.now.Load() {
		s.planFlushLocked(at)
		return
	}
	s.flushNow()
}

// flushNow makes every version given out so far a dead one: items that are
// being stored at this moment may go either way, later ones survive.
func (s *Store) flushNow() {
	ver := s.Version()
	s.raiseFlush(ver)
	if s.journal != nil {
		s.journal.Flushed(ver)
	}
	s.flush.done.Add(1) // whoever sees it can have the journal synced up to it
}

// raiseFlush makes every item of version ver or lower a dead one.
func (s *Store) raiseFlush(ver uint64) {
	for {
		old := s.flushVer.Load()
		if ver <= old || s.flushVer.CompareAndSwap(old, ver) {
			break
		}
	}
	s.crawlSoon.Store(true)
}

// Flushed returns the version up to which items are dead because they were
// flushed, 0 if they never were.
func (s *Store) Flushed() uint64 { return s.flushVer.Load() }

// Flushes returns how many flushes have happened since New, none of them being
// one that is restored or still to come.
func (s *Store) Flushes() uint64 { return s.flush.done.Load() }

// flushDue makes a pending flush happen if its time has come. Tick calls it.
func (s *Store) flushDue(now uint32) {
	f := &s.flush
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.at != 0 && f.mu.at <= now {
		s.flushNow()
		s.planFlushLocked(0)
	}
}

// planFlushLocked sets when the pending flush is due, 0 for none. Caller holds
// the plan.
func (s *Store) planFlushLocked(at uint32) {
	s.flush.mu.at = at
	if s.super != nil {
		s.super.flushAt.Store(at)
	}
}
