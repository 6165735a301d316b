package slab

import (
	"slices"
	"sync"
)

// pageState says who has a page.
type pageState uint8

const (
	pageUnused   pageState = iota // never given out, or in the pool
	pageAssigned                  // belongs to a class, gives out chunks
	pageDraining                  // belongs to a class, gives out no more chunks
)

// page is the entry of a page in the page table. Its fields are guarded by the
// lock of its class; those of an unused page by the pool's. class may be read
// without a lock by whoever holds a chunk of the page in use.
type page struct {
	class uint8
	state pageState
	dirty bool   // unused, and perhaps not zero
	free  uint32 // first free chunk, linked by header.next
	nfree uint32 // length of that list
	bump  uint32 // chunks from this one on have never been used
	used  uint32 // chunks given out
	next  uint32 // list links: pages of the class with chunks to give; pool
	prev  uint32
	prospect
}

// pool holds the pages of no class and what counts against the limit.
type pool struct {
	mu struct {
		sync.Mutex
		free       uint32 // list of returned pages, linked by page.next
		freeLen    uint32
		high       uint32 // highest page ever given out
		given      uint32 // pages that belong to classes
		indexBytes int64  // memory of the index
		reserved   int64  // set aside for a starved index: no page is given out of it
	}
}

// pageOf returns the number of a chunk's page.
func (s *Store) pageOf(ref uint32) uint32 { return ref >> s.pageShift }

// chunkClass returns the class of a chunk that is in use.
func (s *Store) chunkClass(ref uint32) *class {
	return &s.classes[s.pages[ref>>s.pageShift].class]
}

// usedBytesLocked returns what counts against the limit. Caller holds the pool.
func (s *Store) usedBytesLocked() int64 {
	return s.pool.mu.indexBytes + int64(s.pool.mu.given)*int64(s.cfg.PageBytes)
}

// indexHeadroomLocked returns how many bytes pages leave to the index, so that
// a full store has room for the odd overflow bucket. Caller holds the pool.
func (s *Store) indexHeadroomLocked() int64 {
	return s.pool.mu.indexBytes/32 + 2*overflowBatch*bucketBytes
}

// chargeIndexLocked counts n more bytes of index if the limit has room (I8).
// Caller holds the pool.
func (s *Store) chargeIndexLocked(n int64) bool {
	if s.usedBytesLocked()+n > s.limit.Load() {
		return false
	}
	s.pool.mu.indexBytes += n
	s.pool.mu.reserved = max(s.pool.mu.reserved-n, 0)
	return true
}

// takePage moves a page from the pool to no class, 0 if the limit has no room.
func (s *Store) takePage() uint32 {
	n := s.takeFromPool()
	if n != 0 && s.pages[n].dirty {
		s.wipePage(n)
	}
	return n
}

func (s *Store) takeFromPool() uint32 {
	p := &s.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.usedBytesLocked()+max(p.mu.reserved, s.indexHeadroomLocked())+int64(s.cfg.PageBytes) > s.limit.Load() {
		return 0
	}
	n := p.mu.free
	switch {
	case n != 0:
		p.mu.free = s.pages[n].next
		p.mu.freeLen--
		s.pages[n].next = 0
	case int(p.mu.high)+1 < len(s.pages):
		p.mu.high++
		n = p.mu.high
	default:
		return 0
	}
	p.mu.given++
	return n
}

// givePage puts a page without a class into the pool. Its memory goes back to
// the system and reads as zero afterwards (I7).
func (s *Store) givePage(n uint32) {
	s.wipePage(n)
	p := &s.pool
	p.mu.Lock()
	s.pages[n] = page{next: p.mu.free}
	p.mu.free = n
	p.mu.freeLen++
	p.mu.given--
	s.shrinkFrom = max(s.usedBytesLocked(), s.limit.Load())
	p.mu.Unlock()
}

// wipePage makes a page zero that belongs to no class.
func (s *Store) wipePage(n uint32) {
	s.setEntry(n, tableDirty)
	s.step(stepDirty)
	s.arena.wipe(uint64(n)*uint64(s.cfg.PageBytes), uint64(s.cfg.PageBytes))
	s.setEntry(n, 0)
	s.pages[n].dirty = false
}

// assignLocked gives a page fresh from the pool (zeroed, see I7) to a class.
// Caller holds the class.
func (s *Store) assignLocked(c *class, n uint32) {
	s.pages[n] = page{class: c.id, state: pageAssigned, prospect: prospect{due: never}}
	s.setEntry(n, c.id)
	c.npages++
	c.own = append(c.own, n)
	s.linkPageLocked(c, n)
}

// drainLocked stops a page from giving out chunks. When its used count has
// come down to 0, removePageLocked takes it from the class. Caller holds the class.
func (s *Store) drainLocked(c *class, n uint32) {
	pg := &s.pages[n]
	if s.hasRoom(c, pg) {
		s.unlinkPageLocked(c, n)
	}
	pg.state = pageDraining
}

// undrainLocked lets a draining page give out chunks again. Caller holds the class.
func (s *Store) undrainLocked(c *class, n uint32) {
	pg := &s.pages[n]
	pg.state = pageAssigned
	if s.hasRoom(c, pg) {
		s.linkPageLocked(c, n)
	}
}

// removePageLocked takes an empty draining page from its class; the caller
// then has it and calls givePage, without the lock. Caller holds the class.
func (s *Store) removePageLocked(c *class, n uint32) {
	pg := &s.pages[n]
	pg.class, pg.state = 0, pageUnused
	s.setEntry(n, tableDirty)
	c.npages--
	at := slices.Index(c.own, n)
	last := len(c.own) - 1
	c.own[at] = c.own[last]
	c.own = c.own[:last]
	if at < last { // the crawler may have come by that place
		c.due = min(c.due, s.pages[c.own[at]].due)
	}
	if c.crawl.page == n {
		c.crawl.page = 0
	}
}

// hasRoom reports whether a page has a chunk that is not given out.
func (s *Store) hasRoom(c *class, pg *page) bool {
	return pg.free != 0 || pg.bump < c.perPage
}

func (s *Store) linkPageLocked(c *class, n uint32) {
	pg := &s.pages[n]
	pg.prev, pg.next = 0, c.avail
	if c.avail != 0 {
		s.pages[c.avail].prev = n
	}
	c.avail = n
}

func (s *Store) unlinkPageLocked(c *class, n uint32) {
	pg := &s.pages[n]
	if pg.prev != 0 {
		s.pages[pg.prev].next = pg.next
	} else {
		c.avail = pg.next
	}
	if pg.next != 0 {
		s.pages[pg.next].prev = pg.prev
	}
	pg.prev, pg.next = 0, 0
}

// takeChunkLocked gives out a free chunk of the class, 0 if it has none.
// Caller holds the class.
func (s *Store) takeChunkLocked(c *class) uint32 {
	n := c.avail
	if n == 0 {
		return 0
	}
	pg := &s.pages[n]
	ref := pg.free
	if ref != 0 {
		pg.free = s.header(ref).next
		pg.nfree--
	} else {
		ref = n<<s.pageShift + pg.bump*c.unit
		pg.bump++
	}
	pg.used++
	c.used++
	if pg.free == 0 && pg.bump == c.perPage {
		s.unlinkPageLocked(c, n)
	}
	return ref
}

// freeChunkLocked takes a chunk back. Its state is no longer live (I2).
// Caller holds the class.
func (s *Store) freeChunkLocked(c *class, ref uint32) {
	n := ref >> s.pageShift
	pg := &s.pages[n]
	if pg.state == pageAssigned && !s.hasRoom(c, pg) {
		s.linkPageLocked(c, n)
	}
	h := s.header(ref)
	h.setState(stateFree)
	h.next = pg.free
	pg.free = ref
	pg.nfree++
	pg.used--
	c.used--
}

// freeChunk is freeChunkLocked for a caller that holds no class.
func (s *Store) freeChunk(ref uint32) {
	c := s.chunkClass(ref)
	c.mu.Lock()
	s.freeChunkLocked(c, ref)
	c.mu.Unlock()
	s.step(stepFreed)
}

// freeChunks returns how many chunks the class could give out from its pages.
// Caller holds the class.
func (c *class) freeChunks() uint64 {
	return uint64(c.npages)*uint64(c.perPage) - c.used
}
