package hotkeys

import (
	"cmp"
	"slices"
)

// Counters is how many keys a Sketch has places for.
const Counters = 128

// Every is how many requests come to one sample.
const Every = 64

// A Sketch counts keys. The zero Sketch is ready. It belongs to one goroutine.
type Sketch struct {
	skip   int // requests until the next sample
	random uint64
	used   int
	// hashes are apart from what they stand for, so that the search for one reads
	// little memory.
	hashes [Counters]uint64
	counts [Counters]uint64
	overs  [Counters]uint64
	keys   [Counters][]byte
	total  uint64
}

// A Hot is a key that is asked for often.
type Hot struct {
	Key string
	// Count is how many of the samples were of the key, or up to Over fewer.
	Count, Over uint64
}

// Note tells of a request for key, which it does not keep. hash is a hash of
// all of key; two keys of the same one are taken for one.
func (s *Sketch) Note(hash uint64, key []byte) {
	if s.Due() {
		s.Sample(hash, key)
	}
}

// Due counts a request, and says whether its key is to be sampled: for who does
// not want to hash the keys of all others, or takes a lock to sample. It touches
// nothing that the methods below look at.
func (s *Sketch) Due() bool {
	if s.skip > 0 {
		s.skip--
		return false
	}
	// From 1 to 2*Every-1, Every in the mean: clients that ask in a fixed order must
	// not have always the same of their keys sampled. The numbers are Weyl's
	// sequence, mixed.
	s.random += 0x9e3779b97f4a7c15
	x := (s.random ^ s.random>>32) * 0xd6e8feb86659fd93
	s.skip = int((x >> 32) % (2*Every - 1))
	return true
}

// Sample counts a key; see Note.
func (s *Sketch) Sample(hash uint64, key []byte) {
	s.total++
	for i := range s.hashes[:s.used] {
		if s.hashes[i] == hash {
			s.counts[i]++
			return
		}
	}
	i := s.used
	if i < Counters {
		s.used++
	} else {
		i = s.least()
		s.overs[i] = s.counts[i] // it may have come as often as the one it replaces
	}
	s.hashes[i] = hash
	s.counts[i]++
	s.keys[i] = append(s.keys[i][:0], key...)
}

// least returns the place of the key with the least count.
func (s *Sketch) least() int {
	least := 0
	for i, n := range s.counts {
		if n < s.counts[least] {
			least = i
		}
	}
	return least
}

// Total returns how many samples there were, halved as the counts were.
func (s *Sketch) Total() uint64 { return s.total }

// Halve halves all counts, and forgets the keys of which nothing is left.
func (s *Sketch) Halve() {
	s.total /= 2
	kept := 0
	for i := range s.used {
		if s.counts[i] < 2 {
			continue
		}
		s.hashes[kept], s.counts[kept], s.overs[kept] = s.hashes[i], s.counts[i]/2, s.overs[i]/2
		s.keys[kept], s.keys[i] = s.keys[i], s.keys[kept]
		kept++
	}
	for i := kept; i < s.used; i++ {
		s.counts[i], s.overs[i] = 0, 0
	}
	s.used = kept
}

// Top appends to dst the n keys with the highest counts, highest first, and
// returns it. The keys are copies.
func (s *Sketch) Top(dst []Hot, n int) []Hot {
	from := len(dst)
	for i := range s.used {
		dst = append(dst, Hot{Key: string(s.keys[i]), Count: s.counts[i], Over: s.overs[i]})
	}
	order(dst[from:])
	return dst[:min(len(dst), from+n)]
}

// order sorts by count, and by key where that is the same.
func order(hot []Hot) {
	slices.SortFunc(hot, func(a, b Hot) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Key, b.Key))
	})
}

// Merge adds up what several Sketches have, and returns the n highest. A key that
// only some of them have place for is counted as often as these say.
func Merge(n int, all ...[]Hot) []Hot {
	var sum []Hot
	at := map[string]int{}
	for _, hot := range all {
		for _, h := range hot {
			i, ok := at[h.Key]
			if !ok {
				i, at[h.Key] = len(sum), len(sum)
				sum = append(sum, Hot{Key: h.Key})
			}
			sum[i].Count += h.Count
			sum[i].Over += h.Over
		}
	}
	order(sum)
	return sum[:min(len(sum), n)]
}
