package proxy

import (
	"github.com/holdfast-cache/holdfast/protocol"
	"github.com/holdfast-cache/holdfast/server"
)

// valueSink takes a long value from a client into a blob, and makes the call
// when it is whole: a client that is slow holds no backend.
type valueSink struct {
	x      *executor
	blob   *blob // nil: there was no memory
	filled int

	r      protocol.Request
	keys   [1][]byte
	key    [protocol.KeyLenMax]byte
	text   [protocol.KeyLenMax]byte
	opaque [protocol.OpaqueLenMax]byte
}

// BeginValue prepares for the value of r.
func (x *executor) BeginValue(_ *server.Session, r *protocol.Request) server.Sink {
	k := x.sink
	x.sink = nil
	if k == nil { // or several are on their way
		k = &valueSink{x: x}
	}
	k.r, k.filled = *r, 0
	if r.ValueLen <= x.p.valueMax {
		k.blob = x.blobs.get(r.ValueLen + len(protocol.CRLF))
	}
	k.keys[0] = k.key[:copy(k.key[:], r.Key())]
	k.r.Keys, k.r.Args = k.keys[:], nil
	k.r.Meta.KeyText = k.text[:copy(k.text[:], r.Meta.KeyText)]
	k.r.Meta.Opaque = k.opaque[:copy(k.opaque[:], r.Meta.Opaque)]
	return k
}

// Span is room for the next bytes.
func (k *valueSink) Span() []byte {
	if k.blob == nil {
		return nil
	}
	return k.blob.mem[k.filled:k.r.ValueLen]
}

// Advance says that n bytes have come.
func (k *valueSink) Advance(n int) { k.filled += n }

// Finish makes the call.
func (k *valueSink) Finish(s *server.Session, ok bool) {
	x := k.x
	x.now = x.loop.Now()
	f := x.newFlight(s, 1)
	switch {
	case k.blob == nil:
		k.refuse(f)
	case !ok:
		f.sayError(&k.r, protocol.ErrBadChunk)
	default:
		copy(k.blob.mem[k.r.ValueLen:], protocol.CRLF)
		x.single(f, x.p.tree.Load(), &k.r, k.blob)
	}
	k.Abort()
	f.depart()
}

// refuse answers a request for whose value there is no memory, or never would be. What
// the key had goes first, as in every server whose set fails: nobody shall read what
// the client wanted to be rid of.
func (k *valueSink) refuse(f *flight) {
	x := k.x
	o := &refusal{f: f, line: "SERVER_ERROR hf-limit proxy"}
	if k.r.ValueLen > x.p.valueMax {
		o.line = protocol.ErrTooLarge.Text
	}
	o.cell = f.open(&k.r, nil)
	f.pending++
	l := x.newLeg(o, nil)
	l.remove(&call{key: k.r.Key(), binary: k.r.Meta.Binary})
	l.send(x.p.tree.Load().root)
}

// refusal is a request that is answered with an error once its key is deleted, or
// noted to be.
type refusal struct {
	f    *flight
	cell int16
	line string
}

func (*refusal) legHit(*leg, []byte, []byte, *blob) {}

func (o *refusal) legDone(l *leg, a *answer) {
	a.letGo()
	l.drop()
	o.f.store(o.cell, cellFailed, protocol.StatusServerError, []byte(o.line), nil, false, nil)
	o.f.landed()
}

// Abort lets go of the value, and keeps the sink for the next one.
func (k *valueSink) Abort() {
	if k.blob != nil {
		k.blob.Unpin()
		k.blob = nil
	}
	k.x.sink = k
}
