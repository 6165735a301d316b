package proxy

import (
	"github.com/holdfast-cache/holdfast/protocol"
)

// leg is a call that a route makes: the client's request again, for one child, or
// one of the route's own. It belongs to one loop and is used again once done.
type leg struct {
	call
	x     *executor
	owner legOwner
	up    *call // the call it is made for; nil: nobody waits

	got   bool // a value has come
	phase uint8
	i     int    // which of several legs it is
	fan   *fan   // of those
	stamp uint32 // of the key when it began
	flock []*call
	text  []byte // memory of its own, for what must outlive the start
	saved []byte // the value, for a later phase
	kept  *blob  // or a long one
}

// legOwner is what a leg tells its answer: a route, which keeps what it must know of
// a request in the leg.
type legOwner interface {
	// legHit takes the value of a get, as completer.hit.
	legHit(l *leg, line, value []byte, b *blob)
	// legDone takes the rest. It ends the leg, by finish or drop, or sends it again.
	legDone(l *leg, a *answer)
}

// legTextKeep is how much memory of its own a leg keeps for its next use.
const legTextKeep = 32 << 10

// newLeg returns a leg for up, which may be nil.
func (x *executor) newLeg(owner legOwner, up *call) *leg {
	var l *leg
	if last := len(x.legs) - 1; last >= 0 {
		l = x.legs[last]
		x.legs[last] = nil
		x.legs = x.legs[:last]
	} else {
		l = &leg{}
	}
	*l = leg{x: x, owner: owner, up: up, text: l.text[:0], flock: l.flock[:0]}
	l.to, l.start = l, x.now
	if up != nil {
		l.limit = up.limit
	}
	return l
}

// like makes the leg ask what c asks. What it points to is c's.
func (l *leg) like(c *call) {
	l.op, l.key, l.head = c.op, c.key, c.head
	l.value, l.hasValue, l.blob = c.value, c.hasValue, c.blob
	l.opaque, l.client, l.owned, l.binary = c.opaque, c.client, c.owned, c.binary
	l.retry, l.write, l.bulk = !c.write, c.write, c.bulk
}

// own copies what the leg points to, but for the value, so that it may outlive the
// call it was made like.
func (l *leg) own() {
	l.key = l.add(l.key)
	l.head = l.add(l.head)
	l.client = l.add(l.client)
}

// keep has the value of c stay for a later phase.
func (l *leg) keep(c *call) {
	if c.blob != nil {
		l.kept = c.blob.hold()
	} else if c.hasValue {
		l.saved = l.add(c.value)
	}
}

// again makes the leg ask what c asks, with the value that was kept.
func (l *leg) again(c *call) {
	l.like(c)
	l.value, l.blob = l.saved, l.kept
}

// add copies b into the leg's memory.
func (l *leg) add(b []byte) []byte {
	from := len(l.text)
	l.text = append(l.text, b...)
	return l.text[from:len(l.text):len(l.text)]
}

// send starts the leg at n, as a new request. The leg may be gone afterwards.
func (l *leg) send(n node) {
	l.start = l.x.now
	l.cur = 0
	l.retry = !l.write
	l.got = false
	n.start(l.x, &l.call)
}

// hit and done make a leg the completer of its call.
func (l *leg) hit(_ *call, _ int16, line, value []byte, b *blob) {
	l.got = true
	l.owner.legHit(l, line, value, b)
}

func (l *leg) done(_ *call, a *answer) { l.owner.legDone(l, a) }

// pass gives a value on to who waits.
func (l *leg) pass(line, value []byte, b *blob) { l.up.give(line, value, b) }

// finish ends the leg and gives the answer on.
func (l *leg) finish(a *answer) {
	up := l.up
	a = l.verdict(a)
	l.drop()
	up.to.done(up, a)
}

// verdict is the answer that ends the leg. The connection may have ended between a
// value and its END: there was nothing more to wait for.
func (l *leg) verdict(a *answer) *answer {
	if l.got && a.status != protocol.StatusEnd {
		return &answer{status: protocol.StatusEnd}
	}
	return a
}

// drop ends the leg; what it points to must not be needed any more.
func (l *leg) drop() {
	if l.kept != nil {
		l.kept.Unpin()
	}
	clear(l.flock)
	text, flock, x := l.text, l.flock, l.x
	if cap(text) > legTextKeep {
		text = nil
	}
	*l = leg{text: text, flock: flock}
	x.legs = append(x.legs, l)
}

// give gives the value of a get of one key to who made the call.
func (c *call) give(line, value []byte, b *blob) {
	cell := c.cell
	c.cur = noCell
	c.retry = false
	c.to.hit(c, cell, line, value, b)
}

// letGo frees what comes with an answer that is not given on.
func (a *answer) letGo() {
	if a.blob != nil {
		a.blob.Unpin()
	}
}

// nobody owns legs whose answers are not waited for.
type nobody struct{}

func (nobody) legHit(_ *leg, _, _ []byte, b *blob) {
	if b != nil {
		b.Unpin()
	}
}

func (nobody) legDone(l *leg, a *answer) {
	a.letGo()
	l.drop()
}

// expunge deletes the key of c at n; nobody waits for the answer.
func (x *executor) expunge(n node, c *call) {
	l := x.newLeg(nobody{}, nil)
	l.remove(c)
	l.send(n)
}

// remove makes the leg a delete of the key of c.
func (l *leg) remove(c *call) {
	l.key, l.binary, l.write = l.add(c.key), c.binary, true
	from := len(l.text)
	if c.binary {
		l.op, l.opaque = protocol.OpMetaDelete, l.x.newOpaque()
		l.text = append(l.text, "md "...)
		l.text = append(protocol.AppendBase64(l.text, c.key), " b"...)
		l.text = protocol.AppendFlagUint(l.text, 'O', uint64(l.opaque))
		l.text = append(l.text, protocol.CRLF...)
	} else {
		l.op = protocol.OpDelete
		l.text = protocol.AppendDelete(l.text, c.key, false)
	}
	l.head = l.text[from:]
}

// meta makes the leg a meta command of the proxy's own for the key of c; flags has
// a space before each of them. size is that of the value, -1 if there is none.
func (l *leg) meta(op protocol.Op, c *call, size int, flags string, write bool) {
	l.op, l.binary, l.write, l.hasValue = op, c.binary, write, false
	l.value, l.blob, l.client, l.owned = nil, nil, nil, false
	l.bulk = c.bulk && op == protocol.OpMetaGet
	l.opaque = l.x.newOpaque()
	l.key = l.add(c.key)
	from := len(l.text)
	l.text = append(append(l.text, op.String()...), ' ')
	if c.binary {
		l.text = protocol.AppendBase64(l.text, c.key)
	} else {
		l.text = append(l.text, c.key...)
	}
	if size >= 0 {
		l.text = protocol.AppendUint(append(l.text, ' '), uint64(size))
	}
	if c.binary {
		l.text = append(l.text, " b"...)
	}
	l.text = append(l.text, flags...)
	l.text = protocol.AppendFlagUint(l.text, 'O', uint64(l.opaque))
	l.text = append(l.text, protocol.CRLF...)
	l.head = l.text[from:]
}
