package proxy

import (
	"github.com/holdfast-cache/holdfast/cluster/health"
	"github.com/holdfast-cache/holdfast/protocol"
	"github.com/holdfast-cache/holdfast/server"
)

// Bounds of a lane, in bytes.
const (
	// laneInput is the size of the buffer that replies are read into.
	laneInput = 64 << 10
	// valueInline is the longest value that is waited for in that buffer; a longer
	// one goes into a blob.
	valueInline = 16 << 10
	// laneOutputKeep is how much of its output buffer a lane keeps.
	laneOutputKeep = 1 << 20
)

// lane is one connection of one loop to one backend, with the calls that wait for
// their replies, in the order they were sent. Only its loop touches it.
type lane struct {
	x *executor
	b *backend

	link   *server.Link // nil: there is no connection
	dialed int64        // when the connection was begun
	dirty  bool         // it is in x.dirty
	stood  bool         // the connection has stood
	met    bool         // the node has said what it is: requests may be sent
	fence  *fence       // whose lane it is, if not everybody's
	group  *call        // of the multiget being made: its keys of this backend
	out    server.Output

	// ops is a ring: n calls from head on, of which the first late have been
	// answered with a timeout already.
	ops           []op
	head, n, late int

	// epochAt is when the node is told of our map next; 0 is never. newest and
	// newestSum are what it answers, while it does.
	epochAt           int64
	newest, newestSum uint64

	says   health.Identity // while it is met
	in     []byte
	used   int
	parser protocol.ResponseParser
	resp   protocol.Response
	stream stream
}

// op is one request that was sent, or is about to be.
type op struct {
	call     *call // nil: nobody waits for it any more
	deadline int64
	give     int64 // when the connection is given up if there is still no reply
	opaque   uint32
	kind     opKind
	doubt    bool // a write that has timed out
}

// opKind says what the reply to a request looks like.
type opKind uint8

const (
	opGet   opKind = iota // VALUE lines and END
	opLine                // one line
	opMeta                // one line with flags, perhaps a value
	opDebug               // ME or EN
	opProbe               // VERSION, for ourselves
	opEpoch               // STAT lines and END, for ourselves
)

// stream is a long value on its way in.
type stream struct {
	on     bool
	blob   *blob // nil: nobody wants it
	line   []byte
	resp   protocol.Response // of the line
	filled int
	left   int // bytes to come, line end included
}

// at is the i-th op from the head on.
func (n *lane) at(i int) *op { return &n.ops[(n.head+i)&(len(n.ops)-1)] }

// push adds an op at the end.
func (n *lane) push(o op) {
	if n.n == len(n.ops) {
		grown := make([]op, max(2*len(n.ops), 16))
		for i := range n.n {
			grown[i] = *n.at(i)
		}
		n.ops, n.head = grown, 0
	}
	n.n++
	*n.at(n.n - 1) = o
}

// pop takes the first op off.
func (n *lane) pop() {
	if n.at(0).doubt {
		n.b.doubts.Add(-1)
	}
	*n.at(0) = op{}
	n.head = (n.head + 1) & (len(n.ops) - 1)
	n.n--
	if n.late > 0 {
		n.late--
	}
}

// send starts c, or fails it at once.
func (n *lane) send(c *call) {
	switch {
	case c.deadline <= n.x.now:
		n.fail(c, hfTimeout)
		return
	case !n.b.admits(n.x.now, c):
		n.fail(c, hfDown)
		return
	case n.out.Pending() > n.b.queueMax && !c.own:
		n.b.stats.refused.Add(1)
		n.fail(c, hfLimit)
		return
	}
	b := append(n.out.Buf, c.head...)
	if c.hasValue {
		if c.blob != nil {
			n.out.Buf = b
			n.out.Pin([][]byte{c.blob.mem}, c.blob.hold())
			b = n.out.Buf
		} else {
			b = append(append(b, c.value...), protocol.CRLF...)
		}
	}
	n.out.Buf = b
	n.push(op{call: c, deadline: c.deadline, give: c.deadline + (c.deadline - c.start), opaque: c.opaque, kind: kindOf(c.op)})
	n.x.by(c.deadline)
	n.soil()
}

func kindOf(o protocol.Op) opKind {
	switch {
	case isGet(o):
		return opGet
	case isMeta(o):
		return opMeta
	case o == protocol.OpMetaDebug:
		return opDebug
	case o == protocol.OpVersion:
		return opProbe
	}
	return opLine
}

// fail answers c with an error of our own. What the backend may have done of a
// write is unknown then.
func (n *lane) fail(c *call, kind hfKind) {
	n.b.stats.failures[kind].Add(1)
	switch {
	case c.own:
	case c.write:
		n.b.health.Journal().Add(n.x.now, c.key, c.binary)
		n.x.chores = earlier(n.x.chores, n.x.now)
	case c.op == protocol.OpFlushAll:
		n.b.health.Journal().Lose(n.x.now)
		n.x.chores = earlier(n.x.chores, n.x.now)
	}
	n.x.tell(c, &answer{status: protocol.StatusServerError, failed: true, line: n.b.lines[kind]})
}

// soil has the lane's output sent when the wake-up ends.
func (n *lane) soil() {
	if !n.dirty {
		n.dirty = true
		n.x.dirty = append(n.x.dirty, n)
	}
}

// flush sends what waits, and begins a connection if there is none.
func (n *lane) flush() {
	n.dirty = false
	if n.n == 0 && n.out.Pending() == 0 && n.fence == nil {
		return
	}
	if n.link == nil {
		addr := n.b.addr.Load()
		if addr == nil {
			n.down(errUnresolved)
			return
		}
		n.dialed = n.x.now
		n.x.by(n.dialed + n.b.connectTimeout)
		n.link = n.x.loop.Dial(*addr, n)
		return
	}
	if !n.met {
		return
	}
	if n.epochAt != 0 && n.x.now >= n.epochAt {
		n.tellEpoch()
	}
	if err := n.link.Write(&n.out); err != nil {
		n.link = nil
		n.down(err)
		return
	}
	if n.out.Pending() == 0 && cap(n.out.Buf) > laneOutputKeep {
		n.out.Buf = nil
	}
}

// LinkUp asks the node what it is, before anything else.
func (n *lane) LinkUp() {
	n.x.now = n.x.loop.Now()
	n.stood = true
	n.b.stats.connects.Add(1)
	n.says = health.Identity{}
	ask := server.Output{Buf: []byte("stats\r\n")}
	if err := n.link.Write(&ask); err != nil {
		n.link = nil
		n.down(err)
	}
}

// meet takes the answer to that, a line at a time. A server that does not know
// the command, or does not say when it was started, is taken as it is.
func (n *lane) meet(r *protocol.Response) {
	switch {
	case r.Status == protocol.StatusStat:
		n.says.Set(r.Key, r.Value)
		return
	case r.Status != protocol.StatusEnd && !r.IsError():
		n.violated()
		return
	}
	n.met = true
	if n.says.BootID != "" && n.fence == nil {
		n.epochAt = n.x.now
	}
	switch {
	case n.fence != nil:
		n.fence.met(n.says)
	case r.IsError() || n.says.BootID == "" && n.says.Time == 0 || n.b.health.Meet(n.x.now, n.says):
		n.soil()
	default:
		n.down(errRestarted)
	}
}

// LinkWritable goes on sending.
func (n *lane) LinkWritable() { n.soil() }

// LinkDown fails what was under way. If there was nothing the node is asked at once who it
// is now: when it has lost what was acknowledged through us, other proxies cannot know.
func (n *lane) LinkDown(err error) {
	n.x.now = n.x.loop.Now()
	idle := n.met && n.n == 0 && n.fence == nil
	n.link = nil
	n.down(err)
	if idle && !n.b.retired.Load() {
		n.b.suspected.Store(checksMax)
		n.x.chores = earlier(n.x.chores, n.x.now)
	}
}

// Space is where the next bytes land.
func (n *lane) Space() []byte {
	if s := &n.stream; s.on && n.used == 0 {
		if s.blob != nil {
			return s.blob.mem[s.filled:]
		}
		return n.input()[:min(s.left, laneInput)]
	}
	return n.input()[n.used:]
}

func (n *lane) input() []byte {
	if n.in == nil {
		n.in = make([]byte, laneInput)
	}
	return n.in
}

// Filled takes what has come. The loop may have slept since it was known what time it is.
func (n *lane) Filled(got int) {
	n.x.now = n.x.loop.Now()
	n.b.stats.bytesIn.Add(uint64(got))
	if s := &n.stream; s.on && n.used == 0 {
		s.filled += got
		s.left -= got
		if s.left == 0 {
			n.streamed()
		}
		return
	}
	n.used += got
	pos := 0
	for pos < n.used && n.link != nil {
		if s := &n.stream; s.on {
			k := min(s.left, n.used-pos)
			if s.blob != nil {
				copy(s.blob.mem[s.filled:], n.in[pos:pos+k])
			}
			s.filled += k
			s.left -= k
			pos += k
			if s.left == 0 {
				n.streamed()
			}
			continue
		}
		used, err := n.parser.Next(n.in[pos:n.used], &n.resp)
		if err != nil || used > 0 && n.n == 0 && n.met {
			n.violated()
			return
		}
		if used == 0 {
			break
		}
		pos += used
		if !n.met {
			n.meet(&n.resp)
			continue
		}
		if n.resp.Streaming {
			n.beginStream()
			continue
		}
		n.reply(n.at(0), &n.resp, nil)
	}
	if n.link == nil {
		return
	}
	n.used = copy(n.in, n.in[pos:n.used])
	if n.used == laneInput {
		n.violated() // a line that never ends
	}
}

// beginStream prepares for the long value of n.resp. A value for which there is
// no memory, or that nobody waits for, is read and forgotten.
func (n *lane) beginStream() {
	s := &n.stream
	size := n.resp.ValueLen + len(protocol.CRLF)
	s.line = append(s.line[:0], n.resp.Line...)
	s.on, s.resp, s.filled, s.left = true, n.resp, 0, size
	s.blob = nil
	o := n.at(0)
	if o.call == nil {
		return
	}
	n.x.heavy.add(o.call.key)
	if s.blob = n.x.blobs.get(size); s.blob == nil {
		n.b.stats.refused.Add(1)
		c := o.call
		o.call = nil
		n.fail(c, hfLimit)
	}
}

// streamed ends a long value.
func (n *lane) streamed() {
	s := &n.stream
	s.on = false
	b := s.blob
	s.blob = nil
	if b != nil && string(b.mem[len(b.mem)-len(protocol.CRLF):]) != protocol.CRLF {
		b.Unpin()
		n.violated()
		return
	}
	// The response is that of the line: its slices lie in the line that was kept.
	r := s.resp
	if !reparse(&r, s.line) {
		n.violated()
		return
	}
	n.reply(n.at(0), &r, b)
}

// reparse points the slices of r, which has a long value, into line.
func reparse(r *protocol.Response, line []byte) bool {
	var p protocol.ResponseParser
	p.InlineMax = 1
	text := append(line, protocol.CRLF...)
	n, err := p.Next(text, r)
	return err == nil && n == len(text)
}

// violated gives the connection up: what comes on it cannot be matched.
func (n *lane) violated() {
	n.b.stats.violations.Add(1)
	n.down(errProtocol)
}
