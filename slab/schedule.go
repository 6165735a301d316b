package slab

import "math"

// Where and when it pays to look for expired items. Every page knows when the
// first of its items dies, so nothing is looked at in vain while nothing dies,
// and how many die then. Both are hints that err on one side only: a page may
// promise what has since been deleted, replaced or given a longer life, and is
// looked at for nothing once; none is ever late (I13).

const (
	never = math.MaxUint32 // when a page is due in which nothing expires

	// crawlWorth is how many chunks it pays to look at for one dead item: that
	// takes about as long as taking it out.
	crawlWorth = 32
	// crawlShare is how many chunks a second are looked at, of all classes, in
	// pages that do not promise to pay for it: two hundredths of a core. What is found
	// there pays for more, so that no more lies there dead than expires in the time
	// that this takes for all pages, and in a large store a crawlWorth-th of all.
	crawlShare = 1 << 19
)

// prospect is what is known of when items of a page die. The zero value is that
// of a page of which nothing is known: it is due.
type prospect struct {
	due   uint32 // no item of the page dies before this second of the store's clock
	dying uint32 // how many are thought to die in it
}

// note takes in an item that dies at exptime. It reports whether the page is due
// sooner than it was.
func (p *prospect) note(exptime uint32) (sooner bool) {
	switch {
	case exptime < p.due:
		p.due, p.dying = exptime, 1
		return true
	case exptime == p.due:
		p.dying++
	}
	return false
}

// pays reports whether enough have died to be worth a look at so many chunks.
func (p *prospect) pays(now, chunks uint32) bool {
	return p.due <= now && uint64(p.dying)*crawlWorth >= uint64(chunks)
}

// noteExpiryLocked notes when an item dies that is new to its class or its page,
// or shall die sooner than it was to. A chained item is found by its first
// piece, wherever its own chunk is: it makes all of the top class due. Caller
// holds the class that the item counts in.
func (s *Store) noteExpiryLocked(c *class, h *header, ref uint32) {
	state := h.loadState()
	exptime := h.exptime(state)
	switch {
	case exptime == 0:
	case h.chained(state):
		c.chainDue, c.due = min(c.chainDue, exptime), min(c.due, exptime)
	case s.pages[s.pageOf(ref)].note(exptime):
		c.due = min(c.due, exptime)
	}
}

// noteExpiry is noteExpiryLocked for a caller that holds the item's stripe and no
// class.
func (s *Store) noteExpiry(h *header, ref uint32) {
	c := &s.classes[wordClass(h.loadWord())]
	c.mu.Lock()
	s.noteExpiryLocked(c, h, ref)
	c.mu.Unlock()
}

// setExptime changes the exptime of a live item that has one. Caller holds the
// stripe and no class.
func (s *Store) setExptime(h *header, ref, state, exptime uint32) {
	before := h.exptime(state)
	h.setExptime(state, exptime)
	if exptime-1 < before-1 { // 0 is never: a longer life needs no note
		s.noteExpiry(h, ref)
	}
}

// expiryUnknown makes every class due: what its pages hold has been taken over,
// and nothing is known of them. New calls it.
func (s *Store) expiryUnknown() {
	for id := range s.classes {
		s.classes[id].due, s.classes[id].chainDue = 0, 0
	}
}

const (
	crawlMinute      = 60
	crawlMinutes     = 60  // how far ahead the histogram looks
	crawlReadyShare  = 100 // a run is said to pay when more than one in so many can be reclaimed
	crawlHistoBucket = crawlMinutes + 1
)

// CrawlRun is what one run over one list saw. Times are in seconds of the
// store's clock.
type CrawlRun struct {
	Seen      uint64 // live items
	NoExpiry  uint64 // of them: never expire
	HourPlus  uint64 // of them: expire in an hour or more
	Reclaimed uint64 // expired or flushed ones taken out
	// Minutes counts the others by the minute in which they expire.
	Minutes    [crawlHistoBucket]uint64
	Start, End uint32
}

// note counts a live item that expires at exptime (0: never).
func (r *CrawlRun) note(exptime, now uint32) {
	r.Seen++
	switch {
	case exptime == 0:
		r.NoExpiry++
	case exptime <= now:
		r.Minutes[0]++
	case exptime-now >= crawlMinutes*crawlMinute:
		r.HourPlus++
	default:
		r.Minutes[(exptime-now)/crawlMinute]++
	}
}

// expect returns one item in a hundred of those that expire, and how many will
// be ready in the first minute by which that many are, or else within the hour.
func (r *CrawlRun) expect() (lowMark, ready uint64) {
	lowMark = (r.Seen-r.NoExpiry)/crawlReadyShare + 1
	for _, n := range r.Minutes {
		if ready += n; ready > lowMark {
			break
		}
	}
	return lowMark, ready
}
