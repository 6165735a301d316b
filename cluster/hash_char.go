package cluster

// The hashes of this file read C's char in libhashkit and twemproxy. On x86 a
// byte from 0x80 on is negative there and its sign fills the upper bits, so that
// keys in UTF-8 hash otherwise than by the book; hash/fnv is of no use for that
// reason. On ARM char is unsigned.

// char widens one byte as C does.
func char(c byte, unsigned bool) uint32 {
	if unsigned {
		return uint32(c)
	}
	return uint32(int32(int8(c)))
}

// oneAtATime is Bob Jenkins' one-at-a-time hash (burtleburtle.net/bob/hash/doobs.html),
// libmemcached's default.
func oneAtATime(key []byte, unsigned bool) uint32 {
	h := uint32(0)
	for _, c := range key {
		h += char(c, unsigned)
		h += h << 10
		h ^= h >> 6
	}
	h += h << 3
	h ^= h >> 11
	h += h << 15
	return h
}

// Of the 64-bit FNV, offset 0xcbf29ce484222325 and prime 0x100000001b3, both
// programs keep the low 32 bits, and those depend on the low bits alone.
const (
	fnvOffset64 = 0x84222325
	fnvPrime64  = 0x1b3
	fnvOffset32 = 0x811c9dc5
	fnvPrime32  = 0x01000193
)

// fnv1x64 is the low half of 64-bit FNV-1 (isthe.com/chongo/tech/comp/fnv),
// libhashkit's fnv_64.cc and twemproxy's nc_fnv.c.
func fnv1x64(key []byte, unsigned bool) uint32 { return fnv1(key, fnvOffset64, fnvPrime64, unsigned) }

// fnv1ax64 is the low half of 64-bit FNV-1a, twemproxy's default. As the state
// has 32 bits and the prime 9, it spreads short keys badly: one of five servers
// can get four tenths of the keys.
func fnv1ax64(key []byte, unsigned bool) uint32 { return fnv1a(key, fnvOffset64, fnvPrime64, unsigned) }

// fnv1x32 is 32-bit FNV-1.
func fnv1x32(key []byte, unsigned bool) uint32 { return fnv1(key, fnvOffset32, fnvPrime32, unsigned) }

// fnv1ax32 is 32-bit FNV-1a.
func fnv1ax32(key []byte, unsigned bool) uint32 { return fnv1a(key, fnvOffset32, fnvPrime32, unsigned) }

func fnv1(key []byte, h, prime uint32, unsigned bool) uint32 {
	for _, c := range key {
		h *= prime
		h ^= char(c, unsigned)
	}
	return h
}

func fnv1a(key []byte, h, prime uint32, unsigned bool) uint32 {
	for _, c := range key {
		h ^= char(c, unsigned)
		h *= prime
	}
	return h
}

// hsieh is Paul Hsieh's SuperFastHash (azillionmonkeys.com/qed/hash.html), of
// which twemproxy (nc_hsieh.c) starts at 0 rather than at the length. Only the
// third byte of a tail of three is read as char. Most builds of libhashkit have
// it not: they hash every key to 1 when asked directly, and keep the hash set
// before as a behaviour.
func hsieh(key []byte, unsigned bool) uint32 {
	if len(key) == 0 {
		return 0
	}
	two := func(b []byte) uint32 { return uint32(b[0]) | uint32(b[1])<<8 }
	h := uint32(0)
	for ; len(key) >= 4; key = key[4:] {
		h += two(key)
		h = h<<16 ^ two(key[2:])<<11 ^ h
		h += h >> 11
	}
	switch len(key) {
	case 3:
		h += two(key)
		h ^= h << 16
		h ^= char(key[2], unsigned) << 18
		h += h >> 11
	case 2:
		h += two(key)
		h ^= h << 11
		h += h >> 17
	case 1:
		h += uint32(key[0])
		h ^= h << 10
		h += h >> 1
	}
	h ^= h << 3
	h += h >> 5
	h ^= h << 4
	h += h >> 17
	h ^= h << 25
	h += h >> 6
	return h
}
