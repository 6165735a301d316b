package slab

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// used returns the memory of index and pages, in bytes.
func used(s *Store) int64 {
	st := s.Stats()
	return int64(st.TotalMalloced + st.HashBytes)
}

func TestLimitHolds(t *testing.T) {
	for _, mb := range []int64{4, 9, 20} {
		t.Run(fmt.Sprint(mb, " MiB"), func(t *testing.T) {
			s, w := newStore(t, func(c *Config) { c.LimitBytes = mb << 20; c.HashPower = 4 })
			for i := range 20_000 {
				mustSet(t, w, fmt.Sprint("key-", i), strings.Repeat("v", i%1400), SetOp{})
				if i%4096 == 0 {
					s.Tick(uint32(1000 + i/1024))
					s.Maintain()
					if got := used(s); got > mb<<20 {
						t.Fatalf("%d bytes used of %d", got, mb<<20)
					}
					checkStore(t, s)
				}
			}
			if got := used(s); got > mb<<20 || got < mb<<20*3/4 {
				t.Fatalf("%d bytes used of %d", got, mb<<20)
			}
			checkStore(t, s)
		})
	}
}

// However high the limit, tables, overflow and ghosts have numbers of their own.
func TestLargestLimit(t *testing.T) {
	limits := []int64{1 << 30}
	if !checked { // else the memory would be allocated
		limits = append(limits, 1<<39, 1<<40-1<<20, 1<<40)
	}
	for _, limit := range limits {
		s, w := newStore(t, func(c *Config) { c.LimitBytes = limit })
		x := &s.index
		if rows := x.rowsMax << x.stripeBits; rows == 0 || x.overflowMin < rows || uint64(x.ghostMin) != uint64(x.overflowMin)+uint64(x.overflowMax) {
			t.Errorf("limit %d: %d rows, overflow from %d, %d of it, ghosts from %d", limit, rows, x.overflowMin, x.overflowMax, x.ghostMin)
		}
		mustSet(t, w, "k", "v", SetOp{})
		wantValue(t, w, "k", "v")
	}
}

// The index of a store full of pages gets its memory by and by.
func TestLimitIndexGrows(t *testing.T) {
	s, w := newStore(t, func(c *Config) { c.LimitBytes = 8 << 20; c.HashPower = 4 })
	fillClass(t, s, w, "large", 10_000)
	before := s.Stats().HashBytes
	for i := range 60_000 {
		mustSet(t, w, fmt.Sprint("k", i), "v", SetOp{})
		if i%100 == 0 {
			s.Tick(uint32(1000 + i/100))
			s.Maintain()
		}
	}
	st := s.Stats()
	if st.HashBytes < 4*before || st.HashBytes < 8*st.CurrItems {
		t.Fatalf("index grew from %d to %d bytes for %d items", before, st.HashBytes, st.CurrItems)
	}
	checkStore(t, s)
}

func TestSetLimit(t *testing.T) {
	s, w := newStore(t, func(c *Config) { c.LimitBytes = 8 << 20 })
	v := strings.Repeat("v", 1000)
	next := 0
	fill := func(n int) {
		for range n {
			mustSet(t, w, fmt.Sprint("key-", next), v, SetOp{})
			next++
		}
	}
	fill(10_000)
	few := s.Stats().CurrItems

	if err := s.SetLimit(14 << 20); err != nil {
		t.Fatal(err)
	}
	fill(15_000)
	many := s.Stats().CurrItems
	if many < few*3/2 {
		t.Fatalf("%d items at 8 MiB, %d at 14", few, many)
	}
	checkStore(t, s)

	if err := s.SetLimit(6 << 20); err != nil {
		t.Fatal(err)
	}
	checkStore(t, s)
	last := used(s)
	maintain(t, s, "shrink", func() bool {
		now := used(s)
		if now > last {
			t.Fatalf("use grew from %d to %d while shrinking", last, now)
		}
		last = now
		fill(3) // sets go on
		return now <= 6<<20
	})
	checkStore(t, s)
	if got := s.Config().LimitBytes; got != 6<<20 {
		t.Fatalf("limit shown is %d", got)
	}
	fill(5000)
	wantValue(t, w, fmt.Sprint("key-", next-1), v)
	if got := used(s); got > 6<<20 {
		t.Fatalf("%d bytes used", got)
	}
	checkStore(t, s)
}

func TestSetLimitRefused(t *testing.T) {
	s, _ := newStore(t, nil)
	for _, bytes := range []int64{-1, 0, 1 << 20, 1 << 50} {
		if err := s.SetLimit(bytes); !errors.Is(err, ErrLimit) {
			t.Errorf("%d: %v", bytes, err)
		}
	}
	if got := s.Config().LimitBytes; got != 8<<20 {
		t.Errorf("limit is %d", got)
	}
	p, _ := newStore(t, func(c *Config) { c.Prealloc = true })
	if err := p.SetLimit(9 << 20); !errors.Is(err, ErrLimit) {
		t.Errorf("preallocated: %v", err)
	}
}

// What may not be evicted is not evicted for a lower limit's sake either way:
// the limit is the operator's word, so it wins.
func TestSetLimitNoEvict(t *testing.T) {
	s, w := newStore(t, func(c *Config) { c.NoEvict = true })
	for i := 0; set(t, w, fmt.Sprint("k", i), strings.Repeat("v", 1000), SetOp{}).Result == Stored; i++ {
	}
	if err := s.SetLimit(5 << 20); err != nil {
		t.Fatal(err)
	}
	maintain(t, s, "shrink", func() bool { return used(s) <= 5<<20 })
	checkStore(t, s)
}
