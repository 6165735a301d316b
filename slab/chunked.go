package slab

import "sync/atomic"

// freeItem gives the chunks of an item back that no list, slot or pin names
// any more. state is what the state word was when it was live: its facts count.
// Pieces go before the head (I6). Caller holds no class.
func (s *Store) freeItem(h *header, ref, state uint32) {
	if h.chained(state) {
		for at := h.large().first; at != 0; {
			next := s.part(at).next
			s.freeChunk(at)
			at = next
		}
	}
	s.freeChunk(ref)
}

// retireLocked ends an item's life: it is off its list and out of the index,
// and every later state of its chunk means no item (I2). It reports whether
// the caller shall free the chunks; otherwise a pin's holder will. Caller holds
// the stripe.
func (s *Store) retireLocked(h *header, state uint32) bool {
	if state&factLarge == 0 {
		h.setState(state &^ stateMask)
		return true
	}
	// The facts stay: they say where the pieces are.
	h.setState(state&^stateMask | stateRetired)
	return atomic.OrUint32(&h.large().pins, pinRetired) == 0
}
