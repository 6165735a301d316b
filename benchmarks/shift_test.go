package main

import "testing"

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
