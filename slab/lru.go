package slab

// linkLocked puts an item at the head of a list. The word names the list
// already. Caller holds the class.
func (s *Store) linkLocked(c *class, l LRU, h *header, ref uint32) {
	li := &c.lists[l]
	h.prev, h.next = 0, li.head
	if li.head != 0 {
		s.header(li.head).prev = ref
	} else {
		li.tail = ref
	}
	li.head = ref
	li.n++
	li.bytes += h.itemBytes()
}

// joinLocked links an item that is new to the class. Caller holds the class.
func (s *Store) joinLocked(c *class, l LRU, h *header, ref uint32) {
	s.linkLocked(c, l, h, ref)
	s.noteExpiryLocked(c, h, ref)
}

// unlinkLocked takes an item off its list. Caller holds the class.
func (s *Store) unlinkLocked(c *class, l LRU, h *header) {
	li := &c.lists[l]
	if h.prev != 0 {
		s.header(h.prev).next = h.next
	} else {
		li.head = h.next
	}
	if h.next != 0 {
		s.header(h.next).prev = h.prev
	} else {
		li.tail = h.prev
	}
	li.n--
	li.bytes -= h.itemBytes()
}

// swapLocked puts an item where another was on a list. Both are of the class;
// the caller holds it.
func (s *Store) swapLocked(c *class, l LRU, old, h *header, ref uint32) {
	li := &c.lists[l]
	h.prev, h.next = old.prev, old.next
	if h.prev != 0 {
		s.header(h.prev).next = ref
	} else {
		li.head = ref
	}
	if h.next != 0 {
		s.header(h.next).prev = ref
	} else {
		li.tail = ref
	}
	li.bytes += h.itemBytes() - old.itemBytes()
	s.noteExpiryLocked(c, h, ref)
}

// moveLocked moves an item to the head of another list, or of the same, takes
// its active mark and notes whether it was demoted. Caller holds the class.
func (s *Store) moveLocked(c *class, from, to LRU, h *header, ref uint32) {
	s.unlinkLocked(c, from, h)
	bits := uint64(to) << wordListShift
	if from == Warm && to == Cold {
		bits |= markDemoted
	}
	h.setWord(wordListMask|markActive|markDemoted, bits)
	s.linkLocked(c, to, h, ref)
}

// listFor returns the list on which a new item starts.
func (s *Store) listFor(exptime, now uint32) LRU {
	if !s.knobs.segmented.Load() {
		return Cold
	}
	if t := s.knobs.tempTTL.Load(); t >= 0 && exptime != 0 && int64(exptime)-int64(now) <= t {
		return Temp
	}
	return Hot
}

// tailAge returns the seconds since the tail of a list was accessed, 0 if the
// list is empty. Caller holds the class.
func (s *Store) tailAge(c *class, l LRU) uint32 {
	tail := c.lists[l].tail
	if tail == 0 {
		return 0
	}
	return age(s.header(tail).loadState(), s.now.Load())
}

// coldAge returns the seconds since the item that is to leave next was
// accessed. The cold list of the adaptive policy is empty until the first
// eviction. Caller holds the class.
func (s *Store) coldAge(c *class) uint32 {
	if c.lists[Cold].tail == 0 && s.adaptive() {
		return max(s.tailAge(c, Hot), s.tailAge(c, Warm))
	}
	return s.tailAge(c, Cold)
}

// juggleLocked moves up to tries items off the tail of the hot or the warm
// list: active ones to the head of the warm list, others to the cold one while
// the list is too large or its tail too old. It returns how many it moved.
// Only the class is needed, no stripe: items stay where they are. Caller holds
// the class.
func (s *Store) juggleLocked(c *class, l LRU, tries int) (moved int) {
	li := &c.lists[l]
	if li.tail == 0 {
		return 0
	}
	k := &s.knobs
	pct, factor := uint64(k.hotPct.Load()), k.hotFactor.Load()
	if l == Warm {
		pct, factor = uint64(k.warmPct.Load()), k.warmFactor.Load()
	}
	if !k.segmented.Load() {
		pct, factor = 0, 0 // the lists were left over when the LRU went flat
	}
	total := c.lists[Hot].bytes + c.lists[Warm].bytes + c.lists[Cold].bytes
	limit := total * pct / 100
	ageMax := float64(s.tailAge(c, Cold)) * factor
	now := s.now.Load()
	for ; moved < tries && li.tail != 0; moved++ {
		ref := li.tail
		h := s.header(ref)
		switch {
		case h.loadWord()&markActive != 0:
			s.moveLocked(c, l, Warm, h, ref)
			if l == Warm {
				c.counts.movesWithinLRU++
			} else {
				c.counts.movesToWarm++
			}
		case li.bytes > limit || float64(age(h.loadState(), now)) > ageMax:
			s.moveLocked(c, l, Cold, h, ref)
			c.counts.movesToCold++
		default:
			return moved
		}
	}
	return moved
}

// bump notes a read. Active is what saves an item at the tail of its list: the
// first read since that tail was looked at makes it so, by memcached's rule the
// second. That one also refreshes the access time; an item that is fetched and
// active is not written to at all. Caller holds the stripe.
func (s *Store) bump(h *header, ref, state uint32, word uint64, now uint32) {
	if !s.knobs.segmented.Load() {
		s.bumpFlat(h, ref, state, word, now)
		return
	}
	switch {
	case word&(markActive|markFetched) == markActive|markFetched:
	case s.adaptive():
		h.mark(markActive | markFetched)
		h.touch(state, now)
	case word&markActive != 0:
	case word&markFetched == 0:
		h.mark(markFetched)
	default:
		h.mark(markActive)
		h.touch(state, now)
	}
}

// bumpFlat moves the item to the head of the only list, at most once a minute.
func (s *Store) bumpFlat(h *header, ref, state uint32, word uint64, now uint32) {
	if word&markFetched == 0 {
		h.mark(markFetched)
	}
	if age(state, now) < flatBumpSec {
		return
	}
	h.touch(state, now)
	c := &s.classes[wordClass(word)]
	c.mu.Lock()
	l := wordList(h.loadWord())
	s.moveLocked(c, l, l, h, ref)
	c.mu.Unlock()
}

// flatBumpSec is how often a flat list moves an item that is read all the time.
const flatBumpSec = 60
