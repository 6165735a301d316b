package proxy

import (
	"bytes"
	"slices"

	"github.com/holdfast-cache/holdfast/cluster"
	"github.com/holdfast-cache/holdfast/protocol"
)

// splitHot keeps several copies of hot keys, under names of their own, so that no
// one server has all their gets. The first copy has the name of the key itself; what
// depends on the item is carried out there, and the others are deleted.
type splitHot struct {
	counting
	to       node
	copies   int
	keys     map[string]bool
	prefixes [][]byte
}

// splitMark stands between a key and the number of its copy.
const splitMark = "~hf"

func newSplitHot(conf *cluster.SplitHotRoute, to node) *splitHot {
	r := &splitHot{to: to, copies: conf.Copies, keys: map[string]bool{}}
	for _, k := range conf.Keys {
		r.keys[k] = true
	}
	r.prefixes = texts(conf.Prefixes)
	return r
}

// texts is a list as bytes.
func texts(list []string) [][]byte {
	var t [][]byte
	for _, s := range list {
		t = append(t, []byte(s))
	}
	return t
}

// begins says whether key begins with one of a list.
func begins(key []byte, prefixes [][]byte) bool {
	return slices.ContainsFunc(prefixes, func(p []byte) bool { return bytes.HasPrefix(key, p) })
}

func (r *splitHot) home(key []byte, op protocol.Op) *pool { return r.to.home(key, op) }

func (r *splitHot) patience() int64 { return 2 * r.to.patience() }

func (r *splitHot) start(x *executor, c *call) {
	r.count(countRequests)
	hot := r.keys[string(c.key)] || begins(c.key, r.prefixes)
	// A copy must have a name that a server takes.
	if !hot || len(c.key)+len(splitMark)+2 > protocol.KeyLenMax {
		r.to.start(x, c)
		return
	}
	r.count(splitHotKeys)
	switch effect := effectOf(c); {
	case effect == effStore:
		x.spread(r, r.copies, 0, answerAll, c, nil)
	case effect == effChange, effect == effTouch:
		l := x.newLeg(r, c)
		l.like(c)
		l.send(r.to)
	case c.op == protocol.OpGet:
		x.turn++
		l := x.newLeg(r, c)
		l.like(c)
		l.i = int(x.turn % uint32(r.copies))
		l.rename(l.i)
		l.send(r.to)
	default:
		// What else reads wants the CAS, or the times, of the one item.
		r.to.start(x, c)
	}
}

// place sends l to the i-th copy.
func (r *splitHot) place(l *leg, i int) {
	l.rename(i)
	l.send(r.to)
}

func (r *splitHot) missed() { r.count(splitFailed) }

// rename makes the leg ask for the i-th copy of its key.
func (l *leg) rename(i int) {
	if i == 0 {
		return
	}
	name, rest := cutWord(bytes.TrimSuffix(l.head, []byte(protocol.CRLF)))
	_, rest, more := bytes.Cut(rest, []byte{' '})
	from := len(l.text)
	l.text = protocol.AppendUint(append(append(l.text, l.key...), splitMark...), uint64(i))
	l.key = l.text[from:len(l.text):len(l.text)]
	from = len(l.text)
	l.text = append(append(l.text, name...), ' ')
	if l.binary {
		l.text = protocol.AppendBase64(l.text, l.key)
	} else {
		l.text = append(l.text, l.key...)
	}
	if more {
		l.text = append(append(l.text, ' '), rest...)
	}
	l.text = append(l.text, protocol.CRLF...)
	l.head = l.text[from:len(l.text):len(l.text)]
}

// legHit gives the value on, under the name of the key itself.
func (r *splitHot) legHit(l *leg, line, value []byte, b *blob) {
	if l.i > 0 {
		_, rest := cutWord(line)
		_, rest = cutWord(rest)
		x := l.x
		x.valueLine = append(append(append(append(x.valueLine[:0], "VALUE "...), l.up.key...), ' '), rest...)
		line = x.valueLine
	}
	l.pass(line, value, b)
}

func (r *splitHot) legDone(l *leg, a *answer) {
	c, x := l.up, l.x
	switch {
	case c.op == protocol.OpGet && !l.got && l.i > 0:
		// The copy is gone, or its server: the key itself may be there.
		r.count(splitCopyMissed)
		l.drop()
		c.start = x.now
		r.to.start(x, c)
	case effectOf(c) == effTouch:
		if !a.bad() {
			for i := 1; i < r.copies; i++ {
				x.touch(r.to, c, i)
			}
		}
		l.finish(a)
	case c.op != protocol.OpGet && a.changed():
		l.drop()
		x.spreadCopies(r, c, a)
	default:
		l.finish(a)
	}
}

// spreadCopies deletes the copies of a key that has changed.
func (x *executor) spreadCopies(r *splitHot, c *call, a *answer) {
	x.spread(r, r.copies, 1, answerAll, c, a)
}
