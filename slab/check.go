package slab

import (
	"fmt"
)

// Check proves the invariants that doc.go numbers and returns the first that
// does not hold. It stops the store meanwhile and reads all of it; no
// operation may be running in any Worker, though Pendings and Pins may be held.
func (s *Store) Check() error {
	s.crawl.mu.Lock()
	defer s.crawl.mu.Unlock()
	for i := range s.stripes {
		s.stripes[i].mu.Lock()
		defer s.stripes[i].mu.Unlock()
	}
	for i := 1; i < len(s.classes); i++ {
		s.classes[i].mu.Lock()
		defer s.classes[i].mu.Unlock()
	}
	s.index.mu.Lock()
	defer s.index.mu.Unlock()
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()

	c := checker{s: s, seen: map[uint32]chunkUse{}}
	for _, step := range []func() error{
		c.pages, c.index, c.lists, c.parts, c.chunks, c.limit, c.ghosts, c.expiry,
	} {
		if err := step(); err != nil {
			return fmt.Errorf("slab: check: %w", err)
		}
	}
	return nil
}

// chunkUse is what Check has found a chunk to be.
type chunkUse uint8

const (
	useNone chunkUse = iota
	useFree          // on the free list of its page
	useSlot          // in an index slot
	useItem          // in an index slot and on a list
	usePart          // a piece of an item
)

type checker struct {
	s       *Store
	seen    map[uint32]chunkUse
	retired uint64 // chunks that only pins hold
}

// pages proves I6 and I7: the page lists, the free lists and the counts agree.
func (c *checker) pages() error {
	s := c.s
	given := uint32(0)
	free := map[uint32]bool{}
	for n := s.pool.mu.free; n != 0; n = s.pages[n].next {
		if free[n] || s.pages[n].state != pageUnused || s.pages[n].used != 0 {
			return fmt.Errorf("I8: page %d is in the pool twice or in use", n)
		}
		free[n] = true
	}
	if len(free) != int(s.pool.mu.freeLen) {
		return fmt.Errorf("I8: pool lists %d pages, counts %d", len(free), s.pool.mu.freeLen)
	}
	for id := 1; id < len(s.classes); id++ {
		cl := &s.classes[id]
		avail := map[uint32]bool{}
		prev := uint32(0)
		for n := cl.avail; n != 0; n = s.pages[n].next {
			if avail[n] || s.pages[n].prev != prev {
				return fmt.Errorf("I6: class %d: broken list of pages at %d", id, n)
			}
			avail[n], prev = true, n
		}
		used, pages := uint64(0), uint32(0)
		for n := uint32(1); n <= s.pool.mu.high; n++ {
			pg := &s.pages[n]
			if pg.state == pageUnused || pg.class != uint8(id) {
				continue
			}
			pages++
			used += uint64(pg.used)
			if want := pg.state == pageAssigned && s.hasRoom(cl, pg); avail[n] != want {
				return fmt.Errorf("I6: class %d: page %d offers chunks: %t, should: %t", id, n, avail[n], want)
			}
			if err := c.page(cl, n); err != nil {
				return err
			}
		}
		if used != cl.used || pages != cl.npages || int(pages) != len(cl.own) {
			return fmt.Errorf("I6: class %d: %d chunks in %d pages, counted %d in %d", id, used, pages, cl.used, cl.npages)
		}
		given += pages
	}
	for n := uint32(1); n <= s.pool.mu.high; n++ {
		if s.pages[n].state == pageUnused && !free[n] {
			given++ // on its way from one class to another
		}
	}
	if given != s.pool.mu.given {
		return fmt.Errorf("I8: %d pages in classes, counted %d", given, s.pool.mu.given)
	}
	return nil
}

// page proves I6 and I7 for one page.
func (c *checker) page(cl *class, n uint32) error {
	s := c.s
	pg := &s.pages[n]
	count := uint32(0)
	for ref := pg.free; ref != 0; ref = s.header(ref).next {
		at := ref - n<<s.pageShift
		if s.pageOf(ref) != n || at%cl.unit != 0 || at/cl.unit >= pg.bump {
			return fmt.Errorf("I6: page %d: free chunk %d is not one of its chunks", n, ref)
		}
		if c.seen[ref] != useNone || s.header(ref).loadState()&stateMask != stateFree {
			return fmt.Errorf("I6: page %d: chunk %d is free twice or in use", n, ref)
		}
		c.seen[ref] = useFree
		count++
	}
	if count != pg.nfree || pg.used != pg.bump-count {
		return fmt.Errorf("I6: page %d: %d free of %d begun, counted %d free, %d used", n, count, pg.bump, pg.nfree, pg.used)
	}
	for i := pg.bump; i < cl.perPage; i++ {
		if s.header(n<<s.pageShift+i*cl.unit).state != 0 {
			return fmt.Errorf("I7: page %d: chunk %d of an earlier class shines through", n, i)
		}
	}
	return nil
}

// index proves I1: every slot names a live item with a key of its own that
// belongs there.
func (c *checker) index() error {
	s := c.s
	x := &s.index
	overflow := uint32(0)
	keys := map[string]bool{}
	for i := range s.stripes {
		st := &s.stripes[i]
		if st.n == 0 || st.n > st.mask+1 || st.n <= st.mask>>1 || st.n > x.rows.Load() {
			return fmt.Errorf("I9: stripe %d: %d buckets under mask %x, %d rows", i, st.n, st.mask, x.rows.Load())
		}
		items := uint32(0)
		for sub := range st.n {
			home := sub<<x.stripeBits | uint32(i)
			for n := home; ; {
				b := x.bucket(n)
				for slot, ref := range &b.refs {
					if (ref == 0) != (b.tag(slot) == 0) {
						return fmt.Errorf("I1: bucket %d slot %d: tag and ref disagree", n, slot)
					}
					if ref == 0 {
						continue
					}
					items++
					if err := c.slot(st, home, b.tag(slot), ref, keys); err != nil {
						return err
					}
				}
				if n = b.next; n == 0 {
					break
				}
				overflow++
			}
		}
		if items != st.items {
			return fmt.Errorf("I9: stripe %d: %d items, counted %d", i, items, st.items)
		}
	}
	if overflow+x.mu.freeLen != x.mu.overflow {
		return fmt.Errorf("I9: %d overflow buckets used and %d free, counted %d", overflow, x.mu.freeLen, x.mu.overflow)
	}
	return nil
}

func (c *checker) slot(st *stripe, home uint32, tag uint8, ref uint32, keys map[string]bool) error {
	s := c.s
	if int(s.pageOf(ref)) >= len(s.pages) || s.pages[s.pageOf(ref)].state == pageUnused {
		return fmt.Errorf("I1: a slot names chunk %d of no page", ref)
	}
	if c.seen[ref] != useNone {
		return fmt.Errorf("I1: chunk %d is named twice or free", ref)
	}
	c.seen[ref] = useSlot
	h := s.header(ref)
	if !isLive(h.loadState()) {
		return fmt.Errorf("I1: chunk %d in the index is not live", ref)
	}
	key := string(h.key())
	hash := s.hash(h.key())
	if keys[key] {
		return fmt.Errorf("I1: key %q is in the index twice", key)
	}
	keys[key] = true
	if tagOf(hash) != tag || s.stripe(hash) != st || s.home(st, hash) != home {
		return fmt.Errorf("I1: key %q is in the wrong bucket", key)
	}
	if h.ver() > s.ver.Load() {
		return fmt.Errorf("I4: key %q has version %d of %d", key, h.ver(), s.ver.Load())
	}
	return nil
}

// lists proves I2: an item is in the index exactly if it is on the list that
// its word names, and links and sums are right.
func (c *checker) lists() error {
	s := c.s
	listed := 0
	for id := 1; id < len(s.classes); id++ {
		cl := &s.classes[id]
		for l := range LRU(lruCount) {
			li := &cl.lists[l]
			var n, bytes uint64
			prev := uint32(0)
			for ref := li.head; ref != 0; {
				h := s.header(ref)
				if c.seen[ref] != useSlot {
					return fmt.Errorf("I2: class %d %v: chunk %d is not in the index, or listed twice", id, l, ref)
				}
				c.seen[ref] = useItem
				if h.prev != prev {
					return fmt.Errorf("I3: class %d %v: links at chunk %d do not mirror", id, l, ref)
				}
				word := h.loadWord()
				if wordClass(word) != cl.id || wordList(word) != l {
					return fmt.Errorf("I2: class %d %v: chunk %d says class %d %v", id, l, ref, wordClass(word), wordList(word))
				}
				if word&markDemoted != 0 && l != Cold {
					return fmt.Errorf("I11: class %d %v: chunk %d says it came to the cold list", id, l, ref)
				}
				n++
				bytes += h.itemBytes()
				prev, ref = ref, h.next
			}
			if li.tail != prev || n != li.n || bytes != li.bytes {
				return fmt.Errorf("I3: class %d %v: %d items of %d bytes, counted %d of %d", id, l, n, bytes, li.n, li.bytes)
			}
			listed += int(n)
		}
	}
	for ref, use := range c.seen {
		if use == useSlot {
			return fmt.Errorf("I2: chunk %d is in the index but on no list", ref)
		}
	}
	return nil
}

// parts proves I5 and I10: the pieces of chained items are theirs alone and hold the
// whole value; sizes fit the classes.
func (c *checker) parts() error {
	s := c.s
	for ref, use := range c.seen {
		if use != useItem {
			continue
		}
		h := s.header(ref)
		state := h.loadState()
		size := int(bodyOffset(state)) + h.keyLen()
		want := s.chunkClass(ref)
		if !h.chained(state) {
			size += h.valueLen()
		} else {
			want = s.top()
			if err := c.chain(h, ref); err != nil {
				return err
			}
		}
		if wordClass(h.loadWord()) != want.id || size > int(s.chunkClass(ref).size) {
			return fmt.Errorf("I10: chunk %d of class %d: item of %d bytes counts in class %d",
				ref, s.chunkClass(ref).id, size, wordClass(h.loadWord()))
		}
	}
	return nil
}

func (c *checker) chain(h *header, owner uint32) error {
	s := c.s
	l := h.large()
	var total, parts uint32
	for ref := l.first; ref != 0; {
		p := s.part(ref)
		if c.seen[ref] != useNone || p.loadState()&stateMask != statePart {
			return fmt.Errorf("I5: piece %d of chunk %d is used elsewhere", ref, owner)
		}
		if p.owner != owner || p.hash != uint32(s.hash(h.key())) {
			return fmt.Errorf("I5: piece %d does not name its owner %d", ref, owner)
		}
		if partHeaderBytes+p.used > s.chunkClass(ref).size {
			return fmt.Errorf("I10: piece %d is longer than its chunk", ref)
		}
		c.seen[ref] = usePart
		total += p.used
		parts++
		ref = p.next
	}
	if total != l.total || parts != l.parts {
		return fmt.Errorf("I5: chunk %d: %d pieces of %d bytes, counted %d of %d", owner, parts, total, l.parts, l.total)
	}
	return nil
}

// chunks proves that no chunk is lost: what is given out and not in an item is
// held by a pin or a Pending.
func (c *checker) chunks() error {
	s := c.s
	lost, retiredParts := int64(0), int64(0)
	for n := uint32(1); n <= s.pool.mu.high; n++ {
		pg := &s.pages[n]
		if pg.state == pageUnused {
			continue
		}
		cl := &s.classes[pg.class]
		for i := range pg.bump {
			ref := n<<s.pageShift + i*cl.unit
			if c.seen[ref] != useNone {
				continue
			}
			state := s.header(ref).loadState()
			switch state & stateMask {
			case stateFree:
				lost++
			case stateRetired:
				c.retired++
				if h := s.header(ref); h.chained(state) {
					retiredParts -= int64(h.large().parts)
				}
			case statePart:
				retiredParts++
			default:
				return fmt.Errorf("I6: chunk %d is live, but not in the index", ref)
			}
		}
	}
	if retiredParts != 0 {
		return fmt.Errorf("I5: %d pieces have no owner", retiredParts)
	}
	if lost != s.pendingChunks.Load() {
		return fmt.Errorf("I6: %d chunks are nobody's, %d are being filled", lost, s.pendingChunks.Load())
	}
	return nil
}

// limit proves I8: index and pages stay below the limit, unless it was lowered
// and pages are still being emptied.
func (c *checker) limit() error {
	s := c.s
	x := &s.index
	index := x.rowsBytes(x.rows.Load()) + int64(x.mu.overflow)*bucketBytes
	if index != s.pool.mu.indexBytes {
		return fmt.Errorf("I8: index of %d bytes, counted %d", index, s.pool.mu.indexBytes)
	}
	if used := s.usedBytesLocked(); used > s.limit.Load() && !s.shrinking() {
		return fmt.Errorf("I8: %d bytes used of %d", used, s.limit.Load())
	}
	return nil
}

// ghosts proves I11: shares and rings are within their bounds, and there are no
// ghosts where none is paid for.
func (c *checker) ghosts() error {
	s := c.s
	x := &s.index
	for id := 1; id < len(s.classes); id++ {
		if p := s.classes[id].probation; !(p >= probationLeast && p <= probationMost) {
			return fmt.Errorf("I11: class %d: a probation of %g", id, p)
		}
	}
	if x.ghostMin == 0 {
		return nil
	}
	rows := ghostRows(x.rows.Load())
	for n := range ghostRows(x.rowsMax) << x.stripeBits {
		if n>>x.stripeBits > rows {
			break // a row more shows what was written too far
		}
		b := x.ghost(x.ghostMin + n)
		if b.cursor[ghostCold] >= ghostSlots || b.cursor[ghostWarm] >= ghostSlots {
			return fmt.Errorf("I11: ghosts %d: cursors %d", n, b.cursor)
		}
		if n>>x.stripeBits == rows && *b != (ghostBucket{}) {
			return fmt.Errorf("I11: ghosts %d are not paid for", n)
		}
	}
	return nil
}

// expiry proves I13: no item that expires is there that its page, or its class,
// does not know of in time. What the crawler has begun to look at it knows when
// it has seen the rest.
func (c *checker) expiry() error {
	s := c.s
	j := &s.crawl
	for ref, use := range c.seen {
		h := s.header(ref)
		if use != useItem || h.exptime(h.loadState()) == 0 {
			continue
		}
		exptime := h.exptime(h.loadState())
		cl := &s.classes[wordClass(h.loadWord())]
		begun := j.mu.class == int(cl.id)
		if cl.due > exptime && !begun {
			return fmt.Errorf("I13: class %d is due at %d, item %d dies at %d", cl.id, cl.due, ref, exptime)
		}
		if h.chained(h.loadState()) {
			if cl.chainDue > exptime && !(begun && j.mu.all) {
				return fmt.Errorf("I13: chained items are due at %d, item %d dies at %d", cl.chainDue, ref, exptime)
			}
			continue
		}
		n := s.pageOf(ref)
		if n == cl.crawl.page && (ref-n<<s.pageShift)/cl.unit >= cl.crawl.chunk {
			continue
		}
		if due := s.pages[n].due; due > exptime {
			return fmt.Errorf("I13: page %d of class %d is due at %d, item %d dies at %d", n, cl.id, due, ref, exptime)
		}
	}
	return nil
}
