package slab

import (
	"sync"
	"time"
)

// The crawler looks for dead items a class at a time, page by page: that reads
// memory in order and needs no place in a list that others change. A class has
// its turn in every second in which one of its pages is due; what a page promises
// decides whether it is looked at then (schedule.go). crawl_page.go does that.

// CrawlResult is what Crawl made of a request.
type CrawlResult uint8

// The results of Crawl.
const (
	CrawlStarted  CrawlResult = iota
	CrawlBusy                 // another Crawl is under way
	CrawlBadClass             // no class was named
	CrawlNothing              // the classes hold no items
	CrawlDisabled             // see SetCrawler
)

// crawlJob is the run under way, if any.
type crawlJob struct {
	share uint64 // crawlShare, but for tests
	mu    struct {
		sync.Mutex
		todo   ClassSet // classes left, the present one included; 0: no run
		asked  bool     // the run was asked for: it looks at everything
		starts uint64

		class   int    // being crawled, 0 between two classes
		last    int    // the one before
		looked  uint64 // items looked at in it
		left    int    // pages of it that are still to be walked over
		credit  int    // chunks that may be looked at in pages that do not pay
		skipped int    // page at which that was used up, as crawlPlace.next; 0: none
		all     bool   // every page of it is looked at: it was asked for, or chained items are dead
		runs    [lruCount]CrawlRun
	}
}

// crawlPlace is how far the crawler has come in a class. Pages are walked over
// from the last to the first: one that leaves the class has the last take its
// place, which so is not missed.
type crawlPlace struct {
	next        int    // pages before this one, in the class's list, come next
	page, chunk uint32 // page being looked at, 0 for none, and the chunk in it
	whole       int    // so many pages from next are looked at whatever they promise
}

// Crawl asks for a search for dead items in the given classes; Maintain does it.
func (s *Store) Crawl(classes ClassSet) CrawlResult {
	if !s.knobs.crawler.Load() {
		return CrawlDisabled
	}
	if classes&AllClasses&^1 == 0 {
		return CrawlBadClass
	}
	todo := s.nonEmpty(classes)
	j := &s.crawl
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.mu.asked:
		return CrawlBusy
	case todo == 0:
		return CrawlNothing
	}
	if todo.Has(uint8(j.mu.class)) {
		s.leaveClassLocked() // to begin it anew, and whole
	}
	s.startCrawlLocked(todo)
	j.mu.asked = true
	return CrawlStarted
}

// nonEmpty returns those of the classes that hold items.
func (s *Store) nonEmpty(classes ClassSet) (set ClassSet) {
	for id := 1; id < len(s.classes); id++ {
		if !classes.Has(uint8(id)) {
			continue
		}
		c := &s.classes[id]
		c.mu.Lock()
		if c.items() > 0 {
			set |= 1 << id
		}
		c.mu.Unlock()
	}
	return set
}

// items returns how many items count in the class. Caller holds it.
func (c *class) items() (n uint64) {
	for l := range c.lists {
		n += c.lists[l].n
	}
	return n
}

// startCrawlLocked adds classes to the run under way, or starts one. Caller
// holds the crawl.
func (s *Store) startCrawlLocked(todo ClassSet) {
	j := &s.crawl
	if j.mu.todo == 0 {
		j.mu.starts++
	}
	j.mu.todo |= todo
}

// crawlDue starts a run over the classes that are due. Maintain calls it once a
// second.
func (s *Store) crawlDue(now uint32) {
	if !s.knobs.crawler.Load() {
		return
	}
	j := &s.crawl
	j.mu.Lock()
	defer j.mu.Unlock()
	flushed := s.crawlSoon.Swap(false)
	if flushed && j.mu.class != 0 {
		s.leaveClassLocked() // to begin it anew, and whole
	}
	var todo ClassSet
	for id := 1; id < len(s.classes); id++ {
		c := &s.classes[id]
		c.mu.Lock()
		if flushed {
			c.crawl = crawlPlace{next: len(c.own), whole: len(c.own)}
			c.due, c.chainDue = 0, 0
		}
		if c.due <= now && c.npages > 0 {
			todo |= 1 << id
		}
		c.mu.Unlock()
	}
	if todo&^j.mu.todo != 0 {
		s.startCrawlLocked(todo)
	}
}

// Bounds of one step of the crawler. What is counted is looks at chunks that are
// in the processor's cache by then; taking an item out costs as much as several.
const (
	crawlStepCost = 24_000 // 0.3 ms
	crawlReapCost = 8
	// crawlSlowPace is what a step costs where a pause longer than Maintain's is
	// asked for between two: a thousand chunks.
	crawlSlowPace = 1000
)

// crawlStep goes on with the run under way.
func (s *Store) crawlStep(now uint32) (again time.Duration) {
	j := &s.crawl
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.mu.todo != 0 && !s.knobs.crawler.Load() {
		s.leaveClassLocked()
		j.mu.todo, j.mu.asked = 0, false
	}
	again = time.Duration(s.knobs.crawlerSleep.Load()) * time.Microsecond
	pace := crawlStepCost
	if again > maintainBusy {
		pace = crawlSlowPace
	}
	for pace > 0 {
		if j.mu.todo == 0 {
			j.mu.asked = false
			return maintainIdle
		}
		if j.mu.class == 0 {
			s.beginClassLocked(now)
		}
		cost, done := s.crawlClass(now)
		if again > maintainBusy {
			cost = min(cost, lockStep) // chunks alone
		}
		pace -= max(cost, 1)
		if done {
			s.endClassLocked(now)
		}
	}
	return again
}

// beginClassLocked begins the next class of the run. Caller holds the crawl.
func (s *Store) beginClassLocked(now uint32) {
	j := &s.crawl
	for j.mu.class = j.mu.last + 1; !j.mu.todo.Has(uint8(j.mu.class)); {
		j.mu.class = (j.mu.class + 1) % len(s.classes)
	}
	j.mu.last = j.mu.class
	j.mu.looked, j.mu.skipped = 0, 0
	for l := range j.mu.runs {
		j.mu.runs[l] = CrawlRun{Start: now}
	}
	s.pool.mu.Lock()
	given := max(s.pool.mu.given, 1)
	s.pool.mu.Unlock()
	c := &s.classes[j.mu.class]
	c.mu.Lock()
	defer c.mu.Unlock()
	j.mu.left = len(c.own)
	j.mu.credit = 1 + int(j.share*uint64(c.npages)/uint64(given))
	if j.mu.asked && s.knobs.crawlerToCrawl.Load() == 0 {
		c.crawl.next = len(c.own)
	} // else it goes on where the last run stopped, so that every page gets its turn
	if j.mu.all = j.mu.asked || c.chainDue <= now; j.mu.all {
		c.chainDue = never
	}
	c.due = c.chainDue // and sooner if a page is, as will be seen
}

// leaveClassLocked ends the crawl of the present class, if there is one. What was
// not looked at is due. Caller holds the crawl.
func (s *Store) leaveClassLocked() {
	j := &s.crawl
	if j.mu.class == 0 {
		return
	}
	c := &s.classes[j.mu.class]
	c.mu.Lock()
	if j.mu.left > 0 || c.crawl.page != 0 {
		c.due = 0
		if j.mu.all {
			c.chainDue = 0
		}
	}
	if j.mu.skipped != 0 {
		c.crawl.next = j.mu.skipped
	}
	c.mu.Unlock()
	j.mu.class = 0
}

// endClassLocked ends the crawl of a class in order. Caller holds the crawl.
func (s *Store) endClassLocked(now uint32) {
	j := &s.crawl
	id := j.mu.class
	j.mu.todo &^= 1 << id
	s.leaveClassLocked()
	if !s.observed() {
		return
	}
	c := &s.classes[id]
	c.mu.Lock()
	due := c.due
	c.mu.Unlock()
	next := uint32(0)
	if due != never {
		next = max(due, now+1) - now
	}
	for l := range j.mu.runs {
		run := &j.mu.runs[l]
		if run.Seen == 0 && run.Reclaimed == 0 {
			continue
		}
		run.End = s.now.Load()
		lowMark, ready := run.expect()
		s.observe(Event{
			Kind: EventCrawl, Class: uint8(id), List: LRU(l),
			LowMark: lowMark, Ready: ready, NextRun: next, Run: run,
		})
	}
}
