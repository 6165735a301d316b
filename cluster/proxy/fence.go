package proxy

import (
	"slices"

	"github.com/holdfast-cache/holdfast/cluster/health"
	"github.com/holdfast-cache/holdfast/protocol"
)

// fence brings a backend back that was down: it asks the node what it is, flushes
// it if its items cannot be trusted, and deletes the keys whose writes it may have
// missed. It has a lane of its own, and one loop runs it.
type fence struct {
	x       *executor
	b       *backend
	lane    *lane
	flush   bool  // flush_all is to be sent, or under way
	since   int64 // when the node has answered
	waiting bool  // for what is in doubt
	over    bool
	replay
}

// replay deletes the keys of a journal, a batch at a time.
type replay struct {
	entries []health.Entry
	calls   []call
	text    []byte
	left    int
	bad     bool
}

// replayBatch is how many deletes are under way at a time.
const replayBatch = 256

// send sends the next batch of deletes over n to the completer. It reports false
// if there is nothing left.
func (r *replay) send(n *lane, to completer) bool {
	r.entries = n.b.health.Journal().Next(r.entries[:0], replayBatch)
	if len(r.entries) == 0 {
		return false
	}
	if r.calls == nil {
		r.calls = make([]call, replayBatch)
	}
	r.left, r.bad, r.text = len(r.entries), false, r.text[:0]
	for i, e := range r.entries {
		from := len(r.text)
		op := protocol.OpDelete
		if e.Binary {
			op = protocol.OpMetaDelete
			r.text = append(protocol.AppendBase64(append(r.text, "md "...), []byte(e.Key)), " b\r\n"...)
		} else {
			r.text = protocol.AppendDelete(r.text, []byte(e.Key), false)
		}
		r.calls[i] = call{
			op: op, head: r.text[from:], own: true, to: to,
			start: n.x.now, deadline: n.x.now + n.b.timeout,
		}
	}
	for i := range r.entries {
		n.send(&r.calls[i])
	}
	return true
}

// took counts one answer, and reports true with the last. What went well is done
// then, or the journal is to be gone through once more.
func (r *replay) took(n *lane, a *answer) (last bool) {
	switch a.status {
	case protocol.StatusDeleted, protocol.StatusNotFound, protocol.StatusMetaHit, protocol.StatusMetaNotFound:
	default:
		r.bad = true
	}
	if r.left--; r.left > 0 {
		return false
	}
	j := n.b.health.Journal()
	if r.bad {
		j.Rewind()
	} else {
		j.Done(n.x.now, r.entries)
	}
	return true
}

// begin connects. The node is asked what it is as on every new connection.
func (k *fence) begin() {
	k.lane = newLane(k.x, k.b)
	k.lane.fence = k
	k.x.fences = append(k.x.fences, k.lane)
	k.lane.soil()
	k.x.by(k.x.now + k.b.connectTimeout)
}

// met takes what the node says of itself.
func (k *fence) met(says health.Identity) {
	d := k.b.health.ProbeOK(k.x.now, says)
	k.x.p.log.Info().Str("server", k.b.name()).Str("action", d.Action.String()).Str("why", d.Why).Msg("a backend answers again")
	k.flush = d.Action == health.Flush
	k.since = k.x.now
	k.b.returning.Store(k.since)
	k.wait()
}

// doubtMax is how long a fence waits for the end of what the node may still carry
// out, in nanoseconds.
const doubtMax = 2e9

// wait goes on once nothing is in doubt any more, and has the loop call again
// until then. Connections that the node does not read to their end in time are
// reset. Of those of an earlier process nothing is known: its node, which answers now, is
// given the time of one request for them.
func (k *fence) wait() {
	doubts := k.b.doubts.Load() > 0 && k.x.now < k.since+doubtMax
	if doubts || k.b.inherited.Load() && k.x.now < k.since+k.b.timeout {
		k.waiting = true
		k.x.chores = earlier(k.x.chores, k.x.now+choresEach/10)
		return
	}
	k.waiting = false
	if !k.flush {
		k.next()
		return
	}
	k.b.health.Journal().BeginFlush(k.x.now)
	k.lane.send(&call{
		op: protocol.OpFlushAll, head: []byte("flush_all\r\n"), own: true, to: k,
		start: k.x.now, deadline: k.x.now + k.b.timeout,
	})
}

func (*fence) hit(*call, int16, []byte, []byte, *blob) {}

// done takes the answer to the flush or to a delete.
func (k *fence) done(_ *call, a *answer) {
	if k.flush {
		k.flush = false
		ok := a.status == protocol.StatusOK
		k.b.health.Journal().EndFlush(k.x.now, ok)
		if ok {
			k.next()
		} else {
			k.end(false)
		}
		return
	}
	if k.took(k.lane, a) {
		if k.bad {
			k.end(false)
		} else {
			k.next()
		}
	}
}

// next goes on with the journal, and ends the fence when it is empty.
func (k *fence) next() {
	if !k.over && !k.send(k.lane, k) {
		k.end(true)
	}
}

// broke hears that the lane has ended.
func (k *fence) broke() { k.end(false) }

// end reports how it went, once, and lets go of the lane.
func (k *fence) end(ok bool) {
	if k.over {
		return
	}
	k.over = true
	h, now := k.b.health, k.x.now
	switch {
	case ok && h.FenceDone(now):
		k.b.inherited.Store(false)
		k.x.p.log.Info().Str("server", k.b.name()).Msg("a backend is read again")
	case h.State() == health.Probing:
		h.ProbeFailed(now)
	default:
		h.FenceFailed(now)
	}
	k.x.retire(k.lane)
}

// mending deletes keys from a backend that is up, whose writes were not
// acknowledged.
type mending struct {
	x *executor
	b *backend
	n *lane
	replay
}

func (*mending) hit(*call, int16, []byte, []byte, *blob) {}

func (m *mending) done(_ *call, a *answer) {
	if m.took(m.n, a) && (m.bad || !m.send(m.n, m)) {
		m.b.mending.Store(false)
		m.x.chores = m.x.now + choresEach
	}
}

// choresEach is how often a loop looks after backends that are not as they should
// be, in nanoseconds.
const choresEach = 50e6

// chore probes what is down and mends what is up, and comes again while there is
// something to do.
func (x *executor) chore(now int64) {
	x.chores = 0
	again := x.closeRetired()
	again = x.unpark(now) || again
	for _, n := range slices.Clone(x.fences) {
		if n.fence.waiting {
			n.fence.wait()
		}
	}
	for _, p := range x.p.tree.Load().pools {
		for _, b := range p.backends {
			again = x.lookAfter(b, now) || again
		}
	}
	if again {
		x.chores = now + choresEach
	}
}

// closeRetired closes lanes to backends that are not in the config any more, when
// nothing is under way on them. It says whether some are left.
func (x *executor) closeRetired() (left bool) {
	for i, n := range x.lanes {
		switch {
		case n == nil || !n.b.retired.Load():
		case n.n > 0:
			left = true
		default:
			x.retire(n)
			x.lanes[i] = nil
		}
	}
	return left
}

// unpark forgets the parked connections that have ended, and gives those up whose
// node is back for a while and still has not read them. It says whether some are left.
func (x *executor) unpark(now int64) (left bool) {
	for _, k := range x.parked {
		if k.link != nil && k.b.health.State() == health.Returning && now > k.b.returning.Load()+doubtMax/2 {
			k.end()
		}
	}
	x.parked = slices.DeleteFunc(x.parked, func(k *parked) bool { return k.link == nil })
	return len(x.parked) > 0
}

// lookAfter does what b needs now, and says whether to come again.
func (x *executor) lookAfter(b *backend, now int64) bool {
	h := b.health
	j := h.Journal()
	switch h.State() {
	case health.Down:
		b.resolveAgain(now)
		if h.TryProbe(now) {
			(&fence{x: x, b: b}).begin()
		}
		return true
	case health.Probing, health.Returning:
		return true
	}
	if j.FlushNeeded() {
		h.Failed(now, health.Overflowed)
		return true
	}
	again := x.check(b)
	if j.Pending() == 0 {
		return again
	}
	if b.doubts.Load() > 0 {
		return true // what is deleted now could be written after
	}
	if b.mending.CompareAndSwap(false, true) {
		j.Rewind()
		m := &mending{x: x, b: b, n: x.lane(b, false)}
		if !m.send(m.n, m) {
			b.mending.Store(false)
		}
	}
	return true
}
