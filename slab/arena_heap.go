//go:build race || heaparena || !unix

package slab

import "unsafe"

// checked says whether the store runs with its test hooks; on this arena it does.
const checked = true

// lookAhead says whether Prefetch may read memory outside the locks. The race
// detector would rightly object, so here it may not.
const lookAhead = false

// reserveRatio is how much address space to reserve per byte of limit: room
// for SetLimit to grow, without asking the Go heap for the whole ref space.
const reserveRatio = 2

// reserve allocates size bytes on the Go heap, where the race detector sees them.
func reserve(size uint64, _ bool) (region, error) {
	words := make([]uint64, (size+7)/8) // aligned; base keeps them alive
	return region{base: unsafe.Pointer(unsafe.SliceData(words)), size: size}, nil
}

// release zeroes n bytes from off.
func (r *region) release(off, n uint64) {
	clear(r.bytes(off, n))
}

// close forgets the memory.
func (r *region) close() error {
	*r = region{}
	return nil
}
