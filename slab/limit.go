package slab

import (
	"errors"
	"sync"
	"time"
)

// ErrLimit says that SetLimit cannot have that limit: the store's memory was
// allocated at the start, or the limit is beyond what its references can name,
// or too small for the index and a few pages.
var ErrLimit = errors.New("slab: memory limit out of bounds or unable to adjust")

const (
	limitPagesMin = 2 // pages that must fit beside the index
	// moveTries is how many passes over a page with busy chunks are made before
	// another page is tried; moveForce, after how many of them items that
	// replies are being sent from are taken out of the store.
	moveTries = 200
	moveForce = 20
	movePause = 20 * time.Millisecond // between two such passes
)

// SetLimit changes the bound on items and index, in bytes. A higher limit is
// there at once. For a lower one no more memory is taken from now on, and
// Maintain gives pages back until the store fits.
func (s *Store) SetLimit(bytes int64) error {
	pageBytes := int64(s.cfg.PageBytes)
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	if s.cfg.Prealloc ||
		bytes > int64(len(s.pages)-1)*pageBytes+s.pool.mu.indexBytes ||
		bytes < s.pool.mu.indexBytes+limitPagesMin*pageBytes {
		return ErrLimit
	}
	s.shrinkFrom = max(s.usedBytesLocked(), bytes)
	s.limit.Store(bytes)
	return nil
}

// shrinking reports whether the store is over its limit only because the limit
// was lowered: nothing has been added since. Caller holds the pool.
func (s *Store) shrinking() bool {
	return s.usedBytesLocked() <= s.shrinkFrom
}

// overLimitLocked returns how many bytes more than the limit are in use, with
// what is set aside for the index; that is more than 0 only after SetLimit
// or while the index waits for memory. Caller holds the pool.
func (s *Store) overLimitLocked() int64 {
	return s.usedBytesLocked() + s.pool.mu.reserved - s.limit.Load()
}

// needPage says whether a page must be given up. It sets memory aside for an
// index that has had to wait.
func (s *Store) needPage() bool {
	starved := s.index.starved.Swap(false)
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	if starved && s.pool.mu.reserved == 0 {
		s.pool.mu.reserved = int64(s.cfg.PageBytes)
	}
	return s.overLimitLocked() > 0
}

// moveWhy says who wants a page moved.
type moveWhy uint8

const (
	moveAsked moveWhy = iota // Reassign or the automover: may fail
	moveLimit                // memory is over the limit: must happen
)

// moveJob is the one page move under way.
type moveJob struct {
	mu struct {
		sync.Mutex
		active bool
		why    moveWhy
		d      drain
		src    int
		dst    int // 0 is the pool
		passes int // passes made that left busy chunks
	}
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
	pagesMin := uint32(moverPagesKept)
	if why == moveLimit {
		pagesMin = 1
	}
	m := &s.move
	m.mu.Lock()
	defer m.mu.Unlock()
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
	m.mu.d = drain{rescue: true}
	if !spare || !s.drainPage(c, &m.mu.d) {
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
	if !m.mu.active {
		return maintainIdle
	}
	d := &m.mu.d
	switch s.drainStep(d, drainPace) {
	case drainEmpty:
		if m.mu.dst == 0 {
			s.givePage(d.page)
			s.pool.mu.Lock()
			s.shrinkFrom = max(s.usedBytesLocked(), s.limit.Load())
			s.pool.mu.Unlock()
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
		s.endMoveLocked()
	}
	return maintainBusy
}

// endMoveLocked ends the move under way. Caller holds the move.
func (s *Store) endMoveLocked() {
	m := &s.move
	m.mu.active = false
	s.moves.lastBusy.Store(busyNone)
	s.observe(Event{Kind: EventPageMove, Class: uint8(m.mu.src), Dst: uint8(m.mu.dst), Done: true})
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
	if choice := u.mover.decide(&now, full); choice.Src != 0 {
		s.startMove(choice.Src, choice.Dst, moveAsked)
	}
}
