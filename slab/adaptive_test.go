package slab

import (
	"fmt"
	"strings"
	"testing"
)

func TestGhostBucket(t *testing.T) {
	var b ghostBucket
	if b.take(7) != 0 {
		t.Error("an empty bucket has a ghost")
	}
	for print := uint16(1); print <= ghostSlots+1; print++ {
		b.add(print, ghostCold)
	}
	b.add(100, ghostWarm)
	b.add(101, ghostWarm)
	b.add(102, ghostWarm)
	for i, tc := range []struct {
		print uint16
		step  float64
	}{
		{1, 0},    // overwritten
		{2, 1},    // there are more of its kind
		{2, 0},    // taken
		{100, -5}, // 14.0 / 3, rounded below
		{16, 1},
	} {
		step := b.take(tc.print)
		if i == 3 {
			if want := -14.0 / 3; step != want {
				t.Errorf("a rare warm ghost: %g, want %g", step, want)
			}
			continue
		}
		if step != tc.step {
			t.Errorf("ghost %d: %g, want %g", tc.print, step, tc.step)
		}
	}
}

// shelf is a store of one kind of item that has begun to evict.
func shelf(t *testing.T) (*Store, *Worker, *class) {
	t.Helper()
	s, w := newStore(t, smallPages)
	fillStore(t, w, "old", 3000, 1000, SetOp{})
	return s, w, &s.classes[classOf(t, s, w, "old2999")]
}

// listOf returns the list on which a key's item is, and its marks.
func listOf(t *testing.T, s *Store, key string) (LRU, uint64) {
	t.Helper()
	k := s.keyString(key)
	h, _, _ := s.findLocked(s.stripe(k.Hash), &k)
	if h == nil {
		t.Fatalf("no item %s", key)
	}
	word := h.loadWord()
	return wordList(word), word & (markActive | markDemoted)
}

// TestComeBack stores a key again that was evicted: it is past probation, and
// the share of that grows; of one that had been warm, it shrinks.
func TestComeBack(t *testing.T) {
	for _, tc := range []struct {
		name string
		kind int
		up   bool
	}{{"from cold", ghostCold, true}, {"from warm", ghostWarm, false}} {
		t.Run(tc.name, func(t *testing.T) {
			s, w, c := shelf(t)
			k := s.keyString("back")
			st := s.stripe(k.Hash)
			*s.index.ghost(s.ghostHome(st, k.Hash)) = ghostBucket{}
			word := uint64(Cold) << wordListShift
			if tc.kind == ghostWarm {
				word |= markDemoted
			}
			s.rememberLocked(st, k.Hash, word)
			before, moves := c.probation, c.counts.movesToWarm
			mustSet(t, w, "back", pattern(1000, 1), SetOp{})
			if l, _ := listOf(t, s, "back"); l != Warm || c.counts.movesToWarm != moves+1 {
				t.Errorf("on list %v, %d moves", l, c.counts.movesToWarm-moves)
			}
			if c.probation == before || c.probation > before != tc.up {
				t.Errorf("the probation went from %g to %g", before, c.probation)
			}
			mustSet(t, w, "new", pattern(1000, 1), SetOp{})
			if l, _ := listOf(t, s, "new"); l != Hot {
				t.Errorf("a new item is on list %v", l)
			}
			checkStore(t, s)
		})
	}
}

// TestAdaptBounds: however many ghosts come back, both lists keep some room.
func TestAdaptBounds(t *testing.T) {
	s, _ := newStore(t, nil)
	c := &s.classes[1]
	for range 1000 {
		c.adaptLocked(15)
	}
	if c.probation != probationMost {
		t.Errorf("the largest probation is %g", c.probation)
	}
	for range 1000 {
		c.adaptLocked(-15)
	}
	if c.probation != probationLeast {
		t.Errorf("the smallest probation is %g", c.probation)
	}
	checkStore(t, s)
}

// TestEvictionsMakeGhosts wants a ghost of what was evicted, and of nothing
// that was deleted, replaced, flushed or expired. Rings that run over forget some.
func TestEvictionsMakeGhosts(t *testing.T) {
	s, w := newStore(t, func(c *Config) { smallPages(c); c.HashPower = 12 })
	ghosts := func() (n int) {
		for i := range ghostRows(s.index.rows.Load()) << s.index.stripeBits {
			b := s.index.ghost(s.index.ghostMin + i)
			n += b.count(ghostCold) + b.count(ghostWarm)
		}
		return n
	}
	fillStore(t, w, "a", 100, 1000, SetOp{Exptime: 1001})
	fillStore(t, w, "b", 100, 1000, SetOp{})
	fillStore(t, w, "b", 100, 1000, SetOp{})
	for i := range 100 {
		w.Delete(s.keyString(fmt.Sprint("b", i)), nil)
	}
	s.Tick(1001)
	countHits(w, "a", 100)
	fillStore(t, w, "c", 100, 1000, SetOp{})
	s.FlushAll(0)
	countHits(w, "c", 100)
	if n := ghosts(); n != 0 {
		t.Fatalf("%d ghosts before any eviction", n)
	}
	fillStore(t, w, "d", 2500, 1000, SetOp{})
	evicted := int(s.Stats().Class.Evicted)
	if n := ghosts(); evicted == 0 || n > evicted || n < evicted/2 {
		t.Errorf("%d ghosts of %d evicted items", n, evicted)
	}
	checkStore(t, s)
}

// TestOneReadSaves reads some items once; a flood of items that nobody reads
// must not push them out.
func TestOneReadSaves(t *testing.T) {
	s, w := newStore(t, smallPages)
	fillStore(t, w, "good", 200, 1000, SetOp{})
	if hits := countHits(w, "good", 200); hits != 200 {
		t.Fatalf("%d of 200 before the flood", hits)
	}
	fillStore(t, w, "flood", 10_000, 1000, SetOp{})
	if hits := countHits(w, "good", 200); hits != 200 {
		t.Errorf("%d of 200 items that were read survived", hits)
	}
	c := &s.classes[classOf(t, s, w, "good0")]
	total := float64(c.lists[Hot].bytes + c.lists[Warm].bytes + c.lists[Cold].bytes)
	if got := float64(c.lists[Hot].bytes); got > total*hotShare*c.probation+2000 {
		t.Errorf("%g bytes of %g are hot", got, total)
	}
	checkStore(t, s)
}

// TestSetKeepsPlace: a new value of a key takes the old one's list and marks.
func TestSetKeepsPlace(t *testing.T) {
	s, w, c := shelf(t)
	for _, key := range []string{"old2999", "old2998", "old2997"} {
		value(w, key)
	}
	c.mu.Lock()
	for c.lists[Hot].tail != 0 {
		s.passLocked(c, Hot)
	}
	c.mu.Unlock()
	value(w, "old2998")
	c.mu.Lock()
	for c.lists[Warm].n > 1 {
		s.passLocked(c, Warm) // the two that were not read again
	}
	c.mu.Unlock()
	value(w, "old2999") // in cold again
	for _, tc := range []struct {
		key   string
		list  LRU
		marks uint64
	}{
		{"old2996", Cold, 0},
		{"old2997", Cold, markDemoted},
		{"old2999", Cold, markDemoted | markActive},
		{"old2998", Warm, 0},
	} {
		for _, value := range []string{"same size", "longer", "counted"} {
			switch value {
			case "same size":
				mustSet(t, w, tc.key, pattern(1000, 2), SetOp{})
			case "longer":
				mustSet(t, w, tc.key, "x", SetOp{Mode: ModeAppend})
			case "counted":
				mustSet(t, w, tc.key, "9", SetOp{})
				w.Arith(s.keyString(tc.key), &ArithOp{Delta: 1})
			}
			if l, marks := listOf(t, s, tc.key); l != tc.list || marks != tc.marks {
				t.Errorf("%s, %s: list %v, marks %x, want %v, %x", tc.key, value, l, marks, tc.list, tc.marks)
			}
		}
	}
	checkStore(t, s)
}

// TestAdaptiveHitMarks: the first read counts, and later ones write nothing.
func TestAdaptiveHitMarks(t *testing.T) {
	s, w := newStore(t, nil)
	mustSet(t, w, "k", "v", SetOp{})
	s.Tick(1010)
	for i, want := range []struct {
		fetched bool
		idle    uint32
	}{{false, 10}, {true, 0}, {true, 0}} {
		w.Get(s.keyString("k"), nil, func(v *View) {
			if v.Fetched != want.fetched || v.Idle != want.idle {
				t.Errorf("read %d: fetched %t, idle %d, want %+v", i, v.Fetched, v.Idle, want)
			}
		})
	}
	s.Tick(1015) // still active: not even the time is noted
	value(w, "k")
	w.Get(s.keyString("k"), nil, func(v *View) {
		if v.Idle != 5 {
			t.Errorf("idle for %d, want 5", v.Idle)
		}
	})
	mustSet(t, w, "k", "v", SetOp{})
	w.Get(s.keyString("k"), nil, func(v *View) {
		if v.Fetched {
			t.Error("a new value counts as read")
		}
	})
}

// TestAdaptiveUpkeep: the background takes dead items off every list, and
// leaves the others where they are, unless the lists are given up.
func TestAdaptiveUpkeep(t *testing.T) {
	s, w := newStore(t, func(c *Config) { c.Crawler = false })
	for i := range 500 {
		mustSet(t, w, fmt.Sprint("dead", i), strings.Repeat("v", 100), SetOp{Exptime: 1001})
		mustSet(t, w, fmt.Sprint("live", i), strings.Repeat("v", 120), SetOp{Exptime: 2000})
	}
	s.Tick(1001)
	maintain(t, s, "reap", func() bool { return s.Stats().CurrItems == 500 })
	if c := s.Stats().Class; c.NumberHot != 500 || c.MovesToCold+c.MovesToWarm != 0 {
		t.Fatalf("%d hot, %d moves", c.NumberHot, c.MovesToCold+c.MovesToWarm)
	}
	s.Tick(1500)
	if age := s.ClassStats(classOf(t, s, w, "live1")).Age; age != 500 {
		t.Errorf("the item to leave next has been idle for %d s, want 500", age)
	}
	s.SetSegmented(false)
	maintain(t, s, "flatten", func() bool { return s.Stats().Class.NumberCold == 500 })
	s.SetSegmented(true)
	mustSet(t, w, "new", "v", SetOp{})
	checkStore(t, s)
}
