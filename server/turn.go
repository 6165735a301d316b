package server

import (
	"bytes"

	"github.com/holdfast-cache/holdfast/protocol"
)

// run uses the input up: it executes requests until it needs more input, the
// output is at its bound, or -R requests are done while other connections wait
// (others). Input that is left over moves to a buffer of the session's own;
// run is therefore called once a turn.
func (s *Session) run(others bool) verdict {
	v := s.runOn(others)
	if len(s.lane.promises) > 0 {
		return s.holdBack(v)
	}
	return v
}

// runOn is run without regard to promises.
func (s *Session) runOn(others bool) verdict {
	s.load()
	v := s.execute(others)
	if v == verdictClose {
		s.input = nil
		return v
	}
	if len(s.input) == 0 {
		return v
	}
	if !s.heldIn.hold(s.lane.buffers, len(s.input)) {
		s.input = nil
		s.closing = true
		s.Out.Buf = append(s.Out.Buf, "SERVER_ERROR out of memory reading request\r\n"...)
		return verdictClose
	}
	s.heldIn.b.B = append(s.heldIn.b.B[:0], s.input...)
	return v
}

// execute is run without the moving of input.
func (s *Session) execute(others bool) verdict {
	n := 0 // requests since the last look at others
	for {
		if s.closing {
			return verdictClose
		}
		if s.producer != nil {
			if v := s.produce(); s.producer != nil {
				return v
			}
			continue
		}
		if s.Out.Pending() > outputMax {
			return verdictDrain
		}
		if s.value.sink != nil {
			if !s.takeValue() {
				return s.starved()
			}
			continue
		}
		if n >= s.lane.conf.reqs {
			if others && len(s.input) > 0 {
				s.lane.n.yields.Add(1)
				return verdictYield
			}
			n = 0
		}
		done, ok := s.step()
		if !ok {
			return s.starved()
		}
		n += done
	}
}

// starved is the verdict on a session that needs more input.
func (s *Session) starved() verdict {
	if s.eof || len(s.input) == inputMax {
		s.closing = true
		return verdictClose
	}
	return verdictRead
}

// step parses and executes one batch of requests. Not ok means that there was
// no whole request.
func (s *Session) step() (done int, ok bool) {
	if len(s.input) == 0 {
		return 0, false
	}
	l, b := s.lane, &s.lane.batch
	if l.gate != nil && !s.Authenticated {
		n := l.gate.Greet(s, s.input)
		s.input = s.input[n:]
		return 1, n > 0
	}
	verbose := l.conf.verbosity.Load() > 1
	s.parser.RequestsMax = l.conf.reqs
	if verbose {
		s.parser.RequestsMax = 1 // so that each command can be logged with its reply
	}
	n := s.parser.Fill(s.input, b)
	last := b.Last()
	if last == nil {
		s.input = s.input[n:]
		return 0, n > 0
	}
	used := s.input[:n]
	s.input = s.input[n:]
	done = len(b.Requests)
	streaming := last.Streaming
	if streaming {
		b.Requests = b.Requests[:done-1]
		b.Keys = b.Keys[:len(b.Keys)-len(last.Keys)]
	}
	if last.Op >= protocol.OpFlushAll {
		s.phase.Store(phaseParse)
	}
	before := len(s.Out.Buf)
	if len(b.Requests) > 0 {
		s.wary = false
		l.exec.Execute(s, b)
	}
	if last.Op == protocol.OpClose {
		s.closing = s.producer == nil
		s.parting = true
	}
	if streaming && !s.closing {
		s.beginValue(last)
	}
	if verbose {
		s.logCommand(used, last, before)
	}
	return done, true
}

// beginValue hands the value of r, which follows, to a sink, or has it skipped.
func (s *Session) beginValue(r *protocol.Request) {
	size := r.ValueLen
	sink := s.lane.exec.BeginValue(s, r)
	if sink == nil {
		s.parser.Skip(size + 2)
		return
	}
	s.value = valueInput{sink: sink, left: size}
}

// takeValue moves input into the sink and reports true when the value is
// complete and carried out.
func (s *Session) takeValue() bool {
	v := &s.value
	for v.left > 0 && len(s.input) > 0 {
		n := min(v.left, len(s.input))
		if !v.dead {
			span := v.sink.Span()
			if len(span) == 0 {
				v.dead = true
				continue
			}
			n = copy(span, s.input[:n])
			v.sink.Advance(n)
		}
		v.left -= n
		s.input = s.input[n:]
	}
	if v.left > 0 {
		return false
	}
	n := copy(v.end[v.ends:], s.input)
	v.ends += n
	s.input = s.input[n:]
	if v.ends < len(v.end) {
		return false
	}
	s.wary = true
	ok, sink := !v.dead && v.end == [2]byte{'\r', '\n'}, v.sink
	*v = valueInput{}
	sink.Finish(s, ok)
	return true
}

// produce lets the producer go on, if it may. The verdict holds if there is
// still a producer afterwards.
func (s *Session) produce() verdict {
	p := s.producer
	if s.eof {
		if e, is := p.(InputEnder); is && e.EndsWithInput() {
			s.producer = nil
			s.closing = true
			p.Abort()
			return verdictClose
		}
	}
	if s.started && s.Out.Pending() > 0 {
		return verdictDrain
	}
	if s.waiting && !s.woken.Load() {
		return verdictWait
	}
	s.woken.Store(false)
	s.started = true
	s.waiting = false
	switch p.Produce(s) {
	case ProducerMore:
		return verdictDrain
	case ProducerWait:
		s.waiting = true
		return verdictWait
	case ProducerClose:
		s.closing = true
	}
	s.producer = nil
	s.closing = s.closing || s.parting
	return verdictRead
}

// The phases of a session, for "stats conns".
const (
	phaseRead = iota
	phaseParse
	phaseValue
	phaseSwallow
	phaseWrite
	phaseWatch
	phaseClosing
)

// phaseNames are memcached's words for them.
var phaseNames = [...]string{
	"conn_read", "conn_parse_cmd", "conn_nread", "conn_swallow", "conn_mwrite", "conn_watch", "conn_closing",
}

// note records the phase in which verdict v leaves the session.
func (s *Session) note(v verdict) {
	phase := uint32(phaseRead)
	switch {
	case v == verdictClose:
		phase = phaseClosing
	case v == verdictDrain || v == verdictHold || s.Out.Pending() > 0:
		phase = phaseWrite
	case v == verdictWait:
		phase = phaseWatch
	case s.value.dead:
		phase = phaseSwallow
	case s.value.sink != nil, v == verdictRead && s.parser.Need() > 0 && !s.heldIn.empty():
		phase = phaseValue
	}
	if s.phase.Load() != phase {
		s.phase.Store(phase)
	}
}

// loggedMax is how much of a command or reply is logged, in bytes.
const loggedMax = 512

// logCommand logs the command line at the head of used and the first line of
// its reply, which begins at Out.Buf[before:].
func (s *Session) logCommand(used []byte, r *protocol.Request, before int) {
	log := &s.lane.conf.log
	if !r.Continued {
		log.Debug().Msgf("<%d %s", s.FD, firstLine(used))
	}
	if before < len(s.Out.Buf) && !r.More {
		log.Debug().Msgf(">%d %s", s.FD, firstLine(s.Out.Buf[before:]))
	}
}

// firstLine is the first line of b, cut short if it is long.
func firstLine(b []byte) []byte {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		b = b[:i]
	}
	b = bytes.TrimSuffix(b, []byte{'\r'})
	return b[:min(len(b), loggedMax)]
}
