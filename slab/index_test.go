package slab

import (
	"fmt"
	"testing"
)

func TestMatch(t *testing.T) {
	for tag := 0; tag < 256; tag++ {
		var b bucket
		for slot := range bucketSlots {
			b.put(slot, uint8(slot*21+1), uint32(slot+1))
		}
		for slot := range bucketSlots {
			b.setTag(slot, uint8(tag))
			found := -1
			if m := match8(b.tags8, uint8(tag)); m != 0 {
				for slot := range 8 {
					if m>>(slot*8)&0x80 != 0 {
						found = slot
						break
					}
				}
			} else if m := match4(b.tags4, uint8(tag)); m != 0 {
				for slot := range 4 {
					if m>>(slot*8)&0x80 != 0 {
						found = slot + 8
						break
					}
				}
			}
			if found < 0 || b.tag(found) != uint8(tag) {
				t.Fatalf("tag %d in slot %d: found slot %d", tag, slot, found)
			}
			b.setTag(slot, uint8(slot*21+1))
		}
	}
}

// TestIndexGrows fills the index far beyond its first size, empties it and
// fills it again.
func TestIndexGrows(t *testing.T) {
	s, w := newStore(t, func(c *Config) { c.LimitBytes = 32 << 20; c.HashPower = 4 })
	const n = 60_000
	before := s.index.rows.Load()
	for range 2 {
		for i := range n {
			mustSet(t, w, fmt.Sprint("key", i), fmt.Sprint(i), SetOp{})
			if i%9973 == 0 {
				checkStore(t, s)
			}
		}
		checkStore(t, s)
		for i := range n {
			wantValue(t, w, fmt.Sprint("key", i), fmt.Sprint(i))
		}
		for i := range n {
			if r := w.Delete(s.keyString(fmt.Sprint("key", i)), nil); r != Hit {
				t.Fatalf("delete key%d: %v", i, r)
			}
		}
		checkStore(t, s)
	}
	s.pool.mu.Lock()
	perItem := float64(s.pool.mu.indexBytes) / n
	s.pool.mu.Unlock()
	if s.index.rows.Load() == before || perItem > 14.5 {
		t.Errorf("%d rows after %d, %.1f bytes of index an item", s.index.rows.Load(), before, perItem)
	}
}

// TestIndexStarved leaves the index no room: it must go on with what it has.
func TestIndexStarved(t *testing.T) {
	s, w := newStore(t, func(c *Config) {
		c.PageBytes = 64 << 10
		c.LimitBytes = 2 << 20
		c.HashPower = 4
		c.ItemSizeMax = 100 << 10
		c.Maintainer = false
	})
	fillStore(t, w, "large", 400, 6000, SetOp{}) // all pages
	s.pool.mu.Lock()
	s.limit.Store(s.usedBytesLocked()) // and not a byte more
	s.pool.mu.Unlock()
	for i := range 30_000 {
		mustSet(t, w, fmt.Sprint("k", i), "v", SetOp{})
	}
	checkStore(t, s)
	if !s.index.starved.Load() {
		t.Error("the index does not say that it is short")
	}
	wantValue(t, w, "k29999", "v")
}
