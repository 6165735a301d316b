package server

import (
	"strconv"

	"github.com/holdfast-cache/holdfast/protocol"
	"github.com/holdfast-cache/holdfast/slab"
)

// metaGet answers mg.
func (x *executor) metaGet(s *Session, r *protocol.Request, k slab.Key) {
	m := &r.Meta
	x.key = k.Bytes
	x.getOp = slab.GetOp{Meta: true, NoBump: m.Has('u'), Binary: m.Binary}
	for _, flag := range m.Order[:m.N] {
		switch flag {
		case 'T':
			x.getOp.Touch, x.getOp.Exptime = true, x.storeTime(m.TTL)
			// A vivified item gets whichever of T and N comes last.
			x.getOp.VivifyExptime = x.getOp.Exptime
		case 'N':
			x.getOp.Vivify, x.getOp.VivifyExptime = true, x.storeTime(m.Vivify)
			x.getOp.VivifyCAS = m.NewCAS
		case 'R':
			x.getOp.Recache, x.getOp.RecacheTTL = true, x.remaining(x.storeTime(m.Recache))
			x.getOp.RecacheFirst = !x.getOp.Touch
		}
	}
	var dead deadLookups
	if x.node.watch.on() {
		dead = deadLookupsOf(x.w)
	}
	res := x.w.Get(k, &x.getOp, x.visitMeta)
	if res == slab.NoMemory {
		res = x.getAsItIs(k, x.visitMeta)
	}
	if res == slab.Hit {
		// A get that touches counts as a touch, but only if there is an item.
		if m.Has('T') {
			x.c.cmdTouch++
			x.c.touchHits++
		} else {
			x.c.cmdGet++
			x.c.getHits++
		}
		return
	}
	x.c.cmdGet++
	x.c.getMisses++
	if x.node.watch.on() {
		x.node.watch.fetch(s, k.Bytes, dead.missed(x.w), 0, 0)
	}
	if !m.Quiet {
		replyMeta(s, r, protocol.MetaMiss)
	}
}

// remaining is how many seconds are left until store time t: none if it has
// passed or is never.
func (x *executor) remaining(t uint32) uint32 {
	now := x.node.store.Now()
	return max(t, now) - now
}

// appendMetaGet composes the reply to an mg that found an item, while it is
// held. Flags act in the order of the request: t before T tells the old TTL.
func (x *executor) appendMetaGet(v *slab.View) {
	m := &x.r.Meta
	n := v.ValueLen()
	b := x.s.Out.Buf
	withValue := m.Has('v') && !(m.Has('C') && v.CAS() == m.CAS)
	if withValue {
		b = protocol.AppendMetaValue(b, n)
	} else {
		b = append(b, protocol.MetaHit...)
	}
	exptime := v.ExptimeBefore
	if v.Created {
		exptime = 0
	}
	for _, flag := range m.Order[:m.N] {
		switch flag {
		case 'T':
			exptime = x.getOp.Exptime
		case 'N':
			if v.Created {
				exptime = x.storeTime(m.Vivify)
			}
		case 't':
			b = x.appendTTL(b, exptime)
		case 'k':
			b = protocol.AppendKeyFlag(b, v.Key(), v.Binary())
		case 'O':
			b = protocol.AppendOpaque(b, m)
		default:
			b = appendItemFlag(b, flag, v)
		}
	}
	if v.TokenSent {
		b = append(b, " Z"...)
	}
	if v.Stale {
		b = append(b, " X"...)
	}
	if v.Won {
		b = append(b, " W"...)
	}
	x.s.Out.Buf = append(b, protocol.CRLF...)
	if withValue {
		x.appendBody(v)
	}
	switch {
	case !x.node.watch.on():
	case v.Created:
		x.node.watch.fetch(x.s, x.key, fetchMiss, 0, 0)
	default:
		x.node.watch.fetch(x.s, x.key, fetchHit, v.Class(), n)
	}
}

// appendItemFlag appends a return flag that only depends on the item.
func appendItemFlag(b []byte, flag byte, v *slab.View) []byte {
	switch flag {
	case 's':
		return protocol.AppendFlagUint(b, 's', uint64(v.ValueLen()))
	case 'c':
		return protocol.AppendFlagUint(b, 'c', v.CAS())
	case 'f':
		return protocol.AppendFlagUint(b, 'f', uint64(v.Flags()))
	case 'l':
		return protocol.AppendFlagUint(b, 'l', uint64(v.Idle))
	case 'h':
		if v.Fetched {
			return append(b, " h1"...)
		}
		return append(b, " h0"...)
	}
	return b
}

// appendTTL appends flag t of an item that expires at exptime.
func (x *executor) appendTTL(b []byte, exptime uint32) []byte {
	if exptime == 0 {
		return append(b, " t-1"...)
	}
	return protocol.AppendFlagUint(b, 't', uint64(x.remaining(exptime)))
}

// appendEcho appends flag O or k as the request has them, nothing for others.
func appendEcho(b []byte, flag byte, r *protocol.Request) []byte {
	switch flag {
	case 'O':
		return protocol.AppendOpaque(b, &r.Meta)
	case 'k':
		return protocol.AppendKeyFlag(b, r.Key(), r.Meta.Binary)
	}
	return b
}

// replyMeta appends a reply of code and the echoes.
func replyMeta(s *Session, r *protocol.Request, code string) {
	b := protocol.AppendEcho(append(s.Out.Buf, code...), r)
	s.Out.Buf = append(b, protocol.CRLF...)
}

// replyMetaSet appends the reply to an ms that ended with res.
func replyMetaSet(s *Session, r *protocol.Request, res *slab.SetResult) {
	m := &r.Meta
	code, size := protocol.MetaNotStored, r.ValueLen
	switch res.Result {
	case slab.Stored:
		if m.Quiet {
			return
		}
		code, size = protocol.MetaHit, res.ValueLen
	case slab.Exists:
		code = protocol.MetaExists
	case slab.NotFound:
		code = protocol.MetaNotFound
	}
	b := append(s.Out.Buf, code...)
	for _, flag := range m.Order[:m.N] {
		switch flag {
		case 'c':
			b = protocol.AppendFlagUint(b, 'c', res.CAS)
		case 's':
			b = protocol.AppendFlagUint(b, 's', uint64(size))
		default:
			b = appendEcho(b, flag, r)
		}
	}
	s.Out.Buf = append(b, protocol.CRLF...)
}

// metaDelete answers md.
func (x *executor) metaDelete(s *Session, r *protocol.Request, k slab.Key) {
	m := &r.Meta
	x.deleteOp = slab.DeleteOp{
		Compare: m.Has('C'), CAS: m.CAS, Invalidate: m.Has('I'), DropValue: m.Has('x'),
		SetExptime: m.Has('T'), Exptime: x.storeTime(m.TTL), NewCAS: m.NewCAS,
	}
	class, size := x.watchLookup(s, k)
	code := protocol.MetaHit
	switch x.w.Delete(k, &x.deleteOp) {
	case slab.Hit:
		if !x.deleteOp.Invalidate {
			x.c.deleteHits++
			if x.node.watch.on() {
				x.node.watch.deleted(s, k.Bytes, r.Op, class, size)
			}
		}
		if m.Quiet {
			return
		}
	case slab.Exists:
		x.c.deleteMisses++
		code = protocol.MetaExists
	case slab.NoMemory:
		s.Out.Buf = append(s.Out.Buf, replyNoMemory...)
		return
	default:
		x.c.deleteMisses++
		code = protocol.MetaNotFound
	}
	replyMeta(s, r, code)
}

// metaArith answers ma.
func (x *executor) metaArith(s *Session, r *protocol.Request, k slab.Key) {
	m := &r.Meta
	x.arithOp = slab.ArithOp{
		Decrement: m.Mode == 'D' || m.Mode == '-', Delta: m.Delta,
		// Here a compare value of 0 compares nothing.
		Compare: m.CAS != 0, CAS: m.CAS, NewCAS: m.NewCAS,
		Vivify: m.Has('N'), Initial: m.Initial, Binary: m.Binary,
	}
	for _, flag := range m.Order[:m.N] {
		switch flag {
		case 'T':
			x.arithOp.SetExptime, x.arithOp.Exptime = true, x.storeTime(m.TTL)
			x.arithOp.VivifyExptime = x.arithOp.Exptime
		case 'N':
			x.arithOp.VivifyExptime = x.storeTime(m.Vivify)
		}
	}
	x.watchLookup(s, k)
	res := x.w.Arith(k, &x.arithOp)
	x.countArith(res.Result, x.arithOp.Decrement)
	if res.Result == slab.Stored && x.node.watch.on() {
		size := len(strconv.AppendUint(nil, res.Value, 10))
		x.node.watch.store(s, k.Bytes, protocol.OpAdd, slab.Stored, x.arithOp.VivifyExptime, res.Class, size)
	}
	switch res.Result {
	case slab.Hit, slab.Stored:
		if !m.Quiet {
			s.Out.Buf = x.appendMetaArith(s.Out.Buf, r, &res)
		}
	case slab.Exists:
		replyMeta(s, r, protocol.MetaExists)
	case slab.Miss:
		replyMeta(s, r, protocol.MetaNotFound)
	case slab.NonNumeric:
		replyError(s, r, protocol.ErrNonNumeric)
	case slab.NoMemory:
		if x.arithOp.Vivify {
			s.Out.Buf = append(s.Out.Buf, "SERVER_ERROR Out of memory allocating new item\r\n"...)
		} else {
			s.Out.Buf = append(s.Out.Buf, replyNoMemory...)
		}
	default:
		replyMeta(s, r, protocol.MetaNotStored)
	}
}

// appendMetaArith appends the reply to an ma that has counted, or stored its
// initial value.
func (x *executor) appendMetaArith(b []byte, r *protocol.Request, res *slab.ArithResult) []byte {
	m := &r.Meta
	var digits [20]byte
	number := protocol.AppendUint(digits[:0], res.Value)
	if m.Has('v') {
		b = protocol.AppendMetaValue(b, len(number))
	} else {
		b = append(b, protocol.MetaHit...)
	}
	created := res.Result == slab.Stored
	exptime := res.ExptimeBefore
	if created {
		exptime = 0
	}
	for _, flag := range m.Order[:m.N] {
		switch flag {
		case 'c':
			b = protocol.AppendFlagUint(b, 'c', res.CAS)
		case 't':
			b = x.appendTTL(b, exptime)
		case 'T':
			exptime = x.arithOp.Exptime
		case 'N':
			if created {
				exptime = x.storeTime(m.Vivify)
			}
		default:
			b = appendEcho(b, flag, r)
		}
	}
	b = append(b, protocol.CRLF...)
	if m.Has('v') {
		b = append(append(b, number...), protocol.CRLF...)
	}
	return b
}

// metaDebug answers me.
func (x *executor) metaDebug(s *Session, k slab.Key) {
	x.key = k.Bytes
	x.getOp = slab.GetOp{NoBump: true, Peek: true}
	x.c.cmdMeta++
	if x.w.Get(k, &x.getOp, x.visitDebug) != slab.Hit {
		s.Out.Buf = append(s.Out.Buf, protocol.ReplyMetaMiss...)
	}
}

// appendDebug composes the reply to an me that found an item.
func (x *executor) appendDebug(v *slab.View) {
	d := protocol.MetaDebug{
		Key: v.Key(), Binary: v.Binary(), Exptime: -1, Age: uint64(v.Idle), CAS: v.CAS(),
		Fetched: v.Fetched, Class: int(v.Class()), Size: v.TotalBytes(),
	}
	if t := v.Exptime(); t != 0 {
		d.Exptime = int64(x.remaining(t))
	}
	x.s.Out.Buf = protocol.AppendMetaDebug(x.s.Out.Buf, &d)
}
