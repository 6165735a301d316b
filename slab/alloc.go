package slab

// evictRounds is how often an allocation tries to make room before it gives up.
const evictRounds = 10

// hold says which stripe the caller of an allocation has locked, if any, and
// which item of it must stay.
type hold struct {
	st   *stripe
	keep uint32
}

// alloc returns a chunk of the class that is nobody's, 0 if no memory can be
// had: from the class's own pages, else a new page, else in place of the
// coldest items of the class, else a page of another class.
func (s *Store) alloc(id uint8, held hold) uint32 {
	c := &s.classes[id]
	c.mu.Lock()
	ref := s.takeChunkLocked(c)
	c.mu.Unlock()
	if ref != 0 {
		return ref
	}
	return s.allocSlow(c, held)
}

func (s *Store) allocSlow(c *class, held hold) uint32 {
	if ref := s.allocFromPool(c); ref != 0 {
		return ref
	}
	for range evictRounds {
		c.mu.Lock()
		if ref := s.takeChunkLocked(c); ref != 0 {
			c.mu.Unlock()
			return ref
		}
		v, ok := s.evictLocked(c, held)
		if !ok {
			c.mu.Unlock()
			break
		}
		c.counts.directReclaims++
		if v.free && s.reusableLocked(c, &v) {
			c.mu.Unlock()
			return v.ref
		}
		c.mu.Unlock()
		if v.free {
			s.freeItem(v.h, v.ref, v.state)
		}
	}
	if !s.cfg.NoEvict && s.stealPage(c, held) {
		c.mu.Lock()
		ref := s.takeChunkLocked(c)
		c.mu.Unlock()
		if ref != 0 {
			return ref
		}
	}
	c.mu.Lock()
	c.counts.outOfMemory++
	c.mu.Unlock()
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
