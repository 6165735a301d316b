package slab

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// Recovery of a store from the bytes of its items alone, after a process that
// ended at any instruction. Only the super, the page table, state words and then
// what fits the bounds is believed (see the invariants in doc.go). Three passes,
// each over all pages and by all processors:
//
//	1  live items enter the index; of two with a key the one with the lower
//	   version becomes a free chunk at once
//	2  chained items claim their pieces (one goroutine: they are few)
//	3  every other chunk becomes free, items go to short lists by age, which
//	   are joined to the class's lists in the end
//
// The process may be killed in the midst of it too: every step is one that the
// next recovery would take as well.

// recoverer is the work of one recovery.
type recoverer struct {
	s      *Store
	now    uint32
	next   atomic.Uint32 // page to be looked at
	claims map[uint32]bool

	mu struct {
		sync.Mutex
		n      Recovery
		chains []chainedRef
	}
}

// chainedRef is a live item with pieces, and its hash.
type chainedRef struct {
	ref  uint32
	hash uint64
}

// recover finds the items in the memory. It has the store for itself.
func (s *Store) recover() {
	r := &recoverer{s: s, now: s.now.Load(), claims: map[uint32]bool{}}
	s.recoverPages()
	// Items come before the limit: if it is lower than it was, Maintain evicts.
	limit := s.limit.Swap(limitBytesUpper)
	s.expect(int(min(s.super.items.Load(), s.chunks())))
	r.inParallel(func() func(uint32) {
		w := &scanner{r: r}
		return w.page
	})
	r.claim()
	r.relink()
	s.limit.Store(limit)
	s.shrinkFrom = s.usedBytesLocked()
	s.recovery = r.mu.n
}

// recoverPages reads the page table. Pages without a class are made zero before
// they get one, whatever they ought to be.
func (s *Store) recoverPages() {
	p := &s.pool
	for n := uint32(1); n < uint32(len(s.pages)); n++ {
		id := s.entry(n)
		if id == 0 || id > uint8(s.table.n) {
			s.pages[n].dirty = true
			continue
		}
		p.mu.high = n
		c := &s.classes[id]
		s.pages[n] = page{class: id, state: pageAssigned}
		c.npages++
		c.own = append(c.own, n)
		p.mu.given++
	}
	for n := p.mu.high; n > 0; n-- {
		if s.pages[n].state == pageUnused {
			s.pages[n].next, p.mu.free = p.mu.free, n
			p.mu.freeLen++
		}
	}
}

// chunks returns how many chunks the pages of all classes have.
func (s *Store) chunks() (n uint64) {
	for id := range s.classes {
		n += uint64(s.classes[id].npages) * uint64(s.classes[id].perPage)
	}
	return n
}

// inParallel has every processor look at pages until all were looked at; begin
// makes the one that does it.
func (r *recoverer) inParallel(begin func() func(uint32)) {
	r.next.Store(1)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		look := begin()
		wg.Go(func() {
			for {
				n := r.next.Add(1) - 1
				if n > r.s.pool.mu.high {
					return
				}
				if r.s.pages[n].state == pageAssigned {
					look(n)
				}
			}
		})
	}
	wg.Wait()
}

// scanBatch is how many items are looked up at a time, so that the waits for
// their buckets overlap.
const scanBatch = 64

// scanner is one goroutine of the first pass.
type scanner struct {
	r     *recoverer
	n     Recovery
	refs  [scanBatch]uint32
	hash  [scanBatch]uint64
	taken int
	long  []chainedRef
}

// page enters the items of a page in the index.
func (w *scanner) page(n uint32) {
	s := w.r.s
	c := &s.classes[s.pages[n].class]
	for i := range c.perPage {
		ref := n<<s.pageShift + i*c.unit
		h := s.header(ref)
		state := h.loadState()
		if !isLive(state) {
			continue
		}
		if !s.sound(c, h, state) {
			w.n.Damaged++
			h.setState(stateFree)
			continue
		}
		if state&factLarge != 0 {
			h.large().pins = 0 // whoever held them is gone
		}
		if expired, flushed := s.dead(h, state, w.r.now); expired || flushed {
			w.n.Expired++
			h.setState(stateFree)
			continue
		}
		hash := s.hash(h.key())
		if lookAhead {
			s.index.fetchBucket(s.home(s.stripe(hash), hash))
		}
		w.refs[w.taken], w.hash[w.taken] = ref, hash
		if w.taken++; w.taken == scanBatch {
			w.enter()
		}
	}
	w.enter()
	w.report()
}

// sound reports whether a live item is what it says: its parts are within its
// chunk and it counts in the class that it must.
func (s *Store) sound(c *class, h *header, state uint32) bool {
	keyLen := h.keyLen()
	size := int(bodyOffset(state)) + keyLen
	if size > int(c.size) {
		return false
	}
	class := c.id
	if h.chained(state) {
		class = s.top().id
	} else {
		size += h.valueLen()
	}
	word := h.loadWord()
	return keyLen > 0 && keyLen <= keyMax && size <= int(c.size) && wordClass(word) == class &&
		word>>wordVerShift <= s.Version()
}

// enter puts the batch in the index.
func (w *scanner) enter() {
	s := w.r.s
	for i, ref := range w.refs[:w.taken] {
		hash := w.hash[i]
		h := s.header(ref)
		k := Key{Bytes: h.key(), Hash: hash}
		st := s.stripe(hash)
		st.mu.Lock()
		old, oldRef, at := s.findLocked(st, &k)
		switch {
		case old == nil && s.insertLocked(st, hash, ref):
			w.keep(h, ref, hash)
		case old == nil:
			w.n.NoRoom++
			h.setState(stateFree)
		case old.ver() >= h.ver(): // equal where a page move was cut short
			w.n.Superseded++
			h.setState(stateFree)
		default:
			w.n.Superseded++
			w.n.Items--
			at.b.refs[at.slot] = ref
			s.header(oldRef).setState(stateFree)
			w.keep(h, ref, hash)
		}
		st.mu.Unlock()
	}
	w.taken = 0
}

// keep counts an item that is in the index now.
func (w *scanner) keep(h *header, ref uint32, hash uint64) {
	w.n.Items++
	if h.chained(h.loadState()) {
		w.long = append(w.long, chainedRef{ref, hash})
	}
}

// report adds what was found to the sums.
func (w *scanner) report() {
	m := &w.r.mu
	m.Lock()
	m.n.Items += w.n.Items
	m.n.Expired += w.n.Expired
	m.n.Superseded += w.n.Superseded
	m.n.Damaged += w.n.Damaged
	m.n.NoRoom += w.n.NoRoom
	m.chains = append(m.chains, w.long...)
	m.Unlock()
	w.n, w.long = Recovery{}, w.long[:0]
}

// claim gives every chained item its pieces. One whose pieces are not all there
// is no item.
func (r *recoverer) claim() {
	s := r.s
	for _, it := range r.mu.chains {
		h := s.header(it.ref)
		if !isLive(h.loadState()) {
			continue // superseded since
		}
		if s.claimChain(h, it, r.claims) {
			continue
		}
		st := s.stripe(it.hash)
		st.mu.Lock()
		if at := s.findRefLocked(st, it.hash, it.ref); at.b != nil {
			s.removeLocked(st, at)
		}
		st.mu.Unlock()
		h.setState(stateFree)
		r.mu.n.Damaged++
		r.mu.n.Items--
	}
}

// claimChain takes the pieces of an item for it, if they are whole.
func (s *Store) claimChain(h *header, it chainedRef, claims map[uint32]bool) bool {
	l := h.large()
	var total, parts uint32
	for ref := l.first; ref != 0; parts++ {
		if parts == l.parts || claims[ref] || !s.isChunk(ref) {
			return false
		}
		p := s.part(ref)
		if p.loadState()&stateMask != statePart || p.hash != uint32(it.hash) || p.used == 0 ||
			partHeaderBytes+uint64(p.used) > uint64(s.chunkClass(ref).size) {
			return false
		}
		total += p.used
		ref = p.next
	}
	if total != l.total || parts != l.parts {
		return false
	}
	for ref := l.first; ref != 0; ref = s.part(ref).next {
		claims[ref] = true
		s.part(ref).owner = it.ref // a page move may have been cut short
	}
	return true
}

// isChunk reports whether a ref names a chunk of a page that has a class.
func (s *Store) isChunk(ref uint32) bool {
	n := s.pageOf(ref)
	if n == 0 || n > s.pool.mu.high || s.pages[n].state != pageAssigned {
		return false
	}
	c := s.chunkClass(ref)
	at := ref - n<<s.pageShift
	return at%c.unit == 0 && at/c.unit < c.perPage
}

// linker is one goroutine of the last pass.
type linker struct {
	r    *recoverer
	ages [][lruCount]ages // by class
	used []uint64         // chunks in use, by class
}

// relink makes the lists of items and of free chunks.
func (r *recoverer) relink() {
	s := r.s
	var linkers []*linker
	r.inParallel(func() func(uint32) {
		w := &linker{r: r, ages: make([][lruCount]ages, len(s.classes)), used: make([]uint64, len(s.classes))}
		linkers = append(linkers, w)
		return w.page
	})
	for id := range s.classes {
		c := &s.classes[id]
		for _, w := range linkers {
			c.used += w.used[id]
		}
		for l := range c.lists {
			for bucket := range ageBuckets {
				for _, w := range linkers {
					w.ages[id][l].appendBucketTo(s, bucket, &c.lists[l])
				}
			}
		}
		for _, n := range c.own {
			if s.hasRoom(c, &s.pages[n]) {
				s.linkPageLocked(c, n)
			}
		}
	}
}

// page links the items of a page and frees its other chunks.
func (w *linker) page(n uint32) {
	s := w.r.s
	pg := &s.pages[n]
	c := &s.classes[pg.class]
	last := uint32(0) // chunks up to the last one in use
	for i := range c.perPage {
		if state := s.header(n<<s.pageShift + i*c.unit).loadState(); state != stateFree {
			last = i + 1
		}
	}
	pg.bump = last
	for i := range last {
		ref := n<<s.pageShift + i*c.unit
		h := s.header(ref)
		state := h.loadState()
		switch {
		case isLive(state):
			id := wordClass(h.loadWord())
			w.ages[id][wordList(h.loadWord())].addLocked(s, h, ref, w.r.now)
			pg.used++
			if s.sizes.on() {
				s.sizes.add(Item{h, s, ref}.TotalBytes(), 1)
			}
		case state&stateMask == statePart && w.r.claims[ref]:
			pg.used++
		default:
			h.setState(stateFree)
			h.next, pg.free = pg.free, ref
			pg.nfree++
		}
	}
	w.used[c.id] += uint64(pg.used)
}
