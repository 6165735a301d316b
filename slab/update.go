package slab

// lookupLocked returns the item with this key if it is alive. A dead one is
// taken out on the way. Caller holds the stripe.
func (w *Worker) lookupLocked(st *stripe, k *Key, now uint32) (*header, uint32, place) {
	s := w.s
	h, ref, at := s.findLocked(st, k)
	if h == nil {
		return nil, 0, place{}
	}
	expired, flushed := s.dead(h, h.loadState(), now)
	if !expired && !flushed {
		return h, ref, at
	}
	n := &w.counts[wordClass(h.loadWord())]
	if flushed {
		n.getFlushed++
	} else {
		n.getExpired++
	}
	s.removeLocked(st, at)
	s.discardLocked(h, ref)
	return nil, 0, place{}
}

// discardLocked ends an item that is out of the index: off its list, retired,
// freed. Caller holds the stripe and no class.
func (s *Store) discardLocked(h *header, ref uint32) {
	c := &s.classes[wordClass(h.loadWord())]
	c.mu.Lock()
	v := s.detachLocked(c, h, ref)
	s.freeVictim(c, &v)
}

// freeVictim frees an item that was taken out, if no pin holds it, and unlocks
// the class c, which the caller holds.
func (s *Store) freeVictim(c *class, v *victim) {
	if v.free && s.pages[s.pageOf(v.ref)].class == c.id && !v.h.chained(v.state) {
		s.freeChunkLocked(c, v.ref)
		v.free = false
	}
	c.mu.Unlock()
	if v.free {
		s.freeItem(v.h, v.ref, v.state)
	}
}

// enterLocked makes a filled chunk an item, in place of old if that is not
// nil: at is then old's slot. The order is that of I5 and I2: whoever finds the
// memory after a crash sees old, both, or the new one, always whole. With
// inPlace the new item takes old's place on its list too. It reports false,
// having done nothing, if there is no room in the index. Caller holds the
// stripe.
func (s *Store) enterLocked(st *stripe, hash uint64, f *fresh, at place, old *header, inPlace bool, now uint32) bool {
	h := f.h
	var oldRef uint32
	if old != nil {
		oldRef = at.b.refs[at.slot]
		at.b.refs[at.slot] = f.ref
	} else if !s.insertLocked(st, hash, f.ref) && !s.insertOver(st, hash, f.ref) {
		return false
	}
	step := 0.0
	if old != nil {
		s.inherit(f, old.loadWord(), inPlace)
	} else if f.list == Hot && !f.quiet { // what is put back comes by nobody's wish
		if step = s.recallLocked(st, hash); step != 0 {
			f.list = Warm // it has come back: it is past probation
		}
	}
	h.word = f.word()
	s.step(stepFilled)
	if f.facts&factLarge != 0 {
		s.claimPieces(h)
		s.step(stepClaimed)
	}
	h.setState(stamp(f.facts, now))
	s.step(stepPublished)
	if s.sizes.on() {
		s.sizes.add(Item{h, s, f.ref}.TotalBytes(), 1)
	}
	c := &s.classes[f.class]
	if old == nil {
		c.mu.Lock()
		c.counts.total++
		if step != 0 {
			c.adaptLocked(step)
			c.counts.movesToWarm++
		}
		s.joinLocked(c, f.list, h, f.ref)
		c.mu.Unlock()
	} else {
		s.replaceLocked(c, f, old, oldRef, inPlace)
	}
	if !f.quiet {
		s.tellStored(hash, h, f.ref)
	}
	return true
}

// replaceLocked links a published item and discards the one that it replaces.
// Caller holds the stripe.
func (s *Store) replaceLocked(c *class, f *fresh, old *header, oldRef uint32, inPlace bool) {
	c.mu.Lock()
	oldWord := old.loadWord()
	if wordClass(oldWord) != c.id {
		s.joinLocked(c, f.list, f.h, f.ref)
		if !inPlace {
			c.counts.total++
		}
		c.mu.Unlock()
		s.discardLocked(old, oldRef)
		return
	}
	// Lists move items without the stripe: old may have moved since its list
	// and marks were taken over.
	if s.inherit(f, oldWord, inPlace) {
		f.h.setWord(wordListMask|markActive|markDemoted, uint64(f.list)<<wordListShift|f.marks&(markActive|markDemoted))
	}
	if inPlace {
		s.swapLocked(c, f.list, old, f.h, f.ref)
		v := victim{h: old, ref: oldRef, state: old.loadState()}
		if s.sizes.on() {
			s.sizes.add(Item{old, s, oldRef}.TotalBytes(), -1)
		}
		v.free = s.retireLocked(old, v.state)
		s.freeVictim(c, &v)
		return
	}
	c.counts.total++
	s.joinLocked(c, f.list, f.h, f.ref)
	v := s.detachLocked(c, old, oldRef)
	s.freeVictim(c, &v)
}

// insertOver enters a ref when the bucket is full and the index may not grow:
// in place of the item of that bucket that was not accessed for the longest
// time, rather one that is dead or not active. It reports false if evictions are off.
// Caller holds the stripe.
func (s *Store) insertOver(st *stripe, hash uint64, ref uint32) bool {
	if s.cfg.NoEvict {
		return false
	}
	now := s.now.Load()
	var oldest place
	var most uint32
	for b := s.index.bucket(s.home(st, hash)); ; b = s.index.bucket(b.next) {
		for slot, r := range &b.refs {
			h := s.header(r)
			state := h.loadState()
			cold := age(state, now)
			if expired, flushed := s.dead(h, state, now); expired || flushed {
				cold += 2 * (accessMask + 1)
			} else if h.loadWord()&markActive == 0 {
				cold += accessMask + 1
			}
			if oldest.b == nil || cold > most {
				oldest, most = place{b, slot}, cold
			}
		}
		if b.next == 0 {
			break
		}
	}
	r := oldest.b.refs[oldest.slot]
	h := s.header(r)
	c := &s.classes[wordClass(h.loadWord())]
	c.mu.Lock()
	expired, flushed := s.dead(h, h.loadState(), now)
	s.countVictim(c, h, expired || flushed, now)
	v := s.detachLocked(c, h, r)
	s.freeVictim(c, &v)
	oldest.b.put(oldest.slot, tagOf(hash), ref)
	return true
}

// Set stores a value. The bytes are copied.
func (w *Worker) Set(k Key, op *SetOp, value []byte) SetResult {
	s := w.s
	if s.wireSize(len(k.Bytes), len(value), op.Flags) > s.cfg.ItemSizeMax {
		return w.failSet(k, op, TooLarge)
	}
	if op.Mode >= ModeAppend {
		return w.extend(k, op, len(value), value, nil)
	}
	if lookAhead { // the bucket comes while the chunk is filled
		s.index.fetchBucket(s.home(s.stripe(k.Hash), k.Hash))
	}
	p := op.spec(s, k, len(value))
	if n := p.bytes(); n <= int(s.top().size) {
		ref, id := s.alloc(s.classFor(n), hold{})
		if ref == 0 {
			return w.failSet(k, op, NoMemory)
		}
		h := s.header(ref)
		h.fill(&p)
		s.step(stepTaken)
		copy(h.inline(len(value)), value)
		f := fresh{h: h, ref: ref, facts: p.facts, class: id}
		return w.store(k, op, &f, len(value))
	}
	var f filler
	if !f.start(s, &p, k.Hash, hold{}) {
		return w.failSet(k, op, NoMemory)
	}
	if !f.write(value) {
		f.drop()
		return w.failSet(k, op, NoMemory)
	}
	return w.store(k, op, &f.f, len(value))
}

// spec returns the item that the operation wants to store, with a value of n bytes.
func (op *SetOp) spec(s *Store, k Key, n int) spec {
	p := spec{key: k.Bytes, flags: op.Flags, exptime: op.Exptime, cas: op.NewCAS, valueLen: n}
	if op.Binary {
		p.facts = factBinary
	}
	// A stale store keeps the old item's exptime and needs a place for it.
	p.needExp = op.Compare && op.Invalidate
	p.settle(s)
	return p
}

// failSet ends a set that could not be tried.
func (w *Worker) failSet(k Key, op *SetOp, why Result) SetResult {
	if op.DropOnFail {
		w.Drop(k)
	}
	return SetResult{Result: why}
}

// store decides what becomes of a filled item (set, add, replace), and frees
// it if it is not stored.
func (w *Worker) store(k Key, op *SetOp, f *fresh, valueLen int) SetResult {
	s := w.s
	w.counts[f.class].sets++
	now := s.now.Load()
	st := s.stripe(k.Hash)
	st.mu.Lock()
	old, _, at := w.lookupLocked(st, &k, now)
	res := Stored
	if old != nil || op.Mode == ModeReplace || op.Compare {
		res = w.decide(op, f, old, now)
	}
	var cas uint64
	if res == Stored {
		f.ver = s.nextVer()
		f.list = s.listFor(f.h.exptime(f.facts), now)
		cas = s.shownCAS(op.NewCAS, f.ver)
		if !s.enterLocked(st, k.Hash, f, at, old, false, now) {
			res, cas, valueLen = NoMemory, 0, 0
		}
	}
	st.mu.Unlock()
	if res != Stored {
		s.freeItem(f.h, f.ref, f.facts)
		return SetResult{Result: res, Class: f.class}
	}
	return SetResult{Result: Stored, CAS: cas, ValueLen: valueLen, Class: f.class}
}

// shownCAS returns the compare value of an item with these numbers.
func (s *Store) shownCAS(own, ver uint64) uint64 {
	switch {
	case s.cfg.NoCAS:
		return 0
	case own != 0:
		return own
	}
	return ver
}

// decide says what a set, add or replace comes to, given the present item, nil
// if there is none. It counts compares and passes on what a stale store keeps.
func (w *Worker) decide(op *SetOp, f *fresh, old *header, now uint32) Result {
	switch {
	case op.Mode == ModeAdd && old == nil:
		return Stored
	case op.Mode == ModeAdd:
		// memcached counts a failed add as a use of the item.
		old.touch(old.loadState(), now)
		return NotStored
	case old == nil && op.Compare:
		return NotFound
	case old == nil:
		return NotStored // replace
	case !op.Compare:
		return Stored
	}
	n := &w.counts[wordClass(old.loadWord())]
	state := old.loadState()
	cas := old.cas(state)
	switch {
	case w.s.cfg.NoCAS || op.CAS == 0:
	case op.CAS == cas:
		n.casHits++
		return Stored
	case op.Invalidate && op.CAS < cas:
		n.casHits++
		f.h.setExptime(f.facts, old.exptime(state))
		f.marks = markStale | old.loadWord()&markToken
		return Stored
	}
	n.casBadval++
	return Exists
}

// extend appends or prepends: value, or the value of the item more.
func (w *Worker) extend(k Key, op *SetOp, n int, value []byte, more *header) SetResult {
	s := w.s
	now := s.now.Load()
	st := s.stripe(k.Hash)
	st.mu.Lock()
	defer st.mu.Unlock()
	old, oldRef, at := w.lookupLocked(st, &k, now)
	if old == nil && !op.Vivify {
		w.counts[s.countClass(len(k.Bytes), n)].sets++
		return SetResult{Result: NotStored}
	}
	p := spec{key: k.Bytes, flags: op.Flags, exptime: op.VivifyExptime, cas: op.NewCAS, valueLen: n}
	if op.Binary {
		p.facts = factBinary
	}
	if old != nil {
		state := old.loadState()
		w.counts[wordClass(old.loadWord())].sets++
		if op.Compare && op.CAS != 0 && !s.cfg.NoCAS && op.CAS != old.cas(state) {
			return SetResult{Result: Exists}
		}
		p.flags, p.exptime, p.facts = old.clientFlags(state), old.exptime(state), state&factBinary
		p.valueLen += old.valueLen()
		if s.wireSize(len(k.Bytes), p.valueLen, p.flags) > s.cfg.ItemSizeMax {
			return SetResult{Result: NotStored}
		}
	}
	p.settle(s)
	var f filler
	ok := f.start(s, &p, k.Hash, hold{st, oldRef})
	if ok && old != nil && op.Mode == ModeAppend {
		ok = f.writeValue(old)
	}
	if ok && more != nil {
		ok = f.writeValue(more)
	} else if ok {
		ok = f.write(value)
	}
	if ok && old != nil && op.Mode == ModePrepend {
		ok = f.writeValue(old)
	}
	if ok {
		f.f.ver = s.nextVer()
		f.f.list = s.listFor(p.exptime, now)
		ok = s.enterLocked(st, k.Hash, &f.f, at, old, false, now)
	}
	if !ok {
		f.drop()
		return SetResult{Result: NotStored}
	}
	if old == nil {
		w.counts[f.f.class].sets++
	}
	return SetResult{Result: Stored, CAS: s.shownCAS(op.NewCAS, f.f.ver), ValueLen: p.valueLen, Class: f.f.class}
}

// countClass returns the class that an item of these lengths would count in.
func (s *Store) countClass(key, value int) uint8 {
	if id := s.classFor(headerBytes + key + value); id != 0 {
		return id
	}
	return s.top().id
}

// Drop removes an item silently: a set of its key failed, and its old value
// must not be read any more.
func (w *Worker) Drop(k Key) {
	s := w.s
	st := s.stripe(k.Hash)
	st.mu.Lock()
	if h, ref, at := s.findLocked(st, &k); h != nil {
		s.removeLocked(st, at)
		s.discardLocked(h, ref)
	}
	s.tellRemoved(&k, s.Version())
	st.mu.Unlock()
}
