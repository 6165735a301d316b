package slab

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// The index is a hash table of 64-byte buckets: one cache line holds twelve
// tags, twelve refs and the number of an overflow bucket. It grows by linear
// hashing, each stripe splitting one of its own buckets at a time, so no
// insert ever waits for a rehash of more than one bucket.
//
// Bucket n of the table belongs to stripe n mod stripes: the low bits of the
// hash. The bits above choose among the stripe's buckets, the top byte is the tag.
const (
	bucketBytes = 64
	bucketSlots = 12
	// bucketLoad is the mean number of items in a bucket from which on the
	// stripe splits one: 9 bytes of index an item, few overflow buckets.
	bucketLoad = 7
	// bucketsMax is how many buckets a table has at most, overflow and ghosts not counted.
	bucketsMax = 1 << 31
	// indexStart is the part of the limit, one in so many, that the index takes
	// at most before there are items. It grows to a 30th with items of 300 bytes,
	// and what it has too much of it never gives back.
	indexStart = 64
	// overflowBatch is how many overflow buckets are taken from the limit at once.
	overflowBatch = 64

	tagOnes = 0x0101010101010101
	tagTops = 0x8080808080808080
)

// bucket is one line of the index. A tag of 0 is an empty slot.
type bucket struct {
	tags8 uint64 // tags of slots 0 to 7
	tags4 uint32 // tags of slots 8 to 11
	next  uint32 // overflow bucket, 0 if none
	refs  [bucketSlots]uint32
}

// stripe is one lock of the index with the state of its buckets. It fills a
// cache line.
type stripe struct {
	mu    sync.Mutex
	n     uint32 // buckets, at least 1
	mask  uint32 // 2^k-1 with 2^k >= n, the smallest such
	items uint32
	grow  uint32 // items from which on to split
	_     [64 - 8 - 4*4]byte
}

// index is the memory of all stripes' buckets: the table from the start of
// mem, then overflow buckets, then buckets of ghosts (ghost.go).
type index struct {
	mem         region
	stripeBits  uint8
	rows        atomic.Uint32 // buckets of each stripe that the limit has been charged for
	rowsMax     uint32
	overflowMin uint32 // number of the first overflow bucket; 0 is never one

	// starved says that a stripe wanted to grow and the limit had no room:
	// Maintain then frees a page.
	starved atomic.Bool

	mu struct {
		sync.Mutex
		free     uint32 // list of overflow buckets, linked by next
		freeLen  uint32
		overflow uint32 // overflow buckets charged, used or free
	}
	overflowMax uint32
	ghostMin    uint32 // number of the first bucket of ghosts, 0 if there are none
}

// tagOf returns the tag of a hash, never 0.
func tagOf(hash uint64) uint8 {
	t := uint8(hash >> 56)
	if t == 0 {
		return 1
	}
	return t
}

func (s *Store) stripe(hash uint64) *stripe {
	return &s.stripes[hash&s.stripeMask]
}

// home returns the number of the bucket in which a hash belongs.
func (s *Store) home(st *stripe, hash uint64) uint32 {
	sub := uint32(hash>>s.index.stripeBits) & st.mask
	if sub >= st.n {
		sub &= st.mask >> 1
	}
	return sub<<s.index.stripeBits | uint32(hash&s.stripeMask)
}

func (b *bucket) tag(slot int) uint8 {
	if slot < 8 {
		return uint8(b.tags8 >> (slot * 8))
	}
	return uint8(b.tags4 >> ((slot - 8) * 8))
}

func (b *bucket) setTag(slot int, tag uint8) {
	if slot < 8 {
		b.tags8 = b.tags8&^(0xff<<(slot*8)) | uint64(tag)<<(slot*8)
		return
	}
	slot -= 8
	b.tags4 = b.tags4&^(0xff<<(slot*8)) | uint32(tag)<<(slot*8)
}

// match returns a set top bit for every byte of tags that is tag. Bytes above
// the lowest match may be false matches; the lowest never is.
func match8(tags uint64, tag uint8) uint64 {
	x := tags ^ tagOnes*uint64(tag)
	return (x - tagOnes) & ^x & tagTops
}

func match4(tags uint32, tag uint8) uint32 {
	x := tags ^ uint32(tagOnes&0xffffffff)*uint32(tag)
	return (x - uint32(tagOnes&0xffffffff)) & ^x & uint32(tagTops&0xffffffff)
}

// empty returns a free slot of the bucket, -1 if it has none.
func (b *bucket) empty() int {
	if m := match8(b.tags8, 0); m != 0 {
		return bits.TrailingZeros64(m) >> 3
	}
	if m := match4(b.tags4, 0); m != 0 {
		return 8 + bits.TrailingZeros32(m)>>3
	}
	return -1
}

func (b *bucket) put(slot int, tag uint8, ref uint32) {
	b.setTag(slot, tag)
	b.refs[slot] = ref
}

func (b *bucket) take(slot int) {
	b.setTag(slot, 0)
	b.refs[slot] = 0
}

// place is a slot of a bucket; the zero place is none.
type place struct {
	b    *bucket
	slot int
}

// findLocked returns the item with this key, its ref and its slot, or nil.
// Caller holds the stripe.
func (s *Store) findLocked(st *stripe, k *Key) (*header, uint32, place) {
	tag := tagOf(k.Hash)
	b := s.index.bucket(s.home(st, k.Hash))
	for {
		for m := match8(b.tags8, tag); m != 0; m &= m - 1 {
			slot := bits.TrailingZeros64(m) >> 3
			ref := b.refs[slot%bucketSlots]
			h := s.header(ref)
			if state := h.loadState(); isLive(state) && h.keyIs(state, k.Bytes) {
				return h, ref, place{b, slot}
			}
		}
		for m := match4(b.tags4, tag); m != 0; m &= m - 1 {
			slot := 8 + bits.TrailingZeros32(m)>>3
			ref := b.refs[slot%bucketSlots]
			h := s.header(ref)
			if state := h.loadState(); isLive(state) && h.keyIs(state, k.Bytes) {
				return h, ref, place{b, slot}
			}
		}
		if b.next == 0 {
			return nil, 0, place{}
		}
		b = s.index.bucket(b.next)
	}
}

// findRefLocked returns the slot that holds ref. Caller holds the stripe.
func (s *Store) findRefLocked(st *stripe, hash uint64, ref uint32) place {
	b := s.index.bucket(s.home(st, hash))
	for {
		for slot, r := range &b.refs {
			if r == ref {
				return place{b, slot}
			}
		}
		if b.next == 0 {
			return place{}
		}
		b = s.index.bucket(b.next)
	}
}

// insertLocked enters a ref that is not in the index. It reports false if the
// bucket is full and the limit has no room for an overflow bucket. Caller
// holds the stripe.
func (s *Store) insertLocked(st *stripe, hash uint64, ref uint32) bool {
	b := s.index.bucket(s.home(st, hash))
	for {
		if slot := b.empty(); slot >= 0 {
			b.put(slot, tagOf(hash), ref)
			break
		}
		if b.next == 0 {
			n := s.newOverflow()
			if n == 0 {
				return false
			}
			b.next = n
		}
		b = s.index.bucket(b.next)
	}
	st.items++
	if st.items > st.grow {
		s.splitLocked(st, hash)
	}
	return true
}

// removeLocked empties a slot. Empty overflow buckets stay until the next
// split of their bucket. Caller holds the stripe.
func (s *Store) removeLocked(st *stripe, at place) {
	at.b.take(at.slot)
	st.items--
}

// splitLocked splits the next bucket of the stripe that hash belongs to. It
// does nothing if the limit has no room. Caller holds the stripe.
func (s *Store) splitLocked(st *stripe, hash uint64) {
	if st.n >= s.index.rows.Load() && !s.newRow(st.n) {
		st.grow = st.items + bucketSlots // try again a little later
		return
	}
	if st.n > st.mask {
		st.mask = st.mask<<1 | 1 // the stripe has doubled: start over
	}
	from := (st.n&(st.mask>>1))<<s.index.stripeBits | uint32(hash&s.stripeMask)
	st.n++
	st.grow = st.n * bucketLoad
	s.redistribute(st, from)
}

// entry is a slot's content while its bucket is being split.
type entry struct {
	ref  uint32
	lens uint32
	tag  uint8
}

// redistribute empties bucket from with its overflow buckets and enters every
// item again, now in one of two buckets. That never needs more overflow
// buckets than there were, so it cannot fail half-way.
func (s *Store) redistribute(st *stripe, from uint32) {
	x := &s.index
	var room [8 * bucketSlots]entry
	entries := room[:0]
	var spare uint32 // overflow buckets taken off, linked by next
	for n := from; ; {
		b := x.bucket(n)
		for slot, ref := range &b.refs {
			if ref != 0 {
				// Reading all headers first lets their cache misses overlap.
				entries = append(entries, entry{ref, s.header(ref).lens, b.tag(slot)})
			}
		}
		next := b.next
		*b = bucket{}
		if n != from {
			b.next, spare = spare, n
		}
		if next == 0 {
			break
		}
		n = next
	}
	for i := range entries {
		e := &entries[i]
		hash := s.hash(s.header(e.ref).keyOf(int(e.lens & 0xff)))
		b := x.bucket(s.home(st, hash))
		slot := b.empty()
		for slot < 0 {
			if b.next == 0 {
				b.next = spare
				spare = x.bucket(spare).next
				x.bucket(b.next).next = 0
			}
			b = x.bucket(b.next)
			slot = b.empty()
		}
		b.put(slot, e.tag, e.ref)
	}
	for spare != 0 {
		next := x.bucket(spare).next
		x.giveOverflow(spare)
		spare = next
	}
}

// newRow gives every stripe room for bucket sub. It reports false if the limit
// has no room. The locks: stripe, then pool.
func (s *Store) newRow(sub uint32) bool {
	x := &s.index
	if sub >= x.rowsMax {
		return false
	}
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	if sub < x.rows.Load() {
		return true
	}
	if !s.chargeIndexLocked(x.rowsBytes(sub+1) - x.rowsBytes(sub)) {
		x.starved.Store(true)
		return false
	}
	x.rows.Add(1)
	return true
}

// rowsBytes returns what so many rows take of the limit, with their ghosts.
func (x *index) rowsBytes(rows uint32) int64 {
	n := int64(rows)
	if x.ghostMin != 0 {
		n += int64(ghostRows(rows))
	}
	return n * bucketBytes << x.stripeBits
}

// newOverflow returns an empty overflow bucket, 0 if the limit has no room.
func (s *Store) newOverflow() uint32 {
	x := &s.index
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.mu.free == 0 {
		s.pool.mu.Lock()
		ok := x.mu.overflow+overflowBatch <= x.overflowMax && s.chargeIndexLocked(overflowBatch*bucketBytes)
		s.pool.mu.Unlock()
		if !ok {
			x.starved.Store(true)
			return 0
		}
		for range overflowBatch {
			n := x.overflowMin + x.mu.overflow
			x.bucket(n).next, x.mu.free = x.mu.free, n
			x.mu.overflow++
			x.mu.freeLen++
		}
	}
	n := x.mu.free
	b := x.bucket(n)
	x.mu.free = b.next
	x.mu.freeLen--
	b.next = 0
	return n
}

// giveOverflow takes an empty bucket back.
func (x *index) giveOverflow(n uint32) {
	x.mu.Lock()
	x.bucket(n).next, x.mu.free = x.mu.free, n
	x.mu.freeLen++
	x.mu.Unlock()
}

// newIndex reserves the index of a store whose item memory has arenaBytes and
// sizes it for 1<<power items, or less if the limit is small.
func (s *Store) newIndex(arenaBytes uint64, power int, huge bool) error {
	x := &s.index
	x.stripeBits = uint8(bits.TrailingZeros32(uint32(len(s.stripes))))
	rowBytes := uint64(bucketBytes) << x.stripeBits
	n := uint32(1)
	for uint64(n)*rowBytes*8/bucketBytes < 1<<power && int64(uint64(n)*2*rowBytes) <= s.cfg.LimitBytes/indexStart {
		n *= 2
	}
	// An eighth of the item memory is room for the smallest items; half as
	// much again for overflow. All numbers of buckets fit 32 bits.
	x.rowsMax = uint32(min(max(arenaBytes/8/rowBytes, uint64(n)), bucketsMax>>x.stripeBits))
	x.overflowMin = x.rowsMax << x.stripeBits
	x.overflowMax = max(x.overflowMin/2, overflowBatch)
	buckets := uint64(x.overflowMin) + uint64(x.overflowMax)
	if s.cfg.Eviction == EvictionAdaptive && s.cfg.Maintainer && !s.cfg.NoEvict {
		x.ghostMin = uint32(buckets)
		buckets += uint64(ghostRows(x.rowsMax)) << x.stripeBits
	}
	mem, err := reserve(buckets*bucketBytes, huge)
	if err != nil {
		return err
	}
	x.mem = mem
	x.rows.Store(n)
	s.pool.mu.indexBytes = x.rowsBytes(n)
	for i := range s.stripes {
		s.stripes[i].n = n
		s.stripes[i].mask = n - 1
		s.stripes[i].grow = n * bucketLoad
	}
	return nil
}
