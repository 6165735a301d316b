//go:build race || heaparena

package slab

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"testing"
)

// salvage reads the arena as recovery after a crash would: it trusts the page
// table in it and state words, and of two items with one key the higher ver. An
// item that makes no sense is an error, and so is a piece whose item's chunk is
// free: another may take that chunk and be taken for the owner (I6).
func salvage(s *Store, at step) (map[string]string, error) {
	found := map[string]string{}
	vers := map[string]uint64{}
	for n := uint32(1); n < uint32(len(s.pages)); n++ {
		id := s.entry(n)
		if at == stepDirty && id == 0 && n <= s.pool.mu.high && !isZero(s.arena.bytes(uint64(n)*uint64(s.cfg.PageBytes), uint64(s.cfg.PageBytes))) {
			return nil, fmt.Errorf("page %d counts as zero and is not (I7)", n)
		}
		if id == 0 || id == tableDirty {
			continue
		}
		c := &s.classes[id]
		for i := range c.perPage {
			ref := n<<s.pageShift + i*c.unit
			h := s.header(ref)
			state := h.loadState()
			if owner := s.part(ref).owner; at == stepFreed && state&stateMask == statePart && s.header(owner).loadState() == stateFree {
				return nil, fmt.Errorf("piece %d is still one, its item %d is free", ref, owner)
			}
			if !isLive(state) {
				continue
			}
			if h.keyLen() > keyMax || !h.chained(state) && int(bodyOffset(state))+h.keyLen()+h.valueLen() > int(c.size) {
				return nil, fmt.Errorf("chunk %d is no item", ref)
			}
			if in := wordClass(h.loadWord()); h.ver() == 0 || in != id && !(h.chained(state) && in == s.top().id) {
				return nil, fmt.Errorf("item %d of class %d is live without its word: version %d, class %d", ref, id, h.ver(), in)
			}
			if h.chained(state) {
				for at := h.large().first; at != 0; at = s.part(at).next {
					if s.part(at).loadState() != statePart { // the owner may be on its way to another page
						return nil, fmt.Errorf("piece %d of %q is not one", at, h.key())
					}
				}
			}
			key, v := string(h.key()), string(Item{h, s, ref}.AppendValue(nil))
			if !whole(key, v) {
				return nil, fmt.Errorf("%q is torn: %d bytes", key, len(v))
			}
			if h.ver() >= vers[key] {
				found[key], vers[key] = v, h.ver()
			}
		}
	}
	return found, nil
}

func isZero(b []byte) bool { return b[0] == 0 && bytes.Equal(b[1:], b[:len(b)-1]) }

// seal returns a value of at least n bytes that proves that it belongs to the
// key and is whole.
func seal(key string, n int, seed uint64) string {
	body := key + "/" + pattern(n, seed)
	return fmt.Sprintf("%s/%08x", body, crc32.ChecksumIEEE([]byte(body)))
}

func whole(key, v string) bool {
	if isNumber([]byte(v)) {
		return true
	}
	if len(v) < 9 || len(v) < len(key) || v[:len(key)] != key {
		return false
	}
	body := v[:len(v)-9]
	return v[len(v)-8:] == fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(body)))
}

// witness compares, at every step, what would be recovered with what has been
// acknowledged.
type witness struct {
	t     *testing.T
	acked map[string]string
	// The operation under way may have happened or not.
	key, next string
	gone      bool // next is that the item is gone
	bad       error
	steps     [stepDirty + 1]int
	looks     int
}

func (x *witness) look(s *Store, at step) {
	x.steps[at]++
	if x.bad != nil {
		return
	}
	found, err := salvage(s, at)
	if err != nil {
		x.bad = fmt.Errorf("step %d: %w", at, err)
		return
	}
	for key, v := range x.acked {
		got, ok := found[key]
		switch {
		case key != x.key && got != v, key == x.key && ok && got != v && (x.gone || got != x.next), key == x.key && !ok && !x.gone:
			x.bad = fmt.Errorf("step %d: %q: %d bytes recovered (%t), acknowledged %d", at, key, len(got), ok, len(v))
		}
	}
	for key := range found {
		if _, ok := x.acked[key]; !ok && key != x.key {
			x.bad = fmt.Errorf("step %d: %q came back", at, key)
		}
	}
	if x.looks++; x.bad == nil && x.looks%recoverEvery == 0 {
		x.recover(s, at, found)
	}
}

// recoverEvery is how many looks there are for each recovery, which takes longer.
const recoverEvery = 37

// recover has the memory taken over by another store, as after a crash at this
// moment, and compares what that finds with what it must.
func (x *witness) recover(s *Store, at step, found map[string]string) {
	c := s.cfg
	c.Memory = cloneMemory(s.cfg.Memory)
	hook := stepHook
	stepHook = nil
	defer func() { stepHook = hook }()
	next, err := New(c)
	if err == nil {
		err = next.Check()
	}
	if err != nil {
		x.bad = fmt.Errorf("step %d: recovery: %w", at, err)
		return
	}
	var cur Cursor
	for done := false; !done; {
		done = next.Walk(&cur, AllClasses, 1000, func(i Item) {
			key := string(i.Key())
			if v := string(i.AppendValue(nil)); v != found[key] {
				x.bad = fmt.Errorf("step %d: recovery found %q with %d bytes, not %d", at, key, len(v), len(found[key]))
			}
			delete(found, key)
		})
	}
	for key := range found {
		x.bad = fmt.Errorf("step %d: recovery lost %q", at, key)
	}
}

func newWitness(t *testing.T) (*Store, *Worker, *witness) {
	s, w := newStore(t, func(c *Config) {
		c.PageBytes = 16 << 10
		c.LimitBytes = 2 << 20
		c.ItemSizeMax = 100 << 10
		c.HashPower = 4
		c.Memory = newMemory(t, *c)
	})
	x := &witness{t: t, acked: map[string]string{}}
	stepHook = func(s *Store, at step) { x.look(s, at) }
	t.Cleanup(func() { stepHook = nil })
	return s, w, x
}

// TestPublishOrder kills the store, so to speak, between any two writes.
func TestPublishOrder(t *testing.T) {
	s, w, x := newWitness(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	times := 3000
	if testing.Short() {
		times = 600
	}
	for i := range times {
		key := fmt.Sprint("key", rnd.IntN(40))
		n := rnd.IntN(300)
		if rnd.IntN(10) == 0 {
			n = rnd.IntN(40 << 10)
		}
		x.key, x.next, x.gone = key, seal(key, n, uint64(i)), false
		k := s.keyString(key)
		switch rnd.IntN(8) {
		case 0:
			x.gone = true
			w.Delete(k, nil)
			delete(x.acked, key)
		case 1:
			if _, ok := x.acked[key]; ok {
				x.next = x.acked[key]
				w.Touch(k, s.Now()+1+uint32(rnd.IntN(100)))
			}
		case 2:
			x.next = "100"
			w.Set(k, &SetOp{}, []byte(x.next))
			x.acked[key] = x.next
			x.next = "99 "
			w.Arith(k, &ArithOp{Decrement: true, Delta: 1})
			x.acked[key] = x.next
		case 3:
			p, r := w.Reserve(k, &SetOp{}, len(x.next))
			if r != Stored || !feed(p, x.next, 5000) || p.Commit(w).Result != Stored {
				t.Fatal("no memory")
			}
			x.acked[key] = x.next
		default:
			mustSet(t, w, key, x.next, SetOp{Flags: uint32(rnd.IntN(2))})
			x.acked[key] = x.next
		}
		x.key = ""
		if rnd.IntN(10) == 0 {
			s.Reassign(-1, 1+rnd.IntN(len(s.classes)-1))
			s.Maintain()
		}
		if x.look(s, stepRetired); x.bad != nil {
			t.Fatalf("after %d operations: %v", i, x.bad)
		}
	}
	checkStore(t, s)
	for at, n := range x.steps {
		if n == 0 {
			t.Errorf("step %d never came", at)
		}
	}
}

// TestPublishOrderHasTeeth stores in wrong orders: each must be noticed.
func TestPublishOrderHasTeeth(t *testing.T) {
	for name, broken := range map[string]func(*Store, *header, *header, *spec, string){
		"live before filled": func(s *Store, h, _ *header, p *spec, v string) {
			h.fill(p)
			h.setState(stamp(p.facts, 1000))
			s.step(stepTaken)
			copy(h.inline(len(v)), v)
		},
		"old one gone before the new one is live": func(s *Store, h, old *header, p *spec, v string) {
			h.fill(p)
			copy(h.inline(len(v)), v)
			s.retireLocked(old, old.loadState())
			h.setState(stamp(p.facts, 1000))
		},
		"live before its word": func(s *Store, h, _ *header, p *spec, v string) {
			h.fill(p)
			copy(h.inline(len(v)), v)
			h.word = 0
			h.setState(stamp(p.facts, 1000))
			s.step(stepPublished)
		},
		"pages without a class while it lives": func(s *Store, _, _ *header, _ *spec, _ string) {
			for n := uint32(1); n <= s.pool.mu.high; n++ {
				s.setEntry(n, tableDirty)
			}
			s.step(stepDirty)
		},
		"overwritten in place": func(s *Store, _, old *header, _ *spec, v string) {
			copy(old.inline(len(v)/2), v)
			s.step(stepTaken)
		},
		"freed while live": func(s *Store, _, old *header, _ *spec, v string) {
			copy(old.inline(16), "0123456789abcdef") // as if another took the chunk
			s.step(stepRetired)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, w, x := newWitness(t)
			first, second := seal("k", 200, 1), seal("k", 200, 2)
			x.key, x.next = "k", first
			mustSet(t, w, "other", seal("other", 200, 3), SetOp{}) // leaves old bytes behind
			w.Delete(s.keyString("other"), nil)
			x.bad = nil
			mustSet(t, w, "k", first, SetOp{})
			x.acked["k"], x.next = first, second
			if x.bad != nil {
				t.Fatal(x.bad)
			}
			k := s.keyString("k")
			old, _, _ := s.findLocked(s.stripe(k.Hash), &k)
			p := spec{key: k.Bytes, valueLen: len(second)}
			p.settle(s)
			ref, id := s.alloc(s.classFor(p.bytes()), hold{})
			s.header(ref).word = (&fresh{ver: s.nextVer(), class: id}).word()
			broken(s, s.header(ref), old, &p, second)
			if x.bad == nil {
				t.Error("not noticed")
			}
			t.Log(x.bad)
		})
	}
}

// A crash in the midst of a batch that is put back leaves each of its items whole
// or not there.
func TestPublishOrderOfRestoreAll(t *testing.T) {
	s, w, _ := newWitness(t)
	s.BeginRestore(100_000, 100)
	want, steps := map[string]string{}, 0
	stepHook = func(s *Store, at step) {
		steps++
		found, err := salvage(s, at)
		for key, v := range found {
			if want[key] != v {
				err = fmt.Errorf("%q has %d bytes, not %d", key, len(v), len(want[key]))
			}
		}
		if err != nil {
			t.Fatalf("step %d: %v", at, err)
		}
	}
	rnd := rand.New(rand.NewPCG(1, 3))
	for n := range uint64(40) {
		var rs []*Record
		for i := range uint64(RestoreMax) {
			r := &Record{Key: []byte(fmt.Sprintf("k%d-%d", n, i)), Ver: 1 + n*100 + i}
			r.Value = []byte(seal(string(r.Key), rnd.IntN(300), n))
			want[string(r.Key)] = string(r.Value)
			rs = append(rs, r)
		}
		for i, res := range restoreAll(w, rs) {
			if res != Stored {
				t.Fatalf("%s: %d", rs[i].Key, res)
			}
		}
	}
	stepHook = nil
	checkStore(t, s)
	next := s.cfg
	next.Memory = cloneMemory(s.cfg.Memory)
	again, err := New(next)
	if err != nil {
		t.Fatal(err)
	}
	if got := contents(again); len(got) != len(want) || steps < 3*len(want) {
		t.Errorf("%d of %d items recovered, %d steps", len(got), len(want), steps)
	}
}
