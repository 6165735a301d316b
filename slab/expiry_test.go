package slab

import (
	"fmt"
	"strings"
	"testing"
)

// seconds are how a test lets time pass: a tick, and as much upkeep as fits in.
type seconds struct {
	t   *testing.T
	s   *Store
	now uint32
}

// pass lets n seconds pass, with so many steps of upkeep in each.
func (c *seconds) pass(n, steps int) {
	c.t.Helper()
	for range n {
		c.now++
		c.s.Tick(c.now)
		for range steps {
			c.s.Maintain()
		}
	}
}

// items are how many items there are, dead ones included.
func (c *seconds) items() int { return int(c.s.Stats().CurrItems) }

// want fails the test unless there are so many items.
func (c *seconds) want(items int, when string) {
	c.t.Helper()
	if got := c.items(); got != items {
		c.t.Fatalf("%s: %d items at %d, want %d", when, got, c.now, items)
	}
}

// What dies in one second is gone in that second, by a bounded number of steps,
// and its pages are anybody's.
func TestExpiryAtOnce(t *testing.T) {
	s, w := newStore(t, func(c *Config) { c.LimitBytes = 32 << 20 })
	const n, live = 100_000, 1000
	v := strings.Repeat("v", 100)
	for i := range n {
		mustSet(t, w, fmt.Sprint("dies-", i), v, SetOp{Exptime: 1005})
		if i%(n/live) == 0 {
			mustSet(t, w, fmt.Sprint("stays-", i), v, SetOp{Exptime: uint32(i%3) * 5000})
		}
	}
	c := &seconds{t, s, 1000}
	c.pass(4, 10)
	c.want(n+live, "before")
	before := s.Stats()
	if before.CrawlerStarts != 0 || before.Class.Evicted != 0 {
		t.Fatalf("%d runs before anything has died, %d evictions", before.CrawlerStarts, before.Class.Evicted)
	}
	c.pass(1, n*(crawlReapCost+1)/crawlStepCost+20)
	c.want(live, "in their second")
	checkStore(t, s)
	st := s.Stats()
	if st.CrawlerStarts != 1 || st.Class.CrawlerReclaimed+st.Class.Reclaimed != n {
		t.Fatalf("%d runs, %d reclaimed", st.CrawlerStarts, st.Class.CrawlerReclaimed)
	}
	// Each page has a live item here.
	if st.Class.Pages != before.Class.Pages {
		t.Fatalf("%d pages of %d", st.Class.Pages, before.Class.Pages)
	}
}

// Pages that have become empty serve classes that need them, without an eviction.
func TestExpiryGivesPages(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*Config)
		gives  bool
	}{
		{"by default", func(*Config) {}, true},
		{"if pages do not move", func(c *Config) { c.SlabReassign = false }, false},
		{"if they do not move by themselves", func(c *Config) { c.Automove = 0 }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, w := newStore(t, func(c *Config) { c.LimitBytes = 16 << 20; tc.change(c) })
			n := 0
			for ; n%1000 != 0 || s.Stats().Class.Evicted == 0; n++ {
				mustSet(t, w, fmt.Sprint("dies-", n), strings.Repeat("v", 100), SetOp{Exptime: 1001})
			}
			class := classOf(t, s, w, fmt.Sprint("dies-", n-1))
			before, evicted := s.ClassStats(class).Pages, s.Stats().Class.Evicted
			c := &seconds{t, s, 1000}
			c.pass(1, 200)
			c.want(0, "after their second")
			checkStore(t, s)
			pages, pool := s.ClassStats(class).Pages, s.Stats().PoolPages
			if !tc.gives {
				if pages != before || pool != 0 {
					t.Fatalf("%d pages of %d are left, %d in the pool", pages, before, pool)
				}
				return
			}
			if pages > before/8+moverPagesKept || pool < uint64(before-pages) {
				t.Fatalf("%d pages of %d are left, %d in the pool", pages, before, pool)
			}
			for i := range 4000 { // 8 MB
				mustSet(t, w, fmt.Sprint("next-", i), strings.Repeat("v", 2000), SetOp{})
			}
			if got := s.Stats().Class.Evicted; got != evicted {
				t.Fatalf("%d evictions with half of the memory free", got-evicted)
			}
			checkStore(t, s)
		})
	}
}

// Nothing is looked at while nothing dies, and little when it did already.
func TestExpiryIdle(t *testing.T) {
	s, w := newStore(t, nil)
	for i := range 20_000 {
		mustSet(t, w, fmt.Sprint("k", i), "v", SetOp{Exptime: uint32(i%2) * 9000})
	}
	mustSet(t, w, "chained", pattern(700_000, 1), SetOp{Exptime: 9000})
	c := &seconds{t, s, 1000}
	c.pass(500, 3)
	if st := s.Stats(); st.CrawlerStarts != 0 || st.Class.CrawlerItemsChecked != 0 {
		t.Fatalf("%d runs over %d items", st.CrawlerStarts, st.Class.CrawlerItemsChecked)
	}
	mustSet(t, w, "shorter", "v", SetOp{Exptime: c.now + 2})
	w.Delete(s.keyString("shorter"), nil)
	c.pass(500, 3)
	if st := s.Stats(); st.CrawlerStarts != 1 || st.Class.CrawlerItemsChecked > 20_000 {
		t.Fatalf("%d runs over %d items for one that was deleted", st.CrawlerStarts, st.Class.CrawlerItemsChecked)
	}
	c.now = 8999
	c.pass(1, 50)
	c.want(10_000, "in the second of the others")
	checkStore(t, s)
}

// Where items die all the time, in every page, not more is looked at than the
// share of a second, and yet what is dead does not pile up.
func TestExpiryMixed(t *testing.T) {
	s, w := newStore(t, func(c *Config) { c.LimitBytes = 16 << 20 })
	const n, hour = 72_000, 3600
	s.crawl.share = n / 8
	for i := range n {
		mustSet(t, w, fmt.Sprintf("k%05d", i), strings.Repeat("v", 50), SetOp{Exptime: 1001 + uint32(i*7919%hour)})
	}
	class := classOf(t, s, w, "k00000")
	perPage := uint64(s.ClassStats(class).ChunksPerPage)
	c := &seconds{t, s, 1000}
	for range hour / 4 {
		c.pass(1, 5)
		left := n - n/hour*int(c.now-1000)
		if dead := c.items() - left; dead > n/hour*16 {
			t.Fatalf("%d dead items at %d, %d a second", dead, c.now, n/hour)
		}
	}
	looked := s.Stats().Class.CrawlerItemsChecked
	if most := (s.crawl.share + perPage) * hour / 4; looked > most {
		t.Fatalf("%d items looked at, %d at the most", looked, most)
	}
	checkStore(t, s)

	// A few pages that die whole are found at once among the others.
	for i := range s.ClassStats(class).FreeChunks {
		mustSet(t, w, fmt.Sprintf("f%05d", i), strings.Repeat("v", 50), SetOp{Exptime: 9000})
	}
	for i := range 3000 {
		mustSet(t, w, fmt.Sprintf("a%05d", i), strings.Repeat("v", 50), SetOp{Exptime: c.now + 5})
	}
	s.crawl.share = 0
	c.pass(4, 10)
	dead := s.Stats().Class.CrawlerReclaimed
	c.pass(1, 10)
	if got := s.Stats().Class.CrawlerReclaimed - dead; got < 3000 {
		t.Fatalf("%d items reclaimed, 3000 have died in a few pages", got)
	}
	checkStore(t, s)
}

// An item that gets another life is taken out when that is over, and not before.
func TestExpiryFollowsTouch(t *testing.T) {
	for _, size := range []int{1, 20_000, 700_000} { // small, large, chained
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			s, w := newStore(t, func(c *Config) { c.LimitBytes = 32 << 20 })
			for i := range 8 {
				ttl := []uint32{0, 100, 100, 100}[i%4]
				mustSet(t, w, fmt.Sprint("k", i), pattern(size, uint64(i)), SetOp{Exptime: ttl + 1000*min(ttl, 1)})
			}
			mustSet(t, w, "other", "v", SetOp{Exptime: 9000}) // the page is not left empty
			key := func(i int) Key { return s.keyString(fmt.Sprint("k", i)) }
			c := &seconds{t, s, 1000}
			w.Touch(key(0), 1010)                                                          // one that never expired
			w.Touch(key(1), 1010)                                                          // sooner
			w.Touch(key(2), 1200)                                                          // later
			w.Touch(key(3), 0)                                                             // never
			w.Get(key(4), &GetOp{Touch: true, Exptime: 1010}, nil)                         // gat
			w.Delete(key(5), &DeleteOp{Invalidate: true, SetExptime: true, Exptime: 1010}) // md I T
			mustSet(t, w, "k6", pattern(size, 1), SetOp{Exptime: 1010})                    // replaced
			w.Delete(key(7), nil)
			checkStore(t, s)
			c.pass(9, 5)
			c.want(8, "before")
			c.pass(1, 5)
			c.want(3, "at 1010")
			checkStore(t, s)
			c.pass(189, 5)
			c.want(3, "before 1200")
			c.pass(1, 5)
			c.want(2, "at 1200")
			checkStore(t, s)
			wantValue(t, w, "k3", pattern(size, 3))
		})
	}
}

// What a page that is being emptied held is found where it went to.
func TestExpiryFollowsMoves(t *testing.T) {
	s, w := newStore(t, nil)
	for i := range 4 {
		mustSet(t, w, fmt.Sprint("chained-", i), pattern(700_000, uint64(i)), SetOp{Exptime: 1010})
	}
	for i := range 20_000 {
		mustSet(t, w, fmt.Sprint("k", i), "v", SetOp{Exptime: 1010})
	}
	for _, class := range []int{classOf(t, s, w, "k0"), int(s.top().id)} {
		for range 3 {
			if r := s.Reassign(class, 0); r != ReassignOK {
				t.Fatal(r)
			}
			maintain(t, s, "move", moveEnded(s))
			checkStore(t, s)
		}
	}
	c := &seconds{t, s, 1000}
	c.pass(9, 5)
	c.want(20_004, "before")
	c.pass(1, 40)
	c.want(0, "in their second")
	checkStore(t, s)
}

// A store that took over what an earlier one held knows nothing of it, looks, and
// then knows.
func TestExpiryAfterRestart(t *testing.T) {
	for _, sealed := range []bool{true, false} {
		t.Run(fmt.Sprint("sealed ", sealed), func(t *testing.T) {
			conf := memoryConfig(nil)
			mem := newMemory(t, conf)
			s, w := openOn(t, conf, mem)
			s.Tick(1000)
			const n = 5000
			for i := range n {
				mustSet(t, w, fmt.Sprint("k", i), "v", SetOp{Exptime: 1010 + uint32(i%2)*10})
			}
			mustSet(t, w, "chained", pattern(100_000, 1), SetOp{Exptime: 1010})
			if sealed {
				if err := s.Seal(); err != nil {
					t.Fatal(err)
				}
			}
			s, w = openOn(t, conf, mem)
			if s.Recovered().Sealed != sealed {
				t.Fatalf("%+v", s.Recovered())
			}
			checkStore(t, s)
			c := &seconds{t, s, 1000}
			c.pass(9, 20)
			c.want(n+1, "before")
			looked := s.Stats().Class.CrawlerItemsChecked
			if looked != n+1 {
				t.Fatalf("%d items looked at", looked)
			}
			c.pass(1, 20)
			c.want(n/2, "in the second of a half")
			c.pass(10, 20)
			c.want(0, "in the second of the rest")
			checkStore(t, s)
			_ = w
		})
	}
}

// A bound on items that a run looks at delays, and loses nothing.
func TestExpiryToCrawl(t *testing.T) {
	s, w := newStore(t, func(c *Config) { c.CrawlerToCrawl = 1000 })
	const n = 9000
	for i := range n {
		mustSet(t, w, fmt.Sprint("k", i), "v", SetOp{Exptime: uint32(i%2) * 1001})
	}
	mustSet(t, w, "chained", pattern(700_000, 1), SetOp{Exptime: 1001})
	c := &seconds{t, s, 1000}
	c.pass(1, 20)
	if got := c.items(); got <= n/2 {
		t.Fatalf("%d items after one run", got)
	}
	c.pass(20, 20)
	c.want(n/2, "after some")
	checkStore(t, s)
	s.FlushAll(0)
	c.pass(20, 20)
	c.want(0, "flushed")
	checkStore(t, s)
}

// A crawler that is switched off in the midst of a page goes on when it is on again.
func TestExpirySwitchedOff(t *testing.T) {
	s, w := newStore(t, nil)
	const n = 9000
	for i := range n {
		mustSet(t, w, fmt.Sprint("k", i), "v", SetOp{Exptime: uint32(i%2) * 1001})
	}
	c := &seconds{t, s, 1000}
	s.SetCrawlerToCrawl(100)
	c.pass(1, 5)
	s.SetCrawler(false)
	left := c.items()
	c.pass(10, 5)
	c.want(left, "switched off")
	checkStore(t, s)
	s.SetCrawler(true)
	s.SetCrawlerToCrawl(0)
	c.pass(1, 20)
	c.want(n/2, "on again")
	checkStore(t, s)
}
