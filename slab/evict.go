package slab

const (
	// evictTries is how many items at the tail an eviction looks at: some are
	// locked by others at the moment, some active.
	evictTries = 50
	// evictSpare is how many active items one eviction may spare; then an
	// active one dies too, so that an eviction always ends.
	evictSpare = 25
	// evictJuggle is how many items an eviction moves off the hot and the warm
	// list: more than come in, so that these lists keep their limits.
	evictJuggle = 2
)

// victim is an item that has just been taken out of the store.
type victim struct {
	h     *header
	ref   uint32
	state uint32 // the last state word of its life
	free  bool   // no pin holds it: the chunks can be freed
}

// evictLocked takes one item out: a dead one from the tail of the temporary
// list, else the coldest. It reports false if there is none to take. Caller
// holds the class.
func (s *Store) evictLocked(c *class, held hold) (victim, bool) {
	if c.lists[Temp].tail != 0 {
		if v, ok := s.pullLocked(c, Temp, held, true); ok {
			return v, true
		}
	}
	if ver := s.flushVer.Load(); c.swept != ver {
		// A flush leaves the warm list dead, and what comes after it must not
		// make room for that.
		if v, ok := s.pullLocked(c, Warm, held, true); ok {
			return v, true
		}
		c.swept = ver
	}
	if s.adaptive() {
		s.settleLocked(c)
	} else {
		s.juggleLocked(c, Hot, evictJuggle)
		s.juggleLocked(c, Warm, evictJuggle)
	}
	if v, ok := s.pullLocked(c, Cold, held, s.cfg.NoEvict); ok {
		return v, true
	}
	for _, l := range [...]LRU{Hot, Warm} {
		if v, ok := s.pullLocked(c, l, held, s.cfg.NoEvict); ok {
			return v, true
		}
	}
	return victim{}, false
}

// pullLocked takes the item out that is nearest to the tail of a list and can
// be had; if deadOnly, only one that is expired or flushed. Stripes are only
// tried, never waited for: their holders may be waiting for the class. Caller
// holds the class.
func (s *Store) pullLocked(c *class, l LRU, held hold, deadOnly bool) (victim, bool) {
	now := s.now.Load()
	spare := evictSpare
	if !s.knobs.segmented.Load() {
		spare = 0
	}
	prev := uint32(0)
	for ref, tries := c.lists[l].tail, evictTries; ref != 0 && tries > 0; ref, tries = prev, tries-1 {
		h := s.header(ref)
		prev = h.prev
		if ref == held.keep {
			continue
		}
		word := h.loadWord()
		expired, flushed := s.dead(h, h.loadState(), now)
		dead := expired || flushed
		if !dead && deadOnly {
			return victim{}, false
		}
		if !dead && word&markActive != 0 && spare > 0 {
			spare--
			s.moveLocked(c, l, Warm, h, ref)
			if l == Warm {
				c.counts.movesWithinLRU++
			} else {
				c.counts.movesToWarm++
			}
			continue
		}
		hash := s.hash(h.key())
		st := s.stripe(hash)
		if st != held.st && !st.mu.TryLock() {
			c.counts.lruTailReflocked++
			continue
		}
		if !dead {
			s.rememberLocked(st, hash, word)
		}
		s.countVictim(c, h, dead, now)
		v := s.takeOutLocked(c, st, hash, h, ref)
		if st != held.st {
			st.mu.Unlock()
		}
		return v, true
	}
	return victim{}, false
}

// takeOutLocked removes an item from its list and the index and retires it.
// Its key is intact until the caller frees the chunk. Caller holds the item's
// stripe and the class that it counts in.
func (s *Store) takeOutLocked(c *class, st *stripe, hash uint64, h *header, ref uint32) victim {
	if at := s.findRefLocked(st, hash, ref); at.b != nil {
		s.removeLocked(st, at)
	}
	return s.detachLocked(c, h, ref)
}

// detachLocked is takeOutLocked for an item that is out of the index already.
func (s *Store) detachLocked(c *class, h *header, ref uint32) victim {
	state := h.loadState()
	if s.sizes.on() {
		s.sizes.add(Item{h, s, ref}.TotalBytes(), -1)
	}
	s.unlinkLocked(c, wordList(h.loadWord()), h)
	return victim{h: h, ref: ref, state: state, free: s.retireLocked(h, state)}
}

// countVictim counts the eviction or reclaim of an item that is about to be
// taken out, and tells the observer about evictions. Caller holds the class and
// the stripe.
func (s *Store) countVictim(c *class, h *header, dead bool, now uint32) {
	n := &c.counts
	state, word := h.loadState(), h.loadWord()
	if dead {
		n.reclaimed++
		if word&markFetched == 0 {
			n.expiredUnfetched++
		}
		return
	}
	exptime := h.exptime(state)
	if n.evicted++; n.evicted%idleEvictions == 0 {
		s.pressed()
	}
	n.evictedTime = age(state, now)
	if exptime != 0 {
		n.evictedNonzero++
	}
	if word&markFetched == 0 {
		n.evictedUnfetched++
	}
	if word&markActive != 0 {
		n.evictedActive++
	}
	if s.knobs.automove.Load() == 2 {
		s.pageWanted.Store(uint32(c.id))
	}
	if s.observed() {
		ttl := int64(-1)
		if exptime != 0 {
			ttl = int64(exptime) - int64(now)
		}
		s.observe(Event{
			Kind: EventEviction, Class: c.id, Key: h.key(), Binary: state&factBinary != 0,
			Fetched: word&markFetched != 0, TTL: ttl, Idle: age(state, now), Size: h.valueLen(),
		})
	}
}
