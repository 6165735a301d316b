package cluster

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/dgryski/go-jump"
)

// A Placement says which of an ordered list of slots owns a key. It never
// changes once made and may be used by many goroutines at once. Owner and Why
// do not keep key.
type Placement interface {
	// Owner returns the index of the slot that owns key, where key is the part
	// that counts (see KeyPart). It allocates nothing and always has an answer.
	Owner(key []byte) int
	// Why returns the owner and what led to it. It may allocate.
	Why(key []byte) Why
}

// Why is how a placement came to an owner.
type Why struct {
	// Owner is the index of the slot.
	Owner int
	// Hash is the value of the key's hash, where the placement begins with one.
	Hash uint64
	// HasHash says that Hash means something.
	HasHash bool
	// Text is the rest in words: the bucket, the point of the ring or the scores.
	Text string
}

// A Slot is a named place in a pool. Keys belong to the name and to the position
// in the list, never to the address: a new address under the old name moves
// nothing.
type Slot struct {
	// Name identifies the slot. Rings and rendezvous placements hash it.
	Name string
	// Unnamed says that Name repeats Address because nobody gave one. Rings then
	// hash what their clients make of the address, without port 11211 for example.
	Unnamed bool
	// Address is host:port, [ipv6]:port or the path of a Unix socket.
	Address string
	// Weight is the slot's share, at least 1.
	Weight int
}

// PlacementOptions choose a placement.
type PlacementOptions struct {
	// Distribution is one of DistributionNames; "" is jump.
	Distribution string
	// Hash is one of HashNames; "" is the one usual with the distribution.
	Hash string
	// PointHash is the hash of the points of libmemcached-consistent; "" is Hash.
	PointHash string
	// Points are the points a slot of weight 1 has on the rings of memcached's
	// proxy and of Perl; 0 is 160 there and 150 here.
	Points int
	// HashOptions are handed to Hash.
	HashOptions
}

// distribution is a row of distributions.
type distribution struct {
	name string
	// hash is the key hash where none is named; with fixedHash no other can be.
	hash      string
	fixedHash bool
	// weighted says that weights other than 1 have an effect.
	weighted bool
	// points is what PlacementOptions.Points must be a multiple of; 0: it has none.
	points int
	build  func(slots []Slot, h Hash, o PlacementOptions) (Placement, error)
}

// distributions are in the order of the documentation. Each was compared with
// the programs it is named after, key by key: see testdata/vectors. The two
// rendezvous of our own and random have no other program to agree with.
func distributions() []distribution {
	return []distribution{
		{name: "jump", hash: "xxh3", build: newJump},
		{name: "rendezvous", hash: "xxh3", weighted: true, build: newRendezvous},
		{name: "ketama", hash: "md5", weighted: true, build: ringOf(ketamaPoints(labelNoDefaultPort))},
		{name: "ketama-spy", hash: "md5", weighted: true, build: ringOf(ketamaPoints(labelSpy))},
		{name: "libmemcached-consistent", hash: "one_at_a_time", build: newConsistent},
		{name: "modula", hash: "one_at_a_time", weighted: true, build: newModula},
		{name: "random", hash: "one_at_a_time", build: newRandom},
		{name: "proxy-xxh3", hash: "xxh3", points: 1, build: ringOf(proxyXXH3Points)},
		{name: "proxy-ketama", hash: "md5", points: 4, build: ringOf(proxyMD5Points(labelPort))},
		{name: "proxy-twemproxy", hash: "md5", points: 4, build: ringOf(proxyMD5Points(labelNoDefaultPort))},
		{name: "proxy-evcache", hash: "md5", points: 4, build: ringOf(proxyMD5Points(labelEVCache))},
		{name: "ch3", hash: "", fixedHash: true, build: newCh3},
		{name: "pymemcache", hash: "", fixedHash: true, build: newPymemcache(false)},
		{name: "pymemcache-bytes", hash: "", fixedHash: true, build: newPymemcache(true)},
		{name: "perl-ketama", hash: "crc32a", fixedHash: true, weighted: true, points: 1, build: ringOf(perlPoints)},
		{name: "dalli", hash: "crc32a", fixedHash: true, weighted: true, build: newDalli},
	}
}

// DistributionNames lists the distributions, the default first.
func DistributionNames() []string {
	var names []string
	for _, d := range distributions() {
		names = append(names, d.name)
	}
	return names
}

func lookupDistribution(name string) (distribution, error) {
	if name == "" {
		name = "jump"
	}
	for _, d := range distributions() {
		if d.name == name {
			return d, nil
		}
	}
	return distribution{}, fmt.Errorf("there is no distribution %q; there are %s", name, strings.Join(DistributionNames(), ", "))
}

// NewPlacement makes the placement that o describes over slots, which it copies.
// An error is an option that does not fit, or no slots at all.
func NewPlacement(slots []Slot, o PlacementOptions) (Placement, error) {
	p, _, err := newPlacement(slots, o)
	return p, err
}

// newPlacement returns the key hash as well, for those who explain.
func newPlacement(slots []Slot, o PlacementOptions) (Placement, Hash, error) {
	d, h, err := resolve(&o)
	if err != nil {
		return nil, h, err
	}
	if len(slots) == 0 {
		return nil, h, fmt.Errorf("there must be at least one server")
	}
	for _, s := range slots {
		if s.Weight < 1 {
			return nil, h, fmt.Errorf("%s: a weight is at least 1", s.Name)
		}
		if s.Weight > 1 && !d.weighted {
			return nil, h, fmt.Errorf("%s: %s knows no weights", s.Name, d.name)
		}
	}
	p, err := d.build(slices.Clone(slots), h, o)
	return p, h, err
}

// resolve fills the defaults of o in and checks what does not depend on slots.
func resolve(o *PlacementOptions) (distribution, Hash, error) {
	d, err := lookupDistribution(o.Distribution)
	if err != nil {
		return d, Hash{}, err
	}
	o.Distribution = d.name
	if o.Hash != "" && d.fixedHash && o.Hash != d.hash {
		return d, Hash{}, fmt.Errorf("the hash of %s is part of it and cannot be %s", d.name, o.Hash)
	}
	if o.Hash == "" {
		o.Hash = d.hash
	}
	if o.PointHash != "" && d.name != "libmemcached-consistent" {
		return d, Hash{}, fmt.Errorf("point_hash is for libmemcached-consistent, not for %s", d.name)
	}
	if o.Points != 0 && d.points == 0 {
		return d, Hash{}, fmt.Errorf("points is for the rings of memcached's proxy and of Perl, not for %s", d.name)
	}
	if o.Points < 0 || o.Points > pointsMax {
		return d, Hash{}, fmt.Errorf("points must be between 1 and %d", pointsMax)
	}
	if d.points > 0 && o.Points%d.points != 0 {
		return d, Hash{}, fmt.Errorf("points must be a multiple of 4: an MD5 makes four of them")
	}
	if o.Hash == "" {
		if o.Seed != "" || o.UnsignedChar {
			return d, Hash{}, fmt.Errorf("the hash of %s is part of it and takes no options", d.name)
		}
		return d, Hash{}, nil
	}
	h, err := LookupHash(o.Hash, o.HashOptions)
	return d, h, err
}

// jumpHash is the placement that memcached's proxy uses by default
// (proxy_jump_hash.c): "A Fast, Minimal Memory, Consistent Hash Algorithm",
// Lamping and Veach, 2014. It needs no memory, is even, and grows and shrinks
// at the end of the list only.
type jumpHash struct {
	hash  Hash
	slots int
}

func newJump(slots []Slot, h Hash, _ PlacementOptions) (Placement, error) {
	return &jumpHash{h, len(slots)}, nil
}

func (p *jumpHash) Owner(key []byte) int { return int(jump.Hash(p.hash.sum(key), p.slots)) }

func (p *jumpHash) Why(key []byte) Why {
	owner := p.Owner(key)
	return Why{owner, p.hash.sum(key), true, fmt.Sprintf("bucket %d of %d", owner, p.slots)}
}

// modula is hash % N of libmemcached, gomemcache and others. With weights it is
// twemproxy's and python-memcached's: a list in which each server stands as
// often as it weighs.
type modula struct {
	hash  Hash
	ends  []uint64 // the end of each slot's stretch of the list
	total uint64
	even  bool // all weights are 1
}

func newModula(slots []Slot, h Hash, _ PlacementOptions) (Placement, error) {
	p := &modula{hash: h, even: true}
	for _, s := range slots {
		p.total += uint64(s.Weight)
		p.ends = append(p.ends, p.total)
		p.even = p.even && s.Weight == 1
	}
	return p, nil
}

func (p *modula) Owner(key []byte) int { return p.at(p.hash.sum(key) % p.total) }

func (p *modula) at(place uint64) int {
	if p.even {
		return int(place)
	}
	i, _ := slices.BinarySearch(p.ends, place+1)
	return i
}

func (p *modula) Why(key []byte) Why {
	h := p.hash.sum(key)
	return Why{p.at(h % p.total), h, true, fmt.Sprintf("hash %% %d is %d", p.total, h%p.total)}
}

// randomSlot is twemproxy's random (nc_random.c): any server, whatever the key. A get
// finds what a set stored by chance only; it is for backends that all hold the same.
type randomSlot struct{ slots int }

func newRandom(slots []Slot, _ Hash, _ PlacementOptions) (Placement, error) {
	return randomSlot{len(slots)}, nil
}

func (p randomSlot) Owner([]byte) int { return rand.IntN(p.slots) }

func (p randomSlot) Why(key []byte) Why {
	return Why{Owner: p.Owner(key), Text: "any server, by chance: the next request may go to another"}
}
