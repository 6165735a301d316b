package cluster

import (
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"

	"github.com/zeebo/xxh3"
)

// A Hash turns the part of a key that counts into a number. The zero Hash
// cannot be used; LookupHash makes one.
type Hash struct {
	// Name is the name in a config file, twemproxy's where it has the function.
	Name string
	// Bits is how many bits a value has at most: 15, 31, 32 or 64.
	Bits int

	sum func(key []byte) uint64
}

// Sum returns the hash of key. It does not keep key and allocates nothing.
func (h Hash) Sum(key []byte) uint64 { return h.sum(key) }

// HashOptions are what some hashes can be told.
type HashOptions struct {
	// Seed is hashed with XXH3 to become the seed of xxh3, as the option "seed"
	// of a pool of memcached's proxy; "" is seed 0. Only xxh3 takes one.
	Seed string
	// UnsignedChar takes bytes from 0x80 on as positive in the hashes that read
	// C's char (one_at_a_time, fnv*, hsieh): what these compute on ARM. The
	// default is what they compute on x86.
	UnsignedChar bool
}

// hashMakers are the hashes by name. Those of libhashkit and twemproxy were
// compared value by value with testdata/vectors.
var hashMakers = map[string]func(o HashOptions) Hash{
	"xxh3":           newXXH3,
	"md5":            func(HashOptions) Hash { return hash32(md5Hash) },
	"one_at_a_time":  func(o HashOptions) Hash { return hashChars(oneAtATime, o) },
	"fnv1_64":        func(o HashOptions) Hash { return hashChars(fnv1x64, o) },
	"fnv1a_64":       func(o HashOptions) Hash { return hashChars(fnv1ax64, o) },
	"fnv1_32":        func(o HashOptions) Hash { return hashChars(fnv1x32, o) },
	"fnv1a_32":       func(o HashOptions) Hash { return hashChars(fnv1ax32, o) },
	"hsieh":          func(o HashOptions) Hash { return hashChars(hsieh, o) },
	"crc16":          func(HashOptions) Hash { return hash32(crc16) },
	"crc32":          func(HashOptions) Hash { return Hash{Bits: 15, sum: crc15} },
	"crc32a":         func(HashOptions) Hash { return hash32(crc32.ChecksumIEEE) },
	"murmur":         func(HashOptions) Hash { return hash32(murmur2) },
	"murmur3":        func(HashOptions) Hash { return hash32(murmur3Hashkit) },
	"jenkins":        func(HashOptions) Hash { return hash32(lookup3) },
	"cmemcache":      func(HashOptions) Hash { return Hash{Bits: 15, sum: cmemcache} },
	"mcrouter_crc32": func(HashOptions) Hash { return Hash{Bits: 31, sum: crc31} },
}

// hashAliases are libmemcached's names for hashes that twemproxy calls otherwise.
var hashAliases = map[string]string{"default": "one_at_a_time", "crc": "crc32"}

// charHashes read C's char, so the sign of a byte matters to them.
var charHashes = []string{"one_at_a_time", "fnv1_64", "fnv1a_64", "fnv1_32", "fnv1a_32", "hsieh"}

// LookupHash returns the hash of that name: one of HashNames, or libmemcached's
// default and crc.
func LookupHash(name string, o HashOptions) (Hash, error) {
	if alias := hashAliases[name]; alias != "" {
		name = alias
	}
	newHash := hashMakers[name]
	switch {
	case newHash == nil:
		return Hash{}, fmt.Errorf("there is no hash %q; there are %s", name, strings.Join(HashNames(), ", "))
	case o.Seed != "" && name != "xxh3":
		return Hash{}, fmt.Errorf("a seed is for the hash xxh3, %s takes none", name)
	case o.UnsignedChar && !slices.Contains(charHashes, name):
		return Hash{}, fmt.Errorf("unsigned_char changes %s only, not %s", strings.Join(charHashes, ", "), name)
	}
	h := newHash(o)
	h.Name = name
	return h, nil
}

// HashNames lists the names that LookupHash knows, sorted.
func HashNames() []string {
	names := make([]string, 0, len(hashMakers))
	for name := range hashMakers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func hash32(f func([]byte) uint32) Hash {
	return Hash{Bits: 32, sum: func(key []byte) uint64 { return uint64(f(key)) }}
}

func hashChars(f func([]byte, bool) uint32, o HashOptions) Hash {
	return Hash{Bits: 32, sum: func(key []byte) uint64 { return uint64(f(key, o.UnsignedChar)) }}
}

// newXXH3 is XXH3_64bits of the xxHash library, as memcached's proxy uses it
// (proxy_lua.c): with a seed, which is itself the XXH3 of a string.
func newXXH3(o HashOptions) Hash {
	if o.Seed == "" {
		return Hash{Bits: 64, sum: xxh3.Hash}
	}
	seed := xxh3.HashString(o.Seed)
	return Hash{Bits: 64, sum: func(key []byte) uint64 { return xxh3.HashSeed(key, seed) }}
}

// md5Hash is the first four bytes of MD5, least significant first: libhashkit's
// md5, twemproxy's, and the key hash of ketama from the start (ketama.c).
func md5Hash(key []byte) uint32 {
	sum := md5.Sum(key)
	return binary.LittleEndian.Uint32(sum[:4])
}

// crc15 is the middle of CRC-32, what Cache::Memcached of Perl began with,
// libhashkit calls crc and twemproxy crc32. Its 15 bits are for modula: on a
// ring all keys fall on one server.
func crc15(key []byte) uint64 { return uint64(crc32.ChecksumIEEE(key) >> 16 & 0x7fff) }

// cmemcache is crc15 with 1 in the place of 0: cmemcache_hash of
// python-memcached (memcache.py).
func cmemcache(key []byte) uint64 { return max(crc15(key), 1) }

// crc31 is CRC-32 without its highest bit: mcrouter's Crc32 (Crc32HashFunc.h).
func crc31(key []byte) uint64 { return uint64(crc32.ChecksumIEEE(key) & 0x7fffffff) }

// crc16Table is CRC-16/CCITT, polynomial 0x1021, most significant bit first.
var crc16Table = func() (table [256]uint32) {
	for i := range table {
		crc := uint16(i) << 8
		for range 8 {
			carry := crc & 0x8000
			crc <<= 1
			if carry != 0 {
				crc ^= 0x1021
			}
		}
		table[i] = uint32(crc)
	}
	return table
}()

// crc16 is twemproxy's (nc_crc16.c): CCITT in a 32-bit register that is never
// cut to 16 bits, so that older bytes stay in its upper half.
func crc16(key []byte) uint32 {
	crc := uint32(0)
	for _, c := range key {
		crc = crc<<8 ^ crc16Table[byte(crc>>8)^c]
	}
	return crc
}
