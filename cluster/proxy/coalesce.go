package proxy

import (
	"bytes"
	"sync/atomic"

	"github.com/holdfast-cache/holdfast/protocol"
	"github.com/zeebo/xxh3"
)

// stamps change whenever a key is written, at the beginning and at the end of it, so
// that who began to read before can tell that its value may be the old one. Keys
// share stamps: a change too many costs a get, no more.
type stamps [1024]atomic.Uint32

func (s *stamps) of(key []byte) *atomic.Uint32 { return &s[xxh3.Hash(key)%uint64(len(s))] }

// all changes those of all keys.
func (s *stamps) all() {
	for i := range s {
		s[i].Add(1)
	}
}

// coalesce lets gets of one loop share a get that is under way for the same key,
// unless the key has been written, through any loop, since that began.
type coalesce struct {
	counting
	to    node
	marks stamps
}

func (r *coalesce) home(key []byte, op protocol.Op) *pool { return r.to.home(key, op) }

func (r *coalesce) patience() int64 { return r.to.patience() }

// forget has no get that begins now join one from before.
func (r *coalesce) forget() { r.marks.all() }

func (r *coalesce) start(x *executor, c *call) {
	r.count(countRequests)
	switch {
	case c.write, effectOf(c) == effTouch:
		r.marks.of(c.key).Add(1)
		l := x.newLeg(r, c)
		l.like(c)
		l.send(r.to)
	case c.op == protocol.OpGet:
		r.get(x, c)
	default:
		r.to.start(x, c)
	}
}

// get joins a get that is under way, or begins one.
func (r *coalesce) get(x *executor, c *call) {
	mark := r.marks.of(c.key).Load()
	sum := xxh3.Hash(c.key)
	if l := x.shared[sum]; l != nil && l.owner == legOwner(r) && l.stamp == mark && bytes.Equal(l.key, c.key) {
		l.flock = append(l.flock, c)
		r.count(coalesceJoined)
		return
	}
	if x.shared == nil {
		x.shared = map[uint64]*leg{}
	}
	l := x.newLeg(r, c)
	l.like(c)
	l.stamp = mark
	x.shared[sum] = l
	l.send(r.to)
}

// part ends the time to join l.
func (l *leg) part() {
	if sum := xxh3.Hash(l.key); l.x.shared[sum] == l {
		delete(l.x.shared, sum)
	}
}

func (r *coalesce) legHit(l *leg, line, value []byte, b *blob) {
	l.part()
	for _, c := range l.flock {
		if b != nil {
			c.give(line, value, b.hold())
		} else {
			c.give(line, value, nil)
		}
	}
	l.pass(line, value, b)
}

func (r *coalesce) legDone(l *leg, a *answer) {
	if l.op != protocol.OpGet {
		r.marks.of(l.key).Add(1)
		l.finish(a)
		return
	}
	l.part()
	// Whoever is told may begin another get, but not join this one any more.
	for _, c := range l.flock {
		c.to.done(c, l.verdict(a))
	}
	l.finish(a)
}
