package slab

import "sync/atomic"

// A value too long for one chunk is a chain: the item's own chunk holds header
// and key, pieces of the top class hold the value, and the last piece is as
// small as will do. Pieces are taken one by one as the value comes in.

// filler fills the chunks of an item that is not in the store yet. The zero
// filler holds nothing.
type filler struct {
	s    *Store
	f    fresh
	hash uint32
	held hold
	last uint32 // the piece being filled, 0 if the value is not chained
	room []byte // what of the current chunk is still to be filled
	left int    // bytes of the value that come after room
}

// fresh is an item that is being made: allocated and, later, entered.
type fresh struct {
	h     *header
	ref   uint32
	facts uint32
	class uint8 // that the item will count in
	list  LRU
	marks uint64
	ver   uint64
	quiet bool // nobody is told: no change of a client's, or told of elsewhere
}

// word returns the word that the item begins with.
func (f *fresh) word() uint64 {
	return f.ver<<wordVerShift | f.marks | uint64(f.list)<<wordListShift | uint64(f.class)
}

// start allocates the item's first chunk. It reports false if no memory can be had.
func (f *filler) start(s *Store, p *spec, hash uint64, held hold) bool {
	*f = filler{s: s, hash: uint32(hash), held: held}
	if n := p.bytes(); n <= int(s.top().size) {
		ref, id := s.alloc(s.classFor(n), held)
		if ref == 0 {
			return false
		}
		h := s.header(ref)
		h.fill(p)
		s.step(stepTaken)
		f.f = fresh{h: h, ref: ref, facts: p.facts, class: id}
		f.room = h.inline(p.valueLen)
		return true
	}
	ref, _ := s.alloc(s.classFor(largeHeaderBytes+len(p.key)), held)
	if ref == 0 {
		return false
	}
	h := s.header(ref)
	h.fill(p)
	f.f = fresh{h: h, ref: ref, facts: p.facts, class: s.top().id}
	f.left = p.valueLen
	return true
}

// span returns the room to write the next bytes of the value to: never empty
// while bytes are missing, nil if no memory can be had.
func (f *filler) span() []byte {
	if len(f.room) > 0 || f.left == 0 {
		return f.room
	}
	s := f.s
	n := min(f.left, int(s.top().size)-partHeaderBytes)
	class := s.classFor(partHeaderBytes + n)
	if f.last == 0 {
		class = s.top().id // where the crawler finds the item
	}
	ref, _ := s.alloc(class, f.held)
	if ref == 0 {
		return nil
	}
	// Until the item is published its pieces' state is free, as is its own.
	p := s.part(ref)
	p.next, p.owner, p.used, p.hash = 0, f.f.ref, uint32(n), f.hash
	l := f.f.h.large()
	if f.last == 0 {
		l.first = ref
	} else {
		s.part(f.last).next = ref
	}
	l.parts++
	f.last = ref
	f.left -= n
	f.room = p.bytes(uint32(n))
	return f.room
}

// advance says that n bytes of the span have been written.
func (f *filler) advance(n int) { f.room = f.room[n:] }

// write copies the next bytes of the value. It reports false if no memory can
// be had for them.
func (f *filler) write(b []byte) bool {
	for len(b) > 0 {
		room := f.span()
		if room == nil {
			return false
		}
		n := copy(room, b)
		f.advance(n)
		b = b[n:]
	}
	return true
}

// writeValue copies the value of an item in the store.
func (f *filler) writeValue(h *header) bool {
	state := h.loadState()
	if !h.chained(state) {
		return f.write(h.inline(h.valueLen()))
	}
	for ref := h.large().first; ref != 0; {
		p := f.s.part(ref)
		if !f.write(p.bytes(p.used)) {
			return false
		}
		ref = p.next
	}
	return true
}

// shed frees the pieces, of which there will be no more. The head stays.
func (f *filler) shed() {
	l := f.f.h.large()
	f.s.freePieces(l.first)
	l.first, l.parts, f.last = 0, 0, 0
}

// drop frees the chunks; the item will not be.
func (f *filler) drop() {
	if f.f.h != nil {
		f.s.freeItem(f.f.h, f.f.ref, f.f.facts)
		f.f.h = nil
	}
}

// claimPieces makes the pieces of an item parts of it, before the item itself
// goes live (I5).
func (s *Store) claimPieces(h *header) {
	for ref := h.large().first; ref != 0; {
		p := s.part(ref)
		p.setState(statePart)
		ref = p.next
	}
}

// freeItem gives the chunks of an item back that no list, slot or pin names
// any more. state is what the state word was when it was live: its facts count.
// Pieces go before the head (I6). Caller holds no class.
func (s *Store) freeItem(h *header, ref, state uint32) {
	if h.chained(state) {
		s.freePieces(h.large().first)
	}
	s.freeChunk(ref)
}

// freePieces gives back a chain of pieces. Caller holds no class.
func (s *Store) freePieces(first uint32) {
	for at := first; at != 0; {
		next := s.part(at).next
		s.freeChunk(at)
		at = next
	}
}

// retireLocked ends an item's life: it is off its list and out of the index,
// and every later state of its chunk means no item (I2). It reports whether
// the caller shall free the chunks; otherwise a pin's holder will. Caller holds
// the stripe.
func (s *Store) retireLocked(h *header, state uint32) bool {
	if state&factLarge == 0 {
		h.setState(state &^ stateMask)
		s.step(stepRetired)
		return true
	}
	// The facts stay: they say where the pieces are.
	h.setState(state&^stateMask | stateRetired)
	s.step(stepRetired)
	return atomic.OrUint32(&h.large().pins, pinRetired) == 0
}
