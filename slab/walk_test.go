package slab

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
)

// walkAll walks the store and counts how often each key was seen.
func walkAll(s *Store, classes ClassSet, maxItems int, between func()) map[string]int {
	seen := map[string]int{}
	var c Cursor
	for !s.Walk(&c, classes, maxItems, func(it Item) { seen[string(it.Key())]++ }) {
		if between != nil {
			between()
		}
	}
	return seen
}

func TestWalkExactlyOnce(t *testing.T) {
	for _, tc := range []struct{ items, step int }{{0, 1}, {1, 1}, {500, 1}, {5000, 7}, {20_000, 1000}} {
		t.Run(fmt.Sprintf("%d items, %d a step", tc.items, tc.step), func(t *testing.T) {
			s, w := newStore(t, func(c *Config) { c.HashPower = 4 })
			for i := range tc.items {
				mustSet(t, w, fmt.Sprint("key-", i), "v", SetOp{})
			}
			seen := walkAll(s, AllClasses, tc.step, nil)
			if len(seen) != tc.items {
				t.Fatalf("saw %d keys, want %d", len(seen), tc.items)
			}
			for k, n := range seen {
				if n != 1 {
					t.Fatalf("saw %q %d times", k, n)
				}
			}
			checkStore(t, s)
		})
	}
}

// A walk is not disturbed by a table that grows under it.
func TestWalkWhileGrowing(t *testing.T) {
	s, w := newStore(t, func(c *Config) { c.HashPower = 4; c.LimitBytes = 32 << 20 })
	const stay = 3000
	for i := range stay {
		mustSet(t, w, fmt.Sprint("stay-", i), "v", SetOp{})
	}
	added := 0
	seen := walkAll(s, AllClasses, 20, func() {
		if added >= 60_000 {
			return
		}
		for range 300 { // the table grows twentyfold during the walk
			mustSet(t, w, fmt.Sprint("new-", added), "v", SetOp{})
			added++
		}
	})
	if added < 30_000 {
		t.Fatalf("only %d items were added during the walk", added)
	}
	for i := range stay {
		if n := seen[fmt.Sprint("stay-", i)]; n != 1 {
			t.Fatalf("saw stay-%d %d times", i, n)
		}
	}
	for k, n := range seen {
		if n != 1 {
			t.Fatalf("saw %q %d times", k, n)
		}
	}
	checkStore(t, s)
}

// The same with other threads adding, deleting and replacing items, and pages moving.
func TestWalkConcurrent(t *testing.T) {
	s, w := newStore(t, func(c *Config) { c.HashPower = 4; c.LimitBytes = 32 << 20 })
	const stay = 2000
	for i := range stay {
		mustSet(t, w, fmt.Sprint("stay-", i), strings.Repeat("v", i%600), SetOp{})
	}
	stop := make(chan struct{})
	var others sync.WaitGroup
	for id := range 2 {
		others.Add(1)
		go func() {
			defer others.Done()
			w := s.NewWorker()
			rnd := rand.New(rand.NewPCG(uint64(id), 1))
			for i := 0; i < 20_000; i++ {
				select {
				case <-stop:
					return
				default:
				}
				k := fmt.Sprint("new-", id, "-", rnd.IntN(5000))
				w.Lock()
				if rnd.IntN(4) == 0 {
					w.Delete(s.keyString(k), nil)
				} else {
					set(t, w, k, strings.Repeat("v", rnd.IntN(600)), SetOp{})
				}
				w.Unlock()
			}
		}()
	}
	others.Add(1)
	go func() {
		defer others.Done()
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				s.Reassign(-1, 1+i%20)
				s.Maintain()
			}
		}
	}()
	for range 5 {
		seen := walkAll(s, AllClasses, 50, nil)
		for i := range stay {
			if n := seen[fmt.Sprint("stay-", i)]; n != 1 {
				t.Errorf("saw stay-%d %d times", i, n)
			}
		}
	}
	close(stop)
	others.Wait()
	checkStore(t, s)
}

func TestWalkFilters(t *testing.T) {
	s, w := newStore(t, nil)
	mustSet(t, w, "small", "v", SetOp{})
	mustSet(t, w, "large", pattern(3000, 1), SetOp{})
	mustSet(t, w, "chained", pattern(700_000, 2), SetOp{})
	mustSet(t, w, "expired", "v", SetOp{Exptime: 1001})
	s.Tick(1001)
	var of [classMax + 1]string
	var c Cursor
	for !s.Walk(&c, AllClasses, 10, func(it Item) { of[it.Class()] += string(it.Key()) }) {
	}
	if got := strings.Join(of[:], ""); got != "smalllargechained" {
		t.Fatalf("walk saw %q", got)
	}
	if of[s.top().id] != "chained" {
		t.Fatal("the chained item is not in the top class")
	}
	for id, want := range of {
		got := ""
		for k := range walkAll(s, Classes(id), 10, nil) {
			got += k
		}
		if got != want {
			t.Fatalf("class %d: saw %q, want %q", id, got, want)
		}
	}
	if Classes(0, -1, 64, 1000) != 0 {
		t.Fatal("impossible classes are in the set")
	}
}

// TestCacheDumpAdaptive wants every list: nothing is cold before an eviction.
func TestCacheDumpAdaptive(t *testing.T) {
	s, w := newStore(t, nil)
	for i := range 200 {
		mustSet(t, w, fmt.Sprintf("key-%03d", i), "v", SetOp{})
	}
	class := classOf(t, s, w, "key-000")
	c := &s.classes[class]
	c.mu.Lock()
	for range 50 {
		s.passLocked(c, Hot) // key-000 was read
	}
	c.mu.Unlock()
	for _, tc := range []struct{ limit, want int }{{0, 200}, {49, 49}, {50, 50}, {60, 60}, {200, 200}} {
		seen := map[string]bool{}
		s.CacheDump(class, tc.limit, func(it Item) bool {
			seen[string(it.Key())] = true
			return true
		})
		if len(seen) != tc.want {
			t.Errorf("limit %d: %d items, want %d", tc.limit, len(seen), tc.want)
		}
	}
	calls := 0
	s.CacheDump(class, 0, func(Item) bool { calls++; return calls < 49 })
	if calls != 49 {
		t.Errorf("%d calls after the visit said stop at 49", calls)
	}
}

func TestCacheDump(t *testing.T) {
	s, w := newStore(t, func(c *Config) { c.Segmented, c.Maintainer = false, false })
	const n = 300
	for i := range n {
		mustSet(t, w, fmt.Sprintf("key-%03d", i), "v", SetOp{})
	}
	mustSet(t, w, "expired", "v", SetOp{Exptime: 1001})
	s.Tick(1001)
	class := 0
	walk := func(it Item) { class = int(it.Class()) }
	s.Walk(new(Cursor), AllClasses, 1, walk)
	for _, tc := range []struct{ limit, want int }{{0, n}, {1, 1}, {64, 64}, {65, 65}, {n + 10, n}} {
		var keys []string
		s.CacheDump(class, tc.limit, func(it Item) bool {
			keys = append(keys, string(it.Key()))
			return true
		})
		if len(keys) != tc.want {
			t.Fatalf("limit %d: %d items, want %d", tc.limit, len(keys), tc.want)
		}
		for i, k := range keys {
			if want := fmt.Sprintf("key-%03d", n-1-i); k != want {
				t.Fatalf("limit %d: item %d is %q, want %q", tc.limit, i, k, want)
			}
		}
	}
	calls := 0
	s.CacheDump(class, 0, func(Item) bool { calls++; return calls < 100 })
	if calls != 100 {
		t.Fatalf("%d calls after the visit said stop at 100", calls)
	}
	for _, class := range []int{-1, 0, 5, 64, 1000} {
		s.CacheDump(class, 0, func(it Item) bool { t.Errorf("class %d holds %q", class, it.Key()); return true })
	}
}
