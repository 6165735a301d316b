package slab

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// moveTries is how many passes over a page with busy chunks are made before
	// another page is tried; moveForce, after how many of them items that
	// replies are being sent from are taken out of the store.
	moveTries = 200
	moveForce = 100
	movePause = 20 * time.Millisecond // between two such passes
)

// moveWhy says who wants a page moved.
type moveWhy uint8

const (
	moveAsked  moveWhy = iota // Reassign or the automover: may fail
	moveLimit                 // memory is over the limit: must happen
	moveFollow                // memory follows demand: may fail
	moveIdle                  // the same, from a class whose items nobody reads: they are not rescued
)

// moveJob is the one page move under way.
type moveJob struct {
	mu struct {
		sync.Mutex
		active bool
		why    moveWhy
		d      drain
		src    int
		dst    int       // 0 is the pool
		passes int       // passes made that left busy chunks
		failed [8]uint32 // pages that were given up lately
		nfail  int
		plan   movePlan
	}
	// wanting is the class that the plan is for, 0 if there is none.
	wanting atomic.Uint32
}

// movePlan is pages that are to follow demand, one after the other.
type movePlan struct {
	src, dst, pages int
	why             moveWhy
}

// ReassignResult is what Reassign made of a request.
type ReassignResult uint8

// The results of Reassign.
const (
	ReassignOK       ReassignResult = iota // the move has begun
	ReassignBusy                           // another page is being moved
	ReassignBadClass                       // no such class
	ReassignNoSpare                        // the source has no page to spare
	ReassignSame                           // source and destination are the same
	ReassignDisabled                       // Config.SlabReassign is off
)

// Reassign starts to move a page from class src to class dst. A src of -1 is
// the class that misses a page least; 0, as either, is the pool. Maintain does
// the work.
func (s *Store) Reassign(src, dst int) ReassignResult {
	if !s.cfg.SlabReassign {
		return ReassignDisabled
	}
	return s.startMove(src, dst, moveAsked)
}

func (s *Store) startMove(src, dst int, why moveWhy) ReassignResult {
	s.move.mu.Lock()
	defer s.move.mu.Unlock()
	return s.startMoveLocked(src, dst, why)
}

// startMoveLocked is startMove for a caller that holds the move.
func (s *Store) startMoveLocked(src, dst int, why moveWhy) ReassignResult {
	pagesMin := uint32(moverPagesKept)
	if why == moveLimit {
		pagesMin = 1
	}
	m := &s.move
	if m.mu.active {
		return ReassignBusy
	}
	if src == dst {
		return ReassignSame
	}
	if src == -1 {
		var now sights
		s.sight(&now)
		if src = pickSource(&now, dst, pagesMin); src == 0 {
			return ReassignBadClass
		}
	}
	if src < 0 || src >= len(s.classes) || dst < 0 || dst >= len(s.classes) {
		return ReassignBadClass
	}
	if src == 0 {
		return s.poolToClass(dst)
	}
	c := &s.classes[src]
	c.mu.Lock()
	spare := c.npages >= pagesMin
	c.mu.Unlock()
	m.mu.d = drain{rescue: why != moveIdle, avoid: m.mu.failed[:]}
	if !spare || !s.drainPage(c, &m.mu.d) {
		m.mu.failed = [8]uint32{}
		return ReassignNoSpare
	}
	m.mu.active, m.mu.why, m.mu.src, m.mu.dst, m.mu.passes = true, why, src, dst, 0
	s.observe(Event{Kind: EventPageMove, Class: uint8(src), Dst: uint8(dst)})
	return ReassignOK
}

// poolToClass gives a class a page that nobody has.
func (s *Store) poolToClass(dst int) ReassignResult {
	n := s.takePage()
	if n == 0 {
		return ReassignNoSpare
	}
	s.reassignPage(n, &s.classes[dst])
	return ReassignOK
}

// moveStep starts a move that the limit demands and goes on with the one under way.
func (s *Store) moveStep() (again time.Duration) {
	if s.needPage() {
		s.startMove(-1, 0, moveLimit)
	}
	m := &s.move
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.mu.active && m.mu.plan.pages == 0 {
		return maintainIdle
	}
	return s.moveStepLocked(drainPace)
}

// moveStepLocked goes on with the move under way, or else with the plan, by so
// many chunks. Caller holds the move.
func (s *Store) moveStepLocked(pace int) (again time.Duration) {
	m := &s.move
	if !m.mu.active && !s.nextOfPlanLocked() {
		return maintainBusy
	}
	d := &m.mu.d
	switch s.drainStep(d, pace) {
	case drainEmpty:
		if m.mu.dst == 0 {
			s.givePage(d.page)
			s.moves.moved.Add(1)
		} else {
			s.reassignPage(d.page, &s.classes[m.mu.dst])
		}
		s.endMoveLocked()
	case drainAgain:
		m.mu.passes++
		if m.mu.passes == moveForce {
			d.force = true
		}
		if m.mu.passes < moveTries {
			return movePause
		}
		s.undrain(d)
		m.mu.failed[m.mu.nfail%len(m.mu.failed)] = d.page
		m.mu.nfail++
		s.endMoveLocked()
	}
	return maintainBusy
}

// endMoveLocked ends the move under way. Caller holds the move.
func (s *Store) endMoveLocked() {
	m := &s.move
	m.mu.active = false
	if m.mu.plan.pages == 0 {
		m.wanting.Store(0) // that was the last one
	}
	s.moves.lastBusy.Store(busyNone)
	s.observe(Event{Kind: EventPageMove, Class: uint8(m.mu.src), Dst: uint8(m.mu.dst), Done: true})
}

// stopMove gives the move under way up, and what was to follow.
func (s *Store) stopMove() {
	m := &s.move
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.plan = movePlan{}
	m.wanting.Store(0)
	if m.mu.active {
		s.undrain(&m.mu.d)
		s.endMoveLocked()
	}
}

// automove lets the mover decide, once a second.
func (s *Store) automove() {
	k := &s.knobs
	switch k.automove.Load() {
	case 1:
		s.automoveByAge(int(k.window.Load()), k.automoveRatio.Load())
	case 2:
		if dst := s.pageWanted.Swap(0); dst != 0 {
			s.startMove(-1, int(dst), moveAsked)
		}
		s.work.mover = nil
	default:
		s.work.mover = nil
	}
}

func (s *Store) automoveByAge(window int, ratio float64) {
	u := &s.work
	var now sights
	s.sight(&now)
	if s.moverStale.Swap(false) || u.mover == nil {
		u.mover = newAutomover(window, ratio, &now)
		return
	}
	s.pool.mu.Lock()
	full := s.overLimitLocked()+s.indexHeadroomLocked()+int64(s.cfg.PageBytes) > 0
	s.pool.mu.Unlock()
	choice := u.mover.decide(&now, full)
	if choice.Dst != 0 && u.decided+uint32(window) > s.now.Load() {
		return // what demand has just shown goes before what age suggests
	}
	if choice.Src != 0 {
		s.startMove(choice.Src, choice.Dst, moveAsked)
	}
}

// stealPage empties a page of another class at once and gives it to c: the
// last resort of an allocation in a class that has nothing to evict. It
// reports false if no class had a page that could be emptied. The caller may
// hold a stripe, named in held, but no class.
func (s *Store) stealPage(c *class, held hold) bool {
	const (
		tries = 8
		step  = 64
	)
	var seen sights
	var failed [tries]uint32
	s.sight(&seen)
	for try := range tries {
		src := pickSource(&seen, int(c.id), 1) // better a class without memory than a client
		if src == 0 {
			return false
		}
		d := drain{held: held, avoid: failed[:try]}
		if !s.drainPage(&s.classes[src], &d) {
			seen[src].Pages = 0
			continue
		}
		how := drainMore
		if s.filling(&d) {
			how = drainAgain // it would be emptied in vain
		}
		for how == drainMore {
			how = s.drainStep(&d, step)
		}
		if how == drainEmpty {
			s.reassignPage(d.page, c)
			return true
		}
		s.undrain(&d)
		failed[try] = d.page
		seen[src].TailAge, seen[src].FreeChunks = 0, 0 // rather another class now
	}
	return false
}

// filling reports whether a value is being received into a draining page.
func (s *Store) filling(d *drain) bool {
	d.c.mu.Lock()
	used, bump := s.pages[d.page].used, s.pages[d.page].bump
	d.c.mu.Unlock()
	for i := range bump {
		h := s.header(d.page<<s.pageShift + i*d.c.unit)
		if h.loadState()&stateMask != stateFree {
			used--
		}
	}
	return int32(used) > 0
}

// reassignPage gives an empty page that was taken from a class to another.
func (s *Store) reassignPage(n uint32, c *class) {
	pageBytes := uint64(s.cfg.PageBytes)
	s.step(stepDirty)
	clear(s.arena.bytes(uint64(n)*pageBytes, pageBytes)) // I7
	c.mu.Lock()
	s.assignLocked(c, n)
	c.mu.Unlock()
	s.moves.moved.Add(1)
}

// sight observes every class.
func (s *Store) sight(out *sights) {
	for id := 1; id < len(s.classes); id++ {
		c := &s.classes[id]
		c.mu.Lock()
		out[id] = classSight{
			Pages:         c.npages,
			ChunksPerPage: c.perPage,
			FreeChunks:    c.freeChunks(),
			Evictions:     c.counts.evicted,
			OutOfMemory:   c.counts.outOfMemory,
			TailAge:       s.coldAge(c),
		}
		c.mu.Unlock()
	}
}
