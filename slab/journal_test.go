package slab

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// recorder is a Journal that keeps all it is told, and can tell it to a store.
type recorder struct {
	replays []func(w *Worker)
}

func (r *recorder) add(f func(w *Worker)) { r.replays = append(r.replays, f) }

func copyRecord(i Item) *Record {
	rec := new(Record)
	i.Record(rec)
	rec.Key = bytes.Clone(rec.Key)
	rec.Value = i.AppendValue(nil)
	return rec
}

func (r *recorder) Stored(i Item) {
	rec := copyRecord(i)
	r.add(func(w *Worker) { w.Restore(rec) })
}

func (r *recorder) Touched(i Item) {
	key, ver, exptime := bytes.Clone(i.Key()), i.Ver(), i.Exptime()
	r.add(func(w *Worker) { w.RestoreTouched(key, ver, exptime) })
}

func (r *recorder) Removed(key []byte, _, ver uint64) {
	key = bytes.Clone(key)
	r.add(func(w *Worker) { w.RestoreRemoved(key, ver) })
}

func (r *recorder) Flushed(ver uint64) {
	r.add(func(w *Worker) { w.Store().RestoreFlushed(ver) })
}

// contents returns what a store holds, one line an item. Marks of reads are
// left out: no journal is told of them.
func contents(s *Store) map[string]string {
	all := map[string]string{}
	var c Cursor
	for done := false; !done; {
		done = s.Walk(&c, AllClasses, 1000, func(i Item) {
			r := copyRecord(i)
			r.Marks &= MarkBinary | MarkStale
			r.LastAccess = 0
			all[string(r.Key)] = fmt.Sprintf("%d %d %d %d %d %x", r.Flags, r.Exptime, r.Ver, r.CAS, r.Marks, r.Value)
		})
	}
	return all
}

func wantContents(t *testing.T, got, want map[string]string) {
	t.Helper()
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s: %.200q, want %.200q", k, got[k], v)
		}
	}
	for k := range got {
		if _, is := want[k]; !is {
			t.Errorf("%s is there, and should not be", k)
		}
	}
}

// change does one operation of a client's at random.
func change(w *Worker, rng *rand.Rand) {
	k := w.Store().Key([]byte(fmt.Sprintf("key%d", rng.IntN(60))))
	now := w.Store().Now()
	exptime := []uint32{0, 0, now + 1, now + 1000}[rng.IntN(4)]
	value := bytes.Repeat([]byte{byte('0' + rng.IntN(10))}, 1+rng.IntN(5))
	if rng.IntN(30) == 0 {
		value = bytes.Repeat(value, 40_000)
	}
	cas := uint64(rng.IntN(3)) * 1000
	switch rng.IntN(12) {
	case 0, 1, 2:
		w.Set(k, &SetOp{Mode: Mode(rng.IntN(5)), Flags: uint32(rng.IntN(2)), Exptime: exptime, NewCAS: cas, Binary: rng.IntN(9) == 0}, value)
	case 3:
		w.Get(k, &GetOp{Touch: true, Exptime: exptime}, nil)
	case 4:
		w.Get(k, &GetOp{Meta: true, Vivify: true, VivifyExptime: exptime, VivifyCAS: cas}, nil)
	case 5:
		w.Delete(k, nil)
	case 6:
		w.Delete(k, &DeleteOp{Invalidate: true, SetExptime: rng.IntN(2) == 0, Exptime: exptime, NewCAS: cas})
	case 7:
		w.Delete(k, &DeleteOp{DropValue: true, Invalidate: rng.IntN(2) == 0, NewCAS: cas})
	case 8, 9:
		w.Arith(k, &ArithOp{Delta: 7, NewCAS: cas, Vivify: true, Initial: 5, SetExptime: rng.IntN(2) == 0, Exptime: exptime})
	case 10:
		w.Set(k, &SetOp{DropOnFail: true}, make([]byte, 2<<20)) // too large: removes
	case 11:
		if rng.IntN(20) == 0 {
			w.Store().FlushAll(0)
		}
	}
}

// What a journal is told is enough to make the same store again, after any
// number of changes, and telling it a second time changes nothing.
func TestJournalMakesTheStoreAgain(t *testing.T) {
	seeds := uint64(20)
	if testing.Short() {
		seeds = 4
	}
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(seed, 1))
		s, w := newStore(t, nil)
		var r recorder
		s.SetJournal(&r)
		s.Tick(1000)
		for range 2000 {
			change(w, rng)
			if rng.IntN(100) == 0 {
				s.Tick(s.Now() + 1)
			}
		}
		again, into := newStore(t, nil)
		again.Tick(1000)
		again.BeginRestore(s.Version(), 100)
		for range 2 {
			for _, replay := range r.replays {
				replay(into)
			}
		}
		again.EndRestore(true)
		again.Tick(s.Now())
		wantContents(t, contents(again), contents(s))
		if err := again.Check(); err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// A client that is served while the store is being restored is not overruled.
func TestRestoreYieldsToClients(t *testing.T) {
	s, w := newStore(t, nil)
	s.Tick(1000)
	s.BeginRestore(500, 10)
	old := func(key string) *Record { return &Record{Key: []byte(key), Value: []byte("old"), Ver: 400} }
	w.Set(s.Key([]byte("set")), &SetOp{}, []byte("new"))
	w.Delete(s.Key([]byte("deleted")), nil)
	if w.Restore(old("touched")) != Stored || w.Restore(old("untouched")) != Stored {
		t.Fatal("not restored")
	}
	w.Get(s.Key([]byte("touched")), &GetOp{Touch: true, Exptime: 1001}, nil)
	w.Set(s.Key([]byte("gone")), &SetOp{Exptime: 1}, []byte("new")) // born dead
	w.Get(s.Key([]byte("gone")), nil, nil)
	for _, key := range []string{"set", "deleted", "touched", "gone"} {
		r := old(key)
		r.Ver = 450
		if res := w.Restore(r); res != NotStored {
			t.Errorf("%s: restored over what a client did: %d", key, res)
		}
	}
	s.EndRestore(false)
	s.Tick(1001)
	for key, want := range map[string]string{"set": "new", "untouched": "old", "deleted": "", "touched": "", "gone": ""} {
		got := ""
		w.Get(s.Key([]byte(key)), nil, func(v *View) { got = string(v.Value()) })
		if got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if v := s.Version(); v <= 500 {
		t.Errorf("a change after the restore has version %d", v)
	}
}

// More than the limit is no failure: what was read longest ago goes.
func TestRestoreMoreThanFits(t *testing.T) {
	s, w := newStore(t, func(c *Config) { c.LimitBytes, c.ItemSizeMax = 2<<20, 1<<20 })
	s.Tick(100_000)
	const n = 40_000
	s.BeginRestore(n, n)
	for i := range n {
		r := Record{Key: []byte(fmt.Sprintf("key%d", i)), Value: make([]byte, 100), Ver: uint64(i + 1), LastAccess: uint32(i)}
		if res := w.Restore(&r); res != Stored {
			t.Fatalf("item %d: %d", i, res)
		}
	}
	s.EndRestore(true)
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Class.Evicted == 0 || st.CurrItems < 5000 {
		t.Errorf("%d items, %d evicted", st.CurrItems, st.Class.Evicted)
	}
	last := ^uint32(0)
	for id := range s.classes {
		for ref := s.classes[id].lists[Hot].head; ref != 0; {
			h := s.header(ref)
			if a := access(h.loadState()); a > last+last/8+8 {
				t.Fatalf("an item of second %d is behind one of %d", a, last)
			} else {
				last = a
			}
			ref = h.next
		}
	}
}

func TestAgeBucketsAreInOrder(t *testing.T) {
	last := 0
	for age := uint32(0); age <= accessMask; age += 1 + age/50 {
		b := ageBucket(age)
		if b < last || b >= ageBuckets {
			t.Fatalf("age %d goes to bucket %d after %d", age, b, last)
		}
		last = b
	}
	if b := ageBucket(accessMask); b >= ageBuckets {
		t.Fatalf("the oldest goes to bucket %d", b)
	}
}
