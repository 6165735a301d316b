package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		samples []float64
		want    float64
	}{
		{[]float64{3}, 3},
		{[]float64{9, 1, 5}, 5},
		{[]float64{4, 1, 2, 100}, 3},
	} {
		before := append([]float64(nil), c.samples...)
		if got := Median(c.samples); got != c.want {
			t.Errorf("Median(%v) = %v, want %v", c.samples, got, c.want)
		}
		for i := range before {
			if before[i] != c.samples[i] {
				t.Errorf("Median changed the order of its samples: %v", c.samples)
			}
		}
	}
	if !math.IsNaN(Median(nil)) {
		t.Error("the median of nothing is a number")
	}
}

func TestMark(t *testing.T) {
	for _, c := range []struct {
		m          Measure
		own, rival float64
		want       string
	}{
		{Measure{Bar: 1, Aim: 0.9}, 8, 10, "aim"},
		{Measure{Bar: 1, Aim: 0.9}, 10, 10, "pass"},
		{Measure{Bar: 1, Aim: 0.9}, 11, 10, "MISS"},
		{Measure{Higher: true, Bar: 1.4, Aim: 1.6}, 16, 10, "aim"},
		{Measure{Higher: true, Bar: 1.4, Aim: 1.6}, 15, 10, "pass"},
		{Measure{Higher: true, Bar: 1.4, Aim: 1.6}, 13, 10, "MISS"},
		{Measure{Rule: Absolute, Bar: 1024, Aim: 300}, 1000, 10, "pass"},
		{Measure{Rule: Absolute, Bar: 1099}, 1100, 5000, "MISS"},
		{Measure{Rule: Difference, Higher: true, Bar: 0.02, Aim: 0.05}, 0.63, 0.6, "pass"},
		{Measure{Rule: Difference, Higher: true}, 0.59, 0.6, "MISS"}, // a bar of 0 is one
		{Measure{}, 1, 2, ""},
		{Measure{Bar: 1}, 1, math.NaN(), ""},
	} {
		if got := c.m.Mark(c.m.Figure(c.own, c.rival)); got != c.want {
			t.Errorf("%+v with %v and %v: %q, want %q", c.m, c.own, c.rival, got, c.want)
		}
	}
}

// twoTargets is a report of two measures, one of which the second rival cannot do.
func twoTargets() ([]Target, []Results) {
	targets := []Target{{Name: "holdfast"}, {Name: "memcached"}, {Name: "redis"}}
	stage, gap := &Stage{Threads: 1, Memory: 64}, math.NaN()
	return targets, []Results{
		{&Measure{Family: "cpu", Name: "get", Unit: "µs/op", Bar: 1, Aim: 0.9, Stage: stage}, [][]float64{{1, 2, 3, gap}, {4, 4, 4, 9}, {2, gap, 2, 2}}},
		{&Measure{Family: "cpu", Name: "mg", Unit: "µs/key", Bar: 0.35, Stage: stage}, [][]float64{{5, 5, 5}, {10, gap, 10}, {gap, gap, gap}}},
	}
}

func TestTable(t *testing.T) {
	rows := Table(twoTargets())
	var b bytes.Buffer
	if err := WriteMarkdown(&b, rows); err != nil {
		t.Fatal(err)
	}
	want := `| measure | server | unit | holdfast | memcached | redis | to memcached | to redis | rounds | from … to | bar | aim |  |
|---|---|---|---|---|---|---|---|---|---|---|---|---|
| get | -t 1 -m 64 | µs/op | 2 | 4 | 2 | 0.50 | 1.00 | 3 | 0.25 … 0.75 | ≤ 1.00 | ≤ 0.90 | aim |
| mg | -t 1 -m 64 | µs/key | 5 | 10 | – | 0.50 | – | 2 | 0.50 … 0.50 | ≤ 0.35 | – | MISS |
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	var text bytes.Buffer
	if err := WriteText(&text, rows); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(text.String(), "\n"); lines != 3 {
		t.Errorf("%d lines of text, want 3:\n%s", lines, &text)
	}
}

func TestSave(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "results")
	targets, results := twoTargets()
	now := time.Date(2031, 5, 6, 7, 8, 0, 0, time.UTC)
	part := Results{&Measure{Family: "latency", Name: "p99", Unit: "µs", Stage: results[0].Stage}, results[0].Samples}
	measures := []Measure{*results[0].Measure, *results[1].Measure, *part.Measure, {Family: "latency", Name: "p99.9"}}
	results = append(results, part)
	if err := save(dir, now, []string{"machine: a toaster"}, targets, results, whole(measures, results)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "latency.svg")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("one of two measures of latency was plotted: %v", err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "2031-05-06-0708.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"2031-05-06 07:08", "- machine: a toaster\n", "| mg | -t 1 -m 64 | µs/key | 5 |", "| p99 |"} {
		if !strings.Contains(string(text), part) {
			t.Errorf("%q is missing from\n%s", part, text)
		}
	}
	svg, err := os.ReadFile(filepath.Join(dir, "cpu.svg"))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"holdfast", "memcached = 1, lower is better", "redis", ">mg<"} {
		if !strings.Contains(string(svg), part) {
			t.Errorf("%q is missing from the plot", part)
		}
	}
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the plot is no XML: %v", err)
		}
	}
}

// TestTableOfMeasures catches entries that no report could show or judge.
func TestTableOfMeasures(t *testing.T) {
	seen := map[string]bool{}
	measures, err := Measures(Options{Scale: 0.001})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range measures {
		if m.Family == "" || m.Unit == "" || m.Stage == nil || m.Func == nil {
			t.Errorf("%q lacks something: %+v", m.Name, m)
		}
		if seen[m.Name] {
			t.Errorf("%q is there twice", m.Name)
		}
		seen[m.Name] = true
		if m.Aim != 0 && (m.Aim < m.Bar) == m.Higher {
			t.Errorf("%s: the aim %v is easier than the bar %v", m.Name, m.Aim, m.Bar)
		}
	}
}

func TestWants(t *testing.T) {
	get := &Measure{Family: "cpu", Name: "get", Short: true}
	rss := &Measure{Family: "memory", Name: "RSS"}
	for _, c := range []struct {
		o        Options
		get, rss bool
	}{
		{Options{}, true, true},
		{Options{Short: true}, true, false},
		{Options{Only: regexp.MustCompile("^memory:")}, false, true},
		{Options{Only: regexp.MustCompile("get")}, true, false},
	} {
		if c.o.wants(get) != c.get || c.o.wants(rss) != c.rss {
			t.Errorf("%+v: get %v, RSS %v", c.o, c.o.wants(get), c.o.wants(rss))
		}
	}
}

func TestPlacement(t *testing.T) {
	for _, c := range []struct{ threads, cores, server, own int }{
		{1, 1, 1, 1}, {1, 2, 1, 1}, {1, 8, 1, 7}, {2, 2, 2, 2}, {2, 8, 8, 8},
	} {
		server, own := placement(c.threads, c.cores)
		if len(server) != c.server || len(own) != c.own {
			t.Errorf("-t %d on %d cores: server %v, generator %v", c.threads, c.cores, server, own)
		}
	}
}
