package slab

import (
	"testing"
	"unsafe"
)

// TestLayout pins the sizes that other code counts on.
func TestLayout(t *testing.T) {
	for _, tc := range []struct {
		name      string
		got, want uintptr
	}{
		{"header", unsafe.Sizeof(header{}), headerBytes},
		{"large", unsafe.Sizeof(large{}), largeExtraBytes},
		{"part", unsafe.Sizeof(part{}), partHeaderBytes},
		{"free link", unsafe.Offsetof(header{}.next), 16},
		{"free link of a piece", unsafe.Offsetof(part{}.hash), 16},
		{"state of a piece", unsafe.Offsetof(part{}.state), unsafe.Offsetof(header{}.state)},
		{"word", unsafe.Offsetof(header{}.word), 8},
		{"bucket", unsafe.Sizeof(bucket{}), bucketBytes},
		{"ghosts", unsafe.Sizeof(ghostBucket{}), bucketBytes},
		{"stripe", unsafe.Sizeof(stripe{}), 64},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, tc.got, tc.want)
		}
	}
	// Every combination of facts keeps its fields apart.
	for facts := uint32(0); facts <= factsAll; facts += factClient {
		state := facts | stateLive
		end := bodyOffset(state)
		if facts&factExp != 0 {
			if at := exptimeAt(state); at < headerBytes || at+4 > end || facts&factClient != 0 && at == end-4 {
				t.Errorf("facts %x: exptime at %d of %d", facts, at, end)
			}
		}
	}
}

// TestAges: the access time has 24 bits and wraps.
func TestAges(t *testing.T) {
	for _, tc := range []struct{ at, now, age uint32 }{
		{0, 0, 0},
		{5, 12, 7},
		{1<<24 - 1, 1 << 24, 1},
		{1<<24 + 3, 1<<24 + 10, 7},
		{1 << 31, 1<<31 + 100, 100},
	} {
		if got := age(stamp(0, tc.at), tc.now); got != tc.age {
			t.Errorf("accessed at %d, now %d: age %d, want %d", tc.at, tc.now, got, tc.age)
		}
	}
}

// TestHitMarks: by memcached's rule two reads make an item active; a get that
// leaves no mark does not.
func TestHitMarks(t *testing.T) {
	s, w := newStore(t, func(c *Config) { c.Eviction = EvictionLRU })
	k := s.keyString("k")
	mustSet(t, w, "k", "v", SetOp{})
	s.Tick(1010)
	look := func(op *GetOp) (fetched bool, idle uint32) {
		w.Get(k, op, func(v *View) { fetched, idle = v.Fetched, v.Idle })
		return fetched, idle
	}
	for i, tc := range []struct {
		op      *GetOp
		fetched bool
		idle    uint32
	}{
		{&GetOp{NoBump: true}, false, 10},
		{nil, false, 10}, // marks it fetched
		{nil, true, 10},  // marks it active: accessed now
		{nil, true, 0},
	} {
		if fetched, idle := look(tc.op); fetched != tc.fetched || idle != tc.idle {
			t.Errorf("read %d: fetched %t, idle %d, want %t, %d", i, fetched, idle, tc.fetched, tc.idle)
		}
	}
	mustSet(t, w, "k", "v", SetOp{})
	if fetched, _ := look(nil); fetched {
		t.Error("a new value counts as read")
	}
}
