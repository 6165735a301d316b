package slab

// evictRounds is how often an allocation tries to make room before it gives up.
// A victim in a page that is being emptied makes none and does not count: the
// tail of a list may be a whole page of them.
const evictRounds = 10

// hold says which stripe the caller of an allocation has locked, if any, and
// which item of it must stay.
type hold struct {
	st   *stripe
	keep uint32
}

// alloc returns a chunk of the class that is nobody's, and its class; 0 if no
// memory can be had. It comes from the class's own pages, else a new page, else
// in place of the coldest items of the class, else a page of another class. If
// all that fails it is a chunk of a larger class.
func (s *Store) alloc(id uint8, held hold) (ref uint32, class uint8) {
	c := &s.classes[id]
	c.mu.Lock()
	ref = s.takeChunkLocked(c)
	c.mu.Unlock()
	if ref != 0 {
		return ref, id
	}
	if ref = s.allocSlow(c, held); ref != 0 {
		return ref, id
	}
	for larger := int(id) + 1; larger < len(s.classes); larger++ {
		if ref = s.allocOver(&s.classes[larger], &s.classes[larger], held); ref != 0 {
			return ref, uint8(larger)
		}
	}
	c.mu.Lock()
	c.counts.outOfMemory++
	c.mu.Unlock()
	return 0, id
}

// allocSlow is alloc for a class without a free chunk. It returns 0 if the
// class can get none.
func (s *Store) allocSlow(c *class, held hold) uint32 {
	if ref := s.allocFromPool(c); ref != 0 {
		return ref
	}
	if held.st == nil {
		s.helpMove(c)
	}
	if ref := s.allocOver(c, c, held); ref != 0 {
		return ref
	}
	if !s.cfg.NoEvict && s.stealPage(c, held) {
		c.mu.Lock()
		ref := s.takeChunkLocked(c)
		c.mu.Unlock()
		if ref != 0 {
			return ref
		}
	}
	// A class may hold nothing but heads and last pieces of chained items,
	// which are on the lists of the top class.
	return s.allocOver(c, s.top(), held)
}

// allocOver takes items off the lists of from until the class has a chunk to
// give. It returns 0 if that does not come about within a few rounds.
func (s *Store) allocOver(c, from *class, held hold) uint32 {
	for round := 0; round < evictRounds; {
		c.mu.Lock()
		ref := s.takeChunkLocked(c)
		if ref != 0 {
			c.mu.Unlock()
			return ref
		}
		if c != from {
			c.mu.Unlock()
			from.mu.Lock()
		}
		v, ok := s.evictLocked(from, held)
		if !ok {
			from.mu.Unlock()
			return 0
		}
		from.counts.directReclaims++
		if pg := &s.pages[s.pageOf(v.ref)]; pg.class != from.id || pg.state != pageDraining {
			round++
		}
		if c == from && v.free && s.reusableLocked(c, &v) {
			c.mu.Unlock()
			return v.ref
		}
		from.mu.Unlock()
		if v.free {
			s.freeItem(v.h, v.ref, v.state)
		}
	}
	return 0
}

// allocFromPool gives the class a page from the pool, if there is one, and
// returns a chunk of it.
func (s *Store) allocFromPool(c *class) uint32 {
	n := s.takePage()
	if n == 0 {
		return 0
	}
	c.mu.Lock()
	s.assignLocked(c, n)
	ref := s.takeChunkLocked(c)
	c.mu.Unlock()
	return ref
}

// reusableLocked reports whether a victim's chunk can be used again as it is:
// it is of this class, has no pieces elsewhere and its page is not being
// drained. The chunk stays counted as given out. Caller holds the class.
func (s *Store) reusableLocked(c *class, v *victim) bool {
	pg := &s.pages[s.pageOf(v.ref)]
	if v.h.chained(v.state) || pg.class != c.id || pg.state != pageAssigned {
		return false
	}
	v.h.setState(stateFree)
	return true
}
