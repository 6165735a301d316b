package slab

import "testing"

func TestFlushNow(t *testing.T) {
	s, w := newStore(t, nil)
	mustSet(t, w, "before", "v", SetOp{})
	s.FlushAll(0)
	mustSet(t, w, "after", "v", SetOp{}) // in the same second
	wantMiss(t, w, "before")
	wantValue(t, w, "after", "v")
	s.FlushAll(s.Now())
	wantMiss(t, w, "after")
	if r := set(t, w, "after", "v", SetOp{Mode: ModeAdd}); r.Result != Stored {
		t.Fatalf("add on a flushed item: %v", r.Result)
	}
	if r := w.Delete(s.keyString("before"), nil); r != Miss {
		t.Fatalf("delete of a flushed item: %v", r)
	}
	checkStore(t, s)
}

func TestFlushDelayed(t *testing.T) {
	for _, tc := range []struct {
		name  string
		flush func(*Store)
		// what is left of an item stored at 1000 and one stored at 1005, as
		// the clock shows 1009 and then 1010
		at1009, at1010 [2]bool
		// whether an item stored after that is there at 2000
		at2000 bool
	}{
		{"nothing before its time, all at it", func(s *Store) { s.FlushAll(1010) }, [2]bool{true, true}, [2]bool{}, true},
		{"a later one takes its place", func(s *Store) { s.FlushAll(1010); s.FlushAll(1020) }, [2]bool{true, true}, [2]bool{true, true}, false},
		{"an earlier one takes its place", func(s *Store) { s.FlushAll(1020); s.FlushAll(1010) }, [2]bool{true, true}, [2]bool{}, true},
		{"one at once takes its place", func(s *Store) { s.FlushAll(1010); s.FlushAll(0) }, [2]bool{false, true}, [2]bool{false, true}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, w := newStore(t, nil)
			mustSet(t, w, "early", "v", SetOp{})
			tc.flush(s)
			s.Tick(1005)
			mustSet(t, w, "late", "v", SetOp{})
			look := func() (got [2]bool) {
				_, got[0] = value(w, "early")
				_, got[1] = value(w, "late")
				return got
			}
			s.Tick(1009)
			if got := look(); got != tc.at1009 {
				t.Errorf("at 1009: %v, want %v", got, tc.at1009)
			}
			s.Tick(1010)
			if got := look(); got != tc.at1010 {
				t.Errorf("at 1010: %v, want %v", got, tc.at1010)
			}
			mustSet(t, w, "early", "again", SetOp{})
			wantValue(t, w, "early", "again")
			s.Tick(2000)
			if _, ok := value(w, "early"); ok != tc.at2000 {
				t.Errorf("at 2000: %v, want %v", ok, tc.at2000)
			}
			checkStore(t, s)
		})
	}
}

// The clock may jump over the second of a delayed flush.
func TestFlushDelayedOverslept(t *testing.T) {
	s, w := newStore(t, nil)
	mustSet(t, w, "k", "v", SetOp{})
	s.FlushAll(1010)
	s.Tick(1500)
	wantMiss(t, w, "k")
	mustSet(t, w, "k", "v", SetOp{})
	s.Tick(1501)
	wantValue(t, w, "k", "v")
	s.Tick(1400) // never back
	if s.Now() != 1501 {
		t.Fatalf("the clock went back to %d", s.Now())
	}
}
