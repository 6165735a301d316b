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

// retained is where batches wait for a sync that is far off: their bytes one behind
// the other, so that the buffers of lanes, which a millisecond fills to a part
// only, can be used again meanwhile. Its memory is used anew after every sync.
type retained struct {
	chunks [][]byte
	at     int // chunk that is being filled
	done   int // so many of the written batches have been looked at
}

// keptChunk is how much memory is taken at a time, in bytes; syncBytes and what a
// round adds bound their number.
const keptChunk = 1 << 20

// compact moves the written batches here that are not here yet, but for those
// that fill their buffers.
func (r *retained) compact(written []*batch, spares *spares) {
	for i := r.done; i < len(written); i++ {
		b := written[i]
		if cap(b.buf) != blockBytes+blockRawMax || len(b.buf) > cap(b.buf)/2 {
			continue
		}
		written[i] = &batch{buf: r.copy(b.buf), lane: b.lane, entries: b.entries}
		spares.give(b)
	}
	r.done = len(written)
}

// copy returns a copy of b, which has no room to grow.
func (r *retained) copy(b []byte) []byte {
	for r.at < len(r.chunks) && len(r.chunks[r.at])+len(b) > keptChunk {
		r.at++
	}
	if r.at == len(r.chunks) {
		r.chunks = append(r.chunks, make([]byte, 0, keptChunk))
	}
	c := &r.chunks[r.at]
	from := len(*c)
	*c = append(*c, b...)
	return (*c)[from:len(*c):len(*c)]
}

// forget says that the first n batches are not needed any more.
func (r *retained) forget(n int) {
	if r.done -= n; r.done > 0 {
		return // others, from before a failure, are still to be written again
	}
	for i := range r.chunks {
		r.chunks[i] = r.chunks[i][:0]
	}
	r.at, r.done = 0, 0
}
