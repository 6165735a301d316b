package slab

// suspect is a chunk of a dead item, or of one that must be asked.
type suspect struct {
	ref  uint32
	hash uint64
}

// verdict says what a look at a chunk has come to.
type verdict uint8

const (
	lookedAlive verdict = iota // or no item at all
	lookedDead
	lookedPart // a piece, perhaps the first of a chained item, which must be asked
)

// crawlClass goes on in the present class: it walks to a page that is worth a
// look, or looks at some chunks of one and takes dead items out. It returns what
// that cost, and whether the class is done. Caller holds the crawl.
func (s *Store) crawlClass(now uint32) (cost int, done bool) {
	c := &s.classes[s.crawl.mu.class]
	at := &c.crawl
	c.mu.Lock()
	if at.page == 0 {
		cost, done = s.nextPageLocked(c, now)
		c.mu.Unlock()
		return cost, done
	}
	if page := at.page; at.chunk >= s.pages[page].bump {
		at.page = 0
		empty := s.takeEmptyLocked(c, page)
		c.mu.Unlock()
		if empty {
			s.giveEmpty(c, page)
			cost = crawlReapCost * lockStep // telling the system takes as long as that
		}
		return cost, false
	}
	var parts [lockStep]suspect
	cost, nparts := s.crawlChunksLocked(c, now, &parts)
	c.mu.Unlock()
	for i := range parts[:nparts] {
		s.reapChained(c, &parts[i], now)
		cost += crawlReapCost
	}
	return cost, cost == 0
}

// nextPageLocked walks over pages until one is worth a look. It returns how many
// it came by and whether they were the last. Caller holds the crawl and the class.
func (s *Store) nextPageLocked(c *class, now uint32) (walked int, done bool) {
	j := &s.crawl
	at := &c.crawl
	for ; walked < lockStep; walked++ {
		if j.mu.left == 0 || len(c.own) == 0 {
			return walked, true
		}
		j.mu.left--
		if at.next == 0 || at.next > len(c.own) {
			at.next = len(c.own)
		}
		at.next--
		pg := &s.pages[c.own[at.next]]
		must := j.mu.all || at.whole > 0
		at.whole = max(at.whole-1, 0)
		if !must && !pg.pays(now, pg.bump) {
			if pg.due > now {
				c.due = min(c.due, pg.due)
				continue
			}
			if j.mu.credit <= 0 {
				c.due = min(c.due, pg.due)
				if j.mu.skipped == 0 {
					j.mu.skipped = at.next + 1
				}
				continue
			}
		}
		j.mu.credit -= int(pg.bump)
		// All that is in the page from now on is noted: by whoever puts it there,
		// or when it is looked at.
		pg.prospect = prospect{due: never}
		at.page, at.chunk = c.own[at.next], 0
		return walked + 1, false
	}
	return walked, false
}

// crawlChunksLocked looks at some chunks of the page and takes dead items out. It
// returns what that cost, 0 if the class has had as many looks as it may have, and
// how many pieces of chained items there are to be asked. Caller holds the crawl
// and the class.
func (s *Store) crawlChunksLocked(c *class, now uint32, parts *[lockStep]suspect) (cost, nparts int) {
	j := &s.crawl
	at := &c.crawl
	first, bump := at.page<<s.pageShift, s.pages[at.page].bump
	end := min(at.chunk+lockStep, bump)
	for chunk := end; lookAhead && chunk < min(end+lockStep, bump); chunk++ {
		s.fetchItem(first + chunk*c.unit)
	}
	toCrawl := uint64(s.knobs.crawlerToCrawl.Load())
	var dead [lockStep]suspect
	ndead := 0
	for ; at.chunk < end && (toCrawl == 0 || j.mu.looked < toCrawl); at.chunk++ {
		cost++
		ref := first + at.chunk*c.unit
		switch sus, v := s.lookLocked(c, ref, now); v {
		case lookedDead:
			dead[ndead] = sus
			ndead++
		case lookedPart:
			parts[nparts] = sus
			nparts++
		}
	}
	for i := range dead[:ndead] {
		s.reapLocked(c, &dead[i], now)
	}
	j.mu.credit += ndead * crawlWorth
	return cost + ndead*crawlReapCost, nparts
}

// lookLocked notes a live item of the class, and starts to fetch what it takes to
// take a dead one out. Caller holds the class: the chunk is not used for another
// item meanwhile, so its key can be read.
func (s *Store) lookLocked(c *class, ref uint32, now uint32) (suspect, verdict) {
	h := s.header(ref)
	state := h.loadState()
	switch state & stateMask {
	case statePart:
		// The item itself lies in another class; its first piece stands for it.
		return suspect{ref: ref, hash: uint64(s.part(ref).hash)}, lookedPart
	case stateLive:
		word := h.loadWord()
		if wordClass(word) != c.id {
			break
		}
		s.crawl.mu.looked++
		c.counts.crawlerItemsChecked++
		expired, flushed := s.dead(h, state, now)
		if !expired && !flushed {
			s.crawl.mu.runs[wordList(word)].note(h.exptime(state), now)
			s.noteExpiryLocked(c, h, ref)
			break
		}
		hash := s.hash(h.key())
		if lookAhead {
			s.index.fetchBucket(s.home(s.stripe(hash), hash))
			s.fetchHeader(h.prev)
			s.fetchHeader(h.next)
		}
		return suspect{ref: ref, hash: hash}, lookedDead
	}
	return suspect{}, lookedAlive
}

// reapLocked takes an item out that was dead a moment ago. One whose stripe is
// locked stays for the next time. Caller holds the crawl and the class.
func (s *Store) reapLocked(c *class, sus *suspect, now uint32) {
	h := s.header(sus.ref)
	st := s.stripe(sus.hash)
	if !st.mu.TryLock() {
		s.pages[s.pageOf(sus.ref)].due, c.due = 0, 0
		return
	}
	defer st.mu.Unlock()
	at := s.findRefLocked(st, sus.hash, sus.ref)
	if at.b == nil {
		return
	}
	expired, flushed := s.dead(h, h.loadState(), now)
	if !expired && !flushed { // it was touched since
		s.noteExpiryLocked(c, h, sus.ref)
		return
	}
	s.removeLocked(st, at)
	s.countReaped(c, h, expired)
	if v := s.detachLocked(c, h, sus.ref); v.free {
		s.freeChunkLocked(c, sus.ref)
	}
}

// countReaped counts a dead item that the crawler is about to take off its list.
// Caller holds the crawl and the class.
func (s *Store) countReaped(c *class, h *header, expired bool) {
	word := h.loadWord()
	s.crawl.mu.runs[wordList(word)].Reclaimed++
	c.counts.crawlerReclaimed++
	if expired && word&markFetched == 0 {
		c.counts.expiredUnfetched++
	}
}

// reapChained looks at the chained item whose first piece sus is, if it is one,
// and takes it out if it is dead. c is the piece's class. Caller holds the crawl.
func (s *Store) reapChained(c *class, sus *suspect, now uint32) {
	st := s.stripe(sus.hash)
	st.mu.Lock()
	v := s.reapChainedLocked(c, st, sus, now)
	st.mu.Unlock()
	if v.free {
		s.freeItem(v.h, v.ref, v.state)
	}
}

func (s *Store) reapChainedLocked(c *class, st *stripe, sus *suspect, now uint32) victim {
	ref := s.ownerOf(c, sus.ref, sus.hash)
	if ref == 0 || s.header(ref).large().first != sus.ref {
		return victim{} // not an item's first piece
	}
	h := s.header(ref)
	at := s.findRefLocked(st, s.hash(h.key()), ref)
	if at.b == nil {
		return victim{}
	}
	state, top := h.loadState(), s.top()
	expired, flushed := s.dead(h, state, now)
	top.mu.Lock()
	defer top.mu.Unlock()
	s.crawl.mu.looked++
	top.counts.crawlerItemsChecked++
	if !expired && !flushed {
		s.crawl.mu.runs[wordList(h.loadWord())].note(h.exptime(state), now)
		s.noteExpiryLocked(top, h, ref)
		return victim{}
	}
	s.removeLocked(st, at)
	s.countReaped(top, h, expired)
	return s.detachLocked(top, h, ref)
}

// takeEmptyLocked takes a page that has become empty from its class, unless pages
// are not to move or the class has few free chunks besides: it keeps an eighth of
// what it uses, so that pages do not come and go. Caller holds the class.
func (s *Store) takeEmptyLocked(c *class, n uint32) bool {
	pg := &s.pages[n]
	if pg.used != 0 || pg.state != pageAssigned || c.npages <= moverPagesKept ||
		(c.freeChunks()-uint64(c.perPage))*8 < c.used ||
		!s.cfg.SlabReassign || s.knobs.automove.Load() == 0 {
		return false
	}
	s.drainLocked(c, n)
	s.removePageLocked(c, n)
	return true
}

// giveEmpty puts the page into the pool, for any class that needs one.
func (s *Store) giveEmpty(c *class, n uint32) {
	s.observe(Event{Kind: EventPageMove, Class: c.id})
	s.givePage(n)
	s.moves.moved.Add(1)
	s.observe(Event{Kind: EventPageMove, Class: c.id, Done: true})
}
