package slab

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
)

// maintain runs the background work until cond holds, without waiting. It
// fails the test if that takes more steps than it ever should.
func maintain(t testing.TB, s *Store, what string, cond func() bool) {
	t.Helper()
	for range 100_000 {
		if cond() {
			return
		}
		s.Maintain()
	}
	t.Fatalf("maintained without end: %s", what)
}

func moveEnded(s *Store) func() bool {
	return func() bool { return !s.Stats().ReassignRuns }
}

// classOf returns the class that items with such a value count in.
func classOf(t testing.TB, s *Store, w *Worker, k string) int {
	t.Helper()
	class := 0
	if w.Get(s.keyString(k), nil, func(v *View) { class = int(v.Class()) }) != Hit {
		t.Fatalf("get %q: miss", k)
	}
	return class
}

// fillClass stores values of n bytes until their class has evicted.
func fillClass(t testing.TB, s *Store, w *Worker, prefix string, n int) (class, items int) {
	t.Helper()
	v := strings.Repeat("x", n)
	for i := 0; ; i++ {
		k := fmt.Sprint(prefix, i)
		mustSet(t, w, k, v, SetOp{})
		if i%64 != 0 {
			continue
		}
		if class = classOf(t, s, w, k); s.ClassStats(class).Evicted > 0 {
			return class, i + 1
		}
	}
}

func TestReassignResults(t *testing.T) {
	s, w := newStore(t, nil)
	class, _ := fillClass(t, s, w, "k", 1000)
	top := s.table.n
	for _, tc := range []struct {
		src, dst int
		want     ReassignResult
	}{
		{-2, 1, ReassignBadClass},
		{class, -1, ReassignBadClass},
		{top + 1, 1, ReassignBadClass},
		{class, top + 1, ReassignBadClass},
		{class, class, ReassignSame},
		{0, 0, ReassignSame},
		{1, 2, ReassignNoSpare},
		{0, 1, ReassignNoSpare},
		{-1, class, ReassignBadClass}, // no other class has pages
		{class, 1, ReassignOK},
		{class, 2, ReassignBusy},
		{-1, 2, ReassignBusy},
	} {
		if got := s.Reassign(tc.src, tc.dst); got != tc.want {
			t.Errorf("%d to %d: %v, want %v", tc.src, tc.dst, got, tc.want)
		}
	}
	before := s.ClassStats(class).Pages
	maintain(t, s, "reassign", moveEnded(s))
	if got := s.ClassStats(class).Pages; got != before-1 {
		t.Errorf("the source has %d pages, want %d", got, before-1)
	}
	if got := s.ClassStats(1).Pages; got != 1 {
		t.Errorf("the destination has %d pages", got)
	}
	if got := s.Stats().PagesMoved; got != 1 {
		t.Errorf("%d pages moved", got)
	}
	checkStore(t, s)
	if s.Reassign(-1, 0) != ReassignOK {
		t.Error("no page for the pool")
	}
	maintain(t, s, "reassign to the pool", moveEnded(s))
	checkStore(t, s)
	if got := s.Stats().PoolPages; got != 1 {
		t.Errorf("%d pages in the pool", got)
	}
	if s.Reassign(0, 3) != ReassignOK || s.ClassStats(3).Pages != 1 {
		t.Error("the pool's page did not go to class 3")
	}
	checkStore(t, s)
}

func TestReassignDisabled(t *testing.T) {
	s, _ := newStore(t, func(c *Config) { c.SlabReassign = false })
	if got := s.Reassign(1, 2); got != ReassignDisabled {
		t.Fatal(got)
	}
}

// An item in a moving page is copied as it is: value, marks, time, place.
func TestReassignRescues(t *testing.T) {
	s, w := newStore(t, func(c *Config) { c.LimitBytes = 16 << 20; c.ItemSizeMax = 4 << 20 })
	want := map[string]string{}
	put := func(k string, n int, op SetOp) uint64 {
		want[k] = pattern(n, uint64(len(want)))
		return mustSet(t, w, k, want[k], op).CAS
	}
	cas := put("marked", 1000, SetOp{Flags: 7, Exptime: 9000})
	for i := range 1500 { // two pages, the second half full
		put(fmt.Sprint("k", i), 1000, SetOp{})
	}
	put("own cas", 1000, SetOp{NewCAS: 1 << 60})
	put("large", 20_000, SetOp{Exptime: 9000})
	put("chained", 1_600_000, SetOp{Flags: 3})
	class := classOf(t, s, w, "marked") // and marks it fetched
	w.Get(s.keyString("marked"), nil, nil)
	s.Tick(1500)
	for _, src := range []int{class, class, class, s.table.n, s.table.n, classOf(t, s, w, "large")} {
		if s.ClassStats(src).Pages < 2 {
			for i := 0; s.ClassStats(src).Pages < 2; i++ {
				mustSet(t, w, fmt.Sprint("another", i), pattern(20_000, 5), SetOp{})
			}
		}
		if got := s.Reassign(src, 0); got != ReassignOK {
			t.Fatalf("class %d: %v", src, got)
		}
		maintain(t, s, "reassign", moveEnded(s))
		checkStore(t, s)
	}
	st := s.Stats()
	if st.Rescues == 0 || st.ChunkRescues == 0 || st.Class.Evicted > 0 {
		t.Fatalf("%d items and %d pieces rescued, %d evicted", st.Rescues, st.ChunkRescues, st.Class.Evicted)
	}
	w.Get(s.keyString("marked"), nil, func(v *View) {
		if v.Flags() != 7 || v.Exptime() != 9000 || v.CAS() != cas || !v.Fetched || v.Idle != 500 {
			t.Errorf("flags %d, exptime %d, cas %d, fetched %v, idle %d", v.Flags(), v.Exptime(), v.CAS(), v.Fetched, v.Idle)
		}
	})
	w.Get(s.keyString("own cas"), nil, func(v *View) {
		if v.CAS() != 1<<60 {
			t.Errorf("cas %d", v.CAS())
		}
	})
	for k, v := range want {
		wantValue(t, w, k, v)
	}
	if v := mustSet(t, w, "marked", "new", SetOp{Compare: true, CAS: cas}); v.Result != Stored {
		t.Error(v.Result)
	}
}

// A pinned value stays in place until it is taken out of the store and let go.
func TestReassignPinned(t *testing.T) {
	s, w := newStore(t, nil)
	v := pattern(200_000, 1)
	mustSet(t, w, "pinned", v, SetOp{})
	class := classOf(t, s, w, "pinned")
	var spans [][]byte
	var pin Pin
	w.Get(s.keyString("pinned"), nil, func(v *View) { spans, pin = v.Pin(nil) })
	// Two full pages; then the pinned item is the last one on its page.
	perPage := int(s.ClassStats(class).ChunksPerPage)
	for i := 1; i < 2*perPage; i++ {
		mustSet(t, w, fmt.Sprint("k", i), v, SetOp{})
	}
	for i := 1; i < perPage; i++ {
		w.Delete(s.keyString(fmt.Sprint("k", i)), nil)
	}
	if got := s.Reassign(class, 0); got != ReassignOK {
		t.Fatal(got)
	}
	maintain(t, s, "reassign until busy", func() bool { return s.Stats().BusyItems > 0 })
	checkStore(t, s)
	wantValue(t, w, "pinned", v) // busy, and still there
	maintain(t, s, "force", func() bool { return s.Stats().BusyDeletes > 0 })
	wantMiss(t, w, "pinned")
	if got := string(spans[0]); got != v {
		t.Fatal("the pinned bytes changed")
	}
	checkStore(t, s)
	pin.Unpin()
	maintain(t, s, "reassign after unpin", moveEnded(s))
	checkStore(t, s)
}

// A page with a value being received is given up after a while, unharmed.
func TestReassignPending(t *testing.T) {
	s, w := newStore(t, nil)
	v := pattern(200_000, 1)
	p, r := w.Reserve(s.keyString("slow"), &SetOp{}, len(v))
	if r != Stored {
		t.Fatal(r)
	}
	p.Advance(copy(p.Span(), v[:100]))
	class := int(s.classFor(len(v) + 100))
	if got := s.Reassign(0, class); got != ReassignOK {
		t.Fatal(got)
	}
	for range 2 {
		if got := s.Reassign(class, 0); got != ReassignOK {
			t.Fatal(got)
		}
		maintain(t, s, "reassign", moveEnded(s))
		if s.ClassStats(class).Pages < 2 {
			s.Reassign(0, class)
		}
		checkStore(t, s)
	}
	p.Advance(copy(p.Span(), v[100:]))
	if r := p.Commit(w); r.Result != Stored {
		t.Fatal(r.Result)
	}
	wantValue(t, w, "slow", v)
	checkStore(t, s)
}

// Memory that one size holds goes to another at once when that has none at all.
func TestStealForEmptyClass(t *testing.T) {
	s, w := newStore(t, nil)
	fillClass(t, s, w, "small", 100)
	for _, n := range []int{300_000, 5000, 900_000, 60_000} {
		k := fmt.Sprint("large", n)
		v := pattern(n, 3)
		mustSet(t, w, k, v, SetOp{})
		wantValue(t, w, k, v)
		checkStore(t, s)
	}
}

// When values grow, automove gives the old size's memory to the new one.
func TestAutomoveFollowsSizes(t *testing.T) {
	for mode := 1; mode <= 2; mode++ {
		t.Run(fmt.Sprint("automove ", mode), func(t *testing.T) {
			s, w := newStore(t, func(c *Config) { c.PageBytes = 128 << 10; c.Automove = mode })
			now := uint32(1000)
			second := func() {
				now++
				s.Tick(now)
				for range 50 {
					s.Maintain()
				}
			}
			small, _ := fillClass(t, s, w, "small", 100)
			second()
			start := s.ClassStats(small).Pages
			v := strings.Repeat("y", 4000)
			large := 0
			for i := range 60 {
				for j := range 60 {
					mustSet(t, w, fmt.Sprint("large", i*60+j), v, SetOp{})
				}
				large = classOf(t, s, w, fmt.Sprint("large", i*60+59))
				second()
			}
			a, b := s.ClassStats(small), s.ClassStats(large)
			if a.Pages > start/2 || b.Pages < start/2 {
				t.Fatalf("small has %d pages of %d, large %d", a.Pages, start, b.Pages)
			}
			checkStore(t, s)
		})
	}
}

func TestAutomoveOff(t *testing.T) {
	s, w := newStore(t, func(c *Config) { c.Automove = 0 })
	small, _ := fillClass(t, s, w, "small", 100)
	start := s.ClassStats(small).Pages
	for i := range 20 {
		s.Tick(uint32(1000 + i))
		mustSet(t, w, fmt.Sprint("large", i), strings.Repeat("y", 4000), SetOp{})
		s.Maintain()
	}
	if got := s.ClassStats(small).Pages; got+1 < start { // one was taken for the first large item
		t.Fatalf("%d pages of %d left", got, start)
	}
	checkStore(t, s)
}

// Pages move while other threads use every size of item.
func TestReassignUnderLoad(t *testing.T) {
	s, _ := newStore(t, func(c *Config) { c.LimitBytes = 16 << 20; c.ItemSizeMax = 2 << 20 })
	var load sync.WaitGroup
	for id := range 2 {
		load.Add(1)
		go func() {
			defer load.Done()
			w := s.NewWorker()
			rnd := rand.New(rand.NewPCG(uint64(id), 2))
			for range 6000 {
				i := rnd.IntN(800)
				k := fmt.Sprint("key-", i)
				n := 1 << (i % 14)
				if i%100 == 0 {
					n = 1_200_000
				}
				w.Lock()
				switch rnd.IntN(8) {
				case 0:
					w.Delete(s.keyString(k), nil)
				case 1, 2, 3:
					v := strings.Repeat(string(rune('a'+i%26)), n)
					set(t, w, k, v, SetOp{Exptime: uint32(rnd.IntN(2)) * 100_000})
				case 4:
					w.Touch(s.keyString(k), uint32(50_000+rnd.IntN(1000)))
				default:
					if v, ok := value(w, k); ok && (len(v) != n || strings.Count(v, string(rune('a'+i%26))) != n) {
						t.Errorf("get %q: %d bytes, want %d", k, len(v), n)
					}
				}
				w.Unlock()
			}
		}()
	}
	done := make(chan struct{})
	go func() { load.Wait(); close(done) }()
	rnd := rand.New(rand.NewPCG(9, 9))
	for now := uint32(1000); ; now++ {
		select {
		case <-done:
			if s.Stats().PagesMoved == 0 {
				t.Error("no page was moved")
			}
			checkStore(t, s)
			return
		default:
			s.Tick(now)
			s.Reassign(-1, rnd.IntN(s.table.n+1))
			for range 20 {
				s.Maintain()
			}
		}
	}
}
