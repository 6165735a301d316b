package proxy

import (
	"math"
	"time"

	"github.com/holdfast-cache/holdfast/cluster"
	"github.com/holdfast-cache/holdfast/protocol"
	"github.com/zeebo/xxh3"
)

// handover moves keys from an old place to a fresh one as they are asked for: it is
// the route of a warm-up, where all keys belong to the fresh place, and of a
// migration, where each changes over at a moment of its own. While a key belongs
// to the fresh place:
//
//	get      fresh; on a miss old, whose value is added to fresh with the life it has left
//	set      fresh, and a delete to old
//	delete   both; fresh keeps a mark for markLife, so that a value on its way there
//	         is refused
//	others   the value is brought over first, then they are carried out at fresh
//
// A mark is an item that meta commands see as stale; for all requests through
// here it is not there. Before the change-over all goes to old, and deletes to both.
//
// The clocks of proxies may differ by skew. As long before and after a key changes
// over another proxy may have it on the other side, so a write is told to that side
// first, and waits for it: old has the key deleted, fresh has it marked. After the
// last key has changed over it ends in steps, each for the proxy whose clock is behind:
//
//	skew        nothing is fetched any more
//	2 skew      nothing is marked any more, and nothing deleted at old
//	hiddenEnds  the last mark has gone: all goes to fresh alone
type handover struct {
	counting
	fresh, old node
	begin      int64 // Unix time in nanoseconds; 0 with over 0 is a warm-up
	over       int64 // nanoseconds
	wait       int64
}

// markLife is how long the mark of a delete stays, in seconds, and as it is sent.
const (
	markSeconds = 30
	markLife    = "30"
)

// skew is how far apart the clocks of proxies may be.
const skew = 10 * int64(time.Second)

// hiddenEnds is when the last mark of the slowest proxy has gone.
const hiddenEnds = 3*skew + markSeconds*int64(time.Second)

func newMigrate(conf *cluster.MigrateRoute, to []node, wait int64) *handover {
	over := conf.Over
	if over == 0 {
		over = cluster.MigrateOver
	}
	return &handover{old: to[0], fresh: to[1], over: int64(over), wait: wait}
}

func (r *handover) home(key []byte, op protocol.Op) *pool { return r.fresh.home(key, op) }

func (r *handover) patience() int64 { return r.wait }

// past says that the last key has changed over longer ago than by.
func (r *handover) past(x *executor, by int64) bool {
	return r.over != 0 && x.now+x.wall > r.begin+r.over+by
}

// disputed says that another proxy may have the key of c on the other side.
func (r *handover) disputed(x *executor, c *call) bool {
	left := r.until(x, c.key)
	return r.over != 0 && -skew < left && left < skew
}

// handoverSeed makes the order of keys independent of who owns them.
const handoverSeed = 0x41b7

// stays says that both places have the key on the same server: when a pool grows most
// keys do not move.
func (r *handover) stays(c *call) bool {
	fresh, old := r.fresh.home(c.key, c.op), r.old.home(c.key, c.op)
	return fresh == old || fresh.owner(c.key).slot.Address == old.owner(c.key).slot.Address
}

// until is how long the old place has key still, in nanoseconds; none if it is below 1.
func (r *handover) until(x *executor, key []byte) int64 {
	if r.over == 0 {
		return 0
	}
	part := float64(xxh3.HashSeed(key, handoverSeed)) / math.MaxUint64
	return r.begin + int64(part*float64(r.over)) - (x.now + x.wall)
}

// The steps of a request.
const (
	handGet   uint8 = iota // a get asks fresh
	handPeek               // other requests ask fresh whether it has the key
	handFetch              // old is asked for the value
	handFill               // the value is on its way to fresh
	handClear              // the mark is taken away
	handMark               // fresh has the key marked, before old is written
	handOld                // the request is at old
	handYield              // old has the key deleted, before fresh is written
	handRun                // the request is at fresh
	handRead               // so it is, as a meta command that shows marks
)

func (r *handover) start(x *executor, c *call) {
	r.count(countRequests)
	if r.stays(c) || r.past(x, hiddenEnds) {
		r.count(handoverStayed)
		r.fresh.start(x, c)
		return
	}
	left := r.until(x, c.key)
	plainDelete := isDelete(c.op) && effectOf(c) == effStore && !hasFlag(c, 'I') && !hasFlag(c, 'x') && !hasFlag(c, 'T')
	set := c.op == protocol.OpSet || c.op == protocol.OpMetaSet && effectOf(c) == effStore
	switch {
	case (set || plainDelete) && r.past(x, 2*skew):
		r.fresh.start(x, c)
	case plainDelete && left < skew:
		r.remove(x, c)
	case left > 0 && c.write && left < skew:
		l := x.newLeg(r, c)
		l.phase = handMark
		l.keep(c)
		x.mark(r.fresh, c, l)
	case left > 0:
		if plainDelete {
			x.expunge(r.fresh, c)
		}
		r.old.start(x, c)
	case set && r.disputed(x, c):
		l := x.newLeg(r, c)
		l.keep(c)
		r.run(l)
	case set:
		x.expunge(r.old, c)
		r.fresh.start(x, c)
	case c.op == protocol.OpMetaDebug, c.op == protocol.OpMetaGet && c.write && !hasFlag(c, 'T'):
		// Whoever takes the right to recache does not want what is there.
		r.fresh.start(x, c)
	case c.op == protocol.OpGet:
		l := x.newLeg(r, c)
		l.phase = handGet
		l.meta(protocol.OpMetaGet, c, -1, " f v", false)
		l.send(r.fresh)
	default:
		l := x.newLeg(r, c)
		l.phase = handPeek
		l.keep(c)
		l.meta(protocol.OpMetaGet, c, -1, " c u", false) // u: it is no access
		l.send(r.fresh)
	}
}

// legHit passes the values of gets on.
func (r *handover) legHit(l *leg, line, value []byte, b *blob) { l.pass(line, value, b) }

func (r *handover) legDone(l *leg, a *answer) {
	_, stale := a.returned('X')
	hit := a.status == protocol.StatusMetaHit || a.status == protocol.StatusMetaValue
	switch {
	case l.phase == handRun && hit && stale && l.up.op == protocol.OpMetaGet:
		a.letGo() // it has been deleted since it was asked for
		l.finish(l.x.absent(l.up))
	case l.phase == handRun:
		r.ran(l, a)
	case l.phase == handFill || l.phase == handClear:
		a.letGo()
		r.run(l)
	case l.phase == handOld || (l.phase == handMark || l.phase == handYield) && a.bad():
		l.finish(a)
	case l.phase == handMark:
		a.letGo()
		l.phase = handOld
		l.again(l.up)
		l.send(r.old)
	case l.phase == handYield:
		a.letGo()
		r.runNow(l)
	case a.bad():
		l.finish(a)
	case l.phase == handFetch:
		r.fetched(l, a, hit && !stale)
	case hit && stale:
		r.count(handoverMissed)
		a.letGo()
		r.marked(l)
	case l.phase == handRead && !hit:
		l.finish(l.x.absent(l.up))
	case hit && (l.phase == handGet || l.phase == handRead):
		if l.phase == handGet {
			r.count(handoverFresh)
		} else if l.up.op != protocol.OpGets {
			r.forgo(l)
		}
		l.answerGet(a)
	case hit:
		r.count(handoverFresh)
		a.letGo()
		r.run(l)
	case r.past(l.x, skew):
		r.count(handoverMissed)
		r.missed(l)
	default:
		l.phase = handFetch
		l.meta(protocol.OpMetaGet, l.up, -1, " f t v", false)
		l.send(r.old)
	}
}

// fetched takes the answer of old. A get is answered with it; the others wait until
// the value is at fresh.
func (r *handover) fetched(l *leg, a *answer, there bool) {
	get := l.up.op == protocol.OpGet
	if !there {
		r.count(handoverMissed)
		a.letGo()
		r.missed(l)
		return
	}
	r.count(handoverBrought)
	if !get {
		l.phase = handFill
		l.fill(l.up, a)
		l.blob, a.blob = a.blob, nil
		b := l.blob
		l.send(r.fresh)
		if b != nil {
			b.Unpin()
		}
		return
	}
	fill := l.x.newLeg(nobody{}, nil)
	fill.fill(l.up, a)
	fill.send(r.fresh)
	l.answerGet(a)
}

// missed goes on with a key that is nowhere.
func (r *handover) missed(l *leg) {
	if l.up.write {
		r.run(l)
	} else {
		l.finish(l.x.absent(l.up))
	}
}

// fill makes the leg an add of what a tells of the key of c, with the life it has left.
func (l *leg) fill(c *call, a *answer) {
	flags := append(l.x.valueLine[:0], " ME"...)
	if arg, ok := a.returned('f'); ok {
		flags = append(append(flags, " F"...), arg...)
	}
	switch arg, ok := a.returned('t'); {
	case !ok || string(arg) == "-1": // for ever
	case string(arg) == "0": // its last second; T0 would be for ever
		flags = append(flags, " T1"...)
	default:
		flags = append(append(flags, " T"...), arg...)
	}
	l.x.valueLine = flags
	value, b := a.value, a.blob
	size := len(value)
	if b != nil {
		size = len(b.mem) - len(protocol.CRLF)
	}
	l.meta(protocol.OpMetaSet, c, size, string(flags), true)
	l.value, l.blob, l.hasValue, l.bulk = value, b, true, b != nil
}

// answerGet answers a get with the meta answer a, and ends the leg.
func (l *leg) answerGet(a *answer) {
	x, c := l.x, l.up
	size := len(a.value)
	if a.blob != nil {
		size = len(a.blob.mem) - len(protocol.CRLF)
	}
	flags, ok := a.returned('f')
	if !ok {
		flags = []byte("0")
	}
	line := append(append(append(x.valueLine[:0], "VALUE "...), c.key...), ' ')
	x.valueLine = protocol.AppendUint(append(append(line, flags...), ' '), uint64(size))
	if c.op == protocol.OpGets || c.op == protocol.OpGats {
		unique, _ := a.returned('c')
		x.valueLine = append(append(x.valueLine, ' '), unique...)
	}
	l.pass(x.valueLine, a.value, a.blob)
	l.finish(&answer{status: protocol.StatusEnd})
}

// run carries the request out at fresh, once old has given the key up if need be.
func (r *handover) run(l *leg) {
	if c := l.up; c.write && effectOf(c) != effTouch && r.disputed(l.x, c) {
		l.phase = handYield
		l.remove(c)
		l.send(r.old)
		return
	}
	r.runNow(l)
}

func (r *handover) runNow(l *leg) {
	if isGet(l.up.op) {
		// A mark would be a value for it.
		l.phase = handRead
		flags := " f c v"
		if l.up.op != protocol.OpGets {
			_, rest := cutWord(l.up.head)
			ttl, _ := cutWord(rest)
			flags += " T" + string(ttl)
		}
		l.meta(protocol.OpMetaGet, l.up, -1, flags, false)
		l.send(r.fresh)
		return
	}
	l.phase = handRun
	l.again(l.up)
	l.send(r.fresh)
}

// forgo takes away what is at old: the item has changed, or has another time to live,
// after which that would come back.
func (r *handover) forgo(l *leg) {
	if !r.past(l.x, 2*skew) {
		l.x.expunge(r.old, l.up)
	}
}

// ran answers, and takes away what is at old if the item has changed.
func (r *handover) ran(l *leg, a *answer) {
	if l.write && a.changed() {
		r.forgo(l)
	}
	l.finish(a)
}

// marked answers a request for a key that has been deleted a moment ago. What would
// make an item has the mark taken away first.
func (r *handover) marked(l *leg) {
	c := l.up
	mode, _ := flagOf(c, 'M')
	create := c.op == protocol.OpAdd ||
		c.op == protocol.OpMetaSet && len(mode) > 0 && (mode[0] == 'E' || mode[0] == 'e') ||
		(c.op == protocol.OpMetaArith || c.op == protocol.OpMetaGet) && hasFlag(c, 'N')
	if create {
		l.phase = handClear
		l.remove(c)
		l.send(r.fresh)
		return
	}
	l.finish(l.x.absent(c))
}
