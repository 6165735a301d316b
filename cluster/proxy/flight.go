package proxy

import (
	"bytes"

	"github.com/holdfast-cache/holdfast/protocol"
	"github.com/holdfast-cache/holdfast/server"
)

// flight is one batch of a client on its way: its requests in order, a cell for
// each key, the calls that have been made for them, and what has been answered.
// While it flies the client's session parses nothing further, so replies leave
// in order. It is the session's Producer.
type flight struct {
	x       *executor
	s       *server.Session // nil: the client has gone
	pending int             // calls without an answer, and 1 while calls are made
	flying  bool            // the session waits
	close   bool            // the client asked to be let go
	small   bool

	reqs    []request
	cells   []cell
	calls   []call
	text    []byte // keys, and request lines that may be sent twice
	replies []byte
	charged int64 // bytes of replies in the budget
}

// request is what must be known of a client's request to compose its reply.
type request struct {
	op          protocol.Op
	noReply     bool
	quiet       bool
	more        bool   // a get whose next keys come in another request
	continued   bool   // it is the rest of one
	echo        []byte // what a miss of mg echoes, where errors are answered as misses
	first, last int16  // its cells are cells[first:last]
}

// Sizes of flights. Most clients have one request at a time.
const (
	flightSmall = 4
	flightLarge = protocol.BatchRequestsMax + protocol.BatchKeysMax
	// flightKeep is how much of text and replies a flight keeps for its next use.
	flightKeep = 64 << 10
)

// newFlight returns an empty flight with room for n cells.
func (x *executor) newFlight(s *server.Session, n int) *flight {
	list, size := &x.small, flightSmall
	if n > flightSmall {
		list, size = &x.large, flightLarge
	}
	var f *flight
	if last := len(*list) - 1; last >= 0 {
		f = (*list)[last]
		*list = (*list)[:last]
	} else {
		f = &flight{
			x: x, small: size == flightSmall,
			reqs: make([]request, 0, size), cells: make([]cell, 0, size), calls: make([]call, 0, size),
		}
	}
	f.s = s
	f.pending = 1
	return f
}

// free makes the flight ready for its next use.
func (f *flight) free() {
	for i := range f.cells {
		if b := f.cells[i].blob; b != nil {
			f.cells[i].blob = nil
			b.Unpin()
		}
	}
	if f.charged > 0 {
		f.x.p.budget.give(f.charged)
		f.charged = 0
	}
	clear(f.calls)
	f.reqs, f.cells, f.calls = f.reqs[:0], f.cells[:0], f.calls[:0]
	f.text, f.replies = f.text[:0], f.replies[:0]
	if cap(f.text) > flightKeep {
		f.text = nil
	}
	if cap(f.replies) > flightKeep {
		f.replies = nil
	}
	f.s, f.flying, f.close = nil, false, false
	if f.small {
		f.x.small = append(f.x.small, f)
	} else {
		f.x.large = append(f.x.large, f)
	}
}

// newCell adds a cell. p is whose policies count, nil for a reply of our own.
func (f *flight) newCell(key []byte, p *pool) int16 {
	n := len(f.cells)
	f.cells = f.cells[:n+1]
	f.cells[n] = cell{key: key, next: noCell, pool: p}
	return int16(n)
}

// newCall adds a call whose answer belongs to cell.
func (f *flight) newCall(op protocol.Op, cell int16) *call {
	n := len(f.calls)
	f.calls = f.calls[:n+1]
	c := &f.calls[n]
	*c = call{op: op, to: f, cell: cell, cur: noCell, start: f.x.now, deadline: f.x.now}
	f.pending++
	return c
}

// open adds a request with a cell of its own.
func (f *flight) open(r *protocol.Request, p *pool) int16 {
	c := f.newCell(nil, p)
	f.reqs = append(f.reqs, request{op: r.Op, noReply: r.NoReply, continued: r.Continued, first: c, last: c + 1})
	return c
}

// say answers a request by itself.
func (f *flight) say(r *protocol.Request, line string) {
	c := f.open(r, nil)
	f.put(c, cellLine, protocol.StatusOther, line)
}

func (f *flight) put(c int16, state cellState, status protocol.Status, line string) {
	k := &f.cells[c]
	k.state, k.status = state, status
	k.from = int32(len(f.replies))
	f.replies = append(f.replies, line...)
	k.to = int32(len(f.replies))
}

// store keeps a reply in cell c.
func (f *flight) store(c int16, state cellState, status protocol.Status, line, value []byte, hasValue bool, b *blob) {
	k := &f.cells[c]
	k.state, k.status, k.blob = state, status, b
	before := cap(f.replies)
	k.from = int32(len(f.replies))
	f.replies = append(append(f.replies, line...), protocol.CRLF...)
	if hasValue && b == nil {
		f.replies = append(append(f.replies, value...), protocol.CRLF...)
	}
	k.to = int32(len(f.replies))
	if grown := cap(f.replies) - before; grown > 0 {
		f.charged += int64(grown)
		f.x.p.budget.force(int64(grown))
	}
}

// hit takes the value of one key.
func (f *flight) hit(_ *call, cell int16, line, value []byte, b *blob) {
	f.store(cell, cellHit, protocol.StatusValue, line, value, true, b)
}

// done ends a call.
func (f *flight) done(c *call, a *answer) {
	switch {
	case isGet(c.op):
		if a.status != protocol.StatusEnd {
			state := cellLine
			if a.failed {
				state = cellFailed
			}
			for k := c.cur; k != noCell; k = f.cells[k].next {
				f.store(k, state, a.status, a.line, nil, false, nil)
			}
		}
	case a.failed:
		f.store(c.cell, cellFailed, a.status, a.line, nil, false, nil)
	default:
		f.store(c.cell, cellLine, a.status, a.line, a.value, a.hasValue, a.blob)
	}
	f.over(c)
	f.landed()
}

// landed counts one answer, and has the client answered after the last.
func (f *flight) landed() {
	f.pending--
	if f.pending > 0 || !f.flying {
		return
	}
	if f.s == nil {
		f.free()
		return
	}
	f.s.Ready()
}

// depart ends the making of calls: the flight is answered at once, or flies.
func (f *flight) depart() {
	f.pending--
	if f.pending > 0 {
		f.flying = true
		f.s.Stream(f)
		return
	}
	s := f.s
	f.compose(s)
	if f.close {
		s.Close()
	}
	f.free()
}

// Produce answers the client once everything is there.
func (f *flight) Produce(s *server.Session) server.Progress {
	if f.pending > 0 {
		return server.ProducerWait
	}
	f.compose(s)
	done := server.ProducerDone
	if f.close {
		done = server.ProducerClose
	}
	f.free()
	return done
}

// Abort lets go of a client that has gone. What is under way comes to its end.
func (f *flight) Abort() {
	f.s = nil
	if f.pending == 0 {
		f.free()
	}
}

// compose appends the replies of all requests, in order.
func (f *flight) compose(s *server.Session) {
	for i := range f.reqs {
		r := &f.reqs[i]
		switch {
		case r.continued && s.Owed != nil:
			if !r.more {
				s.Out.Buf = append(s.Out.Buf, s.Owed...)
				s.Owed = nil
			}
		case isGet(r.op):
			f.composeGet(s, r)
		case !f.silent(r):
			f.appendCell(s, &f.cells[r.first])
		}
	}
}

// silent says that a request is not answered: noreply, or a quiet one that ended
// as its client expects. A get that failed is a miss where the pool says so.
func (f *flight) silent(r *request) bool {
	if r.noReply {
		return true
	}
	k := &f.cells[r.first]
	if r.op == protocol.OpMetaGet && k.state == cellFailed && k.pool != nil && k.pool.getMiss {
		k.status = protocol.StatusMetaMiss
		k.from = int32(len(f.replies))
		f.replies = append(append(f.replies, protocol.MetaMiss...), r.echo...)
		f.replies = append(f.replies, protocol.CRLF...)
		k.to = int32(len(f.replies))
	}
	if !r.quiet {
		return false
	}
	switch r.op {
	case protocol.OpMetaGet:
		return k.status == protocol.StatusMetaMiss
	case protocol.OpMetaSet, protocol.OpMetaDelete:
		return k.status == protocol.StatusMetaHit
	case protocol.OpMetaArith:
		return k.status == protocol.StatusMetaHit || k.status == protocol.StatusMetaValue
	}
	return false
}

func (f *flight) appendCell(s *server.Session, k *cell) {
	s.Out.Buf = append(s.Out.Buf, f.replies[k.from:k.to]...)
	if b := k.blob; b != nil {
		k.blob = nil
		var spans [1][]byte
		spans[0] = b.mem
		s.Out.Pin(spans[:], b)
	}
}

// composeGet appends the values of a get, in the order of its keys, and END. Of
// keys that failed: a get of one key, or of any where the pool is strict, ends in
// one error and nothing else; otherwise they are left out, as misses are. The error of a
// get that comes in pieces waits for the last.
func (f *flight) composeGet(s *server.Session, r *request) {
	cells := f.cells[r.first:r.last]
	for i := range cells {
		k := &cells[i]
		single := len(cells) == 1 && !r.more && !r.continued
		if k.state < cellLine || single && k.state == cellFailed && k.pool.getMiss {
			continue
		}
		if single || k.pool.multigetFail {
			if line := f.replies[k.from:k.to]; r.more {
				s.Owed = bytes.Clone(line)
			} else {
				s.Out.Buf = append(s.Out.Buf, line...)
			}
			return
		}
		k.pool.omitted.Add(1)
	}
	for i := range cells {
		if k := &cells[i]; k.state == cellHit {
			f.appendCell(s, k)
		}
	}
	if !r.more {
		s.Out.Buf = append(s.Out.Buf, protocol.ReplyEnd...)
	}
}
