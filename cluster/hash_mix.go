package cluster

import (
	"encoding/binary"
	"math/bits"
)

// seedOfLength is what libhashkit and twemproxy seed the murmur hashes with.
func seedOfLength(key []byte) uint32 { return 0xdeadbeef * uint32(len(key)) }

// murmur2 is Austin Appleby's 32-bit MurmurHash2 (github.com/aappleby/smhasher),
// seeded as in libhashkit's murmur.cc.
func murmur2(key []byte) uint32 {
	const m = 0x5bd1e995
	h := seedOfLength(key) ^ uint32(len(key))
	for ; len(key) >= 4; key = key[4:] {
		k := binary.LittleEndian.Uint32(key) * m
		k ^= k >> 24
		h = h*m ^ k*m
	}
	if len(key) > 0 {
		for i, c := range key {
			h ^= uint32(c) << (8 * i)
		}
		h *= m
	}
	h ^= h >> 13
	h *= m
	return h ^ h>>15
}

// murmur3Hashkit is MurmurHash3_x86_32, seeded as in libhashkit's murmur3_api.cc.
func murmur3Hashkit(key []byte) uint32 {
	m := murmur3{h: seedOfLength(key)}
	m.write(key)
	return m.sum()
}

// murmur3 is MurmurHash3_x86_32 (github.com/aappleby/smhasher) in pieces, so
// that a prefix shared by all keys is hashed once. Copying it forks it.
type murmur3 struct {
	h    uint32
	tail uint32 // the bytes that fill no word yet, the first lowest
	n    uint32 // bytes written
}

func (m *murmur3) write(b []byte) {
	for len(b) > 0 {
		if m.n&3 == 0 && len(b) >= 4 {
			m.word(binary.LittleEndian.Uint32(b))
			b, m.n = b[4:], m.n+4
			continue
		}
		m.tail |= uint32(b[0]) << (8 * (m.n & 3))
		b, m.n = b[1:], m.n+1
		if m.n&3 == 0 {
			m.word(m.tail)
			m.tail = 0
		}
	}
}

func (m *murmur3) word(k uint32) { m.h = bits.RotateLeft32(m.h^murmur3Scramble(k), 13)*5 + 0xe6546b64 }

func murmur3Scramble(k uint32) uint32 { return bits.RotateLeft32(k*0xcc9e2d51, 15) * 0x1b873593 }

func (m *murmur3) sum() uint32 {
	h := m.h ^ murmur3Scramble(m.tail) ^ m.n
	h = (h ^ h>>16) * 0x85ebca6b
	h = (h ^ h>>13) * 0xc2b2ae35
	return h ^ h>>16
}

// lookup3 is Bob Jenkins' hashlittle of 2006 (burtleburtle.net/bob/c/lookup3.c)
// with the initial value 13 of libhashkit and twemproxy.
func lookup3(key []byte) uint32 {
	a := 0xdeadbeef + uint32(len(key)) + 13
	b, c := a, a
	if len(key) == 0 {
		return c
	}
	rot := bits.RotateLeft32
	for ; len(key) > 12; key = key[12:] {
		a += binary.LittleEndian.Uint32(key)
		b += binary.LittleEndian.Uint32(key[4:])
		c += binary.LittleEndian.Uint32(key[8:])
		a, c = (a-c)^rot(c, 4), c+b
		b, a = (b-a)^rot(a, 6), a+c
		c, b = (c-b)^rot(b, 8), b+a
		a, c = (a-c)^rot(c, 16), c+b
		b, a = (b-a)^rot(a, 19), a+c
		c, b = (c-b)^rot(b, 4), b+a
	}
	var last [12]byte
	copy(last[:], key)
	a += binary.LittleEndian.Uint32(last[0:])
	b += binary.LittleEndian.Uint32(last[4:])
	c += binary.LittleEndian.Uint32(last[8:])
	c = (c ^ b) - rot(b, 14)
	a = (a ^ c) - rot(c, 11)
	b = (b ^ a) - rot(a, 25)
	c = (c ^ b) - rot(b, 16)
	a = (a ^ c) - rot(c, 4)
	b = (b ^ a) - rot(a, 14)
	return (c ^ b) - rot(b, 24)
}

const (
	murmur64M = 0xc6a4a7935bd1e995
	murmur64R = 47
)

// murmur64A is Austin Appleby's MurmurHash64A (github.com/aappleby/smhasher),
// the base of mcrouter's placements (lib/fbi/hash.c).
func murmur64A(key []byte, seed uint64) uint64 {
	h := seed ^ uint64(len(key))*murmur64M
	for ; len(key) >= 8; key = key[8:] {
		h = murmur64Word(h, binary.LittleEndian.Uint64(key))
	}
	if len(key) > 0 {
		for i, c := range key {
			h ^= uint64(c) << (8 * i)
		}
		h *= murmur64M
	}
	return murmur64End(h)
}

func murmur64Word(h, k uint64) uint64 {
	k *= murmur64M
	k = (k ^ k>>murmur64R) * murmur64M
	return (h ^ k) * murmur64M
}

func murmur64End(h uint64) uint64 {
	h = (h ^ h>>murmur64R) * murmur64M
	return h ^ h>>murmur64R
}
