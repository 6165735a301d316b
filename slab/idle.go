package slab

// A class that nobody reads any more gives its memory to one that evicts, and
// need not wait for ghosts: these tell of an item only once it is gone and asked
// for again, and by then a class of new sizes has evicted what it will be asked
// for, to keep what nobody wants. Its pages go at the pace of the stores that fill
// them: what is not stored pushes nothing out.
const (
	// idleProof is how many hits a class would have had if it were read, for its
	// pages, as all are on average. None at all is then no accident, and it has
	// less than a tenth of the average: as much as a page more gives a class
	// whose keys are skewed.
	idleProof = 64
	// idleEvictions is after how many evictions of a class all are looked at.
	idleEvictions = 64
)

// idleness tells which classes nobody reads. The zero value is ready.
type idleness struct {
	class [classMax + 1]struct {
		hits, evicted uint64 // of the class, as totals
		pages         float64
		gain          float64 // hits a page since the last look, 0 if it did not evict
		since         uint64  // hits of all classes when it was read last
	}
	hits  uint64 // of all classes
	pages float64
}

// begin starts a look at all classes.
func (i *idleness) begin(hits uint64) { i.hits, i.pages = hits, 0 }

// note takes what a class shows for its memory now: totals, and its pages.
func (i *idleness) note(id int, hits, evicted uint64, pages float64) {
	c := &i.class[id]
	c.gain = 0
	if evicted != c.evicted {
		c.gain = since(hits, c.hits) / (pages + 1)
	}
	if hits != c.hits || i.hits < c.since { // read, or all counters are 0 again
		c.since = i.hits
	}
	c.hits, c.evicted, c.pages = hits, evicted, pages
	i.pages += pages
}

// choose says how many pages to move from which class to which; none if src is
// 0: a quarter of the largest class that is idle, to the class that evicts and
// has the most hits a page.
func (i *idleness) choose() (src, dst, pages int) {
	for id := range i.class {
		if c := &i.class[id]; c.gain > i.class[dst].gain {
			dst = id
		}
	}
	if dst == 0 {
		return 0, 0, 0
	}
	for id := range i.class {
		c := &i.class[id]
		if id == dst || c.pages <= followKept || float64(i.hits-c.since)*c.pages < idleProof*i.pages {
			continue
		}
		if c.pages > i.class[src].pages {
			src = id
		}
	}
	if src == 0 {
		return 0, 0, 0
	}
	return src, dst, 1 + int(i.class[src].pages/4)
}

// pressed asks Maintain to look for idle classes: one has evicted much.
func (s *Store) pressed() {
	if s.adaptive() {
		s.recalls.pressed.Store(true)
		s.ask()
	}
}

// noteUse looks at what the classes have for their memory. Caller holds work.
func (s *Store) noteUse(f *follower) {
	use := s.readUse()
	all := uint64(0)
	for id := range use {
		all += use[id].hits
	}
	f.idle.begin(all)
	for id := 1; id < len(s.classes); id++ {
		c := &s.classes[id]
		c.mu.Lock()
		evicted, pages := c.counts.evicted, float64(c.npages)
		c.mu.Unlock()
		f.idle.note(id, use[id].hits, evicted, pages)
	}
}
