package slab

import (
	"fmt"
	"testing"
)

// fillStore stores n items of valueLen bytes.
func fillStore(t testing.TB, w *Worker, prefix string, n, valueLen int, op SetOp) {
	t.Helper()
	for i := range n {
		mustSet(t, w, fmt.Sprint(prefix, i), pattern(valueLen, uint64(i)), op)
	}
}

func countHits(w *Worker, prefix string, n int) (hits int) {
	for i := range n {
		if _, ok := value(w, fmt.Sprint(prefix, i)); ok {
			hits++
		}
	}
	return hits
}

func TestEvictionOrder(t *testing.T) {
	s, w := newStore(t, smallPages)
	const n = 3000 // of 1 KiB each: more than fit 2 MiB
	var last Event
	evictions := 0
	s.SetObserver(func(e Event) {
		if e.Kind == EventEviction {
			last = e
			last.Key = append([]byte(nil), e.Key...)
			evictions++
		}
	})
	fillStore(t, w, "a", n, 1000, SetOp{})
	checkStore(t, s)
	if evictions == 0 || last.Size != 1000 || last.TTL != -1 || last.Fetched {
		t.Fatalf("%d evictions, last %+v", evictions, last)
	}
	if _, ok := value(w, "a0"); ok {
		t.Error("the oldest item survived")
	}
	wantValue(t, w, fmt.Sprint("a", n-1), pattern(1000, n-1))
	if hits := countHits(w, "a", n); hits != n-evictions {
		t.Errorf("%d items of %d left after %d evictions", hits, n, evictions)
	}
}

// TestActiveItemsStay reads some items twice; a flood of items that nobody
// reads must not push them out. The few that may die are those that stand in
// a row at the tail before the lists are sorted: one eviction spares only so many.
func TestActiveItemsStay(t *testing.T) {
	s, w := newStore(t, smallPages)
	fillStore(t, w, "hot", 200, 1000, SetOp{})
	for range 2 {
		if hits := countHits(w, "hot", 200); hits != 200 {
			t.Fatalf("%d of 200 before the flood", hits)
		}
	}
	fillStore(t, w, "flood", 5000, 1000, SetOp{})
	checkStore(t, s)
	if hits := countHits(w, "hot", 200); hits < 200-200/evictSpare {
		t.Errorf("%d of 200 active items survived the flood", hits)
	}
}

// TestActiveDoesNotBlock has a store of nothing but active items.
func TestActiveDoesNotBlock(t *testing.T) {
	s, w := newStore(t, smallPages)
	for i := range 5000 {
		k := fmt.Sprint("k", i)
		mustSet(t, w, k, pattern(1000, 1), SetOp{})
		wantValue(t, w, k, pattern(1000, 1))
		wantValue(t, w, k, pattern(1000, 1))
	}
	checkStore(t, s)
}

func TestTempListIsNotEvicted(t *testing.T) {
	s, w := newStore(t, func(c *Config) { smallPages(c); c.TempTTL = 10 })
	fillStore(t, w, "temp", 100, 1000, SetOp{Exptime: 1010})
	fillStore(t, w, "a", 5000, 1000, SetOp{})
	if hits := countHits(w, "temp", 100); hits != 100 {
		t.Errorf("%d of 100 temporary items left", hits)
	}
	s.Tick(1010)
	before := s.classes[s.classFor(1030)].counts.evicted
	fillStore(t, w, "b", 100, 1000, SetOp{})
	if now := s.classes[s.classFor(1030)].counts.evicted; now != before {
		t.Errorf("%d items evicted while expired ones were there", now-before)
	}
	checkStore(t, s)
}

func TestNoEvict(t *testing.T) {
	s, w := newStore(t, func(c *Config) { smallPages(c); c.NoEvict = true })
	n := 0
	for ; ; n++ {
		r := set(t, w, fmt.Sprint("k", n), pattern(1000, uint64(n)), SetOp{})
		if r.Result == NoMemory {
			break
		}
	}
	if hits := countHits(w, "k", n); hits != n {
		t.Errorf("%d of %d items left", hits, n)
	}
	k := s.keyString("k0")
	if r := w.Set(k, &SetOp{DropOnFail: true}, []byte(pattern(1000, 1))); r.Result != NoMemory {
		t.Errorf("set in a full store: %v", r.Result)
	}
	wantMiss(t, w, "k0")
	mustSet(t, w, "again", pattern(1000, 1), SetOp{})
	checkStore(t, s)
}

// TestOddOneOut stores a first item of another size when all pages are taken.
func TestOddOneOut(t *testing.T) {
	s, w := newStore(t, smallPages)
	fillStore(t, w, "k", 10000, 100, SetOp{})
	for _, n := range []int{400, 3000, 8000, 100 << 10, 400 << 10} {
		mustSet(t, w, "odd", pattern(n, 1), SetOp{})
		wantValue(t, w, "odd", pattern(n, 1))
		checkStore(t, s)
	}
}

// TestFlatList keeps what was read within the last minute of its bump.
func TestFlatList(t *testing.T) {
	s, w := newStore(t, func(c *Config) { smallPages(c); c.Segmented = false })
	fillStore(t, w, "old", 100, 1000, SetOp{})
	fillStore(t, w, "a", 1000, 1000, SetOp{})
	s.Tick(1000 + flatBumpSec)
	if hits := countHits(w, "old", 100); hits != 100 {
		t.Fatalf("%d of 100 before", hits)
	}
	fillStore(t, w, "b", 1300, 1000, SetOp{})
	checkStore(t, s)
	if hits := countHits(w, "old", 100); hits != 100 {
		t.Errorf("%d of 100 items that were read survived", hits)
	}
}
