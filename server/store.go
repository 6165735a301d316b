package server

import (
	"github.com/holdfast-cache/holdfast/protocol"
	"github.com/holdfast-cache/holdfast/slab"
)

// set carries out a storage request of either dialect whose value lies in the
// buffer.
func (x *executor) set(s *Session, r *protocol.Request, k slab.Key) {
	x.prepareSet(s, r, k)
	if r.BadChunk {
		x.refuseChunk(s, r, k)
		return
	}
	res := x.w.Set(k, &x.setOp, r.Value)
	x.countSet(&x.setOp, res.Result)
	if x.node.watch.on() {
		x.watchStore(s, r, &x.setOp, &res)
	}
	replySet(s, r, &res)
}

// prepareSet makes setOp out of r and tells those who want to know of it.
func (x *executor) prepareSet(s *Session, r *protocol.Request, k slab.Key) {
	if r.Op == protocol.OpMetaSet {
		x.setOp = x.metaSetOp(r)
	} else {
		x.setOp = slab.SetOp{Flags: r.Flags, Exptime: x.storeTime(r.Exptime)}
		switch r.Op {
		case protocol.OpSet:
			// A client whose set failed must not read the old value back.
			x.setOp.DropOnFail = true
		case protocol.OpAdd:
			x.setOp.Mode = slab.ModeAdd
		case protocol.OpReplace:
			x.setOp.Mode = slab.ModeReplace
		case protocol.OpAppend:
			x.setOp.Mode = slab.ModeAppend
		case protocol.OpPrepend:
			x.setOp.Mode = slab.ModePrepend
		case protocol.OpCas:
			x.setOp.Compare, x.setOp.CAS = true, r.CAS
		}
		if x.node.detail.on.Load() {
			x.node.detail.set(k.Bytes)
		}
	}
	x.watchLookup(s, k)
}

// metaSetOp is the operation an ms asks for.
func (x *executor) metaSetOp(r *protocol.Request) slab.SetOp {
	m := &r.Meta
	op := slab.SetOp{
		Flags: r.Flags, Exptime: x.storeTime(m.TTL), Binary: m.Binary,
		NewCAS: m.NewCAS, DropOnFail: true,
	}
	switch m.Mode {
	case 'E':
		op.Mode = slab.ModeAdd
	case 'R':
		op.Mode = slab.ModeReplace
	case 'A':
		op.Mode = slab.ModeAppend
	case 'P':
		op.Mode = slab.ModePrepend
	}
	appends := op.Mode == slab.ModeAppend || op.Mode == slab.ModePrepend
	if appends && m.Has('N') {
		op.Vivify, op.VivifyExptime = true, x.storeTime(m.Vivify)
	}
	switch {
	case !m.Has('C') || op.Mode == slab.ModeAdd:
	case appends:
		// For these a compare value of 0 compares nothing.
		op.Compare, op.CAS = m.CAS != 0, m.CAS
	default:
		// A replace that compares is a cas, on a missing item too.
		op.Mode, op.Compare, op.CAS = slab.ModeSet, true, m.CAS
		op.Invalidate = m.Has('I')
	}
	return op
}

// refuseChunk answers a request whose data block had no end. Nothing is stored,
// but what is too large is too large first.
func (x *executor) refuseChunk(s *Session, r *protocol.Request, k slab.Key) {
	pending, res := x.w.Reserve(k, &x.setOp, r.ValueLen)
	x.countReserve(res)
	err := protocol.ErrBadChunk
	if res == slab.Stored {
		pending.Abort()
	} else {
		err = setError(res)
	}
	replyError(s, r, err)
}

// BeginValue reserves memory for the value of a streaming request.
func (x *executor) BeginValue(s *Session, r *protocol.Request) Sink {
	if x.refused(s, r) {
		return nil
	}
	k := x.node.store.Key(r.Key())
	x.w.Lock()
	x.prepareSet(s, r, k)
	pending, res := x.w.Reserve(k, &x.setOp, r.ValueLen)
	if res != slab.Stored { // otherwise the sink counts it, once it is whole
		x.countReserve(res)
		if x.node.watch.on() {
			x.watchStore(s, r, &x.setOp, &slab.SetResult{Result: res})
		}
	}
	x.w.Unlock()
	if res != slab.Stored {
		before := len(s.Out.Buf)
		replyError(s, r, setError(res))
		x.promise(s, r, before) // what was there before may be gone
		return nil
	}
	return newSink(x, r, pending)
}

// countReserve counts a storage request that has been given memory, or not.
func (x *executor) countReserve(r slab.Result) {
	switch r {
	case slab.TooLarge:
		x.c.storeTooLarge++
	case slab.NoMemory:
		x.c.storeNoMemory++
	default:
		x.c.cmdSet++
	}
}

// countSet counts a storage request that ended so.
func (x *executor) countSet(op *slab.SetOp, r slab.Result) {
	x.countReserve(r)
	x.countCas(op, r)
}

// countCas counts a cas that ended so, in whichever dialect.
func (x *executor) countCas(op *slab.SetOp, r slab.Result) {
	if !op.Compare || op.Mode != slab.ModeSet {
		return
	}
	switch r {
	case slab.Stored:
		x.c.casHits++
	case slab.Exists:
		x.c.casBadval++
	case slab.NotFound:
		x.c.casMisses++
	}
}

// setError is the error line of a storage request without memory.
func setError(r slab.Result) *protocol.Error {
	if r == slab.TooLarge {
		return protocol.ErrTooLarge
	}
	return protocol.ErrNoMemory
}

// watchStore tells the watchers of a storage request that ended with res.
func (x *executor) watchStore(s *Session, r *protocol.Request, op *slab.SetOp, res *slab.SetResult) {
	size := r.ValueLen
	if res.Result == slab.Stored {
		size = res.ValueLen
	}
	x.node.watch.store(s, r.Key(), storeWord(r.Op, op), res.Result, op.Exptime, res.Class, size)
}

// storeWord is the classic command that a storage request amounts to.
func storeWord(op protocol.Op, set *slab.SetOp) protocol.Op {
	if op != protocol.OpMetaSet {
		return op
	}
	switch {
	case set.Mode == slab.ModeAdd:
		return protocol.OpAdd
	case set.Mode == slab.ModeReplace:
		return protocol.OpReplace
	case set.Mode == slab.ModeAppend:
		return protocol.OpAppend
	case set.Mode == slab.ModePrepend:
		return protocol.OpPrepend
	case set.Compare:
		return protocol.OpCas
	}
	return protocol.OpSet
}

// replySet appends the reply to a storage request that ended with res.
func replySet(s *Session, r *protocol.Request, res *slab.SetResult) {
	switch {
	case res.Result == slab.TooLarge || res.Result == slab.NoMemory:
		replyError(s, r, setError(res.Result))
	case r.Op == protocol.OpMetaSet:
		replyMetaSet(s, r, res)
	case res.Result == slab.Stored:
		reply(s, r, protocol.ReplyStored)
	case res.Result == slab.Exists:
		reply(s, r, protocol.ReplyExists)
	case res.Result == slab.NotFound:
		reply(s, r, protocol.ReplyNotFound)
	default:
		reply(s, r, protocol.ReplyNotStored)
	}
}
