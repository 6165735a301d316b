package server

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/holdfast-cache/holdfast/protocol"
)

// toyHandler is a handler without a store. Its replies tell what it was asked:
//
//	get a b         [a b]
//	get big:N       N times x
//	get pin:N       the same, pinned
//	set k 0 0 N     stored N and the checksum of the value
//	stats more N    N chunks of a Producer
//	stats wait      a Producer that waits for a Wake, then says woken
//	stats watch     the same, but it ends with the input
type toyHandler struct {
	host  Host
	pins  atomic.Int64 // values pinned now
	sinks atomic.Int64 // sinks that have not ended

	mu      sync.Mutex
	waiting []*toyProducer
	opened  int
	closed  map[CloseReason]int
}

func (h *toyHandler) Attach(host Host) { h.host = host }

func (h *toyHandler) NewExecutor() Executor { return &toyExecutor{h: h} }

func (h *toyHandler) ConnOpened(*Session) {
	h.mu.Lock()
	h.opened++
	h.mu.Unlock()
}

func (h *toyHandler) ConnClosed(_ *Session, reason CloseReason) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed == nil {
		h.closed = make(map[CloseReason]int)
	}
	h.closed[reason]++
}

// closedBy is how many connections ended for reason.
func (h *toyHandler) closedBy(reason CloseReason) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.closed[reason]
}

// producers is the producers that have been made to wait.
func (h *toyHandler) producers() []*toyProducer {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.waiting
}

type toyExecutor struct {
	h    *toyHandler
	busy atomic.Bool
}

func (x *toyExecutor) Execute(s *Session, b *protocol.Batch) {
	if x.busy.Swap(true) {
		panic("two goroutines in one executor")
	}
	defer x.busy.Store(false)
	for i := range b.Requests {
		x.request(s, &b.Requests[i])
	}
}

func (x *toyExecutor) request(s *Session, r *protocol.Request) {
	out := &s.Out
	switch r.Op {
	case protocol.OpGet:
		if n, ok := sized(r, "big:"); ok {
			out.Buf = append(out.Buf, bytes.Repeat([]byte{'x'}, n)...)
		} else if n, ok := sized(r, "pin:"); ok {
			x.h.pins.Add(1)
			value := bytes.Repeat([]byte{'x'}, n)
			out.Pin([][]byte{value[:n/3], nil, value[n/3:]}, toyPin{x.h})
		} else {
			out.Buf = fmt.Appendf(out.Buf, "%s", r.Keys)
		}
		out.Buf = append(out.Buf, "\r\n"...)
	case protocol.OpSet:
		if r.BadChunk {
			out.Buf = append(out.Buf, "bad\r\n"...)
			return
		}
		out.Buf = fmt.Appendf(out.Buf, "stored %d %x\r\n", len(r.Value), crc32.ChecksumIEEE(r.Value))
	case protocol.OpStats:
		x.stats(s, r)
	case protocol.OpQuit, protocol.OpClose:
		s.Close()
	case protocol.OpError:
		out.Buf = append(append(out.Buf, r.Err.Text...), "\r\n"...)
	default:
		out.Buf = fmt.Appendf(out.Buf, "op %d\r\n", r.Op)
	}
}

func (x *toyExecutor) stats(s *Session, r *protocol.Request) {
	p := &toyProducer{h: x.h, s: s, kind: string(r.Args[0])}
	if len(r.Args) > 1 {
		p.more, _ = strconv.Atoi(string(r.Args[1]))
	}
	s.Stream(p)
}

// sized reads the number behind prefix in the only key of r.
func sized(r *protocol.Request, prefix string) (int, bool) {
	rest, ok := bytes.CutPrefix(r.Keys[0], []byte(prefix))
	n, err := strconv.Atoi(string(rest))
	return n, ok && err == nil && len(r.Keys) == 1
}

type toyPin struct{ h *toyHandler }

func (p toyPin) Unpin() { p.h.pins.Add(-1) }

func (x *toyExecutor) BeginValue(s *Session, r *protocol.Request) Sink {
	switch string(r.Key()) {
	case "refused":
		s.Out.Buf = append(s.Out.Buf, "refused\r\n"...)
		return nil
	case "starved":
		x.h.sinks.Add(1)
		return &toySink{h: x.h, max: r.ValueLen / 2, size: r.ValueLen}
	}
	x.h.sinks.Add(1)
	return &toySink{h: x.h, max: r.ValueLen, size: r.ValueLen}
}

// toySink takes a value in spans of 5,000 to 40,000 bytes, and has memory for max bytes.
type toySink struct {
	h         *toyHandler
	got       []byte
	span      []byte
	max, size int
}

func (k *toySink) Span() []byte {
	if len(k.span) == 0 {
		n := min(5000+35000*(len(k.got)%2), k.max-len(k.got), k.size-len(k.got))
		k.span = make([]byte, n)
	}
	return k.span
}

func (k *toySink) Advance(n int) {
	k.got = append(k.got, k.span[:n]...)
	k.span = k.span[n:]
}

func (k *toySink) Finish(s *Session, ok bool) {
	k.h.sinks.Add(-1)
	if !ok {
		s.Out.Buf = append(s.Out.Buf, "bad\r\n"...)
		return
	}
	s.Out.Buf = fmt.Appendf(s.Out.Buf, "stored %d %x\r\n", len(k.got), crc32.ChecksumIEEE(k.got))
}

func (k *toySink) Abort() { k.h.sinks.Add(-1) }

type toyProducer struct {
	h       *toyHandler
	s       *Session
	kind    string
	more    int
	calls   int
	aborted atomic.Bool
}

func (p *toyProducer) Produce(s *Session) Progress {
	p.calls++
	switch {
	case p.kind == "more" && p.calls <= p.more:
		s.Out.Buf = append(append(s.Out.Buf, bytes.Repeat([]byte{'m'}, 60000)...), "\r\n"...)
		return ProducerMore
	case p.kind == "close":
		s.Out.Buf = append(s.Out.Buf, "closing\r\n"...)
		return ProducerClose
	case p.kind != "more" && p.calls == 1:
		s.Out.Buf = append(s.Out.Buf, "waiting\r\n"...)
		p.h.mu.Lock()
		p.h.waiting = append(p.h.waiting, p)
		p.h.mu.Unlock()
		return ProducerWait
	case p.kind == "watch":
		s.Out.Buf = append(s.Out.Buf, "event\r\n"...)
		return ProducerWait
	}
	s.Out.Buf = append(s.Out.Buf, "done\r\n"...)
	return ProducerDone
}

func (p *toyProducer) Abort() { p.aborted.Store(true) }

func (p *toyProducer) EndsWithInput() bool { return p.kind == "watch" }

// toySession is a session without a socket.
type toySession struct {
	Session
	t    *testing.T
	h    *toyHandler
	l    *lane
	v    verdict
	out  []byte
	take int // how much of the output is taken each turn; -1: all
}

func newToySession(t *testing.T) *toySession {
	h := &toyHandler{}
	conf := &laneConfig{reqs: 20}
	c := &toySession{t: t, h: h, l: newLane(h, &bufferPool{}, conf), take: -1}
	c.FD = 1
	c.init(1, false, nil)
	return c
}

// turn gives the session one turn with the head of in and returns the rest.
func (c *toySession) turn(in []byte, others bool) []byte {
	c.t.Helper()
	c.begin(c.l)
	if c.wantsInput(c.v) && len(in) > 0 {
		in = in[land(&c.Session, in):]
	}
	if c.v != verdictDrain || c.Out.Pending() == 0 {
		c.v = c.run(others)
	}
	c.drain()
	if !c.end() {
		c.t.Fatal("no memory at the end of a turn")
	}
	return in
}

// drain takes output off.
func (c *toySession) drain() {
	budget := c.take
	for c.Out.Pending() > 0 && budget != 0 {
		b := c.Out.gather(c.l.vec[:])[0]
		if budget >= 0 {
			b = b[:min(len(b), budget)]
			budget -= len(b)
		}
		c.out = append(c.out, b...)
		c.Out.wrote(len(b))
	}
}

// feed gives it all of in, and further turns for as long as it wants them.
func (c *toySession) feed(in []byte) {
	c.t.Helper()
	for turns := 0; ; turns++ {
		if turns > 100000 {
			c.t.Fatal("the session does not get on")
		}
		in = c.turn(in, false)
		switch {
		case c.v == verdictClose && c.Out.Pending() == 0:
			return
		case c.v == verdictRead && len(in) > 0, c.v == verdictDrain, c.v == verdictYield:
		case c.Out.Pending() > 0:
		default:
			return
		}
	}
}

// idle checks that the session holds nothing.
func (c *toySession) idle() {
	c.t.Helper()
	if n, b := c.l.buffers.count.Load(), c.l.buffers.bytes.Load(); n != 0 || b != 0 {
		c.t.Errorf("an idle session holds %d buffers of %d bytes", n, b)
	}
	if n := c.h.pins.Load(); n != 0 {
		c.t.Errorf("%d values are pinned", n)
	}
	if n := c.h.sinks.Load(); n != 0 {
		c.t.Errorf("%d sinks have not ended", n)
	}
}

// quietExecutor answers without allocating.
type quietExecutor struct{}

func (quietExecutor) Execute(s *Session, b *protocol.Batch) {
	for i := range b.Requests {
		s.Out.Buf = append(append(s.Out.Buf, b.Requests[i].Key()...), "\r\n"...)
	}
}

func (quietExecutor) BeginValue(*Session, *protocol.Request) Sink { return nil }
