package slab

// Putting back many items at a time. Workers that put back items of one class,
// each on a processor of its own, would hand each other the class's lock and the
// head of its list twice an item. So the common case, a small item whose key the
// store does not have, is done in steps, each for the whole batch:
//
//	chunks    taken under the class's lock
//	bytes     written, no lock being held
//	index     entered, the stripes locked one after the other and kept
//	lists     published and linked under the class's lock; the stripes let go
//
// What is not so simple, a stripe that is locked already included, is left to
// Restore.

// RestoreMax is how many items RestoreAll takes at most: as many stripes may be
// locked at a time.
const RestoreMax = 16

// restoring is an item of a batch on its way into the store.
type restoring struct {
	fresh
	spec
	st *stripe // locked, if the item is in the index
}

// RestoreAll is Restore for up to RestoreMax items. keys are theirs, as Key
// makes them; res is filled in with what became of each.
func (w *Worker) RestoreAll(rs []*Record, keys []Key, res []Result) {
	s := w.s
	b := w.batch[:len(rs)]
	now := s.now.Load()
	for i, r := range rs {
		b[i].prepare(s, r, now)
	}
	s.takeChunks(b)
	for i, r := range rs {
		if p := &b[i]; p.ref != 0 {
			p.h = s.header(p.ref)
			p.h.fill(&p.spec)
			s.step(stepTaken)
			copy(p.h.inline(len(r.Value)), r.Value)
		}
	}
	for i := range b {
		if b[i].ref != 0 && !s.enterRestored(&b[i], &keys[i]) {
			s.freeItem(b[i].h, b[i].ref, b[i].spec.facts)
		}
	}
	s.publishAll(b, rs)
	for i, r := range rs {
		if b[i].st == nil {
			res[i] = w.Restore(r)
			continue
		}
		res[i] = Stored
	}
	clear(b)
}

// prepare says what chunk an item wants. One that cannot go with the others has
// no class.
func (p *restoring) prepare(s *Store, r *Record, now uint32) {
	*p = restoring{spec: r.spec(s)}
	if r.Ver <= s.flushVer.Load() || r.Exptime != 0 && r.Exptime <= now || p.spec.facts&factLarge != 0 ||
		s.wireSize(len(r.Key), len(r.Value), r.Flags) > s.cfg.ItemSizeMax {
		return
	}
	p.resume(s, r, now)
	p.class = s.classFor(p.bytes())
}

// takeChunks takes a chunk for every item whose class has one to give.
func (s *Store) takeChunks(b []restoring) {
	for i := 0; i < len(b); {
		c := &s.classes[b[i].class]
		if c.id == 0 {
			i++
			continue
		}
		c.mu.Lock()
		for ; i < len(b) && b[i].class == c.id; i++ {
			b[i].ref = s.takeChunkLocked(c)
		}
		c.mu.Unlock()
	}
}

// enterRestored enters a filled chunk in the index and leaves its stripe
// locked. It reports false, having done nothing, if that takes more than a free
// stripe and a free slot.
func (s *Store) enterRestored(p *restoring, k *Key) bool {
	st := s.stripe(k.Hash)
	// Others of the batch are locked: this is no place to wait.
	if !st.mu.TryLock() {
		return false
	}
	old, _, _ := s.findLocked(st, k)
	if old != nil || s.changed.has(k.Hash) || !s.insertLocked(st, k.Hash, p.ref) {
		st.mu.Unlock()
		return false
	}
	p.st = st
	return true
}

// publishAll makes what is in the index items, and unlocks their stripes.
func (s *Store) publishAll(b []restoring, rs []*Record) {
	for i := 0; i < len(b); {
		if b[i].st == nil {
			i++
			continue
		}
		c := &s.classes[b[i].class]
		c.mu.Lock()
		for ; i < len(b) && b[i].st != nil && b[i].class == c.id; i++ {
			p := &b[i]
			p.h.word = p.word()
			s.step(stepFilled)
			p.h.setState(stamp(p.spec.facts, rs[i].LastAccess))
			s.step(stepPublished)
			c.counts.total++
			s.joinLocked(c, p.list, p.h, p.ref)
		}
		c.mu.Unlock()
	}
	for i := range b {
		if p := &b[i]; p.st != nil {
			if s.sizes.on() {
				s.sizes.add(Item{p.h, s, p.ref}.TotalBytes(), 1)
			}
			p.st.mu.Unlock()
		}
	}
}
