package slab

import "testing"

// TestPagesComeAndGo drains a page by hand and gives it to another class.
func TestPagesComeAndGo(t *testing.T) {
	s, _ := newStore(t, smallPages)
	c := &s.classes[3]
	var refs []uint32
	for range c.perPage + 1 {
		ref, _ := s.alloc(3, hold{})
		if ref == 0 {
			t.Fatal("no chunk")
		}
		refs = append(refs, ref)
	}
	s.pendingChunks.Store(int64(len(refs)))
	checkStore(t, s)
	first := s.pageOf(refs[0])
	if second := s.pageOf(refs[len(refs)-1]); second == first || c.npages != 2 {
		t.Fatalf("%d chunks are in %d pages", len(refs), c.npages)
	}
	c.mu.Lock()
	s.drainLocked(c, first)
	c.mu.Unlock()
	for _, ref := range refs[:c.perPage] {
		s.freeChunk(ref)
	}
	s.pendingChunks.Store(1)
	checkStore(t, s)
	for range c.perPage - 1 {
		if ref, _ := s.alloc(3, hold{}); s.pageOf(ref) == first {
			t.Fatal("a draining page gave a chunk out")
		}
	}
	s.pendingChunks.Store(int64(c.perPage))
	checkStore(t, s)
	c.mu.Lock()
	s.removePageLocked(c, first)
	c.mu.Unlock()
	s.givePage(first)
	checkStore(t, s)
	s.pool.mu.Lock()
	inPool := s.pool.mu.freeLen
	s.pool.mu.Unlock()
	if inPool != 1 {
		t.Errorf("%d pages in the pool", inPool)
	}
	for _, b := range s.arena.bytes(uint64(first)*uint64(s.cfg.PageBytes), uint64(s.cfg.PageBytes)) {
		if b != 0 {
			t.Fatal("a page in the pool is not zero")
		}
	}
	ref, _ := s.alloc(4, hold{})
	if s.pageOf(ref) != first {
		t.Errorf("class 4 got page %d, not the one from the pool", s.pageOf(ref))
	}
}

// TestLimitFills stores far more than fits and never goes over the limit.
func TestLimitFills(t *testing.T) {
	s, w := newStore(t, smallPages)
	for _, n := range []int{50, 500, 5000, 50_000} {
		fillStore(t, w, "k", 4<<20/(n+50), n, SetOp{})
		s.pool.mu.Lock()
		used := s.usedBytesLocked()
		s.pool.mu.Unlock()
		if used > s.limit.Load() || used < s.limit.Load()*9/10 {
			t.Errorf("%d bytes used of %d", used, s.limit.Load())
		}
		checkStore(t, s)
	}
}
