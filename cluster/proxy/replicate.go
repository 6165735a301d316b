package proxy

import (
	"github.com/holdfast-cache/holdfast/cluster"
	"github.com/holdfast-cache/holdfast/protocol"
)

// replicate keeps keys in several places. What takes the place of an item goes to
// all; what depends on it is carried out at the first place and the others delete
// the key, so that copies never differ in what a request has made of them.
type replicate struct {
	counting
	to     []node
	answer fanAnswer
	wait   int64
}

// fanAnswer says when a request that goes to several places is answered.
type fanAnswer uint8

const (
	answerAll fanAnswer = iota
	answerMajority
	answerFirst
)

func newReplicate(conf *cluster.ReplicateRoute, to []node, wait int64) *replicate {
	r := &replicate{to: to, wait: wait}
	switch conf.Answer {
	case "majority":
		r.answer = answerMajority
	case "first":
		r.answer = answerFirst
	}
	return r
}

func (r *replicate) home(key []byte, op protocol.Op) *pool { return r.to[0].home(key, op) }

func (r *replicate) patience() int64 { return r.wait }

func (r *replicate) start(x *executor, c *call) {
	r.count(countRequests)
	switch effectOf(c) {
	case effStore:
		x.spread(r, len(r.to), 0, r.answer, c, nil)
	default:
		l := x.newLeg(r, c)
		l.like(c)
		l.send(r.to[0])
	}
}

// place sends a leg of a fan to the i-th place.
func (r *replicate) place(l *leg, i int) { l.send(r.to[i]) }

func (r *replicate) missed() { r.count(replicateFailed) }

func (r *replicate) legHit(l *leg, line, value []byte, b *blob) { l.pass(line, value, b) }

func (r *replicate) legDone(l *leg, a *answer) {
	c, x := l.up, l.x
	switch effect := effectOf(c); {
	case effect == effChange && a.changed():
		l.drop()
		x.spread(r, len(r.to), 1, r.answer, c, a)
	case effect != effChange && a.failed && !l.got && l.i+1 < len(r.to):
		l.i++
		r.count(replicateElsewhere)
		l.send(r.to[l.i])
	case effect == effTouch && !a.bad():
		for _, n := range r.to[l.i+1:] {
			x.touch(n, c, 0)
		}
		l.finish(a)
	default:
		l.finish(a)
	}
}

// touch gives the item at n, or a copy of it, the time to live that c gives; nobody
// waits for the answer.
func (x *executor) touch(n node, c *call, copy int) {
	l := x.newLeg(nobody{}, nil)
	if c.op == protocol.OpMetaGet {
		ttl, _ := flagOf(c, 'T')
		l.meta(protocol.OpMetaGet, c, -1, " T"+string(ttl), true)
	} else {
		_, rest := cutWord(c.head)
		ttl, _ := cutWord(rest)
		l.op, l.write = protocol.OpTouch, true
		l.key = l.add(c.key)
		from := len(l.text)
		l.text = append(append(l.text, "touch "...), c.key...)
		l.text = append(append(append(l.text, ' '), ttl...), protocol.CRLF...)
		l.head = l.text[from:]
	}
	l.rename(copy)
	l.send(n)
}
