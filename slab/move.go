package slab

import (
	"slices"
	"sync/atomic"
)

// Emptying a page so that it can go to another class. Items in it are copied
// to other chunks of the class while there are any (making room at the cold
// tail if need be), else evicted. A chunk that cannot go at the moment is busy:
// it is passed over and tried again in the next pass.

// moveCounts count what moving pages did.
type moveCounts struct {
	moved, rescues, chunkRescues atomic.Uint64
	inlineReclaim                atomic.Uint64
	busyItems, busyDeletes       atomic.Uint64
	busyNoMem                    atomic.Uint64
	lastBusy                     atomic.Int32
}

// Why a chunk was busy, as LastBusyStatus tells it.
const (
	busyNone    = iota
	busyFilling // a value is being received into it
	busyPinned  // a reply is being sent from it
	busyLocked  // its stripe is locked
)

// drain is the work of emptying one page.
type drain struct {
	c    *class
	page uint32
	next uint32 // chunk at which to go on
	held hold
	// rescue copies live items instead of evicting them; force takes pinned
	// items out of the store, so that they free themselves when unpinned.
	rescue, force bool
	busy          int      // chunks passed over in this pass
	avoid         []uint32 // pages that could not be emptied a moment ago
}

// drained is how a step of draining ended.
type drained uint8

const (
	drainMore  drained = iota // the pass goes on
	drainAgain                // the pass is over and chunks are still in use
	drainEmpty                // the page is empty and has left its class: it is the caller's
)

// drainPage takes a page of the class out of use: of those looked at, the one with the fewest chunks
// given out. It reports false if the class has none to drain.
func (s *Store) drainPage(c *class, d *drain) bool {
	const looks = 64
	c.mu.Lock()
	defer c.mu.Unlock()
	best := uint32(0)
	from := 0
	if len(c.own) > looks {
		from = int(s.ver.Load() % uint64(len(c.own))) // anywhere: every page gets its turn
	}
	for i := range min(looks, len(c.own)) {
		n := c.own[(from+i)%len(c.own)]
		if s.pages[n].state != pageAssigned || slices.Contains(d.avoid, n) {
			continue
		}
		if best == 0 || s.pages[n].used < s.pages[best].used {
			best = n
		}
	}
	if best == 0 {
		return false
	}
	s.drainLocked(c, best)
	d.c, d.page, d.next, d.busy = c, best, 0, 0
	return true
}

// undrain gives up: the page goes on serving its class.
func (s *Store) undrain(d *drain) {
	d.c.mu.Lock()
	s.undrainLocked(d.c, d.page)
	d.c.mu.Unlock()
}

// drainStep looks at up to so many chunks.
func (s *Store) drainStep(d *drain, chunks int) drained {
	for range chunks {
		d.c.mu.Lock()
		pg := &s.pages[d.page]
		if pg.used == 0 {
			s.removePageLocked(d.c, d.page)
			d.c.mu.Unlock()
			return drainEmpty
		}
		if d.next >= pg.bump {
			d.c.mu.Unlock()
			d.next, d.busy = 0, 0
			return drainAgain
		}
		ref := d.page<<s.pageShift + d.next*d.c.unit
		d.next++
		h := s.header(ref)
		var hash uint64
		state := h.loadState()
		switch state & stateMask {
		case stateLive:
			// The chunk is not used for another item while the class is
			// locked, so the key can be read whatever happens to the item.
			hash = s.hash(h.key())
		case statePart:
			hash = uint64(s.part(ref).hash)
		}
		d.c.mu.Unlock()
		switch state & stateMask {
		case stateLive:
			s.drainChunk(d, hash, ref, s.moveItem)
		case statePart:
			s.drainChunk(d, hash, ref, s.movePart)
		case stateRetired:
			s.passOver(d, busyPinned)
		}
	}
	return drainMore
}

// passOver counts a chunk that cannot go now.
func (s *Store) passOver(d *drain, why int) {
	d.busy++
	s.moves.busyItems.Add(1)
	s.moves.lastBusy.Store(int32(why))
}

// drainChunk locks the stripe that owns a chunk and has it moved.
func (s *Store) drainChunk(d *drain, hash uint64, ref uint32, move func(*drain, *stripe, uint64, uint32) victim) {
	st := s.stripe(hash)
	if d.held.st == nil {
		st.mu.Lock()
	} else if st != d.held.st && !st.mu.TryLock() {
		s.passOver(d, busyLocked) // waiting for it with another stripe held could be for ever
		return
	}
	v := move(d, st, hash, ref)
	if st != d.held.st {
		st.mu.Unlock()
	}
	if v.free {
		s.freeItem(v.h, v.ref, v.state)
	}
}

// moveItem moves an item's own chunk. It returns the item if it was taken out
// of the store instead. Caller holds the stripe that hash names.
func (s *Store) moveItem(d *drain, st *stripe, hash uint64, ref uint32) victim {
	h := s.header(ref)
	at := s.findRefLocked(st, hash, ref)
	if at.b == nil {
		return victim{} // gone since, or not entered yet
	}
	if ref == d.held.keep {
		s.passOver(d, busyLocked)
		return victim{}
	}
	state := h.loadState()
	if expired, flushed := s.dead(h, state, s.now.Load()); expired || flushed {
		s.moves.inlineReclaim.Add(1)
		return s.expel(st, at, h, ref, true)
	}
	if state&factLarge != 0 && atomic.LoadUint32(&h.large().pins) != 0 {
		return s.movePinned(d, st, at, h, ref)
	}
	if d.rescue {
		if to := s.roomFor(d, st, ref); to != 0 {
			s.copyItem(at, h, state, to)
			s.freeChunk(ref)
			s.moves.rescues.Add(1)
			return victim{}
		}
	}
	return s.moveByEviction(d, st, at, h, ref)
}

// moveByEviction evicts an item for which no other chunk can be had, unless
// nothing may be evicted.
func (s *Store) moveByEviction(d *drain, st *stripe, at place, h *header, ref uint32) victim {
	s.moves.busyNoMem.Add(1)
	if s.cfg.NoEvict && !d.force {
		d.busy++
		return victim{}
	}
	return s.expel(st, at, h, ref, false)
}

// movePinned deals with an item that replies are being sent from.
func (s *Store) movePinned(d *drain, st *stripe, at place, h *header, ref uint32) victim {
	s.passOver(d, busyPinned)
	if !d.force {
		return victim{}
	}
	s.moves.busyDeletes.Add(1)
	return s.expel(st, at, h, ref, false)
}

// expel takes an item out of the store, as dead or evicted. Caller holds the stripe.
func (s *Store) expel(st *stripe, at place, h *header, ref uint32, dead bool) victim {
	c := &s.classes[wordClass(h.loadWord())]
	s.removeLocked(st, at)
	c.mu.Lock()
	defer c.mu.Unlock()
	s.countVictim(c, h, dead, s.now.Load())
	return s.detachLocked(c, h, ref)
}
