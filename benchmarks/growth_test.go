package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What a run comes to, and that it can be drawn.
func TestGrowthSum(t *testing.T) {
	point := func(second, hits, errors int) growthPoint {
		return growthPoint{at: time.Duration(second) * time.Second, hits: hits, reads: 100, errors: errors}
	}
	run := []growthPoint{point(-2, 90, 0), point(-1, 90, 0), point(0, 60, 1), point(1, 89, 0), point(2, 80, 2), point(3, 89, 0), point(4, 95, 0)}
	want := growthSum{before: 0.9, lowest: 0.6, back: 3 * time.Second, extra: 30 + 1 + 10 + 1, errors: 3}
	if got := sumUp(run, time.Second); got != want {
		t.Errorf("%+v, not %+v", got, want)
	}
	if got := sumUp(run[:5], time.Second); got.back >= 0 {
		t.Errorf("back within %v, and it was not", got.back)
	}
	ways, runs := []growthWay{{name: "some way"}}, [][]growthPoint{run}
	file := filepath.Join(t.TempDir(), "growth.svg")
	if err := plotGrowth(file, ways, runs); err != nil {
		t.Fatal(err)
	}
	svg, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(svg), "some way") {
		t.Errorf("the plot does not name the way: %v", err)
	}
	var text strings.Builder
	if err := writeGrowth(&text, ways, runs, time.Second); err != nil || !strings.Contains(text.String(), "0.600") {
		t.Errorf("%v:\n%s", err, &text)
	}
}
