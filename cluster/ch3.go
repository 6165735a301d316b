package cluster

import "fmt"

// The constants of furc_hash in mcrouter (lib/fbi/hash.c).
const (
	furcSeed  = 4193360111
	furcTries = 32
	furcShift = 23 // bits from one draw to the next; so at most 2^23 slots

	// furcAgain is the state of MurmurHash64A before the one word of an 8-byte key.
	furcAgain = furcSeed ^ (8 * murmur64M & (1<<64 - 1))
)

// ch3 is mcrouter's default placement, furc: a walk down a binary tree, of which
// each turn is a bit of the key's hash. As with jump, slots are added and removed
// at the end of the list only.
type ch3 struct{ slots uint32 }

func newCh3(slots []Slot, _ Hash, _ PlacementOptions) (Placement, error) {
	if len(slots) > 1<<furcShift {
		return nil, fmt.Errorf("ch3 takes at most %d servers", 1<<furcShift)
	}
	return ch3{uint32(len(slots))}, nil
}

// furcBits is an endless row of bits: MurmurHash64A of the key, then of that, and
// so on. A walk starts in the first word and mostly goes forward, so two words
// are all it keeps.
type furcBits struct {
	first, word uint64
	n           uint32 // which word that is
}

func newFurcBits(key []byte) furcBits {
	h := murmur64A(key, furcSeed)
	return furcBits{first: h, word: h}
}

func (b *furcBits) at(i uint32) uint32 {
	if i>>6 < b.n {
		b.word, b.n = b.first, 0
	}
	for ; b.n < i>>6; b.n++ {
		b.word = murmur64End(murmur64Word(furcAgain, b.word))
	}
	return uint32(b.word>>(i&63)) & 1
}

func (p ch3) Owner(key []byte) int {
	depth := uint32(0)
	for p.slots > 1<<depth {
		depth++
	}
	if depth == 0 {
		return 0
	}
	bits := newFurcBits(key)
	at := depth
	for range furcTries {
		for bits.at(at) == 0 {
			if depth--; depth == 0 {
				return 0
			}
			at = depth
		}
		at += furcShift
		slot := uint32(1)
		for range depth - 1 {
			slot = slot<<1 | bits.at(at)
			at += furcShift
		}
		if slot < p.slots {
			return int(slot)
		}
	}
	return 0
}

func (p ch3) Why(key []byte) Why {
	owner := p.Owner(key)
	return Why{owner, murmur64A(key, furcSeed), true, fmt.Sprintf("furc leads to slot %d of %d", owner, p.slots)}
}
