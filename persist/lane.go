package persist

import (
	"sync"

	"github.com/zeebo/xxh3"
)

const (
	laneBits = 3
	// laneCount is part of the format: a reader finds the lane of a key anew.
	laneCount = 1 << laneBits

	// putMax is the most that a put takes besides key and value, other entries
	// take less.
	putMax = 48
	// spareMax is how many idle buffers are kept: 8 MiB.
	spareMax = 32
)

// laneOf returns the lane of a key. It does not depend on the seed of the
// store's own hash, which a later process does not have.
func laneOf(key []byte) uint16 { return uint16(xxh3.Hash(key) >> (64 - laneBits)) }

// batch is a buffer of a lane: room for the header of a block, then entries.
type batch struct {
	next    *batch // in the list that the batch is in
	buf     []byte
	lane    uint16
	entries uint32
}

// lane gathers the changes of the keys that belong to it, in the order in which
// the store tells of them, which is right for each key.
type lane struct {
	mu struct {
		sync.Mutex
		open        *batch // being filled; nil until there is a change
		first, last *batch // filled, oldest first
		entries     uint64 // ever taken
		bytes       uint64
	}
	_ [64]byte
}

// takeLocked takes what has been gathered, oldest first, and appends it to held.
func (l *lane) takeLocked(held []*batch) []*batch {
	for b := l.mu.first; b != nil; {
		next := b.next
		b.next = nil
		held = append(held, b)
		b = next
	}
	if l.mu.open != nil {
		held = append(held, l.mu.open)
	}
	l.mu.open, l.mu.first, l.mu.last = nil, nil, nil
	return held
}

// closeLocked puts the open batch behind those that are filled.
func (l *lane) closeLocked() {
	if l.mu.last == nil {
		l.mu.first = l.mu.open
	} else {
		l.mu.last.next = l.mu.open
	}
	l.mu.last, l.mu.open = l.mu.open, nil
}

// spares are buffers that wait for use.
type spares struct {
	mu struct {
		sync.Mutex
		list *batch
		n    int
	}
}

// take returns a batch for n bytes of entries at least. One that is longer than
// a block usually is holds that entry alone, and is not kept afterwards.
func (s *spares) take(lane uint16, n int) *batch {
	var b *batch
	if n <= blockRawMax {
		n = blockRawMax
		s.mu.Lock()
		if b = s.mu.list; b != nil {
			s.mu.list = b.next
			s.mu.n--
		}
		s.mu.Unlock()
	}
	if b == nil {
		b = &batch{buf: make([]byte, blockBytes, blockBytes+n)}
	}
	b.next, b.lane, b.entries, b.buf = nil, lane, 0, b.buf[:blockBytes]
	return b
}

// give takes a batch back.
func (s *spares) give(b *batch) {
	if cap(b.buf) != blockBytes+blockRawMax {
		return
	}
	s.mu.Lock()
	if s.mu.n < spareMax {
		b.next, s.mu.list = s.mu.list, b
		s.mu.n++
	}
	s.mu.Unlock()
}
