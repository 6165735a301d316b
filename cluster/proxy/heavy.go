package proxy

import "github.com/zeebo/xxh3"

// heavyKeys remembers keys whose values were long when they were last seen, so
// that the next read of one takes the lane for long values. It forgets, and
// takes one key for another now and then: both only cost time.
type heavyKeys struct {
	any  bool
	seen [heavySlots]uint32
}

const heavySlots = 1024

// add remembers key.
func (h *heavyKeys) add(key []byte) {
	sum := xxh3.Hash(key)
	h.any = true
	h.seen[sum%heavySlots] = uint32(sum>>32) | 1
}

// has says whether key was long.
func (h *heavyKeys) has(key []byte) bool {
	if !h.any {
		return false
	}
	sum := xxh3.Hash(key)
	return h.seen[sum%heavySlots] == uint32(sum>>32)|1
}
