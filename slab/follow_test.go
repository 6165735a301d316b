package slab

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

func TestFollow(t *testing.T) {
	busy := demand{pages: 40, recalls: 10, hits: 1000, tail: 4, tailHits: 100}
	idle := demand{pages: 40, tail: 4}
	poor := demand{pages: 2, recalls: 60}
	for _, tc := range []struct {
		name            string
		is              map[int]demand
		src, dst, pages int
	}{
		{"nobody has recalls", map[int]demand{1: idle, 2: {pages: 40, hits: 9, tail: 4, tailHits: 9}}, 0, 0, 0},
		{"from idle to poor", map[int]demand{1: busy, 2: idle, 3: poor}, 2, 3, 11},
		{"from busy to poor would lose more", map[int]demand{1: busy, 3: poor}, 0, 0, 0},
		{"from where little is read, as much as there is", map[int]demand{1: {pages: 40, hits: 8, tail: 4, tailHits: 8}, 3: poor}, 1, 3, 3},
		{"not the last page", map[int]demand{2: {pages: 1, tail: 1}, 3: poor}, 0, 0, 0},
		{"one of two", map[int]demand{2: {pages: 2, tail: 2}, 3: poor}, 2, 3, 1},
		{"too little seen to tell", map[int]demand{2: idle, 3: {pages: 119, recalls: 60}}, 0, 0, 0},
		{"alike", map[int]demand{1: busy, 2: busy}, 0, 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var all [classMax + 1]demand
			for class, d := range tc.is {
				all[class] = d
			}
			if src, dst, pages := follow(&all); src != tc.src || dst != tc.dst || pages != tc.pages {
				t.Errorf("%d pages from %d to %d, want %d from %d to %d", pages, src, dst, tc.pages, tc.src, tc.dst)
			}
		})
	}
}

// shop asks for n random keys of n, stores what it misses, and returns the hits.
//
//	Maintain runs when it is asked for and now and then; the clock stands.
func shop(t *testing.T, s *Store, w *Worker, rng *rand.Rand, prefix string, n, valueLen int) (hits int) {
	t.Helper()
	value := strings.Repeat("v", valueLen)
	for i := range n {
		f := rng.Float64()
		key := prefix + strconv.Itoa(int(f*f*f*float64(n)))
		if w.Get(s.keyString(key), nil, nil) == Hit {
			hits++
		} else {
			mustSet(t, w, key, value, SetOp{})
		}
		select {
		case <-s.Urgent():
			s.Maintain()
		default:
			if i%100 == 0 {
				s.Maintain()
			}
		}
	}
	return hits
}

// TestMemoryFollowsDemand: once a working set of large values has passed, a
// store that was full of small ones does nearly as well as an empty one, and the
// other way round, without a second having gone by.
func TestMemoryFollowsDemand(t *testing.T) {
	const limit = 8 << 20
	sizes := []int{100, 5000, 100}
	empty := func() (*Store, *Worker) {
		return newStore(t, func(c *Config) { c.LimitBytes, c.PageBytes = limit, 0 })
	}
	s, w := empty()
	rng := rand.New(rand.NewPCG(4, 2))
	for phase, size := range sizes {
		n := 2 * limit / size
		prefix := string(rune('a' + phase))
		shop(t, s, w, rng, prefix, n, size)
		got := float64(shop(t, s, w, rng, prefix, n, size)) / float64(n)
		checkStore(t, s)
		if phase == 0 {
			continue
		}
		e, ew := empty()
		shop(t, e, ew, rng, prefix, n, size)
		if want := float64(shop(t, e, ew, rng, prefix, n, size)) / float64(n); got < want-0.08 {
			t.Errorf("values of %d bytes: hit ratio %.3f after a working set, %.3f if it was empty before", size, got, want)
		}
	}
}
