package main

import (
	"math"
	"testing"
)

func TestShortOfBest(t *testing.T) {
	for _, c := range []struct {
		name string
		run  shifted
		want float64
	}{
		{"back at once", shifted{0.2, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6}, 0},
		{"slowly better", shifted{0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7}, 0.55},
		{"a single good moment", shifted{0.5, 0.5, 0.5, 0.9, 0.5, 0.5, 0.5, 0.5}, 0.2},
	} {
		if got := c.run.shortOfBest(); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// Phases must not share keys: what the one stored would be hits of the next.
func TestPhasesHaveTheirOwnKeys(t *testing.T) {
	s := &Session{Options: Options{Scale: 0.001}}
	seen := map[uint64]int{}
	for phase := range 3 {
		trace, keys := s.ofOneSize(phase, shiftSmall)
		if keys < 10 {
			t.Fatalf("only %d keys", keys)
		}
		var a Access
		for range 1000 {
			trace.Next(&a)
			if other, is := seen[a.ID]; is && other != phase || a.ValueLen != shiftSmall {
				t.Fatalf("phase %d: %+v is of phase %d", phase, a, other)
			}
			seen[a.ID] = phase
		}
	}
}
