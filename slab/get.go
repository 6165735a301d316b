package slab

import "math/bits"

var plainGet GetOp

// Get finds an item and calls visit with it, under the item's lock: visit must
// not call the store. Without an item it returns Miss; a vivified item is a
// Hit whose View says Created. NoMemory means that the item that was to be
// made or given an expiry could not be; visit has not been called then. op and
// visit may be nil.
func (w *Worker) Get(k Key, op *GetOp, visit func(*View)) Result {
	if op == nil {
		op = &plainGet
	}
	s := w.s
	now := s.now.Load()
	st := s.stripe(k.Hash)
	st.mu.Lock()
	h, ref, at := s.findLocked(st, &k)
	if h == nil {
		return w.getMissed(st, &k, op, visit, now)
	}
	state, word := h.loadState(), h.loadWord()
	// The common item has no expiry and no flush has come since.
	if state&factExp != 0 || word>>wordVerShift <= s.flushVer.Load() {
		if expired, flushed := s.dead(h, state, now); expired || flushed {
			w.lookupLocked(st, &k, now) // takes it out
			return w.getMissed(st, &k, op, visit, now)
		}
	}
	v := &w.view
	*v = View{
		Item:    Item{h: h, s: s, ref: ref},
		Fetched: word&markFetched != 0,
		Idle:    age(state, now),
	}
	v.ExptimeBefore = h.exptime(state)
	if op.Touch {
		w.counts[wordClass(word)].touchHits++
		if !w.setExptimeLocked(st, &k, &v.Item, at, op.Exptime, now) {
			st.mu.Unlock()
			return NoMemory
		}
		h, ref = v.h, v.ref
		s.tellTouched(k.Hash, h, ref)
		state = h.loadState()
	} else if !op.Peek {
		w.counts[wordClass(word)].hits[wordList(word)]++
	}
	if op.Meta {
		v.readMarks(word, op, now)
	}
	if !op.NoBump && word&(markActive|markFetched) != markActive|markFetched {
		s.bump(h, ref, state, word, now)
	} else if !op.NoBump && age(state, now) >= flatBumpSec {
		s.bump(h, ref, state, word, now)
	}
	if visit != nil {
		visit(v)
	}
	st.mu.Unlock()
	return Hit
}

// readMarks finds out whether this get is the one to recache, and notes it if
// so. Caller holds the stripe.
func (v *View) readMarks(word uint64, op *GetOp, now uint32) {
	v.TokenSent = word&markToken != 0
	v.Stale = word&markStale != 0
	if v.TokenSent {
		return
	}
	exp := v.Exptime()
	if op.RecacheFirst {
		exp = v.ExptimeBefore
	}
	v.Won = v.Stale || op.Recache && exp != 0 && max(exp, now)-now < op.RecacheTTL
	if v.Won {
		v.h.mark(markToken)
	}
}

// getMissed ends a get without an item: it makes one if that is asked for. It
// unlocks the stripe, which the caller holds.
func (w *Worker) getMissed(st *stripe, k *Key, op *GetOp, visit func(*View), now uint32) Result {
	if !op.Vivify {
		st.mu.Unlock()
		return Miss
	}
	s := w.s
	p := spec{key: k.Bytes, exptime: op.VivifyExptime, cas: op.VivifyCAS}
	if op.Binary {
		p.facts = factBinary
	}
	p.settle(s)
	var f filler
	ok := f.start(s, &p, k.Hash, hold{st: st})
	if ok {
		f.f.ver = s.nextVer()
		f.f.list = s.listFor(p.exptime, now)
		f.f.marks = markToken // this get has won; later ones are told so
		if !op.NoBump {
			f.f.marks |= markFetched
		}
		if ok = s.enterLocked(st, k.Hash, &f.f, place{}, nil, false, now); !ok {
			f.drop()
		}
	}
	if !ok {
		st.mu.Unlock()
		return NoMemory
	}
	w.view = View{Item: Item{h: f.f.h, s: s, ref: f.f.ref}, ExptimeBefore: p.exptime, Created: true, Won: true}
	if visit != nil {
		visit(&w.view)
	}
	st.mu.Unlock()
	return Hit
}

// setExptimeLocked gives an item an expiry, in place if it has room for one,
// else by making a copy, which i then names. It reports false if no memory can
// be had. It tells nobody. Caller holds the stripe.
func (w *Worker) setExptimeLocked(st *stripe, k *Key, i *Item, at place, exptime, now uint32) bool {
	state := i.h.loadState()
	if state&factExp != 0 {
		w.s.setExptime(i.h, i.ref, state, exptime)
		return true
	}
	if exptime == 0 {
		return true
	}
	word := i.h.loadWord()
	f, ok := w.copyLocked(st, k, i.h, i.ref, exptime, i.h.ownCASValue(state))
	if !ok {
		return false
	}
	f.f.ver, f.f.quiet = word>>wordVerShift, true
	f.f.marks = word & (markFetched | markActive | markStale | markToken)
	f.f.list = wordList(word)
	// The copy is as old as the item was: touching is not reading.
	w.s.enterLocked(st, k.Hash, &f.f, at, i.h, true, access(state))
	i.h, i.ref = f.f.h, f.f.ref
	return true
}

// copyLocked makes a copy of a small item with another expiry and CAS. Caller
// holds the stripe.
func (w *Worker) copyLocked(st *stripe, k *Key, h *header, ref, exptime uint32, cas uint64) (filler, bool) {
	state := h.loadState()
	p := spec{
		key: k.Bytes, facts: state & factBinary, flags: h.clientFlags(state),
		exptime: exptime, cas: cas, valueLen: h.valueLen(), needExp: state&factExp != 0,
	}
	p.settle(w.s)
	var f filler
	if !f.start(w.s, &p, k.Hash, hold{st, ref}) {
		return f, false
	}
	if !f.writeValue(h) {
		f.drop()
		return f, false
	}
	return f, true
}

// Touch gives an item the expiry exptime: Hit, Miss or NoMemory.
func (w *Worker) Touch(k Key, exptime uint32) Result {
	op := GetOp{Touch: true, Exptime: exptime}
	return w.Get(k, &op, nil)
}

// Prefetch starts to read the index and item lines of keys that are about to
// be used, so that the waits for memory overlap instead of adding up. It takes
// no lock and what it reads decides nothing.
func (w *Worker) Prefetch(keys []Key) {
	if !lookAhead || len(keys) < 2 {
		return
	}
	s := w.s
	for i := range keys {
		hash := keys[i].Hash
		s.index.fetchBucket(s.home(s.stripe(hash), hash))
	}
	for i := range keys {
		hash := keys[i].Hash
		b := s.index.bucket(s.home(s.stripe(hash), hash))
		tag := tagOf(hash)
		if m := match8(b.tags8, tag); m != 0 {
			s.fetchItem(b.refs[bits.TrailingZeros64(m)>>3])
		} else if m := match4(b.tags4, tag); m != 0 {
			s.fetchItem(b.refs[8+bits.TrailingZeros32(m)>>3%4])
		}
	}
}
