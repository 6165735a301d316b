package proxy

import (
	"bytes"

	"github.com/holdfast-cache/holdfast/protocol"
)

// farewell is a delete during a handover: at the old place, and as a mark at the
// fresh one. It is answered when all is done.
type farewell struct {
	up    *call
	left  int
	there bool // the fresh place had the key
	old   keptAnswer
	bad   []byte // the first error
}

// remove deletes a key in both places.
func (r *handover) remove(x *executor, c *call) {
	e := &farewell{up: c, left: 4} // the legs, and 1 while they are started
	x.mark(r.fresh, c, x.newLeg(e, nil))
	l := x.newLeg(e, nil)
	l.limit = c.limit
	l.like(c)
	l.send(r.old)
	e.settle()
}

// mark leaves a mark at n that the key has been deleted: an item is made if there is
// none, and is made stale then. In this order an add that comes at any moment is
// refused or made stale. The second step is last's, and the first too if that is a
// farewell's.
func (x *executor) mark(n node, c *call, last *leg) {
	first := x.newLeg(nobody{}, nil)
	if e, is := last.owner.(*farewell); is {
		first.owner = e
	}
	first.limit, first.i = c.limit, 1
	first.meta(protocol.OpMetaGet, c, -1, " N"+markLife, true)
	first.send(n)
	last.limit, last.i = c.limit, 2
	last.meta(protocol.OpMetaDelete, c, -1, " I T"+markLife, true)
	last.send(n)
}

func (e *farewell) legHit(*leg, []byte, []byte, *blob) {}

func (e *farewell) legDone(l *leg, a *answer) {
	i := l.i
	l.drop()
	switch {
	case a.bad():
		if e.bad == nil {
			e.bad = bytes.Clone(a.line)
		}
	case i == 0:
		e.old.keep(a)
	case i == 1:
		_, won := a.returned('W')
		_, lost := a.returned('Z')
		_, stale := a.returned('X')
		e.there = a.status == protocol.StatusMetaHit && !won && !lost && !stale
	}
	e.settle()
}

// settle counts one leg less, and answers after the last. The line is that of the old
// place, which repeats what the client wants repeated.
func (e *farewell) settle() {
	if e.left--; e.left > 0 {
		return
	}
	a := &e.old.answer
	switch {
	case e.bad != nil:
		a = &answer{status: protocol.StatusServerError, failed: true, line: e.bad}
	case e.there && a.status == protocol.StatusNotFound:
		a = &answer{status: protocol.StatusDeleted, line: []byte("DELETED")}
	case e.there && a.status == protocol.StatusMetaNotFound:
		a.status = protocol.StatusMetaHit
		copy(a.line, "HD")
	}
	e.up.to.done(e.up, a)
}
