package slab

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// Putting back what was kept elsewhere. Between BeginRestore and EndRestore
// clients may already be served: what they change is remembered by key, and
// such a key is not put back any more, whatever became of it since.

// changesMax bounds the keys that are remembered; about 200 MB of them.
const changesMax = 4 << 20

// changes are the keys that clients have changed since BeginRestore.
type changes struct {
	on  atomic.Bool
	any atomic.Bool // of the hashes
	mu  struct {
		sync.Mutex
		hashes map[uint64]struct{}
	}
}

// note remembers a change, if anything is being put back. Caller holds the
// stripe of the key, and so has who asks has.
func (c *changes) note(hash uint64) {
	if !c.on.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.hashes != nil && len(c.mu.hashes) < changesMax {
		c.mu.hashes[hash] = struct{}{}
		c.any.Store(true)
	}
}

// has reports whether a key was changed, or may have been.
func (c *changes) has(hash uint64) bool {
	if !c.any.Load() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, is := c.mu.hashes[hash]
	return is || len(c.mu.hashes) == changesMax
}

// BeginRestore prepares the store for putting items back: none has a version
// above ver, and changes from now on have higher ones. The index is made ready
// for so many items, 0 if that is not known. It must come before any other
// operation. Any number of goroutines may then call the Restore methods, each
// with a Worker of its own.
func (s *Store) BeginRestore(ver uint64, items int) {
	s.raiseVersion(ver)
	s.expect(items)
	s.changed.mu.Lock()
	s.changed.mu.hashes = map[uint64]struct{}{}
	s.changed.any.Store(false)
	s.changed.mu.Unlock()
	s.changed.on.Store(true)
}

// EndRestore says that nothing more is put back. If no client has been served
// yet it may be asked to put the lists in order of last access, which takes
// about 100 ns an item.
func (s *Store) EndRestore(order bool) {
	s.changed.on.Store(false)
	s.changed.mu.Lock()
	s.changed.mu.hashes = nil
	s.changed.mu.Unlock()
	for id := 1; order && id < len(s.classes); id++ {
		s.orderLists(&s.classes[id])
	}
}

// Restore puts an item back, under its own version. The bytes of r are copied.
// It returns Stored, or NotStored if the item is dead or the store has, or had
// since BeginRestore, something later of the key, or TooLarge or NoMemory.
func (w *Worker) Restore(r *Record) Result {
	s := w.s
	now := s.now.Load()
	if r.Ver <= s.flushVer.Load() || r.Exptime != 0 && r.Exptime <= now {
		return NotStored
	}
	if s.wireSize(len(r.Key), len(r.Value), r.Flags) > s.cfg.ItemSizeMax {
		return TooLarge
	}
	k := s.Key(r.Key)
	p := r.spec(s)
	var f filler
	if !f.start(s, &p, k.Hash, hold{}) {
		return NoMemory
	}
	if !f.write(r.Value) {
		f.drop()
		return NoMemory
	}
	f.f.resume(s, r, now)
	st := s.stripe(k.Hash)
	st.mu.Lock()
	old, _, at := s.findLocked(st, &k)
	ok := !s.changed.has(k.Hash) && (old == nil || old.ver() < r.Ver)
	res := NotStored
	if ok {
		res = Stored
		if ok = s.enterLocked(st, k.Hash, &f.f, at, old, false, r.LastAccess); !ok {
			res = NoMemory
		}
	}
	st.mu.Unlock()
	if !ok {
		f.drop()
	}
	return res
}

// spec returns the item that a record is to become.
func (r *Record) spec(s *Store) spec {
	p := spec{key: r.Key, flags: r.Flags, exptime: r.Exptime, cas: r.CAS, valueLen: len(r.Value)}
	if r.Marks&MarkBinary != 0 {
		p.facts = factBinary
	}
	p.settle(s)
	return p
}

// resume gives an item back what a record says of its life so far.
func (f *fresh) resume(s *Store, r *Record, now uint32) {
	f.ver, f.quiet = r.Ver, true
	f.marks = r.Marks.word()
	f.list = s.listFor(r.Exptime, now)
	if f.list == Hot && r.Marks&MarkWarm != 0 {
		f.list = Warm
	}
}

// word returns the marks as they stand in an item's word.
func (m Marks) word() (bits uint64) {
	if m&MarkFetched != 0 {
		bits |= markFetched
	}
	if m&MarkStale != 0 {
		bits |= markStale
	}
	if m&MarkToken != 0 {
		bits |= markToken
	}
	if m&MarkActive != 0 {
		bits |= markActive
	}
	return bits
}

// RestoreRemoved removes what has been put back of a key up to version ver.
func (w *Worker) RestoreRemoved(key []byte, ver uint64) {
	s := w.s
	k := s.Key(key)
	st := s.stripe(k.Hash)
	st.mu.Lock()
	if h, ref, at := s.findLocked(st, &k); h != nil && h.ver() <= ver {
		s.removeLocked(st, at)
		s.discardLocked(h, ref)
	}
	st.mu.Unlock()
}

// RestoreTouched gives an item that has been put back another exptime, if it is
// of version ver.
func (w *Worker) RestoreTouched(key []byte, ver uint64, exptime uint32) {
	s := w.s
	k := s.Key(key)
	st := s.stripe(k.Hash)
	st.mu.Lock()
	if h, ref, at := s.findLocked(st, &k); h != nil && h.ver() == ver && !s.changed.has(k.Hash) {
		i := Item{h: h, s: s, ref: ref}
		w.setExptimeLocked(st, &k, &i, at, exptime, s.now.Load())
	}
	st.mu.Unlock()
}

// RestoreFlushed makes every item of version ver or lower a dead one.
func (s *Store) RestoreFlushed(ver uint64) { s.raiseFlush(ver) }

// Version returns the highest version given out so far.
func (s *Store) Version() uint64 { return s.ver.Load() & verMask }

// raiseVersion makes every version from now on higher than ver.
func (s *Store) raiseVersion(ver uint64) {
	for {
		old := s.ver.Load()
		if ver <= old || s.ver.CompareAndSwap(old, ver) {
			return
		}
	}
}

// expect makes the index of an empty store as large as so many items want it,
// within a quarter of the limit: they come without a split then.
func (s *Store) expect(items int) {
	x := &s.index
	rows := uint32(min(uint64(items)/bucketLoad>>x.stripeBits+1, uint64(x.rowsMax)))
	for x.rowsBytes(rows) > s.limit.Load()/4 {
		rows /= 2
	}
	s.pool.mu.Lock()
	more := x.rowsBytes(rows) - x.rowsBytes(x.rows.Load())
	ok := more > 0 && s.chargeIndexLocked(more)
	if ok {
		x.rows.Store(rows)
	}
	s.pool.mu.Unlock()
	for i := range s.stripes {
		st := &s.stripes[i]
		st.mu.Lock()
		if ok && st.items == 0 {
			st.n, st.mask, st.grow = rows, 1<<bits.Len32(rows-1)-1, rows*bucketLoad
		}
		st.mu.Unlock()
	}
}
