package slab

// The adaptive policy. New items wait on the hot list, a small FIFO, and then
// on the cold one, from which they leave; those that were read by the time they
// come to the tail go to the warm list instead, whose tail goes round, or to
// the cold list if it was not read since. Hot and cold together are the
// probation, and its share of a class is what adapts: an item that comes back
// after it left the cold list unread would have been a hit with a larger
// probation, one that had been warm before with a larger warm list.
const (
	probationStart = 0.10
	probationLeast = 0.02
	probationMost  = 0.90
	// hotShare is the share of the hot list in the probation.
	hotShare = 0.2
	// adaptItems is the number of items that a class is taken to have at least,
	// so that no single ghost turns the share around.
	adaptItems = 64
	// settleMoves is how many items an eviction moves between lists, at most;
	// settleMost, while it has found none to evict. A move is made up for by the
	// read or the store that made it due.
	settleMoves = 8
	settleMost  = 500
)

// adaptive reports whether the adaptive policy is at work.
func (s *Store) adaptive() bool {
	return s.index.ghostMin != 0 && s.knobs.segmented.Load()
}

// settleLocked moves items off the tails of the hot and the warm list until the
// cold one has an item to evict and these two have their shares, or it has
// moved enough for one eviction. Caller holds the class.
func (s *Store) settleLocked(c *class) {
	hot, warm, cold := &c.lists[Hot], &c.lists[Warm], &c.lists[Cold]
	room := c.probation * float64(hot.bytes+warm.bytes+cold.bytes)
	for moves := 0; moves < settleMoves || cold.tail == 0 && moves < settleMost; moves++ {
		switch {
		case hot.tail != 0 && (float64(hot.bytes) > hotShare*room || cold.tail == 0 && warm.tail == 0):
			s.passLocked(c, Hot)
		case warm.tail != 0 && (cold.tail == 0 || float64(hot.bytes+cold.bytes) < room):
			s.passLocked(c, Warm)
		default:
			return
		}
	}
}

// passLocked moves the tail of the hot or the warm list to the warm list if it
// was read since it was last looked at, else to the cold one. Caller holds the class.
func (s *Store) passLocked(c *class, l LRU) {
	ref := c.lists[l].tail
	h := s.header(ref)
	switch {
	case h.loadWord()&markActive == 0:
		s.moveLocked(c, l, Cold, h, ref)
		c.counts.movesToCold++
	case l == Warm:
		s.moveLocked(c, l, Warm, h, ref)
		c.counts.movesWithinLRU++
	default:
		s.moveLocked(c, l, Warm, h, ref)
		c.counts.movesToWarm++
	}
}

// rememberLocked makes a ghost of an item that is being evicted; word is the
// item's. Caller holds the stripe.
func (s *Store) rememberLocked(st *stripe, hash, word uint64) {
	if !s.adaptive() {
		return
	}
	kind := ghostCold
	if word&markDemoted != 0 || wordList(word) == Warm {
		kind = ghostWarm
	}
	s.index.ghost(s.ghostHome(st, hash)).add(ghostPrint(hash), kind)
}

// recallLocked takes the ghost of a key that is being stored anew and returns
// its step (see take), 0 if there is none. Caller holds the stripe.
func (s *Store) recallLocked(st *stripe, hash uint64) (step float64) {
	if !s.adaptive() {
		return 0
	}
	if step = s.index.ghost(s.ghostHome(st, hash)).take(ghostPrint(hash)); step != 0 {
		s.recalled()
	}
	return step
}

// adaptLocked counts a recall and makes the probation of the class grow by so
// many items, or shrink. Caller holds the class.
func (c *class) adaptLocked(step float64) {
	c.recalls++
	p := c.probation + step/float64(max(c.items(), adaptItems))
	c.probation = max(probationLeast, min(p, probationMost))
}

// inherit gives an item that replaces another that one's list and marks: the
// value is new, what is known about the key is not. By memcached's rule only
// copies (inPlace) do so. oldWord is the word of the item that is replaced. It
// reports whether that changed anything.
func (s *Store) inherit(f *fresh, oldWord uint64, inPlace bool) bool {
	if !inPlace && (!s.adaptive() || f.list == Temp) {
		return false
	}
	const kept = markActive | markDemoted
	list, marks := wordList(oldWord), f.marks&^kept|oldWord&kept
	if !inPlace && list == Temp {
		list = Hot
	}
	changed := list != f.list || marks != f.marks
	f.list, f.marks = list, marks
	return changed
}
