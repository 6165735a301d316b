package server

import (
	"github.com/holdfast-cache/holdfast/protocol"
	"github.com/holdfast-cache/holdfast/slab"
)

// Execute carries out the requests of b. The worker's lock is taken once for
// the batch; all keys are hashed and their memory is asked for before the first
// request runs, so that the cache misses of a batch overlap.
func (x *executor) Execute(s *Session, b *protocol.Batch) {
	x.s = s
	n := x.hash(b)
	x.w.Lock()
	if n > 1 {
		x.w.Prefetch(x.keys[:n])
	}
	k := 0
	for i := range b.Requests {
		r := &b.Requests[i]
		keys := x.keys[k:min(k+len(r.Keys), n)]
		k += len(keys)
		switch {
		case r.Streaming: // BeginValue's
		case x.keeper != nil:
			x.keptRequest(s, r, keys)
		default:
			x.request(s, r, keys)
		}
	}
	x.w.Unlock()
	x.s, x.r, x.key = nil, nil, nil
}

// hash fills keys with the keys of b and returns how many there are.
func (x *executor) hash(b *protocol.Batch) int {
	n := 0
	for i := range b.Requests {
		for _, key := range b.Requests[i].Keys {
			if n == len(x.keys) {
				return n
			}
			x.keys[n] = x.node.store.Key(key)
			n++
		}
	}
	return n
}

// request carries out one request; keys are its keys. The caller holds the
// worker's lock.
func (x *executor) request(s *Session, r *protocol.Request, keys []slab.Key) {
	x.r = r
	switch r.Op {
	case protocol.OpNone:
	case protocol.OpError:
		replyError(s, r, r.Err)
	case protocol.OpClose:
		s.Close()

	case protocol.OpGet, protocol.OpGets:
		x.get(s, r, keys)
	case protocol.OpGat, protocol.OpGats:
		x.getAndTouch(s, r, keys)
	case protocol.OpSet, protocol.OpAdd, protocol.OpReplace, protocol.OpAppend, protocol.OpPrepend, protocol.OpCas,
		protocol.OpMetaSet:
		x.set(s, r, keys[0])
	case protocol.OpDelete:
		x.delete(s, r, keys[0])
	case protocol.OpIncr, protocol.OpDecr:
		x.arith(s, r, keys[0])
	case protocol.OpTouch:
		x.touch(s, r, keys[0])

	case protocol.OpMetaNoop:
		s.Out.Buf = append(s.Out.Buf, protocol.ReplyMetaNoop...)
	case protocol.OpMetaGet:
		x.metaGet(s, r, keys[0])
	case protocol.OpMetaDelete:
		x.metaDelete(s, r, keys[0])
	case protocol.OpMetaArith:
		x.metaArith(s, r, keys[0])
	case protocol.OpMetaDebug:
		x.metaDebug(s, keys[0])

	case protocol.OpBinary:
		s.Out.Buf = protocol.AppendBinaryUnknown(s.Out.Buf, r.Value)
		s.Close()
	case protocol.OpDebugTime:
		x.outside(s, r, (*executor).debugTime)
	default:
		x.outside(s, r, (*executor).admin)
	}
}

// replyNoMemory answers a change of an item that memory was needed for.
const replyNoMemory = "SERVER_ERROR out of memory\r\n"

// outside runs f without the worker's lock: f may look at all executors.
func (x *executor) outside(s *Session, r *protocol.Request, f func(*executor, *Session, *protocol.Request)) {
	x.w.Unlock()
	f(x, s, r)
	x.w.Lock()
}

// debugTime moves the test clock.
func (x *executor) debugTime(s *Session, r *protocol.Request) {
	if !x.node.cfg.DebugClock || !x.node.debugTime(r.Args) {
		replyError(s, r, protocol.ErrUnknown)
		return
	}
	reply(s, r, protocol.ReplyOK)
}

// reply appends line unless the client asked for silence.
func reply(s *Session, r *protocol.Request, line string) {
	if !r.NoReply {
		s.Out.Buf = append(s.Out.Buf, line...)
	}
}

// replyError appends err unless the client asked for silence.
func replyError(s *Session, r *protocol.Request, err *protocol.Error) {
	if !r.NoReply {
		s.Out.Buf = protocol.AppendErr(s.Out.Buf, err)
	}
}

// storeTime is an exptime of a client as store time.
func (x *executor) storeTime(exptime int64) uint32 {
	if exptime == 0 {
		return 0
	}
	return x.node.clock.storeTime(exptime, x.node.store.Now())
}

// get answers get and gets.
func (x *executor) get(s *Session, r *protocol.Request, keys []slab.Key) {
	if len(r.Keys) == 1 && len(r.Keys[0]) == len(protocol.ClusterKey) && r.AsksCluster() && x.clusterReply(s, r) {
		return
	}
	x.getOp = slab.GetOp{}
	hits := x.fetchAll(s, r, keys)
	x.c.cmdGet += uint64(len(keys))
	x.c.getHits += hits
	x.c.getMisses += uint64(len(keys)) - hits
}

// getAndTouch answers gat and gats, which count as touches only.
func (x *executor) getAndTouch(s *Session, r *protocol.Request, keys []slab.Key) {
	x.getOp = slab.GetOp{Touch: true, Exptime: x.storeTime(r.Exptime)}
	hits := x.fetchAll(s, r, keys)
	x.c.cmdTouch += uint64(len(keys))
	x.c.touchHits += hits
	x.c.touchMisses += uint64(len(keys)) - hits
}

// fetchAll appends the values of keys, and END behind the last piece of a get.
// It returns how many there were.
func (x *executor) fetchAll(s *Session, r *protocol.Request, keys []slab.Key) uint64 {
	watched, detailed := x.node.watch.on(), x.node.detail.on.Load()
	hits := uint64(0)
	var dead deadLookups
	for i := range keys {
		x.key = keys[i].Bytes
		if watched {
			dead = deadLookupsOf(x.w)
		}
		res := x.w.Get(keys[i], &x.getOp, x.visitValue)
		if res == slab.NoMemory {
			res = x.getAsItIs(keys[i], x.visitValue)
		}
		hit := res == slab.Hit
		if hit {
			hits++
		} else if watched {
			x.node.watch.fetch(s, x.key, dead.missed(x.w), 0, 0)
		}
		if detailed {
			x.node.detail.get(x.key, hit)
		}
	}
	if !r.More {
		s.Out.Buf = append(s.Out.Buf, protocol.ReplyEnd...)
	}
	return hits
}

// getAsItIs gets an item that getOp was to give an expiry, when there was no
// memory for that. It is found all the same, and never expires: no value is
// lost for want of its time.
func (x *executor) getAsItIs(k slab.Key, visit func(*slab.View)) slab.Result {
	if !x.getOp.Touch {
		return slab.NoMemory
	}
	op := x.getOp
	x.getOp.Touch, x.getOp.Exptime, x.getOp.Peek = false, 0, true // it has been counted
	res := x.w.Get(k, &x.getOp, visit)
	x.getOp = op
	return res
}

// appendValue composes the reply to one key of a get while the item is held.
func (x *executor) appendValue(v *slab.View) {
	n := v.ValueLen()
	out := &x.s.Out
	if x.r.Op == protocol.OpGets || x.r.Op == protocol.OpGats {
		out.Buf = protocol.AppendValueCAS(out.Buf, x.key, v.Flags(), n, v.CAS())
	} else {
		out.Buf = protocol.AppendValue(out.Buf, x.key, v.Flags(), n)
	}
	x.appendBody(v)
	if x.node.watch.on() {
		x.node.watch.fetch(x.s, x.key, fetchHit, v.Class(), n)
	}
}

// pinMin is the shortest value, in bytes, that is written straight from item
// memory: copying it first costs as much at this length, 3 to 5 % less at half of it,
// and 10 % more at 128 KiB (BenchmarkValueOut; in the processor's caches or not,
// it is the same length). Shorter items have no pin word.
const pinMin = 16 << 10

// appendBody appends the value of v and a line end.
func (x *executor) appendBody(v *slab.View) {
	out := &x.s.Out
	if v.ValueLen() >= pinMin && v.Pinnable() {
		spans, pin := v.Pin(x.spans[:0])
		x.spans = spans
		out.Pin(spans, newPinned(pin))
	} else {
		out.Buf = v.AppendValue(out.Buf)
	}
	out.Buf = append(out.Buf, protocol.CRLF...)
}

// delete answers delete.
func (x *executor) delete(s *Session, r *protocol.Request, k slab.Key) {
	if x.node.detail.on.Load() {
		x.node.detail.deleted(k.Bytes)
	}
	class, size := x.watchLookup(s, k)
	if x.w.Delete(k, nil) != slab.Hit {
		x.c.deleteMisses++
		reply(s, r, protocol.ReplyNotFound)
		return
	}
	x.c.deleteHits++
	if x.node.watch.on() {
		x.node.watch.deleted(s, k.Bytes, r.Op, class, size)
	}
	reply(s, r, protocol.ReplyDeleted)
}

// arith answers incr and decr.
func (x *executor) arith(s *Session, r *protocol.Request, k slab.Key) {
	x.watchLookup(s, k)
	x.arithOp = slab.ArithOp{Decrement: r.Op == protocol.OpDecr, Delta: r.Delta}
	res := x.w.Arith(k, &x.arithOp)
	x.countArith(res.Result, x.arithOp.Decrement)
	switch res.Result {
	case slab.Hit:
		if !r.NoReply {
			s.Out.Buf = protocol.AppendNumber(s.Out.Buf, res.Value)
		}
	case slab.NonNumeric:
		replyError(s, r, protocol.ErrNonNumeric)
	case slab.Miss:
		reply(s, r, protocol.ReplyNotFound)
	default:
		reply(s, r, replyNoMemory)
	}
}

// countArith counts an incr or decr that ended so.
func (x *executor) countArith(r slab.Result, decrement bool) {
	switch {
	case r == slab.Hit && decrement:
		x.c.decrHits++
	case r == slab.Hit:
		x.c.incrHits++
	case r == slab.Miss && decrement:
		x.c.decrMisses++
	case r == slab.Miss:
		x.c.incrMisses++
	}
}

// touch answers touch.
func (x *executor) touch(s *Session, r *protocol.Request, k slab.Key) {
	x.watchLookup(s, k)
	x.c.cmdTouch++
	switch x.w.Touch(k, x.storeTime(r.Exptime)) {
	case slab.Hit:
		x.c.touchHits++
		reply(s, r, protocol.ReplyTouched)
	case slab.NoMemory: // an item that never expired needs room for the expiry
		x.c.touchMisses++
		reply(s, r, replyNoMemory)
	default:
		x.c.touchMisses++
		reply(s, r, protocol.ReplyNotFound)
	}
}

// watchLookup tells the watchers, if there are any, that a command looks k up,
// and returns the class and value length of what it finds, 0 and 0 otherwise.
func (x *executor) watchLookup(s *Session, k slab.Key) (class uint8, size int) {
	if x.node.watch.on() {
		return x.watchedLookup(s, k)
	}
	return 0, 0
}

func (x *executor) watchedLookup(s *Session, k slab.Key) (uint8, int) {
	var found struct {
		status fetchStatus
		class  uint8
		size   int
	}
	dead := deadLookupsOf(x.w)
	if x.w.Get(k, &slab.GetOp{NoBump: true, Peek: true}, func(v *slab.View) {
		found.class, found.size = v.Class(), v.ValueLen()
	}) == slab.Hit {
		found.status = fetchHit
	} else {
		found.status = dead.missed(x.w)
	}
	x.node.watch.fetch(s, k.Bytes, found.status, found.class, found.size)
	return found.class, found.size
}
