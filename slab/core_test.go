package slab

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// newStore makes a small store with a known seed and closes it with the test.
func newStore(t testing.TB, change func(*Config)) (*Store, *Worker) {
	t.Helper()
	c := DefaultConfig()
	c.LimitBytes = 8 << 20
	c.HashPower = 8
	c.PageBytes = 1 << 20
	c.Seed = 1
	if change != nil {
		change(&c)
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	s.Tick(1000)
	return s, s.NewWorker()
}

// checkStore fails the test if an invariant does not hold.
func checkStore(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
}

func (s *Store) keyString(k string) Key { return s.Key([]byte(k)) }

// value returns what a get of k finds, and whether it does.
func value(w *Worker, k string) (string, bool) {
	var v string
	res := w.Get(w.s.keyString(k), nil, func(i *View) { v = string(i.AppendValue(nil)) })
	return v, res == Hit
}

func wantValue(t testing.TB, w *Worker, k, want string) {
	t.Helper()
	got, ok := value(w, k)
	if !ok {
		t.Fatalf("get %q: miss, want %d bytes", k, len(want))
	}
	if got != want {
		t.Fatalf("get %q: %.40q (%d bytes), want %.40q (%d bytes)", k, got, len(got), want, len(want))
	}
}

func wantMiss(t testing.TB, w *Worker, k string) {
	t.Helper()
	if got, ok := value(w, k); ok {
		t.Fatalf("get %q: %.40q, want a miss", k, got)
	}
}

func set(t testing.TB, w *Worker, k, v string, op SetOp) SetResult {
	t.Helper()
	return w.Set(w.s.keyString(k), &op, []byte(v))
}

func mustSet(t testing.TB, w *Worker, k, v string, op SetOp) SetResult {
	t.Helper()
	r := set(t, w, k, v, op)
	if r.Result != Stored {
		t.Fatalf("set %q of %d bytes: %v", k, len(v), r.Result)
	}
	return r
}

var letters = func() string {
	b := make([]byte, 4<<20)
	rnd := rand.New(rand.NewPCG(1, 7))
	for i := range b {
		b[i] = 'a' + byte(rnd.Uint32()%26)
	}
	return string(b)
}()

// pattern returns n bytes that differ by seed and position.
func pattern(n int, seed uint64) string {
	at := int(seed % 1000 * 97)
	return letters[at : at+n]
}

func TestSetModes(t *testing.T) {
	s, w := newStore(t, nil)
	for _, tc := range []struct {
		mode          Mode
		onHit, onMiss Result
		value         string
	}{
		{ModeSet, Stored, Stored, "new"},
		{ModeAdd, NotStored, Stored, "old"},
		{ModeReplace, Stored, NotStored, "new"},
		{ModeAppend, Stored, NotStored, "oldnew"},
		{ModePrepend, Stored, NotStored, "newold"},
	} {
		t.Run(fmt.Sprint(tc.mode), func(t *testing.T) {
			w.Drop(s.keyString("k"))
			if r := set(t, w, "k", "new", SetOp{Mode: tc.mode}); r.Result != tc.onMiss {
				t.Errorf("on a miss: %v, want %v", r.Result, tc.onMiss)
			}
			w.Drop(s.keyString("k"))
			mustSet(t, w, "k", "old", SetOp{Flags: 7, Exptime: 5000})
			r := set(t, w, "k", "new", SetOp{Mode: tc.mode, Flags: 9})
			if r.Result != tc.onHit {
				t.Errorf("on a hit: %v, want %v", r.Result, tc.onHit)
			}
			wantValue(t, w, "k", tc.value)
			if r.Result == Stored && r.ValueLen != len(tc.value) {
				t.Errorf("ValueLen is %d, want %d", r.ValueLen, len(tc.value))
			}
			w.Get(s.keyString("k"), nil, func(v *View) {
				flags, exptime := uint32(7), uint32(5000)
				if tc.value == "new" {
					flags, exptime = 9, 0
				}
				if v.Flags() != flags || v.Exptime() != exptime {
					t.Errorf("flags %d, exptime %d, want %d, %d", v.Flags(), v.Exptime(), flags, exptime)
				}
			})
			checkStore(t, s)
		})
	}
}

func TestCompareValues(t *testing.T) {
	s, w := newStore(t, nil)
	first := mustSet(t, w, "k", "1", SetOp{})
	if first.CAS != 2 {
		t.Errorf("the first CAS is %d, want 2", first.CAS)
	}
	for _, tc := range []struct {
		name string
		key  string
		op   SetOp
		want Result
	}{
		{"match", "k", SetOp{Compare: true, CAS: 2}, Stored},
		{"old", "k", SetOp{Compare: true, CAS: 2}, Exists},
		{"zero", "k", SetOp{Compare: true}, Exists},
		{"missing", "x", SetOp{Compare: true, CAS: 2}, NotFound},
		{"replace missing", "x", SetOp{Mode: ModeReplace, Compare: true, CAS: 2}, NotFound},
		{"append other", "k", SetOp{Mode: ModeAppend, Compare: true, CAS: 99}, Exists},
		{"append zero", "k", SetOp{Mode: ModeAppend, Compare: true}, Stored},
		{"append missing", "x", SetOp{Mode: ModeAppend, Compare: true, CAS: 9}, NotStored},
		{"own", "k", SetOp{NewCAS: 77}, Stored},
		{"own matches", "k", SetOp{Compare: true, CAS: 77, NewCAS: 78}, Stored},
		{"own is gone", "k", SetOp{Compare: true, CAS: 77}, Exists},
		{"higher than stored", "k", SetOp{Compare: true, CAS: 79, Invalidate: true}, Exists},
		{"lower, stale", "k", SetOp{Compare: true, CAS: 70, Invalidate: true}, Stored},
	} {
		if r := set(t, w, tc.key, "2", tc.op); r.Result != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, r.Result, tc.want)
		}
		checkStore(t, s)
	}
	w.Get(s.keyString("k"), &GetOp{Meta: true}, func(v *View) {
		if !v.Stale || !v.Won || v.TokenSent {
			t.Errorf("after a stale set: %+v", v)
		}
	})
}

func TestNoCAS(t *testing.T) {
	s, w := newStore(t, func(c *Config) { c.NoCAS = true })
	if r := mustSet(t, w, "k", "1", SetOp{}); r.CAS != 0 {
		t.Errorf("CAS %d without CAS", r.CAS)
	}
	if r := set(t, w, "k", "2", SetOp{Compare: true, CAS: 2}); r.Result != Exists {
		t.Errorf("compare without CAS: %v, want Exists", r.Result)
	}
	w.Get(s.keyString("k"), nil, func(v *View) {
		if v.CAS() != 0 {
			t.Errorf("get shows CAS %d", v.CAS())
		}
	})
}

func TestItemSizeMax(t *testing.T) {
	s, w := newStore(t, nil)
	// 48 header, 8 CAS, 1 key, 1 zero, 2 CRLF: memcached's largest value.
	mustSet(t, w, "k", pattern(1048516, 1), SetOp{})
	wantValue(t, w, "k", pattern(1048516, 1))
	if r := set(t, w, "k", pattern(1048517, 1), SetOp{}); r.Result != TooLarge {
		t.Errorf("one byte more: %v", r.Result)
	}
	if _, ok := value(w, "k"); !ok {
		t.Error("a failed set removed the item unasked")
	}
	if r := set(t, w, "k", pattern(1048513, 1), SetOp{Flags: 1, DropOnFail: true}); r.Result != TooLarge {
		t.Errorf("with flags: %v", r.Result)
	}
	wantMiss(t, w, "k")
	mustSet(t, w, "k", pattern(1048000, 1), SetOp{})
	if r := set(t, w, "k", pattern(600, 1), SetOp{Mode: ModeAppend}); r.Result != NotStored {
		t.Errorf("append over the limit: %v", r.Result)
	}
	checkStore(t, s)
}

// TestValueSizes stores values around every border of the layout.
func TestValueSizes(t *testing.T) {
	s, w := newStore(t, func(c *Config) { c.LimitBytes = 16 << 20; c.ItemSizeMax = 4 << 20 })
	var sizes []int
	for _, border := range []int{0, 48, largeValue, 512 << 10, 512<<10 - largeHeaderBytes - 1, 1 << 20, 3 << 20} {
		for d := -2; d <= 2; d++ {
			if n := border + d; n >= 0 {
				sizes = append(sizes, n)
			}
		}
	}
	for _, n := range sizes {
		v := pattern(n, uint64(n))
		for _, op := range []SetOp{{}, {Flags: 5}, {Exptime: 2000}, {NewCAS: 9}, {Flags: 1, Exptime: 3000, NewCAS: 4, Binary: true}} {
			mustSet(t, w, "k", v, op)
			w.Get(s.keyString("k"), nil, func(i *View) {
				if string(i.Key()) != "k" || i.ValueLen() != n || i.Flags() != op.Flags || i.Exptime() != op.Exptime ||
					i.Binary() != op.Binary || op.NewCAS != 0 && i.CAS() != op.NewCAS {
					t.Errorf("%d bytes, %+v: read back otherwise", n, op)
				}
				if i.Pinnable() != (n >= largeValue) || i.Chunked() != (i.Value() == nil) {
					t.Errorf("%d bytes: pinnable %t, chunked %t", n, i.Pinnable(), i.Chunked())
				}
				if !bytes.Equal(i.AppendValue(nil), []byte(v)) {
					t.Errorf("%d bytes, %+v: value differs", n, op)
				}
			})
			if err := s.Check(); err != nil {
				t.Fatalf("%d bytes: %v", n, err)
			}
		}
	}
}

func TestExpiry(t *testing.T) {
	s, w := newStore(t, nil)
	mustSet(t, w, "now", "v", SetOp{Exptime: 1000})
	mustSet(t, w, "soon", "v", SetOp{Exptime: 1001})
	mustSet(t, w, "never", "v", SetOp{})
	wantMiss(t, w, "now")
	wantValue(t, w, "soon", "v")
	if r := w.Touch(s.keyString("never"), 1002); r != Hit {
		t.Errorf("touch: %v", r)
	}
	if r := w.Touch(s.keyString("none"), 1002); r != Miss {
		t.Errorf("touch of a missing key: %v", r)
	}
	s.Tick(1001)
	wantMiss(t, w, "soon")
	wantValue(t, w, "never", "v")
	checkStore(t, s)
	s.Tick(1002)
	wantMiss(t, w, "never")
	mustSet(t, w, "k", "v", SetOp{Exptime: 1003})
	w.Touch(s.keyString("k"), 0)
	s.Tick(9999)
	wantValue(t, w, "k", "v")
	checkStore(t, s)
}

func TestFlush(t *testing.T) {
	s, w := newStore(t, nil)
	mustSet(t, w, "a", "v", SetOp{})
	mustSet(t, w, "big", pattern(600<<10, 1), SetOp{})
	s.FlushAll(0)
	mustSet(t, w, "b", "v", SetOp{})
	wantMiss(t, w, "a")
	wantMiss(t, w, "big")
	wantValue(t, w, "b", "v")
	if r := set(t, w, "a", "v", SetOp{Mode: ModeReplace}); r.Result != NotStored {
		t.Errorf("replace of a flushed item: %v", r.Result)
	}
	checkStore(t, s)
}

func TestDelete(t *testing.T) {
	s, w := newStore(t, nil)
	k := s.keyString("k")
	if r := w.Delete(k, nil); r != Miss {
		t.Errorf("nothing: %v", r)
	}
	cas := mustSet(t, w, "k", "v", SetOp{Flags: 3, Exptime: 4000}).CAS
	if r := w.Delete(k, &DeleteOp{Compare: true, CAS: cas + 1}); r != Exists {
		t.Errorf("other CAS: %v", r)
	}
	if r := w.Delete(k, &DeleteOp{Compare: true}); r != Exists {
		t.Errorf("CAS 0: %v", r)
	}
	if r := w.Delete(k, &DeleteOp{Compare: true, CAS: cas, DropValue: true}); r != Hit {
		t.Errorf("drop value: %v", r)
	}
	w.Get(k, nil, func(v *View) {
		if v.ValueLen() != 0 || v.Flags() != 0 || v.Exptime() != 0 || v.CAS() != cas {
			t.Errorf("empty item: %d bytes, flags %d, exptime %d, CAS %d (was %d)", v.ValueLen(), v.Flags(), v.Exptime(), v.CAS(), cas)
		}
	})
	checkStore(t, s)
	if r := w.Delete(k, nil); r != Hit {
		t.Errorf("delete: %v", r)
	}
	wantMiss(t, w, "k")
	checkStore(t, s)
}

// TestTokens follows an item through invalidation and recaching.
func TestTokens(t *testing.T) {
	s, w := newStore(t, nil)
	k := s.keyString("k")
	type marks struct{ won, stale, sent bool }
	look := func(op GetOp) (m marks) {
		op.Meta = true
		w.Get(k, &op, func(v *View) { m = marks{v.Won, v.Stale, v.TokenSent} })
		return m
	}
	want := func(what string, got, want marks) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %+v, want %+v", what, got, want)
		}
		checkStore(t, s)
	}
	if r := w.Get(k, &GetOp{Meta: true, Vivify: true, VivifyExptime: 1030}, func(v *View) {
		if !v.Created || !v.Won || v.ValueLen() != 0 {
			t.Errorf("vivified: %+v", v)
		}
	}); r != Hit {
		t.Fatalf("vivify: %v", r)
	}
	want("after vivify", look(GetOp{}), marks{sent: true})
	mustSet(t, w, "k", "v", SetOp{Exptime: 1030})
	want("after set", look(GetOp{}), marks{})
	want("plenty of life", look(GetOp{Recache: true, RecacheTTL: 30}), marks{})
	want("recache", look(GetOp{Recache: true, RecacheTTL: 31}), marks{won: true})
	want("recache again", look(GetOp{Recache: true, RecacheTTL: 31}), marks{sent: true})
	for _, op := range []DeleteOp{
		{Invalidate: true},
		{Invalidate: true, SetExptime: true, Exptime: 1020},
		{Invalidate: true, NewCAS: 1234},
		{Invalidate: true},
	} {
		if r := w.Delete(k, &op); r != Hit {
			t.Fatalf("invalidate: %v", r)
		}
		wantValue(t, w, "k", "v")
		want("invalidated", look(GetOp{}), marks{won: true, stale: true})
		want("invalidated, second", look(GetOp{}), marks{stale: true, sent: true})
	}
	mustSet(t, w, "k", "v", SetOp{})
	want("no life to end", look(GetOp{Recache: true, RecacheTTL: 1 << 30}), marks{})
	w.Delete(k, &DeleteOp{Invalidate: true, SetExptime: true, Exptime: 1100})
	w.Get(k, nil, func(v *View) {
		if v.Exptime() != 1100 || string(v.Value()) != "v" {
			t.Errorf("invalidated with expiry: %d %q", v.Exptime(), v.Value())
		}
	})
	w.Delete(k, &DeleteOp{Invalidate: true, DropValue: true})
	want("tombstone", look(GetOp{}), marks{won: true, stale: true})
	wantValue(t, w, "k", "")
}
