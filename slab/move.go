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

// roomFor returns a chunk of the drained page's class, 0 if none can be had: a
// free one, else one of a new page, else that of the coldest item but keep.
// Caller holds the stripe.
func (s *Store) roomFor(d *drain, st *stripe, keep uint32) uint32 {
	const tries = 3
	for range tries {
		d.c.mu.Lock()
		to := s.takeChunkLocked(d.c)
		d.c.mu.Unlock()
		if to == 0 {
			to = s.allocFromPool(d.c)
		}
		if to != 0 || s.cfg.NoEvict {
			return to
		}
		d.c.mu.Lock()
		v, ok := s.evictLocked(d.c, hold{st: st, keep: keep})
		d.c.mu.Unlock()
		if !ok {
			return 0
		}
		if v.free {
			s.freeItem(v.h, v.ref, v.state)
		}
	}
	return 0
}

// copyItem copies an item into a free chunk of its class and puts the copy in
// its place: live before the old one ends, with the same version (I4, I5).
// Caller holds the stripe, under which nothing but the word and the links of
// the item changes; these are taken over under the class lock.
func (s *Store) copyItem(at place, h *header, state uint32, to uint32) {
	n := int(bodyOffset(state)) + h.keyLen()
	if !h.chained(state) {
		n += h.valueLen()
	}
	dst := s.header(to)
	dst.setState(state &^ stateMask)
	dst.lens = h.lens
	copy(dst.body(n), h.body(n))
	c := &s.classes[wordClass(h.loadWord())]
	c.mu.Lock()
	word := h.loadWord()
	atomic.StoreUint64(&dst.word, word)
	s.swapLocked(c, wordList(word), h, dst, to)
	dst.setState(state)
	at.b.refs[at.slot] = to
	c.mu.Unlock()
	if h.chained(state) {
		for ref := h.large().first; ref != 0; {
			p := s.part(ref)
			p.owner = to
			ref = p.next
		}
	}
	h.setState(state &^ stateMask)
}

// movePart moves a piece of a chained value. It returns the item if that was
// taken out of the store instead. Caller holds the stripe that hash names.
func (s *Store) movePart(d *drain, st *stripe, hash uint64, ref uint32) victim {
	owner := s.ownerOf(d.c, ref, hash)
	if owner == 0 {
		s.passOver(d, busyPinned)
		return victim{}
	}
	h := s.header(owner)
	state := h.loadState()
	at := s.findRefLocked(st, s.hash(h.key()), owner)
	if at.b == nil || owner == d.held.keep {
		s.passOver(d, busyLocked)
		return victim{}
	}
	if expired, flushed := s.dead(h, state, s.now.Load()); expired || flushed {
		s.moves.inlineReclaim.Add(1)
		return s.expel(st, at, h, owner, true)
	}
	if atomic.LoadUint32(&h.large().pins) != 0 {
		return s.movePinned(d, st, at, h, owner)
	}
	if d.rescue {
		if to := s.roomFor(d, st, owner); to != 0 {
			s.copyPart(h, ref, to)
			s.freeChunk(ref)
			s.moves.chunkRescues.Add(1)
			return victim{}
		}
	}
	return s.moveByEviction(d, st, at, h, owner)
}

// ownerOf returns the live item that a piece belongs to, 0 if there is none. c
// is the piece's class, hash what its hash field held. Caller holds the stripe
// that hash names.
func (s *Store) ownerOf(c *class, ref uint32, hash uint64) (owner uint32) {
	p := s.part(ref)
	c.mu.Lock()
	if p.loadState()&stateMask == statePart && uint64(p.hash) == hash {
		owner = p.owner
	}
	c.mu.Unlock()
	// While a piece is a part, its owner's chunk is not used for anything else.
	if owner == 0 || !isLive(s.header(owner).loadState()) {
		return 0
	}
	return owner
}

// copyPart copies a piece into a free chunk and links the copy in its place.
// Caller holds the stripe; nobody has the item pinned.
func (s *Store) copyPart(h *header, ref, to uint32) {
	p, dst := s.part(ref), s.part(to)
	dst.next, dst.owner, dst.used, dst.hash = p.next, p.owner, p.used, p.hash
	copy(dst.bytes(p.used), p.bytes(p.used))
	dst.setState(statePart)
	l := h.large()
	if l.first == ref {
		l.first = to
		return
	}
	for at := l.first; at != 0; {
		before := s.part(at)
		if before.next == ref {
			before.next = to
			return
		}
		at = before.next
	}
}

// stealPage empties a page of another class at once and gives it to c: the
// last resort of an allocation in a class that has nothing to evict. It
// reports false if no class had a page that could be emptied. The caller may
// hold a stripe, named in held, but no class.
func (s *Store) stealPage(c *class, held hold) bool {
	const (
		tries = 8
		step  = 64
	)
	var seen sights
	var failed [tries]uint32
	s.sight(&seen)
	for try := range tries {
		src := pickSource(&seen, int(c.id), 1) // better a class without memory than a client
		if src == 0 {
			return false
		}
		d := drain{held: held, avoid: failed[:try]}
		if !s.drainPage(&s.classes[src], &d) {
			seen[src].Pages = 0
			continue
		}
		how := drainMore
		if s.filling(&d) {
			how = drainAgain // it would be emptied in vain
		}
		for how == drainMore {
			how = s.drainStep(&d, step)
		}
		if how == drainEmpty {
			s.reassignPage(d.page, c)
			return true
		}
		s.undrain(&d)
		failed[try] = d.page
		seen[src].TailAge, seen[src].FreeChunks = 0, 0 // rather another class now
	}
	return false
}

// filling reports whether a value is being received into a draining page.
func (s *Store) filling(d *drain) bool {
	d.c.mu.Lock()
	used, bump := s.pages[d.page].used, s.pages[d.page].bump
	d.c.mu.Unlock()
	for i := range bump {
		h := s.header(d.page<<s.pageShift + i*d.c.unit)
		if h.loadState()&stateMask != stateFree {
			used--
		}
	}
	return int32(used) > 0
}

// reassignPage gives an empty page that was taken from a class to another.
func (s *Store) reassignPage(n uint32, c *class) {
	pageBytes := uint64(s.cfg.PageBytes)
	clear(s.arena.bytes(uint64(n)*pageBytes, pageBytes)) // I7
	c.mu.Lock()
	s.assignLocked(c, n)
	c.mu.Unlock()
	s.moves.moved.Add(1)
}

// sight observes every class.
func (s *Store) sight(out *sights) {
	for id := 1; id < len(s.classes); id++ {
		c := &s.classes[id]
		c.mu.Lock()
		out[id] = classSight{
			Pages:         c.npages,
			ChunksPerPage: c.perPage,
			FreeChunks:    c.freeChunks(),
			Evictions:     c.counts.evicted,
			OutOfMemory:   c.counts.outOfMemory,
			TailAge:       s.tailAge(c, Cold),
		}
		c.mu.Unlock()
	}
}
