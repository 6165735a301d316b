package slab

import (
	"fmt"
	"strings"
	"testing"
)

func crawlEnded(s *Store) func() bool {
	return func() bool { return !s.Stats().CrawlerRuns }
}

// The crawler alone takes dead items out of every list, large ones too.
func TestCrawlReclaims(t *testing.T) {
	s, w := newStore(t, func(c *Config) { c.LimitBytes = 32 << 20; c.TempTTL = 20; c.ItemSizeMax = 2 << 20 })
	const n = 3000
	for i := range n {
		mustSet(t, w, fmt.Sprint("dies-", i), strings.Repeat("v", i%900), SetOp{Exptime: 1100})
		mustSet(t, w, fmt.Sprint("temp-", i), "v", SetOp{Exptime: 1015})
		mustSet(t, w, fmt.Sprint("stays-", i), strings.Repeat("v", i%900), SetOp{Exptime: uint32(5000 * (i % 2))})
	}
	mustSet(t, w, "dies-chained", pattern(1_500_000, 1), SetOp{Exptime: 1100})
	mustSet(t, w, "stays-chained", pattern(1_500_000, 2), SetOp{})
	before := s.Stats()
	s.Tick(1100)
	if got := s.Crawl(AllClasses); got != CrawlStarted {
		t.Fatal(got)
	}
	if got := s.Crawl(AllClasses); got != CrawlBusy {
		t.Fatalf("a second crawl: %v", got)
	}
	maintain(t, s, "crawl", crawlEnded(s))
	checkStore(t, s)
	st := s.Stats()
	if st.CurrItems != n+1 {
		t.Fatalf("%d items left, want %d", st.CurrItems, n+1)
	}
	// The tails are reaped besides, so the crawler need not have found them all.
	if got := st.Class.CrawlerReclaimed + st.Class.Reclaimed; got != 2*n+1 {
		t.Fatalf("%d reclaimed, want %d", got, 2*n+1)
	}
	if st.Class.CrawlerReclaimed == 0 || st.Class.CrawlerItemsChecked < n || st.CrawlerStarts == 0 {
		t.Fatalf("%+v", st)
	}
	if st.Class.ExpiredUnfetched != 2*n+1 {
		t.Fatalf("%d expired unfetched, want %d", st.Class.ExpiredUnfetched, 2*n+1)
	}
	if st.Bytes >= before.Bytes || st.Class.Evicted != 0 {
		t.Fatalf("%d bytes before, %d after, %d evictions", before.Bytes, st.Bytes, st.Class.Evicted)
	}
	wantValue(t, w, "stays-chained", pattern(1_500_000, 2))
}

func TestCrawlFlushed(t *testing.T) {
	s, w := newStore(t, func(c *Config) { c.Maintainer = false })
	for i := range 500 {
		mustSet(t, w, fmt.Sprint("k", i), "v", SetOp{})
	}
	s.FlushAll(0)
	mustSet(t, w, "after", "v", SetOp{})
	s.Crawl(AllClasses)
	maintain(t, s, "crawl", crawlEnded(s))
	st := s.Stats()
	if st.CurrItems != 1 || st.Class.CrawlerReclaimed != 500 || st.Class.ExpiredUnfetched != 0 {
		t.Fatalf("%d items, %d reclaimed, %d expired unfetched", st.CurrItems, st.Class.CrawlerReclaimed, st.Class.ExpiredUnfetched)
	}
	wantValue(t, w, "after", "v")
	checkStore(t, s)
}

// After a flush nobody waits for the next run.
func TestCrawlAfterFlush(t *testing.T) {
	s, w := newStore(t, nil)
	now := uint32(1000)
	second := func() {
		now++
		s.Tick(now)
		s.Maintain()
		maintain(t, s, "crawl", crawlEnded(s))
	}
	for i := range 500 {
		mustSet(t, w, fmt.Sprint("k", i), "v", SetOp{})
	}
	for range 100 { // the runs become rare
		second()
	}
	s.FlushAll(0)
	mustSet(t, w, "after", "v", SetOp{})
	second()
	if got := s.Stats().CurrItems; got != 1 {
		t.Fatalf("%d items a second after the flush", got)
	}
	checkStore(t, s)
}

func TestCrawlResults(t *testing.T) {
	s, w := newStore(t, nil)
	if got := s.Crawl(AllClasses); got != CrawlNothing {
		t.Errorf("empty store: %v", got)
	}
	mustSet(t, w, "k", "v", SetOp{})
	class := classOf(t, s, w, "k")
	for _, tc := range []struct {
		classes ClassSet
		want    CrawlResult
	}{
		{0, CrawlBadClass},
		{Classes(class + 1), CrawlNothing},
		{Classes(classMax), CrawlNothing},
		{Classes(class, class+1), CrawlStarted},
		{Classes(class), CrawlBusy},
	} {
		if got := s.Crawl(tc.classes); got != tc.want {
			t.Errorf("%b: %v, want %v", tc.classes, got, tc.want)
		}
	}
	if !s.SetCrawler(false) || s.SetCrawler(false) {
		t.Error("switching off twice is not told apart")
	}
	maintain(t, s, "a crawl switched off", crawlEnded(s))
	if got := s.Crawl(Classes(class)); got != CrawlDisabled {
		t.Error(got)
	}
	if !s.SetCrawler(true) || s.SetCrawler(true) {
		t.Error("switching on twice is not told apart")
	}
	if got := s.Crawl(Classes(class)); got != CrawlStarted {
		t.Error(got)
	}
}

// A run with a bound goes on where the last one stopped.
func TestCrawlToCrawl(t *testing.T) {
	s, w := newStore(t, func(c *Config) { c.Maintainer = false; c.CrawlerToCrawl = 100 })
	const n = 1000
	for i := range n {
		mustSet(t, w, fmt.Sprintf("k%04d", i), "v", SetOp{Exptime: 1001})
	}
	s.Tick(1001)
	for run := uint64(1); run <= n/100; run++ {
		if got := s.Crawl(AllClasses); got != CrawlStarted {
			t.Fatalf("run %d: %v", run, got)
		}
		maintain(t, s, "crawl", crawlEnded(s))
		if got := s.Stats().Class.CrawlerReclaimed; got != run*100 {
			t.Fatalf("%d reclaimed after %d runs", got, run)
		}
	}
	checkStore(t, s)
}

func TestCrawlEvents(t *testing.T) {
	s, w := newStore(t, func(c *Config) { c.Maintainer = false })
	var events []string
	s.SetObserver(func(e Event) {
		switch e.Kind {
		case EventCrawl:
			events = append(events, fmt.Sprintf("class %d %v: seen %d, reclaimed %d", e.Class, e.List, e.Run.Seen, e.Run.Reclaimed))
		case EventPageMove:
			events = append(events, fmt.Sprintf("move %d to %d done %v", e.Class, e.Dst, e.Done))
		}
	})
	for i := range 10 {
		mustSet(t, w, fmt.Sprint("k", i), "v", SetOp{Exptime: uint32(i%2) * 1001})
	}
	class := classOf(t, s, w, "k0")
	s.Tick(1001)
	s.Crawl(AllClasses)
	maintain(t, s, "crawl", crawlEnded(s))
	s.SetObserver(nil)
	s.Crawl(AllClasses)
	maintain(t, s, "crawl", crawlEnded(s))
	want := fmt.Sprintf("class %d cold: seen 5, reclaimed 5", class)
	if len(events) != 1 || events[0] != want {
		t.Fatalf("%q, want %q", events, want)
	}
}
