package cluster

import (
	"cmp"
	"crypto/md5"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/zeebo/xxh3"
)

// pointsMax and ringMax bound a slot's points and a ring's, so that a slip of
// the finger in a weight does not take all memory: 80 MB.
const (
	pointsMax = 100_000
	ringMax   = 10_000_000
)

// ring is a circle of points, each of which belongs to a slot; a key belongs to
// the first point at or after its hash, the first of all after the last. Eight
// bytes a point: with the usual 160 points 1,280 bytes a slot.
type ring struct {
	hash   Hash
	values []uint32 // ascending; apart from owners, so that a search reads half as much
	owners []uint32
	// before makes the last point at or before the hash the owner's: Dalli's way.
	before bool
}

// point is one point of a ring while it is built.
type point struct{ value, owner uint32 }

// pointsFunc returns the points of all slots, in the order in which the ring's
// program makes them: of two equal ones the first wins.
type pointsFunc func(slots []Slot, o PlacementOptions) ([]point, error)

func ringOf(points pointsFunc) func([]Slot, Hash, PlacementOptions) (Placement, error) {
	return func(slots []Slot, h Hash, o PlacementOptions) (Placement, error) {
		return newRing(slots, h, o, points)
	}
}

func newRing(slots []Slot, h Hash, o PlacementOptions, points pointsFunc) (*ring, error) {
	all, err := points(slots, o)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("the ring has no points")
	}
	slices.SortStableFunc(all, func(a, b point) int { return cmp.Compare(a.value, b.value) })
	r := &ring{hash: h, values: make([]uint32, len(all)), owners: make([]uint32, len(all))}
	for i, p := range all {
		r.values[i], r.owners[i] = p.value, p.owner
	}
	return r, nil
}

func (r *ring) Owner(key []byte) int { return int(r.owners[r.find(uint32(r.hash.sum(key)))]) }

// find returns the index of the point that h belongs to.
func (r *ring) find(h uint32) int {
	i, found := slices.BinarySearch(r.values, h)
	if r.before {
		if !found {
			i += len(r.values) - 1
		}
		return i % len(r.values)
	}
	if i == len(r.values) {
		return 0
	}
	return i
}

func (r *ring) Why(key []byte) Why {
	h := r.hash.sum(key)
	i := r.find(uint32(h))
	text := fmt.Sprintf("ring point %d of %d, at 0x%08x", i+1, len(r.values), r.values[i])
	if h > math.MaxUint32 {
		text = fmt.Sprintf("the hash's low half 0x%08x, %s", uint32(h), text)
	}
	return Why{int(r.owners[i]), h, true, text}
}

// A labelFunc returns what a ring hashes for a slot, before "-0", "-1" and so on.
type labelFunc func(s Slot) string

// labelPort is host:port, always.
func labelPort(s Slot) string { return s.Name }

// labelNoDefaultPort leaves port 11211 out: libmemcached (hosts.cc), and
// twemproxy for its sake (nc_conf.c).
func labelNoDefaultPort(s Slot) string {
	if s.Unnamed {
		return strings.TrimSuffix(s.Name, ":11211")
	}
	return s.Name
}

// labelSpy is what spymemcached of Java hashes for a server without a host name,
// libmemcached's CONSISTENT_KETAMA_SPY.
func labelSpy(s Slot) string {
	if s.Unnamed {
		return "/" + s.Name
	}
	return s.Name
}

// labelEVCache is host/ip:port, of which memcached's proxy knows the ip only.
func labelEVCache(s Slot) string {
	if host, _, ok := cutLast(s.Name, ":"); ok && s.Unnamed {
		return host + "/" + s.Name
	}
	return s.Name
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// ketamaPoints are those of weighted ketama in libmemcached (hosts.cc,
// KETAMA_WEIGHTED) and of ketama in twemproxy (nc_ketama.c).
func ketamaPoints(label labelFunc) pointsFunc {
	return func(slots []Slot, _ PlacementOptions) ([]point, error) {
		var all []point
		for i, s := range slots {
			all = appendMD5Points(all, label(s), uint32(i), ketamaDigests(slots, s.Weight))
		}
		return all, nil
	}
}

// ketamaDigests is how many MD5 digests, of four points each, a slot has: 40,
// times its weight over the average. Both programs compute in 32-bit floats,
// and at some sizes, 25 equal servers being the least, that makes 39. Every
// product is converted, or the compiler may fuse it with the sum on some
// machines and round once less.
func ketamaDigests(slots []Slot, weight int) int {
	total := uint64(0)
	for _, s := range slots {
		total += uint64(s.Weight)
	}
	share := float32(weight) / float32(total)
	n := float32(float32(float32(share*160)/4) * float32(len(slots)))
	return int(math.Floor(float64(float32(n + 1e-10))))
}

// appendMD5Points appends four points for each of digests digests of "label-k".
func appendMD5Points(all []point, label string, owner uint32, digests int) []point {
	for k := range digests {
		sum := md5.Sum([]byte(label + "-" + strconv.Itoa(k)))
		for j := 0; j < len(sum); j += 4 {
			all = append(all, point{binary.LittleEndian.Uint32(sum[j:]), owner})
		}
	}
	return all
}

// newConsistent is libmemcached's ketama without weights: MEMCACHED_BEHAVIOR_KETAMA
// and DISTRIBUTION_CONSISTENT (hosts.cc). 100 points, each the value of a key hash of
// "label-k": the hash that was set when the ring was made, which need not be the
// one that keys are hashed with later. MEMCACHED_BEHAVIOR_KETAMA_HASH is ignored there.
func newConsistent(slots []Slot, h Hash, o PlacementOptions) (Placement, error) {
	pointHash := h
	if o.PointHash != "" {
		var err error
		if pointHash, err = LookupHash(o.PointHash, HashOptions{UnsignedChar: o.UnsignedChar && slices.Contains(charHashes, o.PointHash)}); err != nil {
			return nil, err
		}
	}
	return newRing(slots, h, o, func([]Slot, PlacementOptions) ([]point, error) {
		var all []point
		for i, s := range slots {
			for k := range 100 {
				value := pointHash.sum([]byte(labelNoDefaultPort(s) + "-" + strconv.Itoa(k)))
				all = append(all, point{uint32(value), uint32(i)})
			}
		}
		return all, nil
	})
}

// proxyPoints is the option obuckets of memcached's proxy.
func proxyPoints(o PlacementOptions) int {
	if o.Points == 0 {
		return 160
	}
	return o.Points
}

// proxyXXH3Points are those of ring_hash of memcached's proxy in its default
// mode (proxy_ring_hash.c), as it works from 1.6.45 on.
func proxyXXH3Points(slots []Slot, o PlacementOptions) ([]point, error) {
	if err := checkRing(len(slots) * proxyPoints(o)); err != nil {
		return nil, err
	}
	var all []point
	for i, s := range slots {
		for k := range proxyPoints(o) {
			all = append(all, point{uint32(xxh3.HashString(labelPort(s) + "-" + strconv.Itoa(k))), uint32(i)})
		}
	}
	return all, nil
}

// proxyMD5Points are those of the modes ketama, twemproxy and evcache there. They
// know no weights, and do not round as libmemcached does: at 25 servers the mode
// twemproxy is not what twemproxy does.
func proxyMD5Points(label labelFunc) pointsFunc {
	return func(slots []Slot, o PlacementOptions) ([]point, error) {
		if err := checkRing(len(slots) * proxyPoints(o)); err != nil {
			return nil, err
		}
		var all []point
		for i, s := range slots {
			all = appendMD5Points(all, label(s), uint32(i), proxyPoints(o)/4)
		}
		return all, nil
	}
}

// perlPoints are those of ketama_points in Cache::Memcached::Fast (dispatch_key.c):
// each is the CRC-32 of host, a zero byte, port and the point before.
func perlPoints(slots []Slot, o PlacementOptions) ([]point, error) {
	perWeight := o.Points
	if perWeight == 0 {
		perWeight = 150 // the number in its manual
	}
	total := 0
	for _, s := range slots {
		if total += perWeight * s.Weight; total > ringMax {
			break
		}
	}
	if err := checkRing(total); err != nil {
		return nil, err
	}
	var all []point
	for i, s := range slots {
		host, port, _ := cutLast(s.Name, ":")
		seed := crc32.ChecksumIEEE([]byte(host + "\x00" + port))
		value := uint32(0)
		for range perWeight * s.Weight {
			value = crc32.Update(seed, crc32.IEEETable, binary.LittleEndian.AppendUint32(nil, value))
			all = append(all, point{value, uint32(i)})
		}
	}
	return all, nil
}

// newDalli is Ruby's Dalli (lib/dalli/ring.rb): SHA-1 for the points, CRC-32 for
// the keys, and the owner is the point before the key. It was written after the
// source and compared with a port of it only.
func newDalli(slots []Slot, h Hash, o PlacementOptions) (Placement, error) {
	total := 0
	for _, s := range slots {
		total += s.Weight
	}
	r, err := newRing(slots, h, o, func([]Slot, PlacementOptions) ([]point, error) {
		var all []point
		for i, s := range slots {
			n := int(float64(len(slots)*160*s.Weight) / float64(total))
			for k := range n {
				sum := sha1.Sum([]byte(labelPort(s) + ":" + strconv.Itoa(k)))
				all = append(all, point{binary.BigEndian.Uint32(sum[:4]), uint32(i)})
			}
		}
		return all, nil
	})
	if err != nil {
		return nil, err
	}
	r.before = true
	return r, nil
}

func checkRing(points int) error {
	if points > ringMax {
		return fmt.Errorf("the ring would have more than %d points: take smaller weights or fewer points", ringMax)
	}
	return nil
}
