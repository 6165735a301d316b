package slab

import (
	"sync/atomic"
	"unsafe"
)

// The layout of an item at the start of its chunk:
//
//	 0  state  u32  state 3 bits | facts 5 bits | last access 24 bits
//	 4  lens   u32  key length 8 bits | value length 24 bits (0 in a large item)
//	 8  word   u64  ver 48 bits | spare 3 | marks 5 | list 2 | class 6
//	16  next   u32  LRU link towards the tail; in a free chunk: next free chunk
//	20  prev   u32  LRU link towards the head
//
// then, in a small item and only where the fact bit says so: CAS u64, exptime
// u32, client flags u32. A large item always has total, pins, first, parts (u32
// each), CAS, exptime, client flags. Key and value follow; a chained item has
// no value here.
const (
	headerBytes      = 24
	largeExtraBytes  = 16
	largeHeaderBytes = headerBytes + largeExtraBytes + 8 + 4 + 4

	// largeValue is the value length from which on an item is large, that is:
	// has a pin count, so that its value can be sent without a copy. Where
	// chunks are small it is less: a chained item is always large.
	largeValue = 16 << 10
	keyMax     = 250
)

// A chunk's state. Only stateLive means an item to whoever finds the arena
// after a crash.
const (
	stateFree    = 0 // on a free list, never used, or being filled
	stateLive    = 1 // an item
	statePart    = 2 // a piece of a chained item
	stateRetired = 3 // was an item; still read by holders of pins
	stateMask    = 7
)

// Facts about an item that never change while it is live.
const (
	factClient = 1 << 3 // has client flags
	factExp    = 1 << 4 // has an exptime
	factCAS    = 1 << 5 // has a CAS of its own, apart from ver
	factBinary = 1 << 6 // the key came in base64
	factLarge  = 1 << 7
	factsAll   = factClient | factExp | factCAS | factBinary | factLarge

	accessShift = 8
	accessMask  = 1<<24 - 1
)

// Fields of the word.
const (
	wordClassMask = 1<<6 - 1
	wordListShift = 6
	wordListMask  = 3 << wordListShift
	markFetched   = 1 << 8  // read at least once
	markActive    = 1 << 9  // read since it was last looked at; by memcached's rule, at least twice
	markStale     = 1 << 10 // invalidated
	markToken     = 1 << 11 // a get has been told to recache
	markDemoted   = 1 << 12 // came to the cold list from the warm one
	wordVerShift  = 16
	verMask       = 1<<48 - 1
)

// pinRetired marks the pins of an item that is no longer in the store.
const pinRetired = 1 << 31

// header is the fixed part of an item. state, word and exptime change while
// others look, so they are only used atomically once the item is live.
type header struct {
	state uint32
	lens  uint32
	word  uint64
	next  uint32
	prev  uint32
}

// part is the start of a chunk that holds a piece of a chained value. state is
// at the same place as in a header, and the link of a free chunk too.
type part struct {
	state uint32
	next  uint32 // the piece after this one, 0 if none
	owner uint32 // the item
	used  uint32 // bytes of value here
	hash  uint32 // low bits of the key's hash: names the owner's stripe
	_     uint32
}

const partHeaderBytes = 24

// large is what a large item has after its header.
type large struct {
	total uint32 // length of the value
	pins  uint32 // readers outside the locks; top bit: no longer in the store
	first uint32 // first piece, 0 if the value is in this chunk
	parts uint32 // number of pieces
}

// bodyAt says where the key starts, by the facts.
var bodyAt = func() (t [32]uint8) {
	for facts := range t {
		n := headerBytes
		f := uint32(facts << 3)
		if f&factCAS != 0 {
			n += 8
		}
		if f&factExp != 0 {
			n += 4
		}
		if f&factClient != 0 {
			n += 4
		}
		if f&factLarge != 0 {
			n = largeHeaderBytes
		}
		t[facts] = uint8(n)
	}
	return t
}()

func bodyOffset(state uint32) uintptr { return uintptr(bodyAt[state>>3&31]) }

func (h *header) field(off uintptr) *uint32 {
	return (*uint32)(unsafe.Add(unsafe.Pointer(h), off))
}

func (h *header) loadState() uint32   { return atomic.LoadUint32(&h.state) }
func (h *header) setState(v uint32)   { atomic.StoreUint32(&h.state, v) }
func (h *header) loadWord() uint64    { return atomic.LoadUint64(&h.word) }
func (h *header) ver() uint64         { return h.loadWord() >> wordVerShift }
func (h *header) keyLen() int         { return int(h.lens & 0xff) }
func (h *header) large() *large       { return (*large)(unsafe.Add(unsafe.Pointer(h), headerBytes)) }
func wordList(w uint64) LRU           { return LRU(w >> wordListShift & 3) }
func wordClass(w uint64) uint8        { return uint8(w & wordClassMask) }
func isLive(state uint32) bool        { return state&stateMask == stateLive }
func access(state uint32) uint32      { return state >> accessShift }
func age(state, now uint32) uint32    { return (now - access(state)) & accessMask }
func stamp(facts, now uint32) uint32  { return facts | stateLive | now<<accessShift }
func makeLens(key, value int) uint32  { return uint32(key) | uint32(value)<<8 }
func (p *part) loadState() uint32     { return atomic.LoadUint32(&p.state) }
func (p *part) setState(v uint32)     { atomic.StoreUint32(&p.state, v) }
func (p *part) data() unsafe.Pointer  { return unsafe.Add(unsafe.Pointer(p), partHeaderBytes) }
func (p *part) bytes(n uint32) []byte { return unsafe.Slice((*byte)(p.data()), n) }

// key returns the key. It aliases the arena: see I3.
func (h *header) key() []byte {
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(h), bodyOffset(h.loadState()))), h.keyLen())
}

// keyOf is key for a caller that has read the key's length already.
func (h *header) keyOf(n int) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(h), bodyOffset(h.loadState()))), n)
}

// keyIs reports whether the key is k.
func (h *header) keyIs(state uint32, k []byte) bool {
	if int(h.lens&0xff) != len(k) {
		return false
	}
	stored := unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(h), bodyOffset(state))), len(k))
	return string(stored) == string(k)
}

// valueLen returns the length of the value, in bytes.
func (h *header) valueLen() int {
	if h.loadState()&factLarge != 0 {
		return int(h.large().total)
	}
	return int(h.lens >> 8)
}

// chained reports whether the value is in chunks of its own.
func (h *header) chained(state uint32) bool {
	return state&factLarge != 0 && h.large().first != 0
}

// inline returns the room of the value in the item's own chunk.
func (h *header) inline(n int) []byte {
	at := bodyOffset(h.loadState()) + uintptr(h.keyLen())
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(h), at)), n)
}

// exptimeAt returns where the exptime is. Only for items with factExp.
func exptimeAt(state uint32) uintptr {
	switch {
	case state&factLarge != 0:
		return headerBytes + largeExtraBytes + 8
	case state&factCAS != 0:
		return headerBytes + 8
	}
	return headerBytes
}

// exptime returns the second in which the item dies, 0 for never.
func (h *header) exptime(state uint32) uint32 {
	if state&factExp == 0 {
		return 0
	}
	return atomic.LoadUint32(h.field(exptimeAt(state)))
}

// setExptime changes the exptime of an item that has one. Of a live item
// Store.setExptime does.
func (h *header) setExptime(state, exptime uint32) {
	atomic.StoreUint32(h.field(exptimeAt(state)), exptime)
}

// clientFlags returns the client's flags, 0 if none are stored.
func (h *header) clientFlags(state uint32) uint32 {
	if state&factClient == 0 {
		return 0
	}
	return *h.field(bodyOffset(state) - 4)
}

// ownCAS returns where an explicit CAS is. Only for items with factCAS.
func (h *header) ownCAS(state uint32) *uint64 {
	at := uintptr(headerBytes)
	if state&factLarge != 0 {
		at += largeExtraBytes
	}
	return (*uint64)(unsafe.Add(unsafe.Pointer(h), at))
}

// ownCASValue returns the explicit CAS, 0 if there is none.
func (h *header) ownCASValue(state uint32) uint64 {
	if state&factCAS == 0 {
		return 0
	}
	return atomic.LoadUint64(h.ownCAS(state))
}

// setOwnCAS changes the explicit CAS of an item that has room for one; 0 means
// that ver is shown.
func (h *header) setOwnCAS(state uint32, cas uint64) { atomic.StoreUint64(h.ownCAS(state), cas) }

// cas returns the compare value that clients see: the explicit one, or ver.
func (h *header) cas(state uint32) uint64 {
	if state&factCAS != 0 {
		if c := atomic.LoadUint64(h.ownCAS(state)); c != 0 {
			return c
		}
	}
	return h.ver()
}

// mark sets bits of the word. Lists change it under the class lock and gets
// under the stripe lock, hence the atomic operation.
func (h *header) mark(bits uint64) { atomic.OrUint64(&h.word, bits) }

// setWord replaces the bits of mask in one store.
func (h *header) setWord(mask, bits uint64) {
	for {
		old := atomic.LoadUint64(&h.word)
		if atomic.CompareAndSwapUint64(&h.word, old, old&^mask|bits) {
			return
		}
	}
}

// touch sets the time of the last access. Caller holds the stripe lock, under
// which alone the state word of a live item changes.
func (h *header) touch(state, now uint32) {
	h.setState(state&^(accessMask<<accessShift) | now<<accessShift)
}

// spec is what an item to be filled shall be.
type spec struct {
	key      []byte
	facts    uint32
	flags    uint32
	exptime  uint32
	cas      uint64 // explicit CAS, 0 for none
	valueLen int
	needExp  bool // make room for an exptime even if it is 0
}

// settle derives the facts from the fields.
func (p *spec) settle(s *Store) {
	p.facts &= factBinary
	if p.valueLen >= s.largeMin {
		// Large items have every field, so that none is ever copied to get one.
		p.facts |= factLarge | factCAS | factExp | factClient
		return
	}
	if p.cas != 0 {
		p.facts |= factCAS
	}
	if p.exptime != 0 || p.needExp {
		p.facts |= factExp
	}
	if p.flags != 0 {
		p.facts |= factClient
	}
}

// bytes returns the chunk space that the item needs if its value is not chained.
func (p *spec) bytes() int {
	return int(bodyOffset(p.facts)) + len(p.key) + p.valueLen
}

// fill writes the header and key of a free chunk. The state stays free but for
// the facts, which others never look at before the item is live.
func (h *header) fill(p *spec) {
	h.setState(p.facts) // stateFree is 0: nobody takes this for an item
	h.next, h.prev = 0, 0
	if p.facts&factLarge != 0 {
		h.lens = makeLens(len(p.key), 0)
		*h.large() = large{total: uint32(p.valueLen)}
	} else {
		h.lens = makeLens(len(p.key), p.valueLen)
	}
	if p.facts&factCAS != 0 {
		*h.ownCAS(p.facts) = p.cas
	}
	if p.facts&factExp != 0 {
		*h.field(exptimeAt(p.facts)) = p.exptime
	}
	if p.facts&factClient != 0 {
		*h.field(bodyOffset(p.facts) - 4) = p.flags
	}
	copy(unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(h), bodyOffset(p.facts))), len(p.key)), p.key)
}

// itemBytes returns what the item takes of its chunks, headers included; this
// is what the byte counts of lists sum up.
func (h *header) itemBytes() uint64 {
	state := h.loadState()
	n := uint64(bodyOffset(state)) + uint64(h.lens&0xff) + uint64(h.lens>>8)
	if state&factLarge != 0 {
		l := h.large()
		n += uint64(l.total) + uint64(l.parts)*partHeaderBytes
	}
	return n
}

// body returns what follows the fixed part of an item whose first n bytes are used.
func (h *header) body(n int) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(h), headerBytes)), n-headerBytes)
}
