package slab

// Pending is a value on its way into the store: the caller writes to Span,
// says Advance, and in the end Commit or Abort, exactly one of them. Memory is
// taken piece by piece as the value comes in. Not safe for concurrent use.
type Pending struct {
	s    *Store
	f    filler
	op   SetOp
	size int // length of the value in bytes
	held int64
	// starved says that there was no memory for all of the value.
	starved bool
}

// Reserve starts to store a value of valueLen bytes that is still to come. The
// result is Stored if the Pending may be filled; otherwise it is why the set
// failed, and there is no Pending. Key and op may be reused at once.
func (w *Worker) Reserve(k Key, op *SetOp, valueLen int) (*Pending, Result) {
	s := w.s
	if s.wireSize(len(k.Bytes), valueLen, op.Flags) > s.cfg.ItemSizeMax {
		return nil, w.failSet(k, op, TooLarge).Result
	}
	p := s.pendings.Get().(*Pending)
	sp := op.spec(s, k, valueLen)
	if !p.f.start(s, &sp, k.Hash, hold{}) {
		s.pendings.Put(p)
		return nil, w.failSet(k, op, NoMemory).Result
	}
	p.s, p.op, p.size = s, *op, valueLen
	p.count(1)
	return p, Stored
}

// count notes that the Pending holds n more chunks.
func (p *Pending) count(n int64) {
	p.held += n
	p.s.pendingChunks.Add(n)
}

// Span returns room for the next bytes of the value. It is empty when the
// value is complete, and nil when no memory can be had for more of it: the set
// has failed then, and the caller ends it, by Fail as a rule. It aliases item
// memory until Advance, Commit or Abort.
//
// What a set that has failed held of the value is free at once, not only when
// its client has sent the rest: of many values that do not fit together, those
// that do get their memory.
func (p *Pending) Span() []byte {
	if p.starved {
		return nil
	}
	last := p.f.last
	span := p.f.span()
	if p.f.last != last {
		p.count(1)
	}
	if span == nil && p.f.left == 0 {
		return []byte{}
	}
	if span == nil {
		p.starved = true
		p.count(1 - p.held)
		p.f.shed()
	}
	return span
}

// Advance says that the first n bytes of the Span have been written.
func (p *Pending) Advance(n int) { p.f.advance(n) }

// Remaining returns how many bytes of the value are still to come.
func (p *Pending) Remaining() int { return len(p.f.room) + p.f.left }

// Commit stores the value, as Set would have; all of it must have been
// written. The Pending is gone afterwards.
func (p *Pending) Commit(w *Worker) SetResult {
	s := p.s
	key := p.f.f.h.key()
	k := Key{Bytes: key, Hash: s.hash(key)}
	op := p.op
	if p.starved || p.Remaining() > 0 {
		res := w.failSet(k, &op, NoMemory)
		p.Abort()
		return res
	}
	if op.Mode >= ModeAppend {
		res := w.extend(k, &op, p.size, nil, p.f.f.h)
		p.Abort()
		return res
	}
	f, size := p.f.f, p.size
	p.forget()
	return w.store(k, &op, &f, size)
}

// Fail ends a set whose value could not be taken in: the memory is given back
// and, if the operation says DropOnFail, the present item is removed.
func (p *Pending) Fail(w *Worker) {
	if p.op.DropOnFail {
		key := p.f.f.h.key()
		w.Drop(Key{Bytes: key, Hash: p.s.hash(key)})
	}
	p.Abort()
}

// Abort gives the memory back; nothing is stored. Any goroutine may call it.
func (p *Pending) Abort() {
	p.f.drop()
	p.forget()
}

// forget makes the Pending free to be used again. The chunks are no longer its own.
func (p *Pending) forget() {
	s := p.s
	p.count(-p.held)
	p.f, p.starved = filler{}, false
	s.pendings.Put(p)
}
