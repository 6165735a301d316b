package slab

import "sync/atomic"

// Copying what lies in a page being emptied to other chunks of its class.

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
	s.step(stepCopied)
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
	s.step(stepCopied)
	defer s.step(stepLinked)
	l := h.large()
	if l.first == ref {
		l.first = to
		s.noteExpiry(h, 0) // the crawler may have come by the copy's place
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
