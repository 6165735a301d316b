package cluster

import (
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/zeebo/xxh3"
)

// rendezvous gives a key to the slot with the highest score, a number drawn from
// key and slot name (Thaler and Ravishankar, 1998), scaled by weight as in
// "Weighted Distributed Hash Tables" (Schindelhauer and Schomaker, 2005): a slot
// that leaves anywhere in the list takes its own keys along and no others. The
// cost is a score for every slot at each look-up.
type rendezvous struct {
	hash    Hash
	names   []uint64 // XXH3 of the slot names
	weights []float64
	even    bool
}

func newRendezvous(slots []Slot, h Hash, _ PlacementOptions) (Placement, error) {
	p := &rendezvous{hash: h, even: true}
	for _, s := range slots {
		p.names = append(p.names, xxh3.HashString(s.Name))
		p.weights = append(p.weights, float64(s.Weight))
		p.even = p.even && s.Weight == slots[0].Weight
	}
	return p, nil
}

func (p *rendezvous) Owner(key []byte) int { return p.pick(p.hash.sum(key)) }

func (p *rendezvous) pick(h uint64) int {
	if p.even { // the largest draw wins, no logarithm is needed
		owner, best := 0, uint64(0)
		for i, name := range p.names {
			if d := draw(h, name); d > best {
				owner, best = i, d
			}
		}
		return owner
	}
	owner, best := 0, -1.0
	for i, name := range p.names {
		if s := p.weights[i] / minusLog(draw(h, name)); s > best {
			owner, best = i, s
		}
	}
	return owner
}

func (p *rendezvous) Why(key []byte) Why {
	h := p.hash.sum(key)
	return Why{p.pick(h), h, true, "the highest score of " + strconv.Itoa(len(p.names))}
}

// draw mixes two hashes into one: the finisher of MurmurHash3's 64-bit form.
func draw(key, name uint64) uint64 {
	x := key ^ name
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// minusLog is -ln of d as a fraction between 0 and 1. math.Log differs in the
// last bit from one processor to the next, and two proxies must not disagree on
// an owner; these operations round alike everywhere, each product being
// converted so that it is not fused with a sum.
func minusLog(d uint64) float64 {
	m, exp := math.Frexp((float64(d>>12) + 0.5) / (1 << 52)) // m in [½, 1)
	s := (m - 1) / (m + 1)
	s2 := float64(s * s)
	sum := 0.0
	for k := 25; k >= 1; k -= 2 { // ln m = 2(s + s³/3 + s⁵/5 + …), s at most ⅓
		sum = float64(sum*s2) + 1/float64(k)
	}
	return -(float64(2*s*sum) + float64(float64(exp)*math.Ln2))
}

// pymemcache is HashClient of pymemcache (client/rendezvous.py): the largest
// 32-bit MurmurHash3 of "node-key", the greater node if two are equal.
type pymemcache struct {
	bytes bool      // keys were bytes in Python, not str
	nodes []murmur3 // each after its "node-"
	names []string
}

// pyKeyMax holds a key of 250 bytes in its longest spelling without allocating.
const pyKeyMax = 4*250 + 3

func newPymemcache(bytes bool) func([]Slot, Hash, PlacementOptions) (Placement, error) {
	return func(slots []Slot, _ Hash, _ PlacementOptions) (Placement, error) {
		p := &pymemcache{bytes: bytes}
		for _, s := range slots {
			var m murmur3
			m.write(append(pyStr(nil, []byte(s.Name)), '-'))
			p.nodes = append(p.nodes, m)
			p.names = append(p.names, s.Name)
		}
		return p, nil
	}
}

func (p *pymemcache) Owner(key []byte) int {
	owner, _ := p.pick(key)
	return owner
}

func (p *pymemcache) pick(key []byte) (owner int, best uint32) {
	var buf [pyKeyMax]byte
	var text []byte
	if p.bytes {
		text = pyBytes(buf[:0], key)
	} else {
		text = pyStr(buf[:0], key)
	}
	for i := range p.nodes {
		m := p.nodes[i]
		m.write(text)
		if s := m.sum(); i == 0 || s > best || s == best && p.names[i] > p.names[owner] {
			owner, best = i, s
		}
	}
	return owner, best
}

func (p *pymemcache) Why(key []byte) Why {
	owner, best := p.pick(key)
	return Why{Owner: owner, Text: fmt.Sprintf("the highest score of %d, 0x%08x", len(p.nodes), best)}
}

// pyStr appends what pymemcache hashes of a key that was a str in Python: the low
// byte of each code point. Bytes that are no UTF-8 stay as they are.
func pyStr(dst, key []byte) []byte {
	for len(key) > 0 {
		r, n := utf8.DecodeRune(key)
		if r == utf8.RuneError && n == 1 {
			r = rune(key[0])
		}
		dst, key = append(dst, byte(r)), key[n:]
	}
	return dst
}

// pyBytes appends what it hashes of a key that was bytes: b'key' as Python prints
// it, because the key is formatted into a string.
func pyBytes(dst, key []byte) []byte {
	const hex = "0123456789abcdef"
	quote, double := byte('\''), false
	single := false
	for _, c := range key {
		single, double = single || c == '\'', double || c == '"'
	}
	if single && !double {
		quote = '"'
	}
	dst = append(dst, 'b', quote)
	for _, c := range key {
		switch {
		case c == quote || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c < ' ' || c >= 0x7f:
			dst = append(dst, '\\', 'x', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, quote)
}
