package slab

import "testing"

// run feeds an automover the same seconds again and again and returns what it
// decided in each.
func runMover(a *automover, seconds int, full bool, step func(second int, now *sights)) []moveChoice {
	now := a.before
	out := make([]moveChoice, 0, seconds)
	for second := range seconds {
		step(second, &now)
		out = append(out, a.decide(&now, full))
	}
	return out
}

func firstMove(moves []moveChoice) (int, moveChoice) {
	for i, m := range moves {
		if m.Src != 0 {
			return i, m
		}
	}
	return -1, moveChoice{}
}

func TestAutomoveByAge(t *testing.T) {
	base := func() *sights {
		var s sights
		s[3] = classSight{Pages: 10, ChunksPerPage: 100, TailAge: 1000}
		s[7] = classSight{Pages: 4, ChunksPerPage: 50, TailAge: 100}
		s[9] = classSight{Pages: 6, ChunksPerPage: 20, TailAge: 500}
		return &s
	}
	for _, tc := range []struct {
		name  string
		setup func(*sights)
		step  func(second int, now *sights)
		at    int // second of the first move, -1 none
		want  moveChoice
	}{
		{"nobody evicts", nil, func(int, *sights) {}, -1, moveChoice{}},
		{"the youngest evicts steadily", nil, func(_ int, now *sights) { now[7].Evictions += 5 }, 10, moveChoice{3, 7}},
		{
			"it evicts, but is no younger than the ratio", func(s *sights) { s[7].TailAge = 800 },
			func(_ int, now *sights) { now[7].Evictions += 5 }, -1,
			moveChoice{},
		},
		{
			"just below the ratio", func(s *sights) { s[7].TailAge = 799 },
			func(_ int, now *sights) { now[7].Evictions += 5 }, 10,
			moveChoice{3, 7},
		},
		{
			"the oldest has too few pages", func(s *sights) { s[3].Pages = 2 },
			func(_ int, now *sights) { now[7].Evictions += 5 }, 10,
			moveChoice{9, 7},
		},
		{
			"no class has enough pages", func(s *sights) { s[3].Pages, s[9].Pages, s[7].Pages = 2, 2, 2 },
			func(_ int, now *sights) { now[7].Evictions += 5 }, -1,
			moveChoice{},
		},
		{"evictions stopped before the window filled", nil, func(second int, now *sights) {
			if second < 9 {
				now[7].Evictions++
			}
		}, -1, moveChoice{}},
		{"rare evictions of a small share", nil, func(second int, now *sights) {
			now[3].Evictions += 100 // the old class evicts most
			if second%4 == 0 {
				now[7].Evictions++
			}
		}, -1, moveChoice{}},
		{"a burst that is all there is", nil, func(second int, now *sights) {
			if second >= 8 && second <= 10 {
				now[7].Evictions += 1000
			}
		}, 10, moveChoice{3, 7}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := base()
			if tc.setup != nil {
				tc.setup(before)
			}
			a := newAutomover(10, 0.8, before)
			// The window must fill with ages before they count in full.
			at, got := firstMove(runMover(a, 12, true, tc.step))
			if at != tc.at || got != tc.want {
				t.Fatalf("move %+v in second %d, want %+v in %d", got, at, tc.want, tc.at)
			}
		})
	}
}

func TestAutomoveSpare(t *testing.T) {
	for _, tc := range []struct {
		name string
		free uint64
		full bool
		step func(second int, now *sights)
		at   int
	}{
		{"plenty free", 251, true, nil, 0},
		{"not quite enough", 250, true, nil, -1},
		{"the pool has pages yet", 1000, false, nil, -1},
		{"evicting lately", 1000, true, func(second int, now *sights) {
			if second == 0 {
				now[5].Evictions++
			}
		}, 10},
		{"ran out of memory lately", 1000, true, func(second int, now *sights) {
			if second == 3 {
				now[5].OutOfMemory++
			}
		}, 0},
		{"got a page lately", 1000, true, func(second int, now *sights) {
			if second == 0 {
				now[5].Pages++
			}
		}, 10},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var before sights
			before[5] = classSight{Pages: 10, ChunksPerPage: 100, FreeChunks: tc.free}
			step := tc.step
			if step == nil {
				step = func(int, *sights) {}
			}
			at, got := firstMove(runMover(newAutomover(10, 0.8, &before), 14, tc.full, step))
			want := moveChoice{}
			if tc.at >= 0 {
				want.Src = 5
			}
			if at != tc.at || got != want {
				t.Fatalf("move %+v in second %d, want %+v in %d", got, at, want, tc.at)
			}
		})
	}
}

func TestPickSource(t *testing.T) {
	for _, tc := range []struct {
		name     string
		setup    func(now *sights)
		dst      int
		pagesMin uint32
		want     int
	}{
		{"the oldest tail", func(*sights) {}, 2, 2, 4},
		{"not the one that gets the page", func(*sights) {}, 4, 2, 6},
		{"spare memory first", func(now *sights) { now[6].FreeChunks = 25 }, 2, 2, 6},
		{"most spare memory", func(now *sights) { now[6].FreeChunks, now[2].FreeChunks = 25, 30 }, 0, 2, 2},
		{"less than a page is not spare", func(now *sights) { now[6].FreeChunks = 9 }, 2, 2, 4},
		{"of equals the larger", func(now *sights) { now[4].TailAge = 20 }, 2, 2, 6},
		{"nobody can give", func(now *sights) { now[4].Pages, now[6].Pages = 1, 1 }, 2, 2, 0},
		{"but a last page may do", func(now *sights) { now[4].Pages, now[6].Pages = 0, 1 }, 2, 1, 6},
		{"no class has a page", func(now *sights) { *now = sights{} }, 2, 1, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var now sights
			now[2] = classSight{Pages: 8, ChunksPerPage: 10, TailAge: 5}
			now[4] = classSight{Pages: 8, ChunksPerPage: 10, TailAge: 50}
			now[6] = classSight{Pages: 9, ChunksPerPage: 10, TailAge: 20}
			tc.setup(&now)
			if got := pickSource(&now, tc.dst, tc.pagesMin); got != tc.want {
				t.Fatalf("got class %d, want %d", got, tc.want)
			}
		})
	}
}

func TestCrawlRunNote(t *testing.T) {
	const now = 10_000
	var r CrawlRun
	for _, exptime := range []uint32{0, 0, now, now + 1, now + 59, now + 60, now + 3599, now + 3600, now + 1e6} {
		r.note(exptime, now)
	}
	if r.Seen != 9 || r.NoExpiry != 2 || r.HourPlus != 2 || r.Minutes[0] != 3 || r.Minutes[1] != 1 || r.Minutes[59] != 1 {
		t.Fatalf("%+v", r)
	}
}

func TestCrawlRunExpect(t *testing.T) {
	minutes := func(seen, noExpiry uint64, at map[int]uint64) *CrawlRun {
		r := &CrawlRun{Seen: seen, NoExpiry: noExpiry}
		for m, n := range at {
			r.Minutes[m] = n
		}
		return r
	}
	for _, tc := range []struct {
		name           string
		run            *CrawlRun
		lowMark, ready uint64
	}{
		{"an empty list", minutes(0, 0, nil), 1, 0},
		{"nothing expires", minutes(1000, 1000, nil), 1, 0},
		{"much at once", minutes(1000, 0, map[int]uint64{0: 500}), 11, 500},
		{"much, but later", minutes(1000, 0, map[int]uint64{30: 500}), 11, 500},
		{"exactly one in a hundred is not enough", minutes(1000, 0, map[int]uint64{0: 11, 2: 5}), 11, 16},
		{"enough is enough", minutes(1000, 0, map[int]uint64{0: 6, 1: 6, 2: 5}), 11, 12},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if lowMark, ready := tc.run.expect(); lowMark != tc.lowMark || ready != tc.ready {
				t.Fatalf("low mark %d, ready %d", lowMark, ready)
			}
		})
	}
}

func TestProspect(t *testing.T) {
	p := prospect{due: never}
	for _, tc := range []struct {
		exptime    uint32
		sooner     bool
		due, dying uint32
	}{
		{5000, true, 5000, 1},
		{6000, false, 5000, 1},
		{5000, false, 5000, 2},
		{4000, true, 4000, 1},
		{4000, false, 4000, 2},
		{5000, false, 4000, 2},
	} {
		if sooner := p.note(tc.exptime); sooner != tc.sooner || p.due != tc.due || p.dying != tc.dying {
			t.Fatalf("%d: sooner %t, %+v", tc.exptime, sooner, p)
		}
	}
	if p.pays(3999, 2*crawlWorth) || !p.pays(4000, 2*crawlWorth) || p.pays(4000, 2*crawlWorth+1) {
		t.Fatalf("two dead items pay for %d chunks", 2*crawlWorth)
	}
	if p = (prospect{}); p.pays(4000, 1) || p.note(1) {
		t.Fatalf("a page of which nothing is known promises something: %+v", p)
	}
}
