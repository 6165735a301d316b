package persist

import (
	"bytes"
	"sync/atomic"

	"github.com/holdfast-cache/holdfast/slab"
)

// replayWork is what a replayer has to do: a block, or to note a loss.
type replayWork struct {
	b    *block
	lost laneSet
	ver  uint64
}

// replayer puts back what the blocks of some lanes say, in order. It is one
// goroutine's.
type replayer struct {
	s      *slab.Store
	w      *slab.Worker
	o      *replayOptions
	work   chan replayWork
	unpack unpacker
	batch  []Entry
	keys   []slab.Key
	n      Replayed
	seen   atomic.Uint64 // entries so far
}

func newReplayer(s *slab.Store, o *replayOptions, ahead int) *replayer {
	return &replayer{
		s: s, w: s.NewWorker(), o: o, work: make(chan replayWork, ahead),
		batch: make([]Entry, slab.RestoreMax), keys: make([]slab.Key, slab.RestoreMax),
	}
}

func (r *replayer) run(empty chan<- *block) {
	defer r.unpack.close()
	for x := range r.work {
		if x.b == nil {
			r.distrust(x.lost, x.ver)
			continue
		}
		r.block(x.b)
		r.seen.Store(r.n.Entries)
		empty <- x.b
	}
}

// distrust notes that changes are missing. All that has been put back so far in
// these lanes is in the store since before the journal or has passed here.
func (r *replayer) distrust(lanes laneSet, ver uint64) {
	for lane := range r.n.lanes {
		if lanes>>lane&1 != 0 {
			r.n.lanes[lane] = max(r.n.lanes[lane], 1+max(r.o.ver, r.n.Ver, ver))
		}
	}
}

// block puts back the entries of a block. One that has a right checksum and is
// malformed was not written by this program; it is damage like any other.
func (r *replayer) block(b *block) {
	payload, err := r.unpack.unpack(b)
	r.w.Lock()
	defer r.w.Unlock()
	for left := int(b.entries); left > 0 && err == nil; {
		n := 0
		for n < min(left, slab.RestoreMax) && err == nil {
			var size int
			if size, err = parseEntry(payload, &r.batch[n]); err == nil {
				payload = payload[size:]
				r.keys[n] = r.s.Key(r.batch[n].Key)
				n++
			}
		}
		r.w.Prefetch(r.keys[:n])
		for i := range r.batch[:n] {
			r.apply(&r.batch[i])
		}
		r.n.Entries += uint64(n)
		left -= n
	}
	if err != nil || len(payload) > 0 {
		r.n.BadBlocks++
		r.n.Gaps++
		r.distrust(1<<(b.lane%laneCount), 0)
	}
}

// apply does what an entry says.
func (r *replayer) apply(e *Entry) {
	n := &r.n
	n.Ver = max(n.Ver, e.Ver)
	switch e.Op {
	case OpPut:
		r.put(e)
	case OpTouch:
		n.Touched++
		r.w.RestoreTouched(e.Key, e.Ver, e.Exptime)
	case OpRemove:
		n.Removed++
		r.w.RestoreRemoved(e.Key, e.Ver)
	case OpFlush:
		n.Flushes++
		r.s.RestoreFlushed(e.Ver)
	}
}

// put puts an item back. If it cannot be, it still replaces what was there before.
func (r *replayer) put(e *Entry) {
	n := &r.n
	e.Marks |= r.o.marks
	res := r.w.Restore(&e.Record)
	if res == slab.Stored {
		n.Items++
		return
	}
	switch {
	case res == slab.TooLarge:
		n.TooLarge++
	case res == slab.NoMemory:
		n.NoMemory++
	case e.Ver <= r.s.Flushed():
		n.Flushed++
	case e.Exptime != 0 && e.Exptime <= r.s.Now():
		n.Expired++
	default:
		n.Older++
	}
	if e.Ver > 0 {
		r.w.RestoreRemoved(e.Key, e.Ver-1)
	}
}

// removeDistrusted removes the items that are below the version of their lane,
// and returns how many there were.
func removeDistrusted(s *slab.Store, lanes *[laneCount]uint64) (removed uint64) {
	if *lanes == ([laneCount]uint64{}) {
		return 0
	}
	type suspect struct {
		key []byte
		ver uint64
	}
	var suspects []suspect
	var c slab.Cursor
	w := s.NewWorker()
	for done := false; !done; {
		suspects = suspects[:0]
		done = s.Walk(&c, slab.AllClasses, 1000, func(i slab.Item) {
			if key := i.Key(); i.Ver() < lanes[laneOf(key)] {
				suspects = append(suspects, suspect{bytes.Clone(key), i.Ver()})
			}
		})
		for _, x := range suspects {
			w.RestoreRemoved(x.key, x.ver)
		}
		removed += uint64(len(suspects))
	}
	return removed
}
