package slab

import (
	"sync/atomic"
	"time"
)

// Which class the memory goes to under the adaptive policy. A key that comes
// back after its item was evicted, as its ghost tells, would have been a hit
// with more memory for its class: so many such recalls a page are what one more
// page would win there. What a class would lose with a page are the hits on the
// items that are next to leave, those of its cold list. Pages go from where
// they lose least to where they win most. Both are counted over traffic, not
// over time: memory follows a change as fast as requests show it.
const (
	// followGain is how many times as much a page must win as it loses. Hits
	// on the cold list may be several on one item, recalls are not.
	followGain = 2
	// followRecalls is how many recalls of all classes a decision takes at
	// least: of a few for each class, the highest would be an accident.
	// followProof is how many hits the source would have had if it lost as much
	// as the other wins: half as many or fewer are then hardly one.
	followRecalls = 256
	followProof   = 4
	// followKept is how many pages a class keeps. With small limits most of the
	// memory is in classes of a page or two.
	followKept = 1
	// followColdShare is the share of a class that its cold list has at least;
	// of one that hardly ever evicts all hits and pages count.
	followColdShare = 0.02
	// followShare is how many chunks are moved by a store that finds its class
	// full while a page is on its way there: enough that many small items make
	// room for few large ones at the pace of the traffic, and less than 0.1 ms.
	followShare = 256
)

// demand is what a class has to show for its memory. Recalls and hits are those
// since the last decision, older ones weighing less.
type demand struct {
	pages   float64
	recalls float64
	hits    float64
	// tail is the memory whose loss is measured, in pages, tailHits the hits there.
	tail, tailHits float64
}

// wins is how many misses one more page would have saved.
func (d *demand) wins() float64 { return d.recalls / (d.pages + 1) }

// loses is how many hits one page less would have cost.
func (d *demand) loses() float64 { return d.tailHits / d.tail }

// follow says how many pages to move from which class to which; none if src is
// 0. A class that grows takes an eighth of what it has at a time.
func follow(all *[classMax + 1]demand) (src, dst, pages int) {
	for class := 1; class <= classMax; class++ {
		if all[class].recalls > 0 && (dst == 0 || all[class].wins() > all[dst].wins()) {
			dst = class
		}
	}
	if dst == 0 {
		return 0, 0, 0
	}
	wins := all[dst].wins()
	for class := 1; class <= classMax; class++ {
		d := &all[class]
		if class == dst || d.pages <= followKept || wins*d.tail < followProof || wins < d.loses()*followGain {
			continue
		}
		if src == 0 || d.loses() < all[src].loses() {
			src = class
		}
	}
	if src == 0 {
		return 0, 0, 0
	}
	pages = 1 + int(all[src].pages/4)
	if all[src].hits >= 1 {
		pages = min(pages, 1+int(all[dst].pages))
	}
	return src, dst, pages
}

// follower is what Maintain knows of demand. The zero value is ready.
type follower struct {
	seen    [classMax + 1]classUse // at the last look
	demand  [classMax + 1]demand
	idle    idleness
	recalls uint32 // since the last look at the classes
	decided uint32 // second of the last decision
}

// classUse is what is counted of a class, as totals.
type classUse struct {
	recalls, hits, coldHits uint64
}

// since is u - before; counters that were set to 0 meanwhile start over.
func since(u, before uint64) float64 {
	if u < before {
		return float64(u)
	}
	return float64(u - before)
}

// followDemand decides which pages go where, once recalls tell. Maintain and the
// stores that wait for them move them. It returns how long to wait.
func (s *Store) followDemand() (again time.Duration) {
	f := &s.work.follower
	if !s.follows() {
		*f = follower{}
		return maintainIdle
	}
	if s.move.wanting.Load() != 0 {
		return maintainBusy
	}
	if s.recalls.pressed.Swap(false) {
		s.noteUse(f)
		if src, dst, pages := f.idle.choose(); src != 0 {
			s.setPlanLocked(movePlan{src, dst, pages, moveIdle})
			return maintainBusy
		}
	}
	f.recalls += s.recalls.n.Swap(0)
	if f.recalls >= followRecalls {
		f.recalls = 0
		s.noteDemand(f)
		if src, dst, pages := follow(&f.demand); src != 0 {
			plan := movePlan{src, dst, pages, moveFollow}
			if f.demand[src].hits < 1 {
				plan.why = moveIdle
			}
			s.setPlanLocked(plan)
			return maintainBusy
		}
	}
	return maintainIdle
}

// setPlanLocked lets a plan begin. What was seen before it says nothing about
// what comes after. Caller holds work.
func (s *Store) setPlanLocked(plan movePlan) {
	f := &s.work.follower
	f.demand, f.decided = [classMax + 1]demand{}, s.now.Load()
	s.move.mu.Lock()
	s.move.mu.plan = plan
	s.move.wanting.Store(uint32(plan.dst))
	s.move.mu.Unlock()
}

// recallCount counts the recalls of all classes since the last look.
type recallCount struct {
	n       atomic.Uint32
	pressed atomic.Bool // classes evict: see idle.go
	urgent  chan struct{}
}

// recalled notes a recall, and asks for Maintain when there are enough of them
// to decide on.
func (s *Store) recalled() {
	if s.recalls.n.Add(1) == followRecalls {
		s.ask()
	}
}

// ask makes Urgent say that Maintain is wanted.
func (s *Store) ask() {
	select {
	case s.recalls.urgent <- struct{}{}:
	default: // it has been asked for
	}
}

// Urgent is sent to when Maintain should be called at once, not only after the
// pause that it asked for.
func (s *Store) Urgent() <-chan struct{} { return s.recalls.urgent }

// nextOfPlanLocked starts to move the next page of the plan. It reports false,
// and the plan is over, if there is none or it cannot be moved. Caller holds
// the move.
func (s *Store) nextOfPlanLocked() bool {
	p := &s.move.mu.plan
	if p.pages > 0 && s.startMoveLocked(p.src, p.dst, p.why) == ReassignOK {
		p.pages--
		return true
	}
	*p = movePlan{}
	s.move.wanting.Store(0)
	return false
}

// helpMove does a share of the plan for a store whose class waits for a page of
// it, so that memory follows at the pace of the traffic. It only tries: Maintain
// may be at it, and sees to pages with chunks that cannot go now. Caller holds
// no stripe and no class.
func (s *Store) helpMove(c *class) {
	m := &s.move
	if m.wanting.Load() != uint32(c.id) || !m.mu.TryLock() {
		return
	}
	if m.mu.passes == 0 || !m.mu.active {
		s.moveStepLocked(followShare)
	}
	m.mu.Unlock()
}

// follows reports whether memory follows demand: the policy is adaptive, and
// nobody forbade pages to move.
func (s *Store) follows() bool {
	return s.adaptive() && s.cfg.SlabReassign && !s.cfg.NoEvict && s.knobs.automove.Load() == 1
}

// noteDemand adds what has happened since the last look; what was counted before
// counts half, so that a change soon shows.
func (s *Store) noteDemand(f *follower) {
	use := s.readUse()
	for id := 1; id < len(s.classes); id++ {
		c, d, u, seen := &s.classes[id], &f.demand[id], &use[id], &f.seen[id]
		c.mu.Lock()
		u.recalls = c.recalls
		cold, all := float64(c.lists[Cold].bytes), float64(c.bytes())
		d.pages = float64(c.npages)
		c.mu.Unlock()
		d.recalls = d.recalls/2 + since(u.recalls, seen.recalls)
		d.hits = d.hits/2 + since(u.hits, seen.hits)
		if all > 0 && cold >= followColdShare*all {
			d.tail = d.pages * cold / all
			d.tailHits = d.tailHits/2 + since(u.coldHits, seen.coldHits)
		} else {
			d.tail = max(d.pages, 1)
			d.tailHits = d.tailHits/2 + since(u.hits, seen.hits)
		}
	}
	f.seen = use
}

// readUse sums up what was read of each class.
func (s *Store) readUse() (use [classMax + 1]classUse) {
	s.workers.Lock()
	list := s.workers.list
	s.workers.Unlock()
	for _, w := range list {
		w.mu.Lock()
		for id := range w.counts {
			for l, n := range &w.counts[id].hits {
				use[id].hits += n
				if LRU(l) == Cold {
					use[id].coldHits += n
				}
			}
		}
		w.mu.Unlock()
	}
	return use
}

// bytes is what the class's items take. Caller holds the class.
func (c *class) bytes() (n uint64) {
	for l := range c.lists {
		n += c.lists[l].bytes
	}
	return n
}
