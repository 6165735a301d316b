package slab

import (
	"sync"
	"time"
)

// The crawler looks for dead items a class at a time, page by page: that reads
// memory in order and needs no place in a list that others change. What it saw
// of each list says when the class is due again (schedule.go).

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
	mu struct {
		sync.Mutex
		todo   ClassSet // classes left, the present one included; 0: no run
		asked  bool     // the run was asked for, and is not automatic
		starts uint64

		class  int    // being crawled, 0 between two classes
		looked uint64 // items looked at in it
		runs   [lruCount]CrawlRun
		at     [classMax + 1]crawlPlace // where each class's crawl goes on
		plans  [classMax + 1][lruCount]crawlSchedule
	}
}

// crawlPlace is a chunk: by place in the class's list of pages.
type crawlPlace struct {
	page, chunk uint32
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

// crawlDue starts a run over the classes with a list that is due.
func (s *Store) crawlDue(now uint32) {
	if !s.knobs.crawler.Load() {
		return
	}
	j := &s.crawl
	j.mu.Lock()
	defer j.mu.Unlock()
	var todo ClassSet
	if s.crawlSoon.Swap(false) {
		todo = s.nonEmpty(AllClasses)
	}
	for id := 1; id < len(s.classes); id++ {
		if (j.mu.todo | todo).Has(uint8(id)) {
			continue
		}
		c := &s.classes[id]
		c.mu.Lock()
		for l := range c.lists {
			if c.lists[l].n > 0 && j.mu.plans[id][l].due(now) {
				todo |= 1 << id
			}
		}
		c.mu.Unlock()
	}
	if todo != 0 {
		s.startCrawlLocked(todo)
	}
}

// crawlStep goes on with the run under way.
func (s *Store) crawlStep(now uint32) (again time.Duration) {
	j := &s.crawl
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.mu.todo != 0 && !s.knobs.crawler.Load() {
		j.mu.todo, j.mu.class, j.mu.asked = 0, 0, false
	}
	for left := crawlPace; left > 0; {
		if j.mu.todo == 0 {
			j.mu.asked = false
			return maintainIdle
		}
		if j.mu.class == 0 {
			s.beginClassLocked(now)
		}
		looked, done := s.crawlChunks(now)
		left -= max(looked, 1)
		if done {
			s.endClassLocked(now)
		}
	}
	return max(time.Duration(s.knobs.crawlerSleep.Load())*time.Microsecond, 0)
}

// beginClassLocked picks the next class of the run. Caller holds the crawl.
func (s *Store) beginClassLocked(now uint32) {
	j := &s.crawl
	for !j.mu.todo.Has(uint8(j.mu.class)) {
		j.mu.class++
	}
	j.mu.looked = 0
	for l := range j.mu.runs {
		j.mu.runs[l] = CrawlRun{Start: now}
	}
	if s.knobs.crawlerToCrawl.Load() == 0 {
		j.mu.at[j.mu.class] = crawlPlace{}
	} // else it goes on where the last run stopped, so that every page gets its turn
}

// endClassLocked says when the class is due again. Caller holds the crawl.
func (s *Store) endClassLocked(now uint32) {
	j := &s.crawl
	id := j.mu.class
	j.mu.todo &^= 1 << id
	j.mu.class = 0
	for l := range j.mu.runs {
		run := &j.mu.runs[l]
		if run.Seen == 0 && run.Reclaimed == 0 {
			continue
		}
		run.End = now
		plan := &j.mu.plans[id][l]
		lowMark, ready := plan.plan(run, now)
		if s.observed() {
			s.observe(Event{
				Kind: EventCrawl, Class: uint8(id), List: LRU(l),
				LowMark: lowMark, Ready: ready, NextRun: plan.next - now, Run: run,
			})
		}
	}
}

// suspect is a chunk of a dead item, or of one that must be asked.
type suspect struct {
	ref  uint32
	hash uint64
	part bool
}

// crawlChunks looks at some chunks of the present class and takes dead items
// out. It returns how many chunks it looked at, and whether the class is done.
// Caller holds the crawl.
func (s *Store) crawlChunks(now uint32) (looked int, done bool) {
	j := &s.crawl
	c := &s.classes[j.mu.class]
	at := &j.mu.at[j.mu.class]
	toCrawl := uint64(s.knobs.crawlerToCrawl.Load())
	var suspects [lockStep]suspect
	n := 0
	c.mu.Lock()
	for looked < lockStep && !done {
		switch {
		case toCrawl > 0 && j.mu.looked >= toCrawl:
			done = true
		case int(at.page) >= len(c.own):
			*at = crawlPlace{}
			done = true
		case at.chunk >= s.pages[c.own[at.page]].bump:
			*at = crawlPlace{page: at.page + 1}
			looked++
		default:
			ref := c.own[at.page]<<s.pageShift + at.chunk*c.unit
			at.chunk++
			looked++
			if s.lookLocked(c, ref, now, &suspects[n]) {
				n++
			}
		}
	}
	c.mu.Unlock()
	for i := range suspects[:n] {
		s.reapSuspect(c, &suspects[i], now)
	}
	return looked, done
}

// lookLocked notes a live item of the class and reports whether the chunk must
// be dealt with under its stripe. Caller holds the class: the chunk is not
// used for another item meanwhile, so its key can be read.
func (s *Store) lookLocked(c *class, ref uint32, now uint32, out *suspect) bool {
	h := s.header(ref)
	state := h.loadState()
	switch state & stateMask {
	case statePart:
		// The item itself lies in another class; its first piece stands for it.
		*out = suspect{ref: ref, hash: uint64(s.part(ref).hash), part: true}
		return c == s.top()
	case stateLive:
		word := h.loadWord()
		if wordClass(word) != c.id {
			return false
		}
		s.crawl.mu.looked++
		c.counts.crawlerItemsChecked++
		if expired, flushed := s.dead(h, state, now); expired || flushed {
			*out = suspect{ref: ref, hash: s.hash(h.key())}
			return true
		}
		s.crawl.mu.runs[wordList(word)].note(h.exptime(state), now)
	}
	return false
}

// reapSuspect takes a dead item out, and notes a live one.
func (s *Store) reapSuspect(c *class, sus *suspect, now uint32) {
	st := s.stripe(sus.hash)
	st.mu.Lock()
	v := s.reapLocked(c, st, sus, now)
	st.mu.Unlock()
	if v.free {
		s.freeItem(v.h, v.ref, v.state)
	}
}

// reapLocked is reapSuspect for a caller that holds the stripe besides the
// crawl. It returns the item if that was taken out.
func (s *Store) reapLocked(c *class, st *stripe, sus *suspect, now uint32) victim {
	ref, hash := sus.ref, sus.hash
	if sus.part {
		owner := s.ownerOf(c, ref, sus.hash)
		if owner == 0 || s.header(owner).large().first != ref {
			return victim{} // not an item's first piece
		}
		ref, hash = owner, s.hash(s.header(owner).key())
	}
	at := s.findRefLocked(st, hash, ref)
	if at.b == nil {
		return victim{}
	}
	h := s.header(ref)
	state, word := h.loadState(), h.loadWord()
	run := &s.crawl.mu.runs[wordList(word)]
	expired, flushed := s.dead(h, state, now)
	lists := &s.classes[wordClass(word)]
	lists.mu.Lock()
	defer lists.mu.Unlock()
	if sus.part {
		s.crawl.mu.looked++
		lists.counts.crawlerItemsChecked++
	}
	if !expired && !flushed {
		run.note(h.exptime(state), now)
		return victim{}
	}
	run.Reclaimed++
	s.removeLocked(st, at)
	lists.counts.crawlerReclaimed++
	if expired && word&markFetched == 0 {
		lists.counts.expiredUnfetched++
	}
	return s.detachLocked(lists, h, ref)
}
