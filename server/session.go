package server

import (
	"net/netip"
	"sync/atomic"

	"github.com/holdfast-cache/holdfast/protocol"
)

// Session is one conversation: bytes in, bytes out. It knows no socket.
// Its methods are called by its transport and, during Execute, Produce and
// Finish, by the executor; Wake alone may be called by any goroutine.
//
// A transport works on a session in turns (see doc.go): begin, one read into
// space, run, write what Out holds, end. A turn that only writes leaves out the
// read and the run.
type Session struct {
	// Out collects the replies. Executors append to Out.Buf.
	Out Output
	// ID numbers the connections from 1.
	ID uint64
	// FD is the socket's descriptor, as in "stats conns"; log and watch lines
	// name the connection by it. -1 if the transport does not know it.
	FD int
	// Remote is the peer's address, for log lines and for counting wrong
	// passwords; the zero value on a Unix socket.
	Remote netip.AddrPort
	// Authenticated says that the client has shown a password (only asked with an auth file).
	Authenticated bool
	// Owed is the executor's, between the pieces of one get: the line that ends it, for a
	// piece has failed.
	Owed []byte

	lane   *lane // set during a turn
	parser protocol.Parser
	input  []byte // in the lane's buffer, not used up yet; set during a turn
	direct bool   // the last space was a Sink's
	value  valueInput
	wary   bool // the last request was a long value's: another may follow

	producer Producer
	started  bool // the producer has produced before
	waiting  bool // its last word was ProducerWait

	parting bool // it closes when the producer is done
	closing bool // no more input is used, the output is still written
	eof     bool // the client has ended its side

	heldIn, heldOut heldBuffer // between turns, if need be
	hold            *hold      // replies that wait for the keeper; nil: there were never any

	phase atomic.Uint32 // for "stats conns"
	woken atomic.Bool
	waker waker
}

// valueInput is the value of a streaming request on its way.
type valueInput struct {
	sink Sink // nil: there is none
	dead bool // the sink had no memory: skip the rest
	left int  // bytes of the value still to come
	end  [2]byte
	ends int // bytes of the line end that are there
}

// waker is the transport's side of Wake: it sees to a turn of the session soon.
// It may be called by any goroutine and does not block.
type waker interface {
	wake()
	// ready is wake for the goroutine that runs the session's turns.
	ready()
}

// verdict is how a turn ended: what the session waits for.
type verdict uint8

const (
	// verdictRead: more input.
	verdictRead verdict = iota
	// verdictWait: Wake; input is read meanwhile, as far as there is room.
	verdictWait
	// verdictYield: a further turn; the others come first.
	verdictYield
	// verdictDrain: a further turn once the output is written.
	verdictDrain
	// verdictClose: to be closed once the output is written.
	verdictClose
	// verdictHold: the keeper; meanwhile nothing is written, read or executed.
	verdictHold
)

// init prepares the session for its first turn.
func (s *Session) init(id uint64, debug bool, w waker) {
	s.ID = id
	s.parser.InlineMax = inlineMax
	s.parser.Debug = debug
	s.waker = w
}

// Close ends the connection after the output is written.
func (s *Session) Close() { s.closing = true }

// Stream makes p produce the output from here on.
func (s *Session) Stream(p Producer) {
	s.producer, s.started, s.waiting = p, false, false
}

// Wake has the session's transport call its Producer soon.
func (s *Session) Wake() {
	s.woken.Store(true)
	if s.waker != nil {
		s.waker.wake()
	}
}

// begin starts a turn: until end the session works with l's buffers.
func (s *Session) begin(l *lane) {
	s.lane = l
	s.input = l.in[:0]
	if s.heldOut.empty() {
		s.Out.Buf, s.Out.pins = l.out[:0], l.pins[:0]
	}
}

// load moves the input that was held since the last turn into the lane's buffer.
// A turn that only writes leaves it where it is.
func (s *Session) load() {
	if !s.heldIn.empty() {
		s.input = s.lane.in[:copy(s.lane.in, s.heldIn.b.B)]
		s.heldIn.release(s.lane.buffers)
	}
}

// wantsInput says whether to read, given what the session waits for.
func (s *Session) wantsInput(v verdict) bool {
	if s.eof || s.closing || v != verdictRead && v != verdictWait {
		return false
	}
	return s.heldIn.empty() || len(s.heldIn.b.B) < inputMax
}

// space is where the next read lands: in item memory, if a long value is on its
// way, or behind the input in the lane's buffer. fed must follow.
func (s *Session) space() []byte {
	if span := s.span(); span != nil {
		s.direct = true
		return span
	}
	s.direct = false
	s.load()
	if s.wary && len(s.input) == 0 {
		return s.lane.in[:waryMax]
	}
	return s.lane.in[len(s.input):]
}

// tail is where the read into space goes on, nil if nowhere: where the space
// ends the value, what follows lands in the lane's buffer. Without it the line
// end would take a read of its own.
func (s *Session) tail(space []byte) []byte {
	if s.direct && len(space) == s.value.left {
		return s.lane.in
	}
	return nil
}

// span is memory of the sink's that is worth a read of its own, else nil.
func (s *Session) span() []byte {
	v := &s.value
	if v.sink == nil || v.dead || v.left < directMin || len(s.input) > 0 || !s.heldIn.empty() {
		return nil
	}
	span := v.sink.Span()
	if len(span) == 0 {
		v.dead = true
		return nil
	}
	if len(span) < directMin && len(span) < v.left {
		return nil
	}
	return span[:min(len(span), v.left, directMax)]
}

// feed takes data that was read elsewhere; there must be room for it.
func (s *Session) feed(data []byte) {
	s.direct = false
	s.load()
	s.fed(copy(s.lane.in[len(s.input):], data))
}

// fed says that n bytes have been read into space and tail.
func (s *Session) fed(n int) {
	if s.direct {
		into := min(n, s.value.left)
		s.value.sink.Advance(into)
		s.value.left -= into
		s.input = s.lane.in[:n-into]
		return
	}
	s.input = s.lane.in[:len(s.input)+n]
}

// end finishes a turn: output that is not written yet moves to a buffer of the
// session's own. It reports false if there is no memory for that: the
// connection must be closed then.
func (s *Session) end() bool {
	l := s.lane
	s.lane, s.input = nil, nil
	o := &s.Out
	switch {
	case o.Pending() == 0 && s.heldOut.empty():
		l.takeBack(o)
	case o.Pending() == 0:
		s.releaseOut(l.buffers)
	case s.heldOut.empty():
		buf, pins := o.Buf, o.pins
		if !s.heldOut.hold(l.buffers, len(buf)-o.sent) {
			o.discard()
			l.takeBack(o)
			return false
		}
		o.compact(s.heldOut.b.B, nil)
		s.heldOut.b.B = o.Buf
		l.takeBack(&Output{Buf: buf, pins: pins})
	default:
		if o.sent > 0 {
			// A pinned position is never below sent, so both may shift down.
			s.shift()
		}
		return s.heldOut.recount(l.buffers, o.Buf)
	}
	return true
}

// releaseOut gives the session's own output buffer back, once it is written.
func (s *Session) releaseOut(p *bufferPool) {
	s.heldOut.b.B = s.Out.Buf
	s.heldOut.release(p)
	s.Out.Buf, s.Out.pins = nil, nil
}

// shift drops what is written from the session's own output buffer.
func (s *Session) shift() {
	o := &s.Out
	o.Buf = o.Buf[:copy(o.Buf, o.Buf[o.sent:])]
	n := copy(o.pins, o.pins[o.first:])
	clear(o.pins[n:])
	o.pins = o.pins[:n]
	for i := range o.pins {
		o.pins[i].at -= o.sent
	}
	o.sent, o.first = 0, 0
}

// abort ends the session before its time, or after it: whatever it still has is
// given up. No turn may follow. The transport calls it once, within a turn or
// between two; in the latter case l only tells where buffers go.
func (s *Session) abort(l *lane) {
	if s.producer != nil {
		s.producer.Abort()
		s.producer = nil
	}
	if s.value.sink != nil {
		s.value.sink.Abort()
		s.value.sink = nil
	}
	o := &s.Out
	o.discard()
	inTurn := s.lane != nil
	if s.heldOut.empty() {
		if inTurn {
			l.takeBack(o)
		}
	} else {
		s.releaseOut(l.buffers)
	}
	s.heldIn.release(l.buffers)
	o.Buf, o.pins = nil, nil
	s.lane, s.input, s.closing = nil, nil, true
}
