package main

import (
	"errors"
	"math"
	"slices"
	"testing"
)

// A server's figures are taken once a round, and one that it cannot show is a gap.
func TestFiguresAreTakenOnce(t *testing.T) {
	s := &Session{Process: &Process{Target: Target{Kind: Redis}}}
	taken, fail := 0, errors.New("failed")
	take := func(*Session) (figures, error) {
		if taken++; taken == 1 {
			return nil, fail
		}
		return figures{"one": 1, "two": 2}, nil
	}
	if _, err := figure("one", "key", take)(s); !errors.Is(err, fail) {
		t.Errorf("the first failed, and the error is %v", err)
	}
	for name, want := range map[string]float64{"one": 1, "two": 2, "three": math.NaN()} {
		v, err := figure(name, "key", take)(s)
		if err != nil || v != want && !(math.IsNaN(v) && math.IsNaN(want)) {
			t.Errorf("%s: %v, %v", name, v, err)
		}
	}
	if taken != 2 {
		t.Errorf("taken %d times", taken)
	}
}

// Every load has a row for every way, of throughput and of CPU time, each with a
// name of its own.
func TestCostRows(t *testing.T) {
	var names []string
	for _, m := range costMeasures() {
		if slices.Contains(names, m.Name) {
			t.Errorf("%q is there twice", m.Name)
		}
		names = append(names, m.Name)
	}
	if want := 2 * len(costLoads) * len(costWays); len(names) != want {
		t.Errorf("%d rows, want %d", len(names), want)
	}
}

// Noise does not compress, and is the same in each run.
func TestNoise(t *testing.T) {
	g := newGenerator(&textWire{}, Load{Noise: true}, 0)
	other := newGenerator(&textWire{}, Load{Noise: true}, 0)
	a := slices.Clone(g.valueOf(100))
	if b := g.valueOf(100); slices.Equal(a, b) {
		t.Error("two values in a row are the same")
	}
	if !slices.Equal(a, other.valueOf(100)) {
		t.Error("another run has other values")
	}
	var seen [256]int
	for _, c := range newNoise(1 << 16) {
		seen[c]++
	}
	for c, n := range seen {
		if n < 128 || n > 512 {
			t.Errorf("byte %d is there %d times in 65536", c, n)
		}
	}
}
