package main

import (
	"errors"
	"math"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// oneMeasure is taken of a memcached and of a server that comes up once.
func oneMeasure(t *testing.T) (*Bench, []Measure) {
	t.Helper()
	path, err := exec.LookPath("memcached")
	if err != nil {
		t.Fatal(err)
	}
	once := fakeServer(t, `[ -e "$0.again" ] && exit 3; touch "$0.again"; exec "`+path+`" "$@"`)
	b := &Bench{Targets: []Target{{Name: "memcached", Program: []string{path}}, once}, Log: func(s string) { t.Log(s) }}
	n := 0.0
	return b, []Measure{{Family: "f", Name: "m", Unit: "u", Stage: &Stage{Threads: 2, Memory: 64}, Func: func(*Session) (float64, error) {
		n++
		return n, nil
	}}}
}

// A target that fails leaves a gap in its round; what else can be measured is,
// and the run fails at the end.
func TestRunGoesOn(t *testing.T) {
	b, measures := oneMeasure(t)
	results, err := b.Run(measures, 3)
	if err == nil || strings.Count(err.Error(), "no such luck") != 2 || !strings.Contains(err.Error(), "round 3") {
		t.Errorf("got %v, want two failures and what the server said", err)
	}
	samples := results[0].Samples
	if !slices.Equal(samples[0], []float64{1, 3, 4}) || len(samples[1]) != 3 || samples[1][0] != 2 || !math.IsNaN(Median(samples[1][1:])) {
		t.Errorf("samples %v", samples)
	}
	if _, _, rounds := results[0].spread(); rounds != 1 {
		t.Errorf("%d rounds have both figures, want 1", rounds)
	}
	if !whole(measures, results)["f"] {
		t.Error("the family is not whole, though all its measures were taken")
	}
}

// A run that is told to end does so at once, with what it has.
func TestRunQuits(t *testing.T) {
	b, measures := oneMeasure(t)
	quit := make(chan struct{})
	b.Quit = quit
	first := measures[0].Func
	measures[0].Func = func(s *Session) (float64, error) {
		close(quit)
		return first(s)
	}
	results, err := b.Run(measures, 3)
	if !errors.Is(err, errQuit) {
		t.Errorf("got %v", err)
	}
	if len(results) != 1 || !slices.Equal(results[0].Samples[0], []float64{1}) || len(results[0].Samples[1]) != 0 {
		t.Errorf("results %+v", results)
	}
}
