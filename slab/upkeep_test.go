package slab

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// The hot list drains into the cold one until it is within its limit.
func TestMaintainJuggles(t *testing.T) {
	s, w := newStore(t, func(c *Config) { c.Eviction = EvictionLRU })
	const n = 2000
	for i := range n {
		mustSet(t, w, fmt.Sprint("k", i), strings.Repeat("v", 100), SetOp{})
	}
	class := classOf(t, s, w, "k0")
	for range 100 {
		s.Maintain()
	}
	c := s.ClassStats(class)
	if c.NumberHot > n/5+1 || c.NumberHot < n/10 || c.NumberHot+c.NumberCold != n || c.MovesToCold != c.NumberCold {
		t.Fatalf("%d hot, %d warm, %d cold, %d moves", c.NumberHot, c.NumberWarm, c.NumberCold, c.MovesToCold)
	}
	for i := n - 20; i < n; i++ { // hot ones, read twice
		value(w, fmt.Sprint("k", i))
		value(w, fmt.Sprint("k", i))
	}
	for i := n; i < 2*n; i++ {
		mustSet(t, w, fmt.Sprint("k", i), strings.Repeat("v", 100), SetOp{})
	}
	for range 100 {
		s.Maintain()
	}
	if c := s.ClassStats(class); c.NumberWarm < 20 || c.MovesToWarm < 20 {
		t.Fatalf("%d warm after %d moves", c.NumberWarm, c.MovesToWarm)
	}
	s.SetSegmented(false)
	for range 1000 {
		s.Maintain()
	}
	if c := s.ClassStats(class); c.NumberCold != 2*n {
		t.Fatalf("flat: %d hot, %d warm, %d cold", c.NumberHot, c.NumberWarm, c.NumberCold)
	}
	checkStore(t, s)
}

// Items with a short life get out of the way by themselves.
func TestMaintainReapsTemp(t *testing.T) {
	s, w := newStore(t, func(c *Config) { c.TempTTL = 60; c.Crawler = false })
	for i := range 1000 {
		mustSet(t, w, fmt.Sprint("k", i), "v", SetOp{Exptime: 1060})
	}
	mustSet(t, w, "longer", "v", SetOp{Exptime: 1061})
	if c := s.Stats().Class; c.NumberTemp != 1000 || c.NumberHot != 1 {
		t.Fatalf("%d temp, %d hot", c.NumberTemp, c.NumberHot)
	}
	s.Tick(1060)
	maintain(t, s, "reap", func() bool { return s.Stats().CurrItems == 1 })
	if c := s.Stats().Class; c.Reclaimed != 1000 || c.ExpiredUnfetched != 1000 {
		t.Fatalf("%d reclaimed, %d unfetched", c.Reclaimed, c.ExpiredUnfetched)
	}
	checkStore(t, s)
}

// An idle store asks for long pauses, a busy one for short ones.
func TestMaintainPauses(t *testing.T) {
	s, w := newStore(t, nil)
	longest := func() (longest time.Duration) {
		for range 200 {
			longest = max(longest, s.Maintain())
		}
		return longest
	}
	if got := longest(); got != maintainIdle {
		t.Fatalf("idle: %v", got)
	}
	for i := range 20_000 {
		mustSet(t, w, fmt.Sprint("k", i), "v", SetOp{Exptime: 1002})
	}
	s.Tick(1002)
	s.Crawl(AllClasses)
	if got := s.Maintain(); got > maintainBusy {
		t.Fatalf("busy: %v", got)
	}
	if s.Stats().Juggles < 200 {
		t.Fatalf("%d juggles", s.Stats().Juggles)
	}
}

// Without a maintainer nothing moves by itself, yet the limit is kept.
func TestMaintainOff(t *testing.T) {
	s, w := newStore(t, func(c *Config) { c.Maintainer = false })
	for i := range 100 {
		mustSet(t, w, fmt.Sprint("k", i), "v", SetOp{Exptime: 1001})
	}
	for i := range 100 {
		s.Tick(uint32(1001 + i))
		s.Maintain()
	}
	if st := s.Stats(); st.CurrItems != 100 || st.CrawlerStarts != 0 || st.Juggles != 0 || st.Class.NumberCold != 100 {
		t.Fatalf("%+v", st)
	}
	if s.SetSegmented(true) || s.SetTempTTL(61) {
		t.Fatal("lists that need a maintainer can be switched on")
	}
}

func TestKnobs(t *testing.T) {
	s, _ := newStore(t, nil)
	for _, tc := range []struct {
		name string
		turn func() bool
		want bool
	}{
		{"automove 2", func() bool { return s.SetAutomove(2) }, true},
		{"automove 3", func() bool { return s.SetAutomove(3) }, false},
		{"automove -1", func() bool { return s.SetAutomove(-1) }, false},
		{"ratio", func() bool { return s.SetAutomoveRatio(0.5) == nil }, true},
		{"ratio 0", func() bool { return s.SetAutomoveRatio(0) == nil }, false},
		{"ratio above 1", func() bool { return s.SetAutomoveRatio(1.1) == nil }, false},
		{"window", func() bool { return s.SetAutomoveWindow(30) == nil }, true},
		{"window 2", func() bool { return s.SetAutomoveWindow(2) == nil }, false},
		{"window 1801", func() bool { return s.SetAutomoveWindow(1801) == nil }, false},
		{"tune", func() bool { return s.TuneLRU(10, 30, 0.3, 1.5) == nil }, true},
		{"tune over 80", func() bool { return s.TuneLRU(50, 31, 0.3, 1.5) == ErrPctSum }, true},
		{"tune factor", func() bool { return s.TuneLRU(10, 30, 0, 1.5) == ErrAgeFactor }, true},
		{"temp", func() bool { return s.SetTempTTL(61) }, true},
		{"sleep", func() bool { return s.SetCrawlerSleep(1_000_000) == nil }, true},
		{"sleep too long", func() bool { return s.SetCrawlerSleep(1_000_001) == ErrCrawlerSleep }, true},
		{"sleep negative", func() bool { return s.SetCrawlerSleep(-1) == ErrCrawlerSleep }, true},
		{"crawler off", func() bool { return s.SetCrawler(false) }, true},
		{"flat", func() bool { return s.SetSegmented(false) }, true},
	} {
		if got := tc.turn(); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
	s.SetCrawlerToCrawl(77)
	c := s.Config()
	if c.Automove != 2 || c.AutomoveRatio != 0.5 || c.AutomoveWindow != 30 || c.HotPct != 10 || c.WarmPct != 30 ||
		c.HotMaxFactor != 0.3 || c.WarmMaxFactor != 1.5 || c.TempTTL != 61 || c.CrawlerSleepMicros != 1_000_000 ||
		c.Crawler || c.Segmented || c.CrawlerToCrawl != 77 || c.LimitBytes != 8<<20 || c.ChunkMax != 512<<10 {
		t.Errorf("%+v", c)
	}
}

func TestStatsAndReset(t *testing.T) {
	s, w := newStore(t, func(c *Config) { c.TrackSizes = true })
	other := s.NewWorker()
	for i := range 10 {
		mustSet(t, w, fmt.Sprint("k", i), "5", SetOp{})
	}
	value(w, "k1")
	value(other, "k1")
	value(other, "none")
	w.Delete(s.keyString("k2"), nil)
	w.Arith(s.keyString("k3"), &ArithOp{Delta: 1})
	w.Arith(s.keyString("k3"), &ArithOp{Delta: 1, Decrement: true})
	w.Touch(s.keyString("k4"), 2000)
	set(t, w, "k5", "v", SetOp{Compare: true, CAS: 1 << 40})
	st := s.Stats()
	c := st.Class
	if st.CurrItems != 9 || c.GetHits != 2 || c.DeleteHits != 1 || c.IncrHits != 1 || c.DecrHits != 1 ||
		c.TouchHits != 1 || c.CasBadval != 1 || c.HitsToHot != 2 {
		t.Fatalf("%+v", st)
	}
	if st.LimitBytes != 8<<20 || st.ActiveClasses == 0 || st.TotalMalloced == 0 || st.HashBytes == 0 || st.Bytes == 0 {
		t.Fatalf("%+v", st)
	}
	s.ResetStats()
	after := s.Stats()
	if after.CurrItems != 9 || after.Bytes != st.Bytes || after.TotalMalloced != st.TotalMalloced || after.LimitBytes != st.LimitBytes {
		t.Fatalf("gauges were reset: %+v", after)
	}
	if a := after.Class; a.GetHits|a.CmdSet|a.DeleteHits|a.IncrHits|a.TouchHits|a.CasBadval|a.TotalItems|after.TotalItems != 0 {
		t.Fatalf("counters were not: %+v", after)
	}
	if got := s.ClassStats(60); got != (ClassStats{ID: 60}) {
		t.Fatalf("a class that is not: %+v", got)
	}
	checkStore(t, s)
}

func TestSizesHistogram(t *testing.T) {
	s, w := newStore(t, func(c *Config) { c.TrackSizes = true })
	mustSet(t, w, "k", strings.Repeat("v", 100), SetOp{})     // 48+8+2+100+2 = 160
	mustSet(t, w, "l", strings.Repeat("v", 101), SetOp{})     // 161
	mustSet(t, w, "m", strings.Repeat("v", 800_000), SetOp{}) // 800060
	mustSet(t, w, "k", strings.Repeat("v", 100), SetOp{})     // again
	mustSet(t, w, "n", "v", SetOp{})
	w.Delete(s.keyString("n"), nil)
	rows, on := s.SizesHistogram()
	if got := fmt.Sprint(rows, on); got != "[{160 1} {192 1} {800064 1}] true" {
		t.Fatal(got)
	}
	off, _ := newStore(t, nil)
	if rows, on := off.SizesHistogram(); on || rows != nil {
		t.Fatal(rows, on)
	}
}
