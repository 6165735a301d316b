package slab

import "math/bits"

// ClassSet is a set of class ids.
type ClassSet uint64

// AllClasses holds every class.
const AllClasses ClassSet = 1<<(classMax+1) - 1

// Classes makes a set of the ids given. Ids that no class can have are left out.
func Classes(ids ...int) ClassSet {
	var set ClassSet
	for _, id := range ids {
		if id > 0 && id <= classMax {
			set |= 1 << id
		}
	}
	return set
}

// Has reports whether the set holds a class.
func (c ClassSet) Has(class uint8) bool { return c>>class&1 != 0 }

// Cursor is how far a Walk has come. The zero Cursor is at the start.
//
// Within a stripe the walk goes by the bits of the hash above the stripe's,
// lowest first, as the table splits its buckets by them: bucket b with k
// significant bits holds the hashes whose reversed bits start with b reversed.
// So the buckets tile the range of reversed hashes, a split cuts one tile in
// two, and the end of a visited tile stays the end of a tile for ever.
type Cursor struct {
	stripe uint32
	at     uint64 // reversed hash bits up to which the stripe is done
}

const (
	walkEnd        = 1 << 32 // end of the range of reversed hashes
	walkItemsLock  = 64      // items visited per lock hold, about
	walkBucketLock = 64      // buckets looked at per lock hold
	walkAhead      = 8       // buckets whose items are asked for before the first is visited
	walkStripeStep = 64      // lock holds per call
)

// Walk visits items that are alive and in the given classes, and moves the
// cursor on. An item that is in the store during the whole walk is visited
// exactly once, any other at most once per time that it was stored. A call visits about
// maxItems, or returns early after a bounded look in vain; it reports true
// when the walk is over. visit runs with the item locked: it may copy, must
// not call the store, and should be quick. No lock is held between calls.
func (s *Store) Walk(c *Cursor, classes ClassSet, maxItems int, visit func(Item)) (done bool) {
	left := maxItems
	for range walkStripeStep {
		if int(c.stripe) >= len(s.stripes) {
			return true
		}
		left -= s.walkStripe(c, classes, min(left, walkItemsLock), visit)
		if c.at == walkEnd {
			*c = Cursor{stripe: c.stripe + 1}
		}
		if left <= 0 {
			break
		}
	}
	return int(c.stripe) >= len(s.stripes)
}

// walkStripe visits buckets of the cursor's stripe until it has seen so many
// items, and returns how many it visited. The processor is asked for the
// buckets, and then for the items, a few buckets at a time: they are all over
// the memory, and a walk that waited for each would hold its locks four times as long.
func (s *Store) walkStripe(c *Cursor, classes ClassSet, maxItems int, visit func(Item)) int {
	st := &s.stripes[c.stripe]
	st.mu.Lock()
	defer st.mu.Unlock()
	var ahead [walkAhead]struct {
		bucket uint32
		end    uint64
	}
	visited := 0
	for left := walkBucketLock; left > 0; left -= walkAhead {
		at, n := c.at, 0
		for n < min(len(ahead), (maxItems-visited)/bucketLoad+1) && at != walkEnd {
			sub, level := st.tile(at)
			at += walkEnd >> level
			ahead[n].bucket, ahead[n].end = sub<<s.index.stripeBits|c.stripe, at
			n++
		}
		for i := 0; lookAhead && i < n; i++ {
			s.index.fetchBucket(ahead[i].bucket)
		}
		for i := 0; lookAhead && i < n; i++ {
			for _, ref := range &s.index.bucket(ahead[i].bucket).refs {
				if ref != 0 {
					s.fetchItem(ref)
				}
			}
		}
		for i := range n {
			visited += s.walkBucket(ahead[i].bucket, classes, visit)
			c.at = ahead[i].end
			if c.at == walkEnd || visited >= maxItems {
				return visited
			}
		}
	}
	return visited
}

// tile returns the bucket at a position of the walk and how many bits of the
// hash it stands for. Caller holds the stripe.
func (st *stripe) tile(at uint64) (sub uint32, level int) {
	level = bits.Len32(st.mask)
	sub = bits.Reverse32(uint32(at)) & st.mask
	half := (st.mask >> 1) + 1
	switch {
	case st.mask == 0:
		return 0, 0
	case sub >= st.n: // not there yet: the bucket to be split holds its items
		return sub - half, level - 1
	case sub < half && sub+half >= st.n: // not split yet
		return sub, level - 1
	}
	return sub, level
}

// walkBucket visits a bucket and its overflow. Caller holds the stripe.
func (s *Store) walkBucket(n uint32, classes ClassSet, visit func(Item)) int {
	now := s.now.Load()
	visited := 0
	for {
		b := s.index.bucket(n)
		for _, ref := range &b.refs {
			if ref == 0 {
				continue
			}
			h := s.header(ref)
			state := h.loadState()
			if !isLive(state) || !classes.Has(wordClass(h.loadWord())) {
				continue
			}
			if expired, flushed := s.dead(h, state, now); expired || flushed {
				continue
			}
			visit(Item{h: h, s: s, ref: ref})
			visited++
		}
		if n = b.next; n == 0 {
			return visited
		}
	}
}

// dumpBatch is how many items CacheDump visits per hold of the class lock.
const dumpBatch = 64

// CacheDump visits the cold list of a class from its head, the most recent
// item first, until limit items are done (0: no limit) or visit returns false;
// with EvictionAdaptive, where a class that never evicted has nothing there, the
// hot and the warm list as well.
// It is a look at a moving list: items may be missed. visit runs with the class locked:
// it may copy, must not call the store, and should be quick.
func (s *Store) CacheDump(class, limit int, visit func(Item) bool) {
	if class < 1 || class >= len(s.classes) {
		return
	}
	lists := []LRU{Cold}
	if s.adaptive() {
		lists = []LRU{Cold, Hot, Warm}
	}
	for _, l := range lists {
		n, ok := s.dumpList(&s.classes[class], l, limit, visit)
		if limit > 0 {
			limit -= n
		}
		if !ok {
			return
		}
	}
}

// dumpList is CacheDump for one list. It returns how many items it visited, and
// false if that was enough.
func (s *Store) dumpList(c *class, l LRU, limit int, visit func(Item) bool) (seen int, more bool) {
	var batch [dumpBatch]dumped
	n := 0
	for {
		c.mu.Lock()
		ref, ok := s.dumpResumeLocked(c, l, batch[:n])
		n = 0
		for ok && ref != 0 && n < dumpBatch && (limit <= 0 || seen < limit) {
			h := s.header(ref)
			state := h.loadState()
			batch[n] = dumped{ref, h.ver()}
			n++
			if expired, flushed := s.dead(h, state, s.now.Load()); !expired && !flushed {
				seen++
				ok = visit(Item{h: h, s: s, ref: ref})
			}
			ref = h.next
		}
		c.mu.Unlock()
		switch {
		case limit > 0 && seen >= limit || n > 0 && !ok:
			return seen, false
		case !ok || ref == 0 || n == 0:
			return seen, true
		}
	}
}

// dumped is an item as CacheDump met it.
type dumped struct {
	ref uint32
	ver uint64
}

// dumpResumeLocked returns the item after the last one of the batch that is
// still where it was, or the head if there is no batch. It reports false if
// the whole batch is gone. Caller holds the class.
func (s *Store) dumpResumeLocked(c *class, l LRU, batch []dumped) (uint32, bool) {
	if len(batch) == 0 {
		return c.lists[l].head, true
	}
	for i := len(batch) - 1; i >= 0; i-- {
		h := s.header(batch[i].ref)
		w := h.loadWord()
		if isLive(h.loadState()) && w>>wordVerShift == batch[i].ver && wordList(w) == l && wordClass(w) == c.id {
			return h.next, true
		}
	}
	return 0, false
}
