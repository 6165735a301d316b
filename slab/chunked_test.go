package slab

import (
	"fmt"
	"strings"
	"testing"
)

func smallPages(c *Config) {
	c.PageBytes = 16 << 10
	c.LimitBytes = 2 << 20
	c.ItemSizeMax = 512 << 10
}

// feed writes v into a Pending in steps of at most step bytes. It reports
// false if memory ran out.
func feed(p *Pending, v string, step int) bool {
	for len(v) > 0 {
		room := p.Span()
		if room == nil {
			return false
		}
		n := copy(room[:min(step, len(room))], v)
		p.Advance(n)
		v = v[n:]
	}
	return true
}

func TestPending(t *testing.T) {
	s, w := newStore(t, smallPages)
	for _, n := range []int{0, 1, 100, 5000, 16 << 10, 100 << 10, 500 << 10} {
		v := pattern(n, uint64(n))
		p, r := w.Reserve(s.keyString("k"), &SetOp{Flags: 3}, n)
		if r != Stored {
			t.Fatalf("reserve %d bytes: %v", n, r)
		}
		checkStore(t, s)
		if !feed(p, v, 777) || p.Remaining() != 0 || len(p.Span()) != 0 {
			t.Fatalf("%d bytes: %d remain", n, p.Remaining())
		}
		checkStore(t, s)
		if r := p.Commit(w); r.Result != Stored || r.ValueLen != n {
			t.Fatalf("commit %d bytes: %+v", n, r)
		}
		wantValue(t, w, "k", v)
		checkStore(t, s)
	}
	p, _ := w.Reserve(s.keyString("k"), &SetOp{}, 300<<10)
	feed(p, pattern(200<<10, 1), 4096)
	checkStore(t, s)
	p.Abort()
	checkStore(t, s)
	if held := s.pendingChunks.Load(); held != 0 {
		t.Errorf("%d chunks held after abort", held)
	}
	wantValue(t, w, "k", pattern(500<<10, 500<<10))
	p, _ = w.Reserve(s.keyString("k"), &SetOp{DropOnFail: true}, 1000)
	p.Fail(w)
	wantMiss(t, w, "k")
	if _, r := w.Reserve(s.keyString("k"), &SetOp{}, 600<<10); r != TooLarge {
		t.Errorf("too large: %v", r)
	}
	checkStore(t, s)
}

// TestPendingModes stores streamed values in every mode.
func TestPendingModes(t *testing.T) {
	s, w := newStore(t, smallPages)
	a, b := pattern(50<<10, 1), pattern(40<<10, 2)
	for mode, want := range map[Mode]string{ModeSet: b, ModeReplace: b, ModeAdd: a, ModeAppend: a + b, ModePrepend: b + a} {
		mustSet(t, w, "k", a, SetOp{Flags: 8})
		p, r := w.Reserve(s.keyString("k"), &SetOp{Mode: mode}, len(b))
		if r != Stored || !feed(p, b, len(b)) {
			t.Fatal(r)
		}
		if r := p.Commit(w); (r.Result == Stored) != (mode != ModeAdd) {
			t.Errorf("mode %d: %+v", mode, r)
		}
		wantValue(t, w, "k", want)
		checkStore(t, s)
	}
}

// TestPendingNoMemory lets a value run out of memory on its way.
func TestPendingNoMemory(t *testing.T) {
	s, w := newStore(t, func(c *Config) { smallPages(c); c.NoEvict = true })
	full := 0
	var open []*Pending
	for i := range 8 {
		p, r := w.Reserve(s.keyString(strings.Repeat("k", i+1)), &SetOp{}, 400<<10)
		if r != Stored {
			full++
			continue
		}
		if feed(p, pattern(400<<10, 1), 1<<20) {
			open = append(open, p)
			continue
		}
		full++
		checkStore(t, s)
		p.Abort()
	}
	if full == 0 || len(open) == 0 {
		t.Fatalf("%d values fit 2 MiB, %d did not", len(open), full)
	}
	for _, p := range open {
		if r := p.Commit(w); r.Result != Stored {
			t.Errorf("commit: %+v", r)
		}
	}
	checkStore(t, s)
}

// Of values that come in at the same time and do not fit together, those are
// stored that do: who gets no more memory leaves what he had to the others.
func TestPendingTooMany(t *testing.T) {
	const size, many = 300 << 10, 40
	s, w := newStore(t, smallPages)
	mustSet(t, w, "k0", "old", SetOp{})
	var all []*Pending
	for i := range many {
		p, r := w.Reserve(s.keyString(fmt.Sprint("k", i)), &SetOp{DropOnFail: true}, size)
		if r != Stored {
			t.Fatalf("%d: %v", i, r)
		}
		all = append(all, p)
	}
	value := pattern(size, 1)
	failed := map[*Pending]bool{}
	for at := 0; at < size; at += 10 << 10 { // all of them step by step
		for _, p := range all {
			for rest := value[at : at+10<<10]; rest != "" && !failed[p]; {
				n := copy(p.Span(), rest)
				if failed[p] = n == 0; !failed[p] {
					p.Advance(n)
					rest = rest[n:]
				}
			}
		}
		checkStore(t, s)
	}
	stored := 0
	for i, p := range all {
		switch {
		case failed[p] && p.Span() != nil:
			t.Errorf("%d goes on without what it had", i)
		case failed[p] && i%2 == 0:
			p.Fail(w)
		case failed[p]:
			if r := p.Commit(w).Result; r != NoMemory {
				t.Errorf("%d: commit of a part: %v", i, r)
			}
		case p.Commit(w).Result == Stored:
			stored++
			wantValue(t, w, fmt.Sprint("k", i), value)
		}
	}
	if fit := int(s.cfg.LimitBytes / size); stored < fit*7/10 || stored == many {
		t.Errorf("%d of %d values stored, about %d fit", stored, many, fit)
	}
	if failed[all[0]] {
		wantMiss(t, w, "k0")
	}
	if n := s.pendingChunks.Load(); n != 0 {
		t.Errorf("%d chunks are still counted", n)
	}
	checkStore(t, s)
}

// TestPins keeps values readable after their item was replaced, deleted and
// evicted.
func TestPins(t *testing.T) {
	for _, n := range []int{largeValue, 100 << 10} { // one piece, and a chain
		s, w := newStore(t, func(c *Config) {
			c.LimitBytes = 4 << 20
			c.PageBytes = 64 << 10
			c.ItemSizeMax = 200 << 10
		})
		v := pattern(n, 1)
		pinned := func() (spans [][]byte, pin Pin) {
			w.Get(s.keyString("k"), nil, func(i *View) { spans, pin = i.Pin(nil) })
			return spans, pin
		}
		for name, end := range map[string]func(){
			"replaced": func() { mustSet(t, w, "k", "short", SetOp{}) },
			"deleted":  func() { w.Delete(s.keyString("k"), nil) },
			"evicted": func() {
				for i := range 200 {
					mustSet(t, w, strings.Repeat("x", i+1), pattern(n, 2), SetOp{})
				}
			},
		} {
			mustSet(t, w, "k", v, SetOp{})
			spans, pin := pinned()
			_, second := pinned()
			end()
			checkStore(t, s)
			second.Unpin()
			got := ""
			for _, b := range spans {
				got += string(b)
			}
			if got != v {
				t.Errorf("%d bytes, %s: the pinned value changed", n, name)
			}
			checkStore(t, s)
			pin.Unpin()
			checkStore(t, s)
			Pin{}.Unpin()
		}
		used := uint64(0)
		for i := 1; i < len(s.classes); i++ {
			s.classes[i].mu.Lock()
			for l := range s.classes[i].lists {
				for ref := s.classes[i].lists[l].head; ref != 0; ref = s.header(ref).next {
					used++
					if h := s.header(ref); h.chained(h.loadState()) {
						used += uint64(h.large().parts)
					}
				}
			}
			used -= s.classes[i].used
			s.classes[i].mu.Unlock()
		}
		if used != 0 {
			t.Errorf("%d bytes: chunks leaked", n)
		}
	}
}
