package slab

// Delete removes an item, or does to it what op says: Hit, Miss, Exists, or
// NoMemory where op needs a new item. op may be nil.
func (w *Worker) Delete(k Key, op *DeleteOp) Result {
	s := w.s
	now := s.now.Load()
	st := s.stripe(k.Hash)
	st.mu.Lock()
	res := w.deleteLocked(st, &k, op, now)
	st.mu.Unlock()
	return res
}

func (w *Worker) deleteLocked(st *stripe, k *Key, op *DeleteOp, now uint32) Result {
	h, ref, at := w.lookupLocked(st, k, now)
	if h == nil {
		w.s.tellRemoved(k, w.s.Version())
		return Miss
	}
	if op == nil {
		w.removeItemLocked(st, k, h, ref, at)
		return Hit
	}
	state := h.loadState()
	if op.Compare && (w.s.cfg.NoCAS && op.CAS != 0 || !w.s.cfg.NoCAS && op.CAS != h.cas(state)) {
		return Exists
	}
	switch {
	case op.DropValue:
		return w.emptyLocked(st, k, h, ref, at, op, now)
	case op.Invalidate:
		return w.invalidateLocked(st, k, h, ref, at, op, now)
	}
	w.removeItemLocked(st, k, h, ref, at)
	return Hit
}

func (w *Worker) removeItemLocked(st *stripe, k *Key, h *header, ref uint32, at place) {
	w.counts[wordClass(h.loadWord())].deleteHits++
	ver := h.ver()
	w.s.removeLocked(st, at)
	w.s.discardLocked(h, ref)
	w.s.tellRemoved(k, ver)
}

// emptyLocked replaces the item by one without value and client flags, which
// keeps the old CAS unless it is invalidated as well.
func (w *Worker) emptyLocked(st *stripe, k *Key, h *header, ref uint32, at place, op *DeleteOp, now uint32) Result {
	s := w.s
	state, word := h.loadState(), h.loadWord()
	p := spec{key: k.Bytes, facts: state & factBinary, cas: op.NewCAS}
	if op.SetExptime {
		p.exptime = op.Exptime
	}
	if p.cas == 0 && !op.Invalidate {
		p.cas = h.cas(state)
	}
	p.settle(s)
	var f filler
	if !f.start(s, &p, k.Hash, hold{st, ref}) {
		return NoMemory
	}
	f.f.ver = s.nextVer()
	f.f.list = s.listFor(p.exptime, now)
	if op.Invalidate {
		f.f.marks = markStale
	} else {
		w.counts[wordClass(word)].deleteHits++
	}
	s.enterLocked(st, k.Hash, &f.f, at, h, false, now)
	return Hit
}

// invalidateLocked marks the item stale and gives it a new CAS, in place if it
// has room for what shall change. ver and marks change in one store.
func (w *Worker) invalidateLocked(st *stripe, k *Key, h *header, ref uint32, at place, op *DeleteOp, now uint32) Result {
	s := w.s
	state := h.loadState()
	needs := op.NewCAS != 0 && state&factCAS == 0 ||
		op.SetExptime && op.Exptime != 0 && state&factExp == 0
	if !needs {
		if op.SetExptime && state&factExp != 0 {
			s.setExptime(h, ref, state, op.Exptime)
		}
		if state&factCAS != 0 {
			h.setOwnCAS(state, op.NewCAS)
		}
		h.setWord(verMask<<wordVerShift|markStale|markToken, s.nextVer()<<wordVerShift|markStale)
		s.tellStored(k.Hash, h, ref)
		return Hit
	}
	exptime := h.exptime(state)
	if op.SetExptime {
		exptime = op.Exptime
	}
	f, ok := w.copyLocked(st, k, h, ref, exptime, op.NewCAS)
	if !ok {
		return NoMemory
	}
	word := h.loadWord()
	f.f.ver = s.nextVer()
	f.f.marks = word&(markFetched|markActive) | markStale
	f.f.list = wordList(word)
	s.enterLocked(st, k.Hash, &f.f, at, h, true, access(state))
	return Hit
}
