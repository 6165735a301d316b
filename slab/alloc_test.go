package slab

import (
	"fmt"
	"testing"
)

// TestNothingAllocated: the hot paths leave the Go heap alone.
func TestNothingAllocated(t *testing.T) {
	s, w := newStore(t, nil)
	v := []byte(pattern(100, 1))
	fillStore(t, w, "k", 1000, 100, SetOp{Exptime: 5000})
	var keys [50]Key
	for i := range keys {
		keys[i] = s.keyString(fmt.Sprint("k", i*7))
	}
	number, none := s.keyString("number"), s.keyString("none")
	mustSet(t, w, "number", "1", SetOp{})
	large := s.keyString("large")
	big := []byte(pattern(700<<10, 1))
	read := 0
	visit := func(v *View) { read += v.ValueLen() }
	setOp, addOp := &SetOp{}, &SetOp{Mode: ModeAdd}
	arithOp := &ArithOp{Delta: 1}
	metaOp := &GetOp{Meta: true, Touch: true, Exptime: 9000}
	appendOp := &SetOp{Mode: ModeAppend}
	i := 0
	key := func() Key { i++; return keys[i%len(keys)] }
	for name, f := range map[string]func(){
		"get hit":     func() { w.Get(key(), nil, visit) },
		"get miss":    func() { w.Get(none, nil, visit) },
		"meta get":    func() { w.Get(key(), metaOp, visit) },
		"set":         func() { w.Set(key(), setOp, v) },
		"add, stored": func() { w.Delete(none, nil); w.Set(none, addOp, v) },
		"delete":      func() { w.Set(none, setOp, v); w.Delete(none, nil) },
		"append":      func() { w.Set(none, setOp, v); w.Set(none, appendOp, v); w.Drop(none) },
		"touch":       func() { w.Touch(key(), 7000) },
		"touch, copy": func() { w.Set(none, setOp, v); w.Touch(none, 7000); w.Drop(none) },
		"count":       func() { w.Arith(number, arithOp) },
		"multiget": func() {
			w.Prefetch(keys[:])
			for _, k := range keys {
				w.Get(k, nil, visit)
			}
		},
		"large set": func() { w.Set(large, setOp, big) },
		"streamed set": func() {
			p, r := w.Reserve(large, setOp, len(big))
			if r != Stored {
				panic(r)
			}
			for left := big; len(left) > 0; {
				n := copy(p.Span(), left)
				p.Advance(n)
				left = left[n:]
			}
			p.Commit(w)
		},
	} {
		if n := testing.AllocsPerRun(200, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	// Evictions and new keys.
	n := 0
	var kb [16]byte
	if n := testing.AllocsPerRun(100_000, func() {
		n++
		for j, d := 0, n; j < 8; j, d = j+1, d/10 {
			kb[j] = byte('0' + d%10)
		}
		w.Set(s.Key(kb[:]), setOp, v)
	}); n != 0 {
		t.Errorf("set in a full store: %v allocations", n)
	}
	checkStore(t, s)
}
