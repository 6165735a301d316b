package proxy

import (
	"errors"

	"github.com/holdfast-cache/holdfast/server"
)

// What ends a lane: a broken connection, a reply that does not fit, time.

var (
	errUnresolved = errors.New("the address could not be resolved")
	errProtocol   = errors.New("the reply does not fit the request")
	errStuck      = errors.New("no reply for twice the timeout")
	errTimeout    = errors.New("no reply in time")
	errRestarted  = errors.New("another process answers than before: it is to be fenced")
	errConnect    = errors.New("the connection took too long")
)

// down ends the connection, if there is one, and fails what waits on it. Reads of
// which nothing has come yet are sent once more.
func (n *lane) down(err error) {
	if n.link != nil {
		n.link.Close()
		n.link = nil
	}
	stood, waited := n.stood, n.n > 0
	n.stood, n.met, n.epochAt = false, false, 0
	if b := n.stream.blob; b != nil {
		b.Unpin()
	}
	n.stream = stream{line: n.stream.line[:0]}
	n.used = 0
	n.out = server.Output{Buf: n.discardOut()}
	if errors.Is(err, errRestarted) {
		n.x.chores = earlier(n.x.chores, n.x.now)
	} else if n.fence == nil && (waited || !stood) {
		n.failed(!stood, err)
	}
	text := failureText(err)
	if !stood || errors.Is(err, errRestarted) {
		text = hfDown
	}
	count := n.n
	again := n.x.again[:0]
	for range count {
		c := n.at(0).call
		n.pop()
		switch {
		case c == nil:
		case c.retry && stood && text != hfProto:
			c.retry = false
			again = append(again, c)
		default:
			n.fail(c, text)
		}
	}
	n.late = 0
	for _, c := range again {
		n.b.stats.retries.Add(1)
		n.send(c)
	}
	clear(again)
	n.x.again = again[:0]
	if n.fence != nil {
		n.fence.broke()
	}
}

// discardOut lets go of the values that wait to be sent and returns the buffer.
func (n *lane) discardOut() []byte {
	buf := n.out.Buf
	n.out.Drop()
	return buf[:0]
}

// expire answers the calls whose time is over, and gives the connection up when
// even late replies do not come.
func (n *lane) expire(now int64) {
	if n.link != nil && !n.met && now >= n.patience() {
		n.down(errConnect)
		return
	}
	for n.late < n.n && n.at(n.late).deadline <= now {
		o := n.at(n.late)
		n.late++
		if c := o.call; c != nil {
			o.call = nil
			if c.write && !c.own {
				o.doubt = true
				n.b.doubts.Add(1)
			}
			if n.fence == nil {
				n.failed(false, errTimeout)
			}
			n.fail(c, hfTimeout)
		}
	}
	if n.n > 0 && n.at(0).give <= now {
		n.park()
		n.down(errStuck)
	}
}

// parked is a connection that was given up with requests on it which the node may
// still carry out. It is kept until the node has read them all.
type parked struct {
	b    *backend
	link *server.Link
	buf  [512]byte
}

// park keeps the connection, if there may be something left on it.
func (n *lane) park() {
	if n.link == nil || !n.met || n.fence != nil {
		return
	}
	k := &parked{b: n.b, link: n.link}
	n.b.doubts.Add(1)
	n.link.Park(k)
	n.link = nil
	n.x.parked = append(n.x.parked, k)
}

func (k *parked) LinkUp()        {}
func (k *parked) Space() []byte  { return k.buf[:] }
func (k *parked) Filled(int)     {}
func (k *parked) LinkWritable()  {}
func (k *parked) LinkDown(error) { k.end() }

// end gives the connection up.
func (k *parked) end() {
	if k.link != nil {
		k.link.Close()
		k.link = nil
		k.b.doubts.Add(-1)
	}
}

// patience is until when a new connection has time to stand, and its node to say
// what it is.
func (n *lane) patience() int64 {
	t := n.dialed + n.b.connectTimeout
	if n.stood {
		t += n.b.timeout
	}
	return t
}

// next is when expire is to be called, 0 if nothing waits.
func (n *lane) next() int64 {
	t := int64(0)
	if n.link != nil && !n.met {
		t = n.patience()
	}
	if n.n > 0 {
		t = earlier(t, n.at(0).give)
	}
	if n.late < n.n {
		t = earlier(t, n.at(n.late).deadline)
	}
	return t
}

// earlier is the earlier of two times of which 0 is never.
func earlier(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
