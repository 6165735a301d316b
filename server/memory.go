package server

import "github.com/rs/zerolog"

// MemoryLoop is an event loop without sockets and without a clock: its user moves
// the time, speaks as the clients and is the servers that are dialled. It is for
// tests of executors, whose every step can be chosen so.
type MemoryLoop struct {
	// Time is what Now tells.
	Time int64
	// Links are the connections that were dialled, in order, ended ones as well.
	Links []*MemoryLink

	lane  *lane
	exec  LoopExecutor // nil: the executor has no links
	ids   uint64
	ready []*MemoryClient
}

// NewMemoryLoop returns a loop with an executor of h.
func NewMemoryLoop(h Handler) *MemoryLoop {
	l := &MemoryLoop{Time: 1e9}
	l.lane = newLane(h, &bufferPool{}, &laneConfig{reqs: 64, debug: true, log: zerolog.Nop()})
	if x, is := l.lane.exec.(LoopExecutor); is {
		l.exec = x
		x.Bind(l)
	}
	return l
}

// Now is Time.
func (l *MemoryLoop) Now() int64 { return l.Time }

// Poke does nothing: Settle is called by hand.
func (l *MemoryLoop) Poke() {}

// Dial adds a link that is neither up nor refused yet.
func (l *MemoryLoop) Dial(addr LinkAddr, h LinkHandler) *Link {
	m := &MemoryLink{Addr: addr}
	m.link = Link{h: h, io: m}
	l.Links = append(l.Links, m)
	return &m.link
}

// Settle ends a wake-up: clients whose replies are there get them, and the executor
// sends what it has collected. It returns when the executor wants to be called again.
func (l *MemoryLoop) Settle() (next int64) {
	for len(l.ready) > 0 {
		c := l.ready[0]
		l.ready = append(l.ready[:0], l.ready[1:]...)
		c.turns()
	}
	if l.exec == nil {
		return 0
	}
	next = l.exec.Settle(l.Time)
	if len(l.ready) > 0 {
		return l.Settle()
	}
	return next
}

// Close ends what the executor has on the loop.
func (l *MemoryLoop) Close() {
	if l.exec != nil {
		l.exec.Unbind()
	}
}

// MemoryLink is the other end of a Link.
type MemoryLink struct {
	// Addr is what was dialled.
	Addr LinkAddr
	// Sent is what the executor has written and its user has not taken off.
	Sent []byte
	// Room is how many bytes more may be written before a write is cut short; less
	// than 0 is any number, 0 is as many as that too.
	Room int
	// Ended says that the executor has ended its side: it writes no more.
	Ended bool

	link Link
}

// Accept has the connection stand.
func (m *MemoryLink) Accept() {
	m.link.up = true
	m.link.h.LinkUp()
}

// Closed says whether the link is over.
func (m *MemoryLink) Closed() bool { return m.link.closed }

// Say has data arrive, in as many reads as it takes.
func (m *MemoryLink) Say(data []byte) {
	for len(data) > 0 && !m.link.closed {
		n := copy(m.link.h.Space(), data)
		data = data[n:]
		m.link.h.Filled(n)
	}
}

// Break ends the link from the other side.
func (m *MemoryLink) Break(err error) {
	if !m.link.closed {
		m.link.closed = true
		m.link.h.LinkDown(err)
	}
}

// Drained makes room for n bytes after a write that was cut short; 0 is any number.
func (m *MemoryLink) Drained(n int) {
	m.Room = n
	if !m.link.closed {
		m.link.h.LinkWritable()
	}
}

func (m *MemoryLink) writeLink(_ *Link, o *Output) error {
	var vec [vecMax][]byte
	for o.Pending() > 0 {
		n := 0
		for _, b := range o.gather(vec[:]) {
			if m.Room > 0 {
				b = b[:min(len(b), m.Room-1)]
				m.Room -= len(b)
			}
			m.Sent = append(m.Sent, b...)
			n += len(b)
		}
		if n == 0 {
			return nil
		}
		o.wrote(n)
	}
	return nil
}

func (m *MemoryLink) closeLink(*Link) {}
func (m *MemoryLink) endLink(*Link)   { m.Ended = true }

// MemoryClient is a client of a MemoryLoop.
type MemoryClient struct {
	// Heard is what has been answered and its user has not taken off.
	Heard []byte
	// Closed says that the server has ended the connection.
	Closed bool

	loop   *MemoryLoop
	s      Session
	unread []byte
	last   verdict
	queued bool
}

// NewClient connects a client.
func (l *MemoryLoop) NewClient() *MemoryClient {
	c := &MemoryClient{loop: l}
	l.ids++
	c.s.FD = -1
	c.s.init(l.ids, true, c)
	return c
}

func (c *MemoryClient) wake() { c.ready() }

func (c *MemoryClient) ready() {
	if !c.queued {
		c.queued = true
		c.loop.ready = append(c.loop.ready, c)
	}
}

// Say has text arrive.
func (c *MemoryClient) Say(text []byte) {
	c.unread = append(c.unread, text...)
	c.turns()
}

// HangUp ends the connection from the client's side.
func (c *MemoryClient) HangUp() {
	if !c.Closed {
		c.Closed = true
		c.s.abort(c.loop.lane)
	}
}

// turns works on the session as long as there is something to do without an event.
func (c *MemoryClient) turns() {
	c.queued = false
	for more := true; more && !c.Closed; {
		c.s.begin(c.loop.lane)
		more = false
		if c.s.wantsInput(c.last) && len(c.unread) > 0 {
			n := c.read()
			c.unread = append(c.unread[:0], c.unread[n:]...)
			more = len(c.unread) > 0
		}
		c.last = c.s.run(false)
		c.write()
		c.s.end()
		switch c.last {
		case verdictClose:
			c.HangUp()
		case verdictDrain, verdictYield:
			more = true
		case verdictHold:
			more = false
		}
	}
}

// read reads once, as one system call would.
func (c *MemoryClient) read() int {
	space := c.s.space()
	n := copy(space, c.unread)
	if n == len(space) {
		n += copy(c.s.tail(space), c.unread[n:])
	}
	c.s.fed(n)
	return n
}

func (c *MemoryClient) write() {
	o := &c.s.Out
	for o.Pending() > 0 {
		n := 0
		for _, b := range o.gather(c.loop.lane.vec[:]) {
			c.Heard = append(c.Heard, b...)
			n += len(b)
		}
		o.wrote(n)
	}
}
