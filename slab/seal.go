package slab

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
)

// A store that ends in order writes down what else would be found by reading
// every item: where its lists begin, which chunks are free, the index. That goes
// into pages of the memory that no class has: by the limit there are as many as
// the index takes, and MemoryBytes adds room for the rest. The pages are marked
// dirty first, so that whoever finds the memory before it is sealed, or after it
// was taken over again, makes them zero.

const (
	// sealedPageBytes is what is written of a page, sealRoom how much there is
	// to write besides pages and index.
	sealedPageBytes = 7 * 4
	sealRoom        = 64 << 10

	sealLinkBytes = 8 // at the start of each page that is written to: the next one
)

// ErrBusy: somebody still uses the store.
var ErrBusy = errors.New("slab: values are still being received or sent")

var errNoRoom = errors.New("slab: no room to write down the index")

// Seal prepares memory that outlives the process for a fast start. No operation
// may be running, nor come after it, except Close. If it fails the next start
// looks at every item, and nothing is lost.
func (s *Store) Seal() error {
	if s.super == nil {
		return nil
	}
	if s.pendingChunks.Load() != 0 || s.pinned.Load() != 0 {
		return ErrBusy
	}
	s.stopMove()
	free := s.unusedPages()
	w := sealer{s: s, free: free}
	s.sealState(&w)
	if w.failed {
		return errNoRoom
	}
	for n := range s.pages {
		if s.pages[n].dirty {
			s.setEntry(uint32(n), tableDirty)
		}
	}
	p := s.super
	p.sealPage, p.sealSize, p.sealSum = free[0], w.size, w.sum
	p.items.Store(s.countItems())
	p.state.Store(memorySealed)
	return nil
}

// unusedPages returns the pages that no class has.
func (s *Store) unusedPages() (free []uint32) {
	for n := 1; n < len(s.pages); n++ {
		if s.pages[n].state == pageUnused {
			free = append(free, uint32(n))
		}
	}
	return free
}

// sealState writes all of the state, in the order in which openSealed reads it.
func (s *Store) sealState(w *sealer) {
	x, p := &s.index, &s.pool
	for _, v := range s.sealShape() {
		w.u32(v)
	}
	for _, v := range []uint32{x.rows.Load(), x.mu.overflow, x.mu.free, x.mu.freeLen, p.mu.high, p.mu.free, p.mu.freeLen, p.mu.given} {
		w.u32(v)
	}
	for id := 1; id < len(s.classes); id++ {
		c := &s.classes[id]
		w.u32(c.avail)
		w.u64(c.used)
		w.u64(math.Float64bits(c.probation))
		for l := range c.lists {
			li := &c.lists[l]
			w.u32(li.head)
			w.u32(li.tail)
			w.u64(li.n)
			w.u64(li.bytes)
		}
	}
	for n := uint32(1); n <= p.mu.high; n++ {
		pg := &s.pages[n]
		for _, v := range [sealedPageBytes / 4]uint32{uint32(pg.class) | uint32(pg.state)<<8, pg.free, pg.nfree, pg.bump, pg.used, pg.next, pg.prev} {
			w.u32(v)
		}
	}
	for i := range s.stripes {
		st := &s.stripes[i]
		for _, v := range []uint32{st.n, st.mask, st.items, st.grow} {
			w.u32(v)
		}
	}
	for _, part := range x.parts() {
		w.write(x.mem.bytes(part[0], part[1]))
	}
	w.flush()
}

// sealShape is what must be the same in the store that takes over.
func (s *Store) sealShape() []uint32 {
	x := &s.index
	return []uint32{uint32(len(s.pages)), uint32(len(s.stripes)), x.rowsMax, x.overflowMin, x.overflowMax, x.ghostMin}
}

// parts returns the offsets and lengths of what is in use of the index.
func (x *index) parts() [][2]uint64 {
	row := uint64(bucketBytes) << x.stripeBits
	parts := [][2]uint64{
		{0, uint64(x.rows.Load()) * row},
		{uint64(x.overflowMin) * bucketBytes, uint64(x.mu.overflow) * bucketBytes},
	}
	if x.ghostMin != 0 {
		parts = append(parts, [2]uint64{uint64(x.ghostMin) * bucketBytes, uint64(ghostRows(x.rows.Load())) * row})
	}
	return parts
}

// sealer writes a stream of bytes to unused pages, each of which names the next.
type sealer struct {
	s      *Store
	free   []uint32
	used   int    // pages of free taken so far
	room   []byte // of the page being written
	size   uint64
	sum    uint32
	failed bool
	small  []byte // numbers not written yet
}

func (w *sealer) u32(v uint32) { w.number(binary.LittleEndian.AppendUint32(w.small, v)) }
func (w *sealer) u64(v uint64) { w.number(binary.LittleEndian.AppendUint64(w.small, v)) }

func (w *sealer) number(small []byte) {
	if w.small = small; len(small) >= sealRoom/2 {
		w.flush()
	}
}

func (w *sealer) flush() {
	small := w.small
	w.small = w.small[:0]
	w.copy(small)
}

func (w *sealer) write(b []byte) {
	w.flush()
	w.copy(b)
}

func (w *sealer) copy(b []byte) {
	w.size += uint64(len(b))
	w.sum = crc32.Update(w.sum, castagnoli, b)
	for len(b) > 0 && !w.failed {
		if len(w.room) == 0 && !w.nextPage() {
			w.failed = true
			return
		}
		n := copy(w.room, b)
		w.room, b = w.room[n:], b[n:]
	}
}

// nextPage begins a page and links it to the one before.
func (w *sealer) nextPage() bool {
	if w.used == len(w.free) {
		return false
	}
	n := w.free[w.used]
	w.s.setEntry(n, tableDirty)
	if w.used > 0 {
		binary.LittleEndian.PutUint32(w.s.pageMemory(w.free[w.used-1]), n)
	}
	w.used++
	page := w.s.pageMemory(n)
	clear(page[:sealLinkBytes])
	w.room = page[sealLinkBytes:]
	return true
}

// pageMemory returns the bytes of a page.
func (s *Store) pageMemory(n uint32) []byte {
	return s.arena.bytes(uint64(n)*uint64(s.cfg.PageBytes), uint64(s.cfg.PageBytes))
}

// unseal takes over what Seal wrote. It reports false, having changed nothing,
// if that is damaged or of a store of another shape.
func (s *Store) unseal() bool {
	r := unsealer{s: s, left: s.super.sealSize}
	if !r.check(s.super.sealPage, s.super.sealSum) {
		return false
	}
	r.next = s.super.sealPage
	for _, want := range s.sealShape() {
		if r.u32() != want {
			return false
		}
	}
	rows := r.u32()
	if rows == 0 || rows > s.index.rowsMax {
		return false
	}
	s.readState(&r, rows)
	for n := 1; n < len(s.pages); n++ {
		s.pages[n].dirty = s.entry(uint32(n)) == tableDirty
	}
	if s.sizes.on() {
		s.countSizes()
	}
	s.recovery.Items = s.countItems()
	s.shrinkFrom = s.usedBytesLocked()
	return true
}

// readState reads what sealState wrote after the rows. What was summed up is believed.
func (s *Store) readState(r *unsealer, rows uint32) {
	x, p := &s.index, &s.pool
	x.rows.Store(rows)
	x.mu.overflow, x.mu.free, x.mu.freeLen = r.u32(), r.u32(), r.u32()
	p.mu.high, p.mu.free, p.mu.freeLen, p.mu.given = r.u32(), r.u32(), r.u32(), r.u32()
	p.mu.indexBytes = x.rowsBytes(rows) + int64(x.mu.overflow)*bucketBytes
	for id := 1; id < len(s.classes); id++ {
		c := &s.classes[id]
		c.avail, c.used, c.probation = r.u32(), r.u64(), math.Float64frombits(r.u64())
		for l := range c.lists {
			c.lists[l] = list{head: r.u32(), tail: r.u32(), n: r.u64(), bytes: r.u64()}
		}
	}
	for n := uint32(1); n <= p.mu.high; n++ {
		kind := r.u32()
		s.pages[n] = page{class: uint8(kind), state: pageState(kind >> 8), free: r.u32(), nfree: r.u32(), bump: r.u32(), used: r.u32(), next: r.u32(), prev: r.u32()}
		if s.pages[n].state != pageUnused {
			c := &s.classes[s.pages[n].class]
			c.npages++
			c.own = append(c.own, n)
		}
	}
	for i := range s.stripes {
		st := &s.stripes[i]
		st.n, st.mask, st.items, st.grow = r.u32(), r.u32(), r.u32(), r.u32()
	}
	for _, part := range x.parts() {
		r.read(x.mem.bytes(part[0], part[1]))
	}
}

// unsealer reads the stream that a sealer wrote.
type unsealer struct {
	s    *Store
	next uint32 // the page to go on with
	left uint64 // bytes of the stream
	room []byte // what is left of the present page
}

// check reads all of the stream and compares its sum.
func (r *unsealer) check(first, want uint32) bool {
	sum := uint32(0)
	r.next = first
	seen := map[uint32]bool{}
	for left := r.left; left > 0; {
		n := r.next
		if n == 0 || int(n) >= len(r.s.pages) || seen[n] || r.s.entry(n) != tableDirty {
			return false
		}
		seen[n] = true
		page := r.s.pageMemory(n)
		r.next = binary.LittleEndian.Uint32(page)
		b := page[sealLinkBytes:]
		b = b[:min(uint64(len(b)), left)]
		sum = crc32.Update(sum, castagnoli, b)
		left -= uint64(len(b))
	}
	return sum == want && len(seen) > 0
}

// read fills b. After check there is always enough.
func (r *unsealer) read(b []byte) {
	for len(b) > 0 {
		if len(r.room) == 0 {
			page := r.s.pageMemory(r.next)
			r.next = binary.LittleEndian.Uint32(page)
			r.room = page[sealLinkBytes:]
		}
		n := copy(b, r.room)
		r.room, b = r.room[n:], b[n:]
	}
}

func (r *unsealer) u32() uint32 {
	var b [4]byte
	r.read(b[:])
	return binary.LittleEndian.Uint32(b[:])
}

func (r *unsealer) u64() uint64 {
	var b [8]byte
	r.read(b[:])
	return binary.LittleEndian.Uint64(b[:])
}

// countItems returns how many items there are.
func (s *Store) countItems() (n uint64) {
	for id := range s.classes {
		c := &s.classes[id]
		c.mu.Lock()
		n += c.items()
		c.mu.Unlock()
	}
	return n
}

// countSizes counts the items by size: what Seal wrote does not tell.
func (s *Store) countSizes() {
	for id := range s.classes {
		for l := range s.classes[id].lists {
			for ref := s.classes[id].lists[l].head; ref != 0; ref = s.header(ref).next {
				s.sizes.add(Item{s.header(ref), s, ref}.TotalBytes(), 1)
			}
		}
	}
}
