package slab

import "testing"

func TestIdleClassGivesPages(t *testing.T) {
	type class struct {
		hits, evicted uint64
		pages         float64
	}
	for _, tc := range []struct {
		name            string
		was, is         map[int]class
		src, dst, pages int
	}{
		{
			"from what nobody reads to what evicts",
			map[int]class{1: {500, 9, 40}, 2: {0, 0, 2}},
			map[int]class{1: {500, 9, 40}, 2: {100, 300, 2}},
			1, 2, 11,
		},
		{
			"not before there is proof",
			map[int]class{1: {500, 9, 40}, 2: {0, 0, 2}},
			map[int]class{1: {500, 9, 40}, 2: {60, 300, 2}},
			0, 0, 0,
		},
		{
			"a few pages take more proof",
			map[int]class{1: {500, 9, 2}, 2: {0, 0, 40}},
			map[int]class{1: {500, 9, 2}, 2: {1300, 300, 40}},
			0, 0, 0,
		},
		{
			"and have it at last",
			map[int]class{1: {500, 9, 2}, 2: {0, 0, 40}},
			map[int]class{1: {500, 9, 2}, 2: {1400, 300, 40}},
			1, 2, 1,
		},
		{
			"one hit and it is not idle",
			map[int]class{1: {500, 9, 40}, 2: {0, 0, 2}},
			map[int]class{1: {501, 9, 40}, 2: {100, 300, 2}},
			0, 0, 0,
		},
		{
			"nobody evicts",
			map[int]class{1: {500, 9, 40}, 2: {0, 300, 2}},
			map[int]class{1: {500, 9, 40}, 2: {100, 300, 2}},
			0, 0, 0,
		},
		{
			"what evicts is not read",
			map[int]class{1: {500, 9, 40}, 2: {0, 0, 2}, 3: {0, 0, 2}},
			map[int]class{1: {500, 9, 40}, 2: {0, 300, 2}, 3: {190, 0, 2}},
			0, 0, 0,
		},
		{
			"the last page stays",
			map[int]class{1: {500, 9, 1}, 2: {0, 0, 2}},
			map[int]class{1: {500, 9, 1}, 2: {500, 300, 2}},
			0, 0, 0,
		},
		{
			"counters that begin anew prove nothing",
			map[int]class{1: {100, 9, 40}, 2: {9000, 8000, 2}},
			map[int]class{1: {100, 9, 40}, 2: {100, 300, 2}},
			0, 0, 0,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var i idleness
			for _, look := range []map[int]class{tc.was, tc.is} {
				hits := uint64(0)
				for _, c := range look {
					hits += c.hits
				}
				i.begin(hits)
				for id, c := range look {
					i.note(id, c.hits, c.evicted, c.pages)
				}
			}
			if src, dst, pages := i.choose(); src != tc.src || dst != tc.dst || pages != tc.pages {
				t.Errorf("%d pages from %d to %d, want %d from %d to %d", pages, src, dst, tc.pages, tc.src, tc.dst)
			}
		})
	}
}
