package server

import (
	"sync"

	"github.com/holdfast-cache/holdfast/protocol"
	"github.com/holdfast-cache/holdfast/slab"
)

// valueSink fills the item of a streaming storage request. It keeps a copy of
// what the reply needs of the request, which is gone by then.
type valueSink struct {
	x       *executor
	pending *slab.Pending
	set     slab.SetOp
	left    int  // bytes of the value still to come
	starved bool // Span had no memory

	r      protocol.Request
	keys   [1][]byte
	key    [protocol.KeyLenMax]byte
	opaque [protocol.OpaqueLenMax]byte
}

// Sinks may end on any goroutine, so their pool is shared.
var sinkPool = sync.Pool{New: func() any { return new(valueSink) }}

// newSink returns a sink for r, whose setOp x holds.
func newSink(x *executor, r *protocol.Request, pending *slab.Pending) *valueSink {
	k := sinkPool.Get().(*valueSink)
	k.x, k.pending, k.set = x, pending, x.setOp
	k.left, k.starved = r.ValueLen, false
	k.r = *r
	k.keys[0] = k.key[:copy(k.key[:], r.Key())]
	k.r.Keys, k.r.Args, k.r.Meta.KeyText = k.keys[:], nil, nil
	k.r.Meta.Opaque = k.opaque[:copy(k.opaque[:], r.Meta.Opaque)]
	return k
}

// Span is item memory for the next bytes.
func (k *valueSink) Span() []byte {
	b := k.pending.Span()
	k.starved = len(b) == 0 && k.left > 0
	return b
}

// Advance says that n bytes of the last Span are filled.
func (k *valueSink) Advance(n int) {
	k.pending.Advance(n)
	k.left -= n
}

// Finish stores the item and answers, or refuses it.
func (k *valueSink) Finish(s *Session, ok bool) {
	x, before := k.x, len(s.Out.Buf)
	x.w.Lock()
	switch {
	case k.starved:
		x.c.storeNoMemory++
		k.pending.Fail(x.w)
		replyError(s, &k.r, protocol.ErrNoMemoryStream)
	case !ok:
		x.c.cmdSet++
		k.pending.Abort()
		replyError(s, &k.r, protocol.ErrBadChunk)
	default:
		res := k.pending.Commit(x.w)
		x.countSet(&k.set, res.Result)
		if x.node.watch.on() {
			x.watchStore(s, &k.r, &k.set, &res)
		}
		replySet(s, &k.r, &res)
	}
	x.w.Unlock()
	x.promise(s, &k.r, before)
	k.release()
}

// Abort gives the memory back.
func (k *valueSink) Abort() {
	k.pending.Abort()
	k.release()
}

// release returns k to the pool; it must not be used any more.
func (k *valueSink) release() {
	k.x, k.pending = nil, nil
	sinkPool.Put(k)
}
