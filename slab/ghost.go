package slab

// A ghost is a fingerprint of an item that was evicted. Ghosts lie in the
// memory of the index, a bucket of 30 for every ghostShare buckets of a stripe,
// which hold 56 items or less, under the stripe's lock. A bucket that is split leaves half its ghosts where nobody
// looks for them; they are overwritten in time.
const (
	ghostSlots = 15
	ghostShare = 8

	ghostCold = 0 // was never on the warm list
	ghostWarm = 1 // was
)

// ghostBucket is two rings of fingerprints, by the kind of ghost. It fills a
// cache line.
type ghostBucket struct {
	cursor [2]uint16             // the slot to write next
	prints [2][ghostSlots]uint16 // 0 is none
}

// ghostRows returns how many rows of ghosts go with so many rows of buckets.
func ghostRows(rows uint32) uint32 { return (rows + ghostShare - 1) / ghostShare }

// ghostHome returns the number of the bucket in which a hash has its ghost.
func (s *Store) ghostHome(st *stripe, hash uint64) uint32 {
	x := &s.index
	sub := s.home(st, hash) >> x.stripeBits
	return x.ghostMin + sub/ghostShare<<x.stripeBits + uint32(hash&s.stripeMask)
}

// ghostPrint returns the fingerprint of a hash: bits that choose no bucket.
func ghostPrint(hash uint64) uint16 {
	return max(uint16(hash>>48), 1)
}

// add enters a ghost in place of the oldest of its kind.
func (b *ghostBucket) add(print uint16, kind int) {
	at := b.cursor[kind]
	b.prints[kind][at] = print
	b.cursor[kind] = (at + 1) % ghostSlots
}

// take forgets a ghost. It returns how far the probation shall grow on account
// of it, in items, negative if it shall shrink, 0 if there was no such ghost:
// one item's worth, more if its kind is rare here.
func (b *ghostBucket) take(print uint16) (step float64) {
	for kind := range b.prints {
		for i, p := range &b.prints[kind] {
			if p != print {
				continue
			}
			own, other := float64(b.count(kind)), float64(b.count(1-kind))
			b.prints[kind][i] = 0
			step = max(1, other/own)
			if kind == ghostWarm {
				step = -step
			}
			return step
		}
	}
	return 0
}

// count returns how many ghosts of a kind there are.
func (b *ghostBucket) count(kind int) (n int) {
	for _, p := range &b.prints[kind] {
		if p != 0 {
			n++
		}
	}
	return n
}
